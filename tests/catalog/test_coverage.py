"""The sky that outlines cover together."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from mocpy import MOC

from astrogalaxy.catalog.coverage import union_area


def rectangle(ra: float, dec: float, width: float = 0.2, height: float = 0.2, turn: float = 0.0) -> np.ndarray:
    """Corners of a rectangle on the plane that touches the sky at a place, degrees."""
    x, y = np.radians(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)).T
    turn, dec = np.radians(turn), np.radians(dec)
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    down = np.cos(dec) - y * np.sin(dec)
    north = np.degrees(np.arctan2(np.sin(dec) + y * np.cos(dec), np.hypot(x, down)))
    return np.column_stack([(ra + np.degrees(np.arctan2(x, down))) % 360, north])


@pytest.mark.parametrize("dec", [0.0, -35.0, 80.0, 89.95])
def test_apart_they_add_up(dec: float) -> None:
    far = rectangle(200.0, -dec, 0.1, 0.3)
    assert union_area([rectangle(0.0, dec)]) == pytest.approx(0.04, rel=1e-4)
    assert union_area([rectangle(0.0, dec), far]) == pytest.approx(0.07, rel=1e-4)
    assert union_area([rectangle(0.0, dec)[::-1]]) == pytest.approx(0.04, rel=1e-4)  # whichever way around
    assert union_area([]) == 0


def test_a_few_pixels_and_a_tenth_of_the_sky() -> None:
    assert union_area([rectangle(30.0, 60.0, 1e-3, 1e-3)]) == pytest.approx(1e-6, rel=1e-3)
    octant = [(0.0, 0.0), (90.0, 0.0), (0.0, 90.0)]
    assert union_area([octant]) == pytest.approx(41252.96 / 8, rel=1e-6)
    assert union_area([octant, rectangle(45.0, 40.0)]) == pytest.approx(41252.96 / 8, rel=1e-6)


@pytest.mark.parametrize("n", [2, 8, 40])
def test_exposures_of_one_field_count_once(n: int) -> None:
    rng = np.random.default_rng(n)
    epochs = [rectangle(359.999, 20.0)] * n
    assert union_area(epochs) == pytest.approx(0.04, rel=1e-5)
    dithered = [rectangle(359.99 + x, 20 + y, turn=5 * x) for x, y in rng.normal(0, 0.01, (n, 2))]
    assert union_area(dithered) == pytest.approx(moc_area(dithered), rel=0.006)


@pytest.mark.parametrize("dec", [-5.0, 70.0])
def test_fields_with_overlaps_count_them_once(dec: float) -> None:
    step = 0.18
    fields = [
        rectangle((i * step / np.cos(np.radians(dec))) % 360, dec + j * step, turn=3.0)
        for i in range(-2, 3)
        for j in range(3)
    ]
    found = union_area(fields)
    assert found == pytest.approx(moc_area(fields), rel=0.006)
    assert found < 0.9 * 15 * 0.04


def moc_area(polygons: list[np.ndarray]) -> float:
    """That of all cells of 0.8 arcsec that are touched: a few in a thousand more."""
    skies = [SkyCoord(polygon, unit="deg") for polygon in polygons]
    first, *others = MOC.from_polygons(skies, max_depth=18, n_threads=1)
    return first.union(*others).sky_fraction * 41252.96
