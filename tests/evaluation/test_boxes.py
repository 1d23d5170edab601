"""Tests of astrogalaxy.evaluation.boxes."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.evaluation.boxes import FoundBoxes, TrueBoxes, mean_average_precision

RNG = np.random.default_rng(0)


def _truth(n: int = 40, *, ignore: int = 0) -> TrueBoxes:
    """Boxes on a grid, too far apart to overlap; every second one is a galaxy, the last ones are ignored."""
    index = np.arange(n)
    boxes = np.column_stack([30 * (index % 10) + 20, 30 * (index // 10) + 20, np.full(n, 12), np.full(n, 16)])
    return TrueBoxes(boxes.astype(float), index % 2 == 0, index >= n - ignore)


def _found(true: TrueBoxes, shift: float = 0.0) -> FoundBoxes:
    return FoundBoxes(true.boxes + np.array([shift, 0, 0, 0]), true.galaxy, np.linspace(0.9, 0.5, len(true.boxes)))


def test_all_found() -> None:
    true = [_truth(), _truth(7)]
    score = mean_average_precision([_found(t) for t in true], true, resamplings=20)
    for interval in (score.map_50_90, score.map_50_95, score.star, score.galaxy):
        assert (interval.value, interval.low, interval.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(("shift", "reached"), [(1.0, 7), (2.0, 5), (0.5, 9), (5.0, 0)])
def test_boxes_count_up_to_their_overlap(shift: float, reached: int) -> None:
    """A shift of 12 px wide boxes by d leaves an overlap of (12 - d) / (12 + d)."""
    true = [_truth()]
    score = mean_average_precision([_found(true[0], shift)], true, resamplings=0)
    overlap = (12 - shift) / (12 + shift)
    assert reached == sum(overlap > limit for limit in np.linspace(0.5, 0.95, 10))
    assert score.map_50_95.value == pytest.approx(reached / 10)
    assert score.map_50_90.value == pytest.approx(reached / 9)
    assert np.isnan(score.map_50_90.low), "without resampling there is no interval"


def test_boxes_of_other_sizes_are_about_their_centres() -> None:
    """Twelve pixels within 18, two off the centre: an overlap of 12 / 18, which four limits allow."""
    true = _truth()
    found = FoundBoxes(true.boxes + np.array([2.0, 0, 6, 0]), true.galaxy, np.full(40, 0.9))
    assert mean_average_precision([found], [true], resamplings=0).map_50_95.value == pytest.approx(0.4)


def test_the_wrong_class_is_not_found() -> None:
    true = [_truth()]
    galaxies = FoundBoxes(true[0].boxes, np.ones(40, dtype=bool), np.full(40, 0.9))
    score = mean_average_precision([galaxies], true, resamplings=0)
    assert score.star.value == 0
    assert 0.4 < score.galaxy.value < 0.6


def test_more_than_a_hundred_sources_are_counted() -> None:
    """COCO looks at the hundred best boxes of an image."""
    true = [_truth(400)]
    assert mean_average_precision([_found(true[0])], true, resamplings=0).map_50_90.value == pytest.approx(1)


def test_what_is_ignored_is_neither_missed_nor_wrong() -> None:
    true = _truth(ignore=10)
    half = np.flatnonzero(~true.ignore)
    for kept in (half, np.arange(40)):
        found = FoundBoxes(true.boxes[kept], true.galaxy[kept], np.full(len(kept), 0.9))
        assert mean_average_precision([found], [true], resamplings=0).map_50_90.value == pytest.approx(1)
    wrong = FoundBoxes(true.boxes + np.array([200, 200, 0, 0]), true.galaxy, np.full(40, 0.9))
    assert mean_average_precision([wrong], [true], resamplings=0).map_50_90.value == 0


def test_nothing_found_and_nothing_there() -> None:
    nothing = FoundBoxes(np.zeros((0, 4)), np.zeros(0, bool), np.zeros(0))
    score = mean_average_precision([nothing], [_truth(1)], resamplings=0)
    assert score.galaxy.value == 0
    assert np.isnan(score.star.value), "there is no star to be found"
    assert score.map_50_90.value == 0


def test_intervals_are_those_of_the_images() -> None:
    """Half of the images found, half not: the draws differ."""
    true = [_truth(20) for _ in range(10)]
    found = [_found(t, 0.0 if i % 2 else 300.0) for i, t in enumerate(true)]
    first, same = (mean_average_precision(found, true, resamplings=40, seed=3) for _ in range(2))
    assert first == same
    assert first.map_50_90.low < first.map_50_90.value < first.map_50_90.high
