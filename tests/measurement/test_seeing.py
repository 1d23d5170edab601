"""Tests of astrogalaxy.measurement.seeing."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.catalog.flags import flag_bits
from astrogalaxy.measurement.seeing import relative_extent, star_radius


def test_the_radius_of_stars_is_that_of_the_clear_ones() -> None:
    radius = np.array([1.1, 1.2, 1.3, 1.4, 1.5, 1.6, np.nan, 9.0, 9.0, 9.0, 9.0])
    snr = np.array([50.0] * 7 + [50.0, 10.0, 50.0, np.nan])
    p_star = np.array([0.9] * 7 + [0.5, 0.9, 0.9, 0.9])
    flags = np.zeros(11, dtype=np.int32)
    flags[9] = flag_bits("saturated")
    assert star_radius(radius, snr, p_star, flags) == pytest.approx(1.35)
    assert np.isnan(star_radius(radius[1:], snr[1:], p_star[1:], flags[1:])), "five are too few"


def test_extent_is_counted_from_a_star_s() -> None:
    extent = relative_extent([1.0, np.e, 0.01, 1e6, np.nan, -1.0, 0.0], 1.0)
    np.testing.assert_allclose(extent, [0, 1, -0.7, 1.5, np.nan, np.nan, -0.7])
    assert np.isnan(relative_extent([1.0], np.nan)).all()
    lost = [flag_bits("saturated"), flag_bits("blended"), flag_bits("masked")]
    np.testing.assert_allclose(relative_extent([1.0] * 3, 1.0, flags=lost), [np.nan, np.nan, 0])
