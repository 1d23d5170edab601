"""Pixels put together in bins."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.images.bins import binned, box_sums, sum_table


@pytest.mark.parametrize("side", [1, 2, 3, 8])
@pytest.mark.parametrize(("together", "along"), [(np.add, np.sum), (np.maximum, np.max), (np.logical_or, np.any)])
def test_bins_are_what_a_sum_over_their_axes_gives(side, together, along):
    pixels = np.random.default_rng(side).integers(0, 4, (5 * side, 7 * side))
    if together is np.logical_or:
        pixels = pixels == 0
    expected = along(pixels.reshape(5, side, 7, side), axis=(1, 3))
    np.testing.assert_array_equal(binned(pixels, side, together), expected)


def test_pixels_stay_as_they_are():
    pixels = np.ones((4, 4), dtype=np.float32)
    binned(pixels, 2)
    assert (pixels == 1).all()


def test_truth_values_are_counted():
    counted = binned(np.ones((8, 8), dtype=bool), 4, dtype=np.uint8)
    assert counted.dtype == np.uint8
    np.testing.assert_array_equal(counted, np.full((2, 2), 16))


@pytest.mark.parametrize("kind", [bool, np.float32])
def test_sums_over_boxes_are_those_of_each(kind):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (40, 50)).astype(kind)
    y, x = (np.sort(rng.integers(0, side + 1, (2, 30)), axis=0) for side in values.shape)
    sums = box_sums(sum_table(values), *y, *x)
    boxes = zip(*y, *x, strict=True)
    np.testing.assert_array_equal(sums, [values[y0:y1, x0:x1].sum() for y0, y1, x0, x1 in boxes])
