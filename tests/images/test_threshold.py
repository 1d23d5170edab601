"""Tests of astrogalaxy.images.threshold."""

from __future__ import annotations

import numpy as np
import pytest
import sep

from astrogalaxy.images.threshold import above_threshold


def test_a_cluster_of_more_stars_than_sep_usually_takes() -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[-6:7, -6:7]
    star = np.exp(-(rows**2 + columns**2) / 4.5)
    sky = np.zeros((500, 500), dtype=np.float32)
    for x, y, peak in zip(*rng.integers(10, 480, (2, 5000)), 10 ** rng.uniform(2.3, 4.5, 5000), strict=True):
        sky[y - 6 : y + 7, x - 6 : x + 7] += (peak * star).astype(np.float32)
    noise = np.ones_like(sky)
    with pytest.raises(Exception, match="overflow"):
        sep.extract(sky, 80.0, err=noise)
    sky.setflags(write=False)
    found = above_threshold(sky, 80.0, err=noise)
    assert len(found) > 50
    assert (sky[found["ypeak"], found["xpeak"]] > 80).all()
    assert sep.get_sub_object_limit() == 1024


def test_other_errors_are_told() -> None:
    with pytest.raises(ValueError, match="2-d"):
        above_threshold(np.zeros(9, dtype=np.float32), 1.0)
