"""The one galaxy in the middle of an image, among all boxes that the network predicts."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from astrogalaxy.detection.aligned import card_input
from astrogalaxy.detection.decode import Boxes, cells
from astrogalaxy.detection.inputs import UNKNOWN_SEEING
from astrogalaxy.detection.nms import suppress
from astrogalaxy.detection.significance import significance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astrogalaxy.detection.runtime import Runtime

__all__ = ["disk_probability", "drop_smaller", "the_galaxy"]

# As published: of two boxes that overlap by more than this the smaller goes.
_SAME = 0.9
# Overlap above which the worse of two boxes of one class goes, as in YOLOX.
_NEIGHBOURS = 0.65
# Probabilities of single views are kept this far from 0 and 1.
_SUREST = 1e-4

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
        Those of all cells, before any suppression.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    int or None
        Of the boxes that are left by suppression within each class and by `drop_smaller`, the surest that holds the
        middle of the image; the surest of all if none does; None if there are no boxes.

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
    kept = np.concatenate([c[suppress(sides[c], boxes.source[c], iou=_NEIGHBOURS)] for c in classes])
    kept = kept[drop_smaller(sides[kept])]
    middle = (np.array(shape[::-1]) - 1) / 2
    holds = (np.abs(sides[kept, :2] - middle) <= sides[kept, 2:] / 2).all(axis=1)
    candidates = kept[holds] if holds.any() else kept
    return int(candidates[np.argmax(boxes.source[candidates])])


def disk_probability(runtime: Runtime, snr: NDArray[np.float32], *, views: Literal[1, 8] = 8) -> float:
    """Calibrated probability that the galaxy in the middle of an image is a disk.

    Parameters
    ----------
    runtime : Runtime
        The network.
    snr : ndarray
        ``(n_bands, ny, nx)`` float32: (pixel - background) / noise, shortest wavelength first.
    views : {8, 1}
        8 for the mean of the logits over the eight turned and flipped images; 1 for the image as it is.

    Returns
    -------
    float
        NaN where no view shows a galaxy.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.detection import open_runtime
    >>> from astrogalaxy.detection.single import disk_probability
    >>> away = np.hypot(*(np.mgrid[:64, :64] - 31.5))
    >>> noise = np.random.default_rng(1).standard_normal((3, 64, 64))
    >>> snr = (100 * np.exp(-away / 4) + noise).astype(np.float32)
    >>> 0 < disk_probability(open_runtime("default"), snr) < 1
    True
    """
    disk = np.array([_disk(runtime, view) for view in islice(_views(snr), views)])
    disk = disk[np.isfinite(disk)]
    return float(expit(np.mean(logit(np.clip(disk, _SUREST, 1 - _SUREST))))) if len(disk) else float("nan")


def _views(snr: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The image as it is, then turned and flipped."""
    for turns in range(4):
        turned = np.rot90(snr, turns, axes=(1, 2))
        yield from (np.ascontiguousarray(turned), np.ascontiguousarray(turned[:, :, ::-1]))


def _disk(runtime: Runtime, snr: NDArray[np.float32]) -> float:
    """Probability of a disk by one view, NaN where it shows no galaxy."""
    card = runtime.weights.card
    boxes = cells(runtime(card_input(card, snr, UNKNOWN_SEEING)), card.architecture.strides)
    index = the_galaxy(boxes, snr.shape[1:])
    if index is None:
        return float("nan")
    light = significance(snr, boxes.x[[index]], boxes.y[[index]])
    return float(card.calibration["disk"].probability(boxes.disk[[index]], light)[0])
