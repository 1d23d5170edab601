"""Tests of astrogalaxy.measurement.neighbours."""

from __future__ import annotations

import numpy as np

from astrogalaxy.measurement.neighbours import neighbours


def test_pairs_are_those_of_a_slow_search(rng: np.random.Generator) -> None:
    n = 300
    x, y = rng.uniform(0, 800, (2, n))
    reach, wing = rng.uniform(5, 20, n), rng.choice([6.0, 12.0, 30.0, 150.0], n)
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    wanted = (distance < reach[:, None] + wing) & ~np.eye(n, dtype=bool)
    found = np.zeros((n, n), dtype=int)
    np.add.at(found, neighbours(x, y, reach, wing), 1)
    np.testing.assert_array_equal(found, wanted.astype(int))


def test_sources_at_one_place_are_a_pair() -> None:
    i, j = neighbours(np.array([5.0, 5.0]), np.array([5.0, 5.0]), np.full(2, 3.0), np.full(2, 3.0))
    assert sorted(zip(i, j, strict=True)) == [(0, 1), (1, 0)]


def test_one_source_has_no_neighbour() -> None:
    i, j = neighbours(np.zeros(1), np.zeros(1), np.ones(1), np.ones(1))
    assert len(i) == len(j) == 0
