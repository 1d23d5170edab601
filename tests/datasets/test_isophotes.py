"""Tests of astrogalaxy.datasets.isophotes."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.datasets.isophotes import OwnLight, isophotal_sources

SHAPE = (60, 80)


def _gaussian(x: float, y: float, peak: float, sigma: float = 3.0, *, galaxy: bool = False) -> OwnLight:
    rows, columns = np.indices(SHAPE)
    light = peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return OwnLight.from_frame(np.where(light > 1e-3, light, 0).astype(np.float32), galaxy=galaxy)


@pytest.mark.parametrize(("x", "y"), [(40.0, 30.0), (40.3, 29.6), (40.5, 30.5)])
def test_sides_lie_on_the_isophote(x: float, y: float) -> None:
    """Not on the edges of pixels: the box moves with the source."""
    (found,) = isophotal_sources([_gaussian(x, y, 20.0)], SHAPE, isophote=1.0)
    radius = 3 * np.sqrt(2 * np.log(20))
    sides = [found["x_min"], found["x_max"], found["y_min"], found["y_max"]]
    assert sides == pytest.approx([x - radius, x + radius, y - radius, y + radius], abs=0.15)
    assert found["snr"] == pytest.approx(20 * np.sqrt(np.pi) * 3, rel=0.01)
    assert found["own"] == 1.0


def test_what_nowhere_reaches_the_isophote_has_no_box() -> None:
    objects = [_gaussian(20, 20, 0.9), _gaussian(60, 40, 1.1, galaxy=True), _gaussian(50, 10, 0.0)]
    found = isophotal_sources(objects, SHAPE, isophote=1.0)
    assert found["galaxy"].tolist() == [True]
    assert len(isophotal_sources([], SHAPE, isophote=1.0)) == 0


def test_a_source_on_the_edge_ends_there() -> None:
    (found,) = isophotal_sources([_gaussian(1.0, 58.5, 20.0)], SHAPE, isophote=1.0)
    assert (found["x_min"], found["y_max"]) == (-0.5, 59.5)
    assert found["x_max"] > 6


def test_twins_in_one_place_are_one_source() -> None:
    found = isophotal_sources([_gaussian(40, 30, 20.0), _gaussian(40, 30, 19.0)], SHAPE, isophote=1.0)
    assert found["own"].tolist() == [1.0, 0.0]


def test_a_star_on_a_large_galaxy_is_a_source() -> None:
    """Its wings drown in the galaxy, but its core stands out; and so does the galaxy around it."""
    galaxy, star = _gaussian(40, 30, 10.0, 9.0, galaxy=True), _gaussian(46, 30, 60.0, 1.5)
    found = isophotal_sources([galaxy, star], SHAPE, isophote=0.5)
    assert (found["own"] > 0.8).all()
    faint = isophotal_sources([galaxy, _gaussian(41, 30, 6.0, 1.5)], SHAPE, isophote=0.5)
    assert faint["own"][1] < 0.2, "this one does not"
