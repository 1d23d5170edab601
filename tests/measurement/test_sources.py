"""Tests of astrogalaxy.measurement.sources."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn

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


def test_masked_centres_are_unknown_and_units_are_pixels() -> None:
    column = MaskedColumn([10.0, 20.0], mask=[True, False], unit="pix")
    sources = Sources.around(column, [5.0, 6.0] * u.pix, side=4)
    assert np.isnan([sources.x[0], sources.x_min[0]]).all() and sources.y.tolist() == [5.0, 6.0]
    assert np.isnan(Sources(column, column, *[[1.0, 2.0]] * 4).x[0])
    sky = SkyCoord([10.0, 20.0], [5.0, 6.0], unit="deg")
    with pytest.raises(ValueError, match="x must be in pixels, not in deg"):
        Sources.around(sky.ra, sky.dec, side=4)
