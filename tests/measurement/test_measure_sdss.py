"""Measurement of a real SDSS field at catalogued positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from astrogalaxy.images import Image
from astrogalaxy.measurement import Sources, measure

if TYPE_CHECKING:
    from pathlib import Path

FIELD = "003918-3-0213"


@pytest.fixture(scope="module")
def sdss(shared_data: Path) -> tuple[Image, Table, dict[str, np.ndarray]]:
    """The field in g r i, its catalogue, and what is measured at the catalogue's positions."""
    folder = shared_data / "sdss"
    truth_file = folder / f"{FIELD}-truth-west.csv"
    frames = {band: folder / f"frame-{band}-{FIELD}.fits.bz2" for band in "gri"}
    missing = [path.name for path in (truth_file, *frames.values()) if not path.is_file()]
    if missing:
        pytest.skip(f"not among the real data: {', '.join(missing)}")
    image = Image.read(frames, reference="r", zeropoint=22.5)
    truth = Table.read(truth_file, comment="#", format="ascii.csv")
    return image, truth, measure(image, Sources.around(truth["x"], truth["y"], side=14))


def test_magnitudes_are_those_of_the_survey(sdss: tuple[Image, Table, dict[str, np.ndarray]]) -> None:
    _, truth, table = sdss
    measured = np.isfinite(table["mag_r"])
    assert measured.mean() > 0.95
    assert 14.0 < np.nanmin(table["mag_r"]) < 15.0
    galaxies = np.asarray(truth["class"]) == "galaxy"
    assert 20.8 < np.nanmedian(table["mag_r"][galaxies]) < 21.8
    assert np.mean(table["mag_r"][measured] < 23.5) > 0.9


def test_stars_have_the_seeing_and_one_size(sdss: tuple[Image, Table, dict[str, np.ndarray]]) -> None:
    _, truth, table = sdss
    stars = (
        (np.asarray(truth["class"]) == "star") & (table["mag_r"] > 15) & (table["mag_r"] < 20) & (table["flags"] == 0)
    )
    assert stars.sum() > 15
    fwhm = table["fwhm"][stars]
    assert np.median(fwhm) == pytest.approx(1.03, abs=0.06)
    assert np.percentile(fwhm, 84) - np.percentile(fwhm, 16) < 0.1
    galaxies = (np.asarray(truth["class"]) == "galaxy") & (table["snr"] > 15)
    assert np.median(table["half_light_radius"][galaxies]) > 1.4 * np.median(table["half_light_radius"][stars])
    correction = table["mag_r"][stars] - (31.4 - 2.5 * np.log10(table["flux_aper_r"][stars]))
    assert np.std(correction) < 0.03


def test_positions_agree_with_the_survey(sdss: tuple[Image, Table, dict[str, np.ndarray]]) -> None:
    image, truth, table = sdss
    sky = image.bands["r"].wcs.pixel_to_world(np.asarray(truth["x"]), np.asarray(truth["y"]))
    bright = (np.asarray(truth["class"]) == "star") & (table["snr"] > 50) & np.isfinite(table["ra_err"])
    offset = SkyCoord(table["ra"], table["dec"], unit="deg").separation(sky).arcsec[bright]
    assert bright.sum() > 30
    assert np.median(offset) < 0.03


def test_star_colours_lie_on_the_locus(sdss: tuple[Image, Table, dict[str, np.ndarray]]) -> None:
    _, truth, table = sdss
    stars = (np.asarray(truth["class"]) == "star") & (table["mag_r"] > 15) & (table["mag_r"] < 20.5)
    stars &= table["flags"] == 0
    blue, red = (table["mag_g"] - table["mag_r"])[stars], (table["mag_r"] - table["mag_i"])[stars]
    ordinary = (blue > 0.3) & (blue < 1.2)
    assert ordinary.sum() > 10
    # Main sequence before the M dwarfs (Covey et al. 2007, AJ 134, 2398): r - i rises from 0.1 to 0.5.
    residual = red[ordinary] - (0.10 + 0.38 * (blue[ordinary] - 0.4))
    assert abs(np.median(residual)) < 0.05
    assert 1.48 * np.median(np.abs(residual - np.median(residual))) < 0.08
