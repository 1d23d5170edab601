"""Identifiers from the position."""

from __future__ import annotations

import numpy as np
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
