"""Every survey file runs on a small field that is laid out as the survey's own files are."""

from __future__ import annotations

import bz2
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import astrogalaxy as ag
from astrogalaxy.config import commented_yaml, pipelines_folder

SIDE = 160
# The bands of the quickstart field that play those of a survey.
PARTS = {"g": "g", "r": "r", "i": "i", "z": "i"}


def sky(band: str) -> tuple[np.ndarray, fits.Header]:
    """A corner of the quickstart field, in nanomaggies."""
    path = pipelines_folder() / "quickstart" / f"quickstart-{PARTS[band]}.fits"
    data, header = fits.getdata(path, header=True)
    keys = ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2", "PC1_1", "PC2_2", "RADESYS")
    return np.array(data[:SIDE, :SIDE], "f4"), fits.Header({key: header[key] for key in keys if key in header})


def sdss(folder: Path) -> None:
    for band in "gri":
        data, header = sky(band)
        table = fits.BinTableHDU.from_columns([fits.Column("ALLSKY", "4E", array=np.ones((1, 4)))])
        buffer = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(data, header), fits.ImageHDU(np.ones(SIDE, "f4")), table]).writeto(buffer)
        (folder / f"frame-{band}-003918-3-0213.fits.bz2").write_bytes(bz2.compress(buffer.getvalue()))


def legacy(folder: Path) -> None:
    for band in "grz":
        data, header = sky(band)
        noise = 1.48 * np.median(np.abs(data - np.median(data)))
        for kind, values in (("image", data), ("invvar", np.full(data.shape, noise**-2, "f4"))):
            hdu = fits.CompImageHDU(values, header, compression_type="RICE_1", quantize_level=-noise / 64)
            hdu.writeto(folder / f"legacysurvey-1498p020-{kind}-{band}.fits.fz")


def panstarrs(folder: Path) -> None:
    for band in "gri":
        data, header = sky(band)
        header["MAGZERO"] = 25 + 2.5 * np.log10(700)
        name = f"rings.v3.skycell.1784.059.stk.{band}.unconv.fits"
        fits.writeto(folder / name, data * 10 ** (0.4 * (header["MAGZERO"] - 22.5)), header)


def hsc(folder: Path) -> None:
    for band in "gri":
        data, header = sky(band)
        data = (data * 10 ** (0.4 * (27.0 - 22.5))).astype("f4")
        planes = [fits.ImageHDU(data, header), fits.ImageHDU(np.full(data.shape, 32, "i4"), header)]
        planes.append(fits.ImageHDU(np.ones(data.shape, "f4"), header))
        fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(folder / f"calexp-HSC-{band.upper()}-9813-4,4.fits")


@pytest.fixture(scope="module")
def expected() -> ag.SourceCatalog:
    """What the corner holds."""
    return ag.detect(ag.Image.read({band: sky(band) for band in "gri"}, zeropoint=22.5))


@pytest.mark.parametrize("write", [sdss, legacy, panstarrs, hsc])
def test_it_runs_on_files_of_the_survey(
    write: Callable[[Path], None], expected: ag.SourceCatalog, tmp_path: Path
) -> None:
    write(tmp_path)
    text = commented_yaml(write.__name__).replace("workers: auto", "workers: 1")
    (tmp_path / "survey.yml").write_text(text, encoding="utf-8")
    catalog = ag.run(tmp_path / "survey.yml")
    assert len(catalog) > 0.7 * len(expected)
    index, apart, _ = expected.coords.match_to_catalog_sky(catalog.coords)
    same = (apart.arcsec < 0.5) & (expected["snr"] > 20) & (expected["flags"] == 0)
    assert same.sum() > 5
    # the zero point is that of the survey: magnitudes are those of the same sky in nanomaggies
    offset = np.median(catalog["mag_r"][index[same]] - expected["mag_r"][same])
    assert abs(offset) < 0.03
    assert (tmp_path / "out" / "report.html").is_file()
