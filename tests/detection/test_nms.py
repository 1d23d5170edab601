"""Tests of astrogalaxy.detection.nms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astrogalaxy.detection import nms
from astrogalaxy.detection.nms import suppress

# quarters of pixels are exact in floating point, so that equal overlaps are equal
_place = st.integers(0, 160).map(lambda n: n / 4)
_side = st.integers(1, 120).map(lambda n: n / 4)
_box = st.tuples(_place, _place, _side, _side)
_scored = st.lists(st.tuples(_box, st.integers(-5, 5).map(float)), max_size=40)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2), np.minimum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2)
    inter = np.prod(np.clip(high - low, 0, None))
    return inter / (np.prod(a[2:]) + np.prod(b[2:]) - inter)


def _greedy(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    """Keep the best, drop what overlaps it, and so on: the definition."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(_overlap(boxes[i], boxes[j]) <= iou for j in kept):
            kept.append(i)
    return kept


@settings(deadline=None)
@given(_scored, st.sampled_from([0.1, 0.3, 0.45, 0.5, 0.7, 1.0]))
@example([((5.0, 5.0, 4.0, 4.0), 1.0), ((5.0, 5.0, 4.0, 4.0), 1.0)], 0.5)
@example([((5.0, 5.0, 10.0, 10.0), 1.0), ((5.0, 5.0, 4.0, 10.0), 0.0)], 0.3)
@example([((70.0, 5.0, 127.0, 8.0), 1.0), ((132.75, 5.0, 253.0, 8.0), 0.0)], 0.5)
def test_it_is_greedy_suppression(scored: list[tuple[tuple[float, ...], float]], iou: float) -> None:
    boxes = np.array([box for box, _ in scored], dtype=float).reshape(-1, 4)
    scores = np.array([score for _, score in scored])
    assert suppress(boxes, scores, iou=iou).tolist() == _greedy(boxes, scores, iou)


@pytest.mark.parametrize("iou", [0.2, 0.5, 0.65])
def test_it_agrees_with_torchvision(iou: float) -> None:
    rng = np.random.default_rng(1)
    boxes = np.column_stack([rng.uniform(0, 60, (800, 2)), rng.lognormal(2, 0.6, (800, 2))])
    scores = rng.normal(size=800)
    corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    expected = torchvision.ops.nms(torch.from_numpy(corners), torch.from_numpy(scores), iou)
    kept = suppress(boxes, scores, iou=iou)
    assert 50 < len(kept) < 790
    np.testing.assert_array_equal(kept, expected)


def test_a_close_pair_stays_two_sources() -> None:
    # two stars one FWHM (2.5 pixels) apart, in the smallest boxes there are
    boxes = np.array([[10.0, 10, 6, 6], [12.5, 10, 6, 6], [10.6, 10.4, 6, 6]])
    assert suppress(boxes, np.array([3.0, 2.0, 1.0])).tolist() == [0, 1]


def test_a_star_before_a_galaxy_stays() -> None:
    boxes = np.array([[50.0, 50, 60, 40], [52.0, 49, 8, 8]])
    assert suppress(boxes, np.array([1.0, 2.0])).tolist() == [1, 0]


@pytest.mark.parametrize("iou", [0.0, -0.5, 1.1, float("nan")])
def test_an_impossible_overlap_is_refused(iou: float) -> None:
    with pytest.raises(ValueError, match="iou must be above 0"):
        suppress(np.zeros((0, 4)), np.zeros(0), iou=iou)


def test_the_work_grows_with_the_number_of_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    plain = nms._iou

    def counting(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        compared.append(len(first))
        return plain(first, second)

    monkeypatch.setattr(nms, "_iou", counting)
    rng = np.random.default_rng(2)
    for n in (2_500, 10_000):
        side = 2048 * np.sqrt(n / 10_000)  # the same crowd on a larger field
        boxes = np.column_stack([rng.uniform(0, side, (n, 2)), rng.uniform(6, 16, (n, 2))])
        assert len(suppress(boxes, rng.normal(size=n))) > 0.8 * n
    few, many = compared
    assert many < 5 * 10_000, "and not 50 million"
    assert many == pytest.approx(4 * few, rel=0.15)


def test_extended_boxes_may_overlap_less_than_those_of_stars() -> None:
    stars = np.array([[20.0, 20, 9, 9], [22.5, 20, 9, 9]])
    galaxies = stars * 5
    scores = np.array([0.9, 0.8])
    assert len(suppress(stars, scores, iou=0.7, extended=0.25)) == 2
    assert len(suppress(galaxies, scores, iou=0.7, extended=0.25)) == 1
    assert len(suppress(galaxies, scores, iou=0.7)) == 2
    star_before_galaxy = np.array([[100.0, 100, 45, 45], [104.0, 100, 9, 9]])
    assert len(suppress(star_before_galaxy, scores, iou=0.7, extended=0.25)) == 2


def test_unlike_extended_boxes_are_compared() -> None:
    boxes = np.array([[100.0, 100, 64, 64], [100.0, 100, 36, 36]])
    assert suppress(boxes, np.array([0.9, 0.8]), iou=0.7, extended=0.25).tolist() == [0]
