"""Non-maximum suppression for thousands of small boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["suppress"]

Floats = NDArray[np.floating]

# Boxes up to this side (pixels) may be those of stars; boxes of twice that side are those of galaxies.
_STAR_SIDE = 16.0


def suppress(boxes: Floats, scores: Floats, *, iou: float = 0.5, extended: float | None = None) -> NDArray[np.intp]:
    """Keep the best of boxes that cover the same source, whatever its class.

    Greedy suppression as usual, but only boxes that are close enough and similar enough in
    size to overlap by more than ``iou`` are compared: the time grows with the number of
    boxes, not with its square. A star in front of a large galaxy stays, since boxes of
    very different size cannot overlap that much.

    Parameters
    ----------
    boxes : ndarray
        ``(n, 4)`` x and y of the centre, width, height.
    scores : ndarray
        ``(n,)``; ties are broken by order.
    iou : float
        Overlap (intersection over union) above which the lower score goes; above 0, at most 1.
    extended : float, optional
        The same for boxes of 32 pixels and more, with a gradual change from 16 pixels on; ``iou`` by default. The boxes
        of a close pair of stars overlap a lot, while two boxes that share a third of a large galaxy are parts of it.

    Returns
    -------
    ndarray
        Indices of the boxes kept, best first.

    Raises
    ------
    ValueError
        If ``iou`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> boxes = np.array([[10.0, 10, 6, 6], [10.5, 10, 6, 6], [14.0, 10, 6, 6]])
    >>> suppress(boxes, np.array([0.9, 0.8, 0.7]))
    array([0, 2])
    """
    extended = iou if extended is None else extended
    for name, value in (("iou", iou), ("extended", extended)):
        if not 0 < value <= 1:
            msg = f"{name} must be above 0 and at most 1, not {value}"
            raise ValueError(msg)
    order = np.argsort(-scores, kind="stable")
    ranked = np.asarray(boxes, dtype=np.float64)[order]
    better, worse = _overlapping(ranked, iou, extended)
    return order[_greedy(len(ranked), better, worse)]


def _overlapping(boxes: Floats, iou: float, extended: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (better, worse) that overlap by more than they may, boxes being ranked."""
    if len(boxes) < 2:
        empty = np.zeros(0, dtype=np.intp)
        return empty, empty
    least = min(iou, extended)
    side = boxes[:, 2:].max(axis=1)
    # boxes can only overlap by more than `least` if their sides differ by a factor of less than 1 / least: each octave
    # of sides is compared with itself and with the next few (only one, down to least = 0.5)
    spread = max(int(np.ceil(-np.log2(least))), 1)
    octave = np.floor(np.log2(np.maximum(side, 1e-3))).astype(int)
    first, second = [], []
    for value in np.unique(octave):
        members = np.nonzero((octave >= value) & (octave <= value + spread))[0]
        reach = 2.0 ** (value + spread + 1) * (1 - least) / (1 + least) * np.sqrt(2)
        pairs = cKDTree(boxes[members, :2]).query_pairs(reach, output_type="ndarray")
        first.append(members[pairs[:, 0]])
        second.append(members[pairs[:, 1]])
    better, worse = np.concatenate(first), np.concatenate(second)
    smaller = np.minimum(side[better], side[worse])
    size = np.clip(np.log2(np.maximum(smaller, 1e-3) / _STAR_SIDE), 0, 1)
    over = _iou(boxes[better], boxes[worse]) > iou + (extended - iou) * size
    # the lower number is the better box; a pair that was found in two octaves is there twice
    return better[over], worse[over]


def _iou(first: Floats, second: Floats) -> Floats:
    low = np.maximum(first[:, :2] - first[:, 2:] / 2, second[:, :2] - second[:, 2:] / 2)
    high = np.minimum(first[:, :2] + first[:, 2:] / 2, second[:, :2] + second[:, 2:] / 2)
    inter = np.clip(high - low, 0, None).prod(axis=1)
    return inter / (first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - inter)


def _greedy(n: int, better: NDArray[np.intp], worse: NDArray[np.intp]) -> NDArray[np.intp]:
    """Resolve suppression in rounds: a box that has no better rival left stays, and the worse ones it overlaps go."""
    kept, gone = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    while len(better):
        rivalled = np.zeros(n, dtype=bool)
        rivalled[worse] = True
        kept |= ~rivalled & ~gone
        gone[worse[kept[better]]] = True
        open_ = ~gone[better] & ~gone[worse] & ~kept[better]
        better, worse = better[open_], worse[open_]
    return np.nonzero(~gone)[0]
