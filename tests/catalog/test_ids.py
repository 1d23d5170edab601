"""Identifiers from the position."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn
from hypothesis import given
from hypothesis import strategies as st

from astrogalaxy.catalog import source_ids


def test_known_pixels() -> None:
    # The twelve base pixels: their centres at declination 0 and +-41.8 deg.
    ids = source_ids([45.0, 0.0, 45.0], [41.8, 0.0, -41.8])
    assert ids.dtype == np.int64
    assert (ids >> 58).tolist() == [0, 4, 8]


def test_not_finite_or_off_the_sphere_is_minus_one() -> None:
    ids = source_ids([np.nan, 1.0, np.inf, 1.0, 1.0], [0.0, np.nan, 0.0, 90.001, 90.0])
    assert ids.tolist()[:4] == [-1] * 4
    assert ids[4] >= 0
    assert source_ids([], []).shape == (0,)
    assert int(source_ids(np.nan, 0.0)) == -1


def test_units_and_masks_of_what_is_given() -> None:
    degrees = source_ids([150.1, 10.0], [2.2, -3.0])
    radians = source_ids(np.radians([150.1, 10.0]) * u.rad, u.Quantity([2.2, -3.0], u.deg).to(u.arcmin))
    assert (radians >> 8).tolist() == (degrees >> 8).tolist()
    masked = source_ids(MaskedColumn([150.1, 10.0], mask=[True, False], unit="deg"), [2.2, -3.0])
    assert masked.tolist() == [-1, degrees[1]]
    with pytest.raises(u.UnitConversionError):
        source_ids([1.0] * u.m, [1.0])


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90))
def test_pure_function_of_the_position(ra: float, dec: float) -> None:
    alone = int(source_ids(ra, dec))
    assert 0 <= alone < 12 * 4**29
    assert source_ids([1.0, ra], [2.0, dec])[1] == alone


def test_right_ascension_wraps() -> None:
    ra = np.array([0.0, 0.125, 359.5])
    assert (source_ids(ra, [1, 2, 3]) == source_ids(ra + 360, [1, 2, 3])).all()
    assert (source_ids(ra, [1, 2, 3]) == source_ids(ra - 360, [1, 2, 3])).all()
    assert source_ids(-1e-20, 5.0) == source_ids(0.0, 5.0)


def test_tells_milliarcseconds_apart() -> None:
    step = 1e-3 / 3600
    assert len(set(source_ids(150 + step * np.arange(10), np.full(10, 2.0)).tolist())) == 10
