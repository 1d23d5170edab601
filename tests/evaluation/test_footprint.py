"""What a table of sources covers."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.catalog.directions import directions
from astrogalaxy.evaluation.footprint import footprint_of


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def _strewn(inside, rng: np.random.Generator, n: int = 600) -> np.ndarray:
    """Points of the unit square that lie in some part of it."""
    points = rng.random((8 * n, 2))
    return points[inside(points)][:n]


def _turned(points: np.ndarray) -> np.ndarray:
    return np.abs(points - 0.5).sum(axis=1) < 0.48


def _bent(points: np.ndarray) -> np.ndarray:
    return ~(points > 0.5).all(axis=1)


def _apart(points: np.ndarray) -> np.ndarray:
    return np.abs(points[:, 0] - 0.5) > 0.3


def _ring(points: np.ndarray) -> np.ndarray:
    radius = np.hypot(*(points - 0.5).T)
    return (radius > 0.25) & (radius < 0.48)


@pytest.mark.parametrize("inside", [_turned, _bent, _apart, _ring])
@pytest.mark.parametrize("sky", [None, (0.0, 0.0), (180.0, -89.9)])
def test_areas_of_any_form_are_covered_and_nothing_else(inside, sky, rng: np.random.Generator) -> None:
    """On a plane, and on the sky where right ascension goes through 0 and around a pole."""

    def placed(points: np.ndarray) -> np.ndarray:
        if sky is None:
            return points
        ra, dec = np.radians(sky)
        east, north = np.array([-np.sin(ra), np.cos(ra), 0]), directions(sky[0], sky[1] + 90)
        vectors = directions(*sky) + np.radians(points - 0.5) @ np.array([east, north])
        return vectors / np.linalg.norm(vectors, axis=1)[:, None]

    footprint = footprint_of(placed(_strewn(inside, rng)))
    anywhere = rng.random((4000, 2))
    held, there = footprint.holds(placed(anywhere)), inside(anywhere)
    assert held[there].mean() > 0.85
    assert held[~there].mean() < 0.02
    unit = 1.0 if sky is None else np.radians(1) ** 2
    assert footprint.area / (1 - footprint.missing) == pytest.approx(there.mean() * unit, rel=0.1)


def test_rows_that_are_written_twice_are_no_neighbours(rng: np.random.Generator) -> None:
    sources = np.repeat(rng.random((200, 2)), 3, axis=0)
    assert footprint_of(sources).area == footprint_of(sources[::3]).area > 0.8


def test_few_sources_and_those_in_line_cover_nothing() -> None:
    point = np.array([[0.5, 0.5], [np.nan, 0.5]])
    for sources in (np.zeros((0, 2)), point, np.array([[0, 0], [1, 1], [2.0, 2]]), np.full((5, 2), np.nan)):
        footprint = footprint_of(sources)
        assert footprint.area == 0
        assert not footprint.holds(point).any()
    assert footprint_of(np.array([[0, 0], [1, 0], [0, 1.0]])).holds(np.array([[0.2, 0.2], [np.nan, 0]])).tolist() == [
        True, False,
    ]  # fmt: skip
    assert footprint_of(np.array([[0, 0], [1, 0], [0, 1.0]])).holds(np.zeros((0, 2))).tolist() == []
