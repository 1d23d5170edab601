"""Tests of astrogalaxy.evaluation.intervals."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.evaluation.intervals import share


def test_share_and_interval() -> None:
    right = share(90, 100)
    assert right.value == 0.9
    assert (right.low, right.high) == pytest.approx((0.866, 0.926), abs=0.002)
    assert np.isnan(share(0, 0).value)
