"""Tests of astrogalaxy.images.register, and of what is done with its shifts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sep
from astropy.wcs import WCS, DistortionLookupTable, Sip

from astrogalaxy.detection import open_runtime
from astrogalaxy.images import Image, plan_tiles
from astrogalaxy.images.sky import shifted
from astrogalaxy.measurement import Sources, field_conditions, measure, restore_conditions
from astrogalaxy.survey import extract

SHAPE = (300, 340)
RNG = np.random.default_rng(3)
X, Y = (g.ravel() + RNG.uniform(-3, 3, g.size) for g in np.meshgrid(np.arange(30, 320, 40.0), np.arange(30, 280, 40.0)))
SHIFT = (0.8, -0.5)


def _wcs(ctype: str = "TAN") -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{ctype}", f"DEC--{ctype}"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, 2.0], [170, 150], [-1e-4, 1e-4]
    return wcs


def _sky(shift: Any = (0, 0), n: int = len(X), seed: int = 0) -> np.ndarray:
    """Stars of FWHM 3.5 pixels, so much beside where they are: all alike, or each its own."""
    rows, columns = np.indices(SHAPE)
    sky = np.random.default_rng(seed).normal(0, 1, SHAPE)
    for x, y in zip(X[:n] + shift[0], Y[:n] + shift[1], strict=True):
        sky += 300 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (3.5 / 2.355) ** 2))
    return sky.astype(np.float32)


def _image(shift: tuple[float, float], **other: object) -> Image:
    """The g band's stars lie beside where its WCS, that of r, puts them."""
    return Image.read({"g": (_sky(shift, seed=1, **other), _wcs()), "r": (_sky(**other), _wcs())}, reference="r")


@pytest.mark.parametrize("shift", [SHIFT, (0.0, 0.25), (-2.5, 1.0)])
def test_a_shift_is_found_and_put_right(shift: tuple[float, float], caplog: pytest.LogCaptureFixture) -> None:
    image = _image(shift)
    before = float(image.wcs.pixel_to_world(X[0], Y[0]).separation(image.bands["g"].wcs.pixel_to_world(X[0], Y[0])).deg)
    assert before == pytest.approx(0, abs=1e-9)
    with caplog.at_level(logging.INFO):
        image.register()
    assert "pixels beside where its WCS puts" in caplog.text
    assert image.bands["g"].shift == pytest.approx(shift, abs=0.03)
    assert image.bands["r"].shift == (0.0, 0.0), "the reference is believed"
    assert image.shifts == {"g": image.bands["g"].shift}
    there = image.bands["g"].wcs.world_to_pixel(image.wcs.pixel_to_world(X, Y))
    np.testing.assert_allclose(np.subtract(there, (X, Y)).T, np.tile(shift, (len(X), 1)), atol=0.03)


def test_the_aligned_band_follows() -> None:
    image = _image(SHIFT)
    for shift in (SHIFT, (0, 0)):
        x, y, _ = sep.winpos(np.ascontiguousarray(image.aligned().snr[0]), X, Y, np.full(len(X), 1.5))
        assert np.median(x - X) == pytest.approx(shift[0], abs=0.05)
        assert np.median(y - Y) == pytest.approx(shift[1], abs=0.05)
        image.register()


def test_stars_are_points_in_both_bands() -> None:
    columns = measure(_image(SHIFT), Sources.around(X, Y, side=16), pixel_scale=0.36)
    assert np.median(np.abs(columns["spread"])) < 0.03
    assert np.median(columns["flux_g"] / columns["flux_r"]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("shift", "n"),
    [((0.05, 0.05), len(X)), (SHIFT, 8), ((30.0, 0.0), len(X))],
    ids=["not noticed", "few stars", "beyond recognition"],
)
def test_what_is_not_sure_is_left(shift: tuple[float, float], n: int, caplog: pytest.LogCaptureFixture) -> None:
    image = _image(shift, n=n)
    wcs = image.bands["g"].wcs
    caplog.set_level(logging.INFO)
    image.register()
    assert image.shifts == {}
    assert image.bands["g"].shift == (0.0, 0.0)
    assert image.bands["g"].wcs is wcs
    assert "beside" not in caplog.text


