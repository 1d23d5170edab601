"""Tests of astrogalaxy.evaluation.intervals."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.evaluation.intervals import share_right


def test_share_and_interval() -> None:
    share = share_right(np.arange(100) < 90)
    assert share.value == 0.9
    assert (share.low, share.high) == pytest.approx((0.866, 0.926), abs=0.002)
    assert np.isnan(share_right(np.zeros(0, bool)).value)
