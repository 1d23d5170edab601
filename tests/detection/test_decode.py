"""Tests of astrogalaxy.detection.decode."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.detection.decode import decode

LEVELS = (4, 8, 16)


def _maps(side: int = 64) -> list[np.ndarray]:
    return [np.full((7, side // s, side // s), -9.0, dtype=np.float32) for s in LEVELS]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_cell_becomes_a_box_in_pixels(level: int) -> None:
    maps, stride = _maps(), LEVELS[level]
    maps[level][:, 2, 1] = [0.25, -0.5, np.log(3), np.log(2), 4.0, 1.5, -0.5]
    boxes = decode(maps, LEVELS, threshold=0.0)
    # the cell (row 2, column 1) covers pixels stride ... 2 stride - 1 in x; pixel 0 has its centre at 0
    assert boxes.x.tolist() == [pytest.approx(1.75 * stride - 0.5)]
    assert boxes.y.tolist() == [pytest.approx(2.0 * stride - 0.5)]
    assert (boxes.width[0], boxes.height[0]) == pytest.approx((3 * stride, 2 * stride))
    assert (boxes.source[0], boxes.galaxy[0], boxes.disk[0]) == (4.0, 1.5, -0.5)


def test_the_centre_of_the_first_cell() -> None:
    maps = _maps()
    maps[0][:, 0, 0] = [0, 0, 0, 0, 1, 0, 0]
    boxes = decode(maps, LEVELS, threshold=0.0)
    assert (boxes.x[0], boxes.y[0]) == (1.5, 1.5), "between pixels 1 and 2 of 0, 1, 2, 3"


def test_only_cells_above_the_threshold_best_first() -> None:
    maps = _maps()
    for column, logit in ((1, 0.5), (5, 2.0), (9, 1.0), (13, 0.499)):
        maps[0][:, 3, column] = [0, 0, 0, 0, logit, column, 0]
    boxes = decode(maps, LEVELS, threshold=0.499)
    assert boxes.galaxy.tolist() == [5, 9, 1]


def test_what_several_levels_see_is_one_source() -> None:
    maps = _maps()
    maps[0][:, 5, 5] = [0.5, 0.5, np.log(2), np.log(2), 1.0, 0, 0]  # centred at 24, 8 pixels wide
    maps[1][:, 2, 2] = [0.5, 0.5, 0, 0, 3.0, 0, 0]
    assert decode(maps, LEVELS, threshold=0.0).source.tolist() == [3.0]
    assert len(decode(maps, LEVELS, threshold=0.0, iou=1.0)) == 2


def test_parts_of_an_extended_source_are_one_where_stars_would_be_two() -> None:
    maps = _maps()
    for level, row in ((0, 1), (2, 2)):
        for column in (1, 2):  # two boxes that share half of what they cover together
            maps[level][:, row, column] = [0.5, 0.5, np.log(3), np.log(3), 4.0 - column, 0, 0]
    found = decode(maps, LEVELS, threshold=0.0, iou=0.7, extended=0.25)
    assert sorted(found.width.tolist()) == pytest.approx([12, 12, 48])


def test_nothing_is_found_on_empty_sky() -> None:
    boxes = decode(_maps(), LEVELS, threshold=0.0)
    assert len(boxes) == len(boxes.disk) == 0


def test_wild_sides_stay_finite() -> None:
    maps = _maps()
    maps[0][:, 3, 3] = [0, 0, 500, -500, 1, 0, 0]
    with np.errstate(all="raise", under="ignore"):
        boxes = decode(maps, LEVELS, threshold=0.0)
    assert np.isfinite(boxes.width[0])
    assert boxes.height[0] > 0


def test_levels_and_maps_go_together() -> None:
    with pytest.raises(ValueError, match="zip"):
        decode(_maps(), (4, 8), threshold=0.0)