@pytest.mark.parametrize(("shift", "known"), [(0.4, True), (0.15, False)])
def test_many_stars_are_surer_than_one(shift: float, known: bool) -> None:
    scatter = np.random.default_rng(7).normal(0, 0.2, (2, len(X)))
    image = Image.read(
        {"g": (_sky((shift + scatter[0], scatter[1]), seed=1), _wcs()), "r": (_sky(), _wcs())}, reference="r"
    )
    image.register()
    assert image.bands["g"].shift == (pytest.approx((shift, 0.0), abs=0.15) if known else (0.0, 0.0))


def test_stars_that_do_not_agree_shift_nothing() -> None:
    scattered = _sky()
    rows, columns = np.indices(SHAPE)
    for x, y, dx in zip(X, Y, np.random.default_rng(5).uniform(-2.5, 2.5, len(X)), strict=True):
        near = np.hypot(columns - x, rows - y) < 9
        scattered[near] = 300 * np.exp(-((columns[near] - x - dx) ** 2 + (rows[near] - y - 1) ** 2) / 4.4)
    image = Image.read({"g": (scattered, _wcs()), "r": (_sky(), _wcs())}, reference="r")
    image.register()
    assert image.bands["g"].shift == (0.0, 0.0)


def test_stars_that_go_apart_in_two_halves_shift_nothing() -> None:
    halves = np.where(np.arange(len(X)) % 2, 1.5, -1.5)
    image = Image.read({"g": (_sky((halves, 0 * halves), seed=1), _wcs()), "r": (_sky(), _wcs())}, reference="r")
    image.register()
    assert image.bands["g"].shift == (0.0, 0.0)


def test_without_wcs_nothing_is_shifted() -> None:
    image = Image.read({"g": _sky(SHIFT), "r": _sky()}, reference="r")
    image.register()
    assert image.bands["g"].shift == (0.0, 0.0)
    assert image.bands["g"].wcs is None


def _sip() -> WCS:
    wcs = _wcs("TAN-SIP")
    terms = np.zeros((3, 3))
    terms[2, 0] = 1e-4
    wcs.sip = Sip(terms, terms.T, -terms, -terms.T, wcs.wcs.crpix)
    return wcs


def _table() -> WCS:
    wcs = _wcs()
    bend = np.random.default_rng(4).uniform(-2, 2, (9, 9)).astype(np.float32)
    wcs.cpdis1 = DistortionLookupTable(bend, (1, 1), (-20, -20), (50, 50))
    return wcs


@pytest.mark.parametrize("make", [_sip, _table])
def test_distortions_move_along(make: Callable[[], WCS]) -> None:
    wcs = make()
    before = wcs.pixel_to_world(X, Y)
    moved = shifted(wcs, *SHIFT)
    assert before.separation(moved.pixel_to_world(X + SHIFT[0], Y + SHIFT[1])).arcsec.max() < 1e-5
    assert before.separation(_wcs().pixel_to_world(X, Y)).arcsec.max() > 0.1, "it is distorted"
    assert before.separation(wcs.pixel_to_world(X, Y)).arcsec.max() == 0, "the first one stays"


def test_tiles_are_found_on_registered_bands() -> None:
    image = _image(SHIFT)
    tile = plan_tiles(image.shape, size=512, overlap=0)[0]
    aligned = extract(image, tile, open_runtime()).aligned
    np.testing.assert_array_equal(aligned.snr, image.aligned(tile.outer).snr)
    assert image.bands["g"].shift == pytest.approx(SHIFT, abs=0.03)


def test_shifts_are_kept_for_other_processes() -> None:
    image, same = _image(SHIFT), _image(SHIFT)
    conditions = field_conditions(image)
    for name, band in same.bands.items():
        restore_conditions(band, conditions[name])
        assert band.shift == image.bands[name].shift
    np.testing.assert_array_equal(same.aligned().snr, image.aligned().snr)


def test_a_band_with_other_pixels_keeps_its_shift() -> None:
    image = _image(SHIFT)
    image.register()
    band = image.bands["g"].altered(lambda _, pixels: 2 * pixels)
    assert band.shift == image.bands["g"].shift
    assert band.wcs.wcs.crpix == pytest.approx(image.bands["g"].wcs.wcs.crpix)
