"""Tests of astrogalaxy.measurement.sources."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.measurement import Sources


def test_around_makes_square_boxes() -> None:
    sources = Sources.around([3.0, 8.5], [4.0, 2.0], side=[6.0, 10.0])
    assert sources.n == len(sources) == 2
    np.testing.assert_array_equal(sources.x_max - sources.x_min, [6.0, 10.0])
    np.testing.assert_array_equal((sources.y_max + sources.y_min) / 2, sources.y)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="equally long"):
        Sources([1.0, 2.0], [1.0], [0.0], [2.0], [0.0], [2.0])


def test_scalars_are_refused() -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        Sources(1.0, 1.0, 0.0, 2.0, 0.0, 2.0)


def test_arrays_are_copied() -> None:
    x = np.array([1.0, 2.0])
    sources = Sources(x, x, x, x, x, x)
    x[0] = 99.0
    assert sources.x[0] == 1.0
