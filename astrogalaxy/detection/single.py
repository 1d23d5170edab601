"""The one galaxy that an image shows, among all boxes that the network says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.detection.decode import Boxes
from astrogalaxy.detection.nms import suppress

__all__ = ["drop_smaller", "the_galaxy"]

# As published: of two boxes that overlap by more than this the smaller goes.
_SAME = 0.9
# Overlap above which the worse of two boxes of one class goes, as in YOLOX.
_NEIGHBOURS = 0.65

Floats = NDArray[np.floating]


def drop_smaller(boxes: Floats, *, iou: float = _SAME) -> NDArray[np.intp]:
    """Keep the larger of boxes that overlap by more than ``iou``: on an image of one galaxy they are all that galaxy.

    The AstroYOLO paper's rule for its single galaxies, where suppression by class leaves a star and a galaxy in one
    place.

    Parameters
    ----------
    boxes : ndarray
        ``(n, 4)`` x and y of the centre, width, height.
    iou : float
        Intersection over union; above 0, at most 1.

    Returns
    -------
    ndarray
        Indices of the boxes kept, in their order.

    Examples
    --------
    >>> drop_smaller(np.array([[50.0, 50, 40, 40], [50, 50, 41, 41], [50, 50, 20, 20]]))
    array([1, 2])
    """
    boxes = np.asarray(boxes, dtype=float).reshape(-1, 4)
    return np.sort(suppress(boxes, boxes[:, 2:].prod(axis=1), iou=iou))


def the_galaxy(boxes: Boxes, shape: tuple[int, int]) -> int | None:
    """Index of the box of the galaxy in the middle of an image.

    Parameters
    ----------
    boxes : Boxes
        All that the network says, before any suppression.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    int or None
        Of the boxes that suppression by class and `drop_smaller` leave, the surest one that holds the middle of the
        image; the surest of all, if none does; None without a box.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.detection.decode import Boxes
    >>> from astrogalaxy.detection.single import the_galaxy
    >>> x, y, side = np.array([10.0, 32.0]), np.array([12.0, 31.0]), np.array([6.0, 20.0])
    >>> sure = np.array([3.0, 1.0])
    >>> the_galaxy(Boxes(x, y, side, side, sure, sure, sure), (64, 64))
    1
    """
    if not len(boxes):
        return None
    sides = np.column_stack([boxes.x, boxes.y, boxes.width, boxes.height])
    classes = (np.nonzero(boxes.galaxy > 0)[0], np.nonzero(boxes.galaxy <= 0)[0])
    left = np.concatenate([c[suppress(sides[c], boxes.source[c], iou=_NEIGHBOURS)] for c in classes])
    left = left[drop_smaller(sides[left])]
    middle = (np.array(shape[::-1]) - 1) / 2
    holds = (np.abs(sides[left, :2] - middle) <= sides[left, 2:] / 2).all(axis=1)
    candidates = left[holds] if holds.any() else left
    return int(candidates[np.argmax(boxes.source[candidates])])
