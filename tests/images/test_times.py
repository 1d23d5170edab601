"""Times and exposure times of headers, as telescopes write them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from astrogalaxy import Image
from astrogalaxy.images.times import exposure_time, observed

NOON = 58119.5


@pytest.mark.parametrize(
    "cards",
    [
        {"MJD-OBS": NOON},
        {"MJD-OBS": str(NOON)},
        {"DATE-OBS": "2018-01-01T12:00:00"},
        {"DATE-OBS": "2018-01-01T12:00:00Z"},
        {"DATE-OBS": "2018-01-01", "TIME-OBS": "12:00:00.0"},
        {"DATE-OBS": "2018-01-01", "UT": " 12:00:00"},
        {"MJD-AVG": NOON, "MJD-OBS": NOON - 0.1, "DATE-OBS": "2018-01-01T09:36:00"},
        {"MJD-OBS": "", "DATE-OBS": "2018-01-01T12:00:00"},
        {"MJD-OBS": 0.0, "DATE-OBS": "2018-01-01T12:00:00"},
        {"MJD-OBS": NOON, "TIMESYS": "UTC"},
        {"MJD-OBS": NOON, "TIMESYS": "LOCAL"},
        {"DATE-OBS": "2018-01-01T12:00:37", "TIMESYS": "TAI"},
    ],
)
def test_noon_of_the_first_of_january(cards: dict) -> None:
    assert observed(fits.Header(cards)) == pytest.approx(NOON, abs=1e-9)


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"DATE-OBS": "2018-01-01"},
        {"DATE-OBS": "01/01/18"},
        {"DATE-OBS": "2018-13-01T00:00:00"},
        {"MJD-OBS": "n/a"},
        {"MJD-OBS": 51544.4992571308, "DATE-OBS": "2000-01-01T11:58:55.816"},
    ],
)
def test_no_time(cards: dict) -> None:
    assert observed(fits.Header(cards)) is None


def test_years_without_known_leap_seconds_are_taken_without_a_warning() -> None:
    assert observed({"DATE-OBS": "2090-01-01T00:00:00"}) == Time("2090-01-01", scale="tai").mjd


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [
        ({"EXPTIME": 30}, 30.0), ({"EXPOSURE": "53.907456"}, 53.907456), ({"XPOSURE": 28.0, "EXPTIME": 30.0}, 28.0),
        ({"EXPTIME": 0.0}, None), ({"EXPTIME": "unknown"}, None), ({}, None),
    ],
)  # fmt: skip
def test_exposure_times(cards: dict, seconds: float | None) -> None:
    assert exposure_time(fits.Header(cards)) == seconds


def test_an_image_in_an_extension_has_the_time_of_its_file(tmp_path) -> None:
    primary = fits.PrimaryHDU(header=fits.Header({"MJD-OBS": NOON, "EXPTIME": 90.0}))
    fits.HDUList([primary, fits.ImageHDU(np.zeros((20, 20)))]).writeto(tmp_path / "r.fits")
    band = Image.read({"r": tmp_path / "r.fits"}).bands["r"]
    assert (band.mjd, band.exposure_time) == (NOON, 90.0)
    assert Image.read({"r": np.zeros((20, 20))}).bands["r"].mjd is None
