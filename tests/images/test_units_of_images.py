"""What the unit of an image says of its zero point, and quantities as settings."""

from __future__ import annotations

import logging
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

import astrogalaxy as ag
from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image

PIXELS = np.random.default_rng(2).normal(10, 1, (60, 80)).astype(np.float32)


def tan() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [10.0, 20.0], [40, 30]
    wcs.wcs.cdelt = [-1 / 3600, 1 / 3600]
    return wcs


def test_a_zero_point_against_the_unit_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for source in (CCDData(PIXELS, unit="nJy"), PIXELS * u.nJy, fits.PrimaryHDU(PIXELS, fits.Header({"BUNIT": "nJy"}))):
        caplog.clear()
        image = Image.read({"r": source}, zeropoint=22.5)
        assert image.bands["r"].zeropoint == 22.5, "the user has the last word"
        assert "zeropoint says 22.50, but its unit is that of zero point 31.40" in caplog.text
    caplog.clear()
    Image.read({"r": CCDData(PIXELS, unit="nJy")}, zeropoint=31.4)
    Image.read({"r": CCDData(PIXELS, unit="adu")}, zeropoint=25)
    assert caplog.text == ""


def test_a_header_that_knows_more_than_is_asked_for_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    hdu = fits.PrimaryHDU(PIXELS, fits.Header({"BUNIT": "nJy"}))
    assert Image.read({"r": hdu}).bands["r"].zeropoint is None
    assert "fluxes stay in image units; its unit tells one, 31.40 (zeropoint: auto)" in caplog.text


def test_surface_brightness_with_a_wcs_is_converted(caplog: pytest.LogCaptureFixture) -> None:
    image = Image.read({"r": CCDData(PIXELS, unit="MJy/sr", wcs=tan())})
    area = (1 * u.arcsec**2).to_value(u.sr)
    assert image.bands["r"].zeropoint == pytest.approx((1e6 * area * u.Jy).to_value(u.ABmag), abs=1e-3)
    assert caplog.text == ""


@pytest.mark.parametrize("unit", ["erg/(s cm2 AA)", "MJy/sr", "m"])
def test_units_that_tell_no_zero_point_are_told_of(unit: str, caplog: pytest.LogCaptureFixture) -> None:
    assert Image.read({"r": CCDData(PIXELS, unit=unit)}).bands["r"].zeropoint is None
    assert "is no flux density per frequency" in caplog.text


@pytest.mark.parametrize("unit", ["adu", "electron", "ct / s", ""])
def test_counts_need_no_words(unit: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert Image.read({"r": CCDData(PIXELS, unit=unit)}).bands["r"].zeropoint is None
    assert caplog.text == ""


def test_settings_may_be_quantities() -> None:
    with warnings.catch_warnings(action="error"):
        settings = {"zeropoint": 25 * u.ABmag, "gain": 2 * u.electron / u.adu, "saturation": 1000 * u.adu}
        band = Image.read({"r": PIXELS}, **settings).bands["r"]
    assert (band.zeropoint, band.exposure.gain, band.saturation) == (25.0, 2.0, 1000.0)
    assert Image.read({"r": PIXELS}, zeropoint=25 * u.mag).bands["r"].zeropoint == 25.0
    for wrong in ({"zeropoint": 25 * u.STmag}, {"zeropoint": 3 * u.Jy}, {"gain": 2 * u.adu}):
        with pytest.raises(ImageError, match="cannot be in"):
            Image.read({"r": PIXELS}, **wrong)


@pytest.mark.parametrize("wrong", [PIXELS, {"r": PIXELS}, "r.fits"])
def test_the_constructor_names_the_way_to_open_images(wrong: object) -> None:
    with pytest.raises(ImageError, match="Image.read opens files"):
        ag.Image(wrong)
