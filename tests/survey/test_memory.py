"""A large image in little memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrogalaxy.catalog import SourceCatalog

SIDE = 8192
# What the run is told that it may use, and what the system lets it have: in one piece the image would need ten times
# as much. The difference is address space that is set aside and never used.
ALLOWED, HARD = "1.2 GB", 1.6e9


@pytest.fixture
def mosaic(tmp_path: Path) -> Path:
    """Noise and 64 stars, 256 MiB, written row by row."""
    rng = np.random.default_rng(5)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150.0, 2.0), (SIDE / 2, SIDE / 2)
    wcs.wcs.cdelt = -1.1e-4, 1.1e-4
    first = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": SIDE, "NAXIS2": SIDE}
    header = fits.Header([*first.items(), *wcs.to_header().cards])
    y, x = np.mgrid[:1024, :1024]
    noise = rng.normal(0, 1, x.shape)
    path = tmp_path / "m-r.fits"
    hdu = fits.StreamingHDU(path, header)
    for _ in range(SIDE // 1024):
        row = np.empty((1024, SIDE), np.float32)
        for column in range(SIDE // 1024):
            at = rng.uniform(100, 900, 2)
            star = 300 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 1.5**2))
            row[:, 1024 * column : 1024 * (column + 1)] = np.roll(noise, rng.integers(1024), axis=1) + star
        hdu.write(row)
    hdu.close()
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are told to Linux")
def test_a_mosaic_in_tiles_under_a_hard_limit(mosaic: Path, tmp_path: Path) -> None:
    path = tmp_path / "survey.yml"
    path.write_text(
        'name: m\nimages: {path: "m-{band}.fits", bands: [r], zeropoint: 22.5}\n'
        f"compute: {{workers: 1, memory: {ALLOWED}, device: cpu}}\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (int(HARD), int(HARD)))

    done = subprocess.run(
        [sys.executable, "-m", "astrogalaxy", "run", str(path), "-q"],
        preexec_fn=limit,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert len(record["tiles"]) >= 9
    catalog = SourceCatalog.read(tmp_path / "out" / "m.fits")
    assert 60 <= np.sum(catalog["snr"] > 100) <= 64
