"""A small survey on disk: two simulated fields in three bands."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits

from astrogalaxy.simulation import PROFILES, Scene, simulate_scene


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Two fields far apart on the sky."""
    return [
        simulate_scene(PROFILES["sdss"], size=(160, 192), seed=seed, centre=(10.0 * seed, 5.0), artefacts=False)
        for seed in (1, 2)
    ]


def write_fields(folder: Path, scenes: list[Scene]) -> None:
    """Write scenes as ``<field>-<band>.fits``."""
    for name, scene in zip(("north", "south"), scenes, strict=False):
        for band, pixels in scene.images.items():
            hdu = fits.PrimaryHDU(pixels, scene.wcs[band].to_header())
            hdu.writeto(folder / f"{name}-{band}.fits", overwrite=True)


@pytest.fixture
def survey(tmp_path: Path, scenes: list[Scene]) -> Path:
    """A survey.yml beside its images; one worker, in this process."""
    write_fields(tmp_path, scenes)
    path = tmp_path / "survey.yml"
    path.write_text(
        "name: pair\n"
        "images:\n"
        '  path: "{field}-{band}.fits"\n'
        "  bands: [g, r, i]\n"
        "  zeropoint: 22.5\n"
        "compute: {workers: 1, device: cpu}\n"
    )
    return path
