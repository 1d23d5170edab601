"""Mean average precision of boxes as COCO defines it, for images as crowded as the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.errors import need
from astrogalaxy.evaluation.intervals import Interval, percentile_interval

__all__ = ["CLASSES", "FoundBoxes", "MeanPrecision", "TrueBoxes", "mean_average_precision"]

#: The classes, as the star/galaxy head numbers them.
CLASSES = ("star", "galaxy")
# Overlaps at which a box counts as found; the paper's mean ends at 0.90, COCO's at 0.95.
_OVERLAPS = np.linspace(0.5, 0.95, 10)
_PAPER = 9
# A source that is not counted may be found with a box that is a little off.
_IGNORED = 1.5

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class FoundBoxes:
    """Boxes found on one image.

    Attributes
    ----------
    boxes : ndarray
        ``(n, 4)`` x and y of the centre, width, height.
    galaxy : ndarray
        ``(n,)`` bool: called a galaxy, or else a star.
    score : ndarray
        ``(n,)`` how sure.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.boxes import FoundBoxes
    >>> found = FoundBoxes(np.array([[30.0, 40.0, 8.0, 6.0]]), np.array([True]), np.array([0.9]))
    >>> found.boxes.shape
    (1, 4)
    """

    boxes: Floats
    galaxy: NDArray[np.bool_]
    score: Floats


@dataclass(frozen=True)
class TrueBoxes:
    """Boxes that are to be found on one image.

    Attributes
    ----------
    boxes : ndarray
        ``(n, 4)`` as in `FoundBoxes`.
    galaxy : ndarray
        ``(n,)`` bool.
    ignore : ndarray
        ``(n,)`` bool: neither to be found nor wrong if found.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.boxes import TrueBoxes
    >>> true = TrueBoxes(np.array([[30.0, 40.0, 8.0, 6.0]]), np.array([True]), np.array([False]))
    >>> int((~true.ignore).sum())
    1
    """

    boxes: Floats
    galaxy: NDArray[np.bool_]
    ignore: NDArray[np.bool_]


@dataclass(frozen=True)
class MeanPrecision:
    """Average precision, from 0 to 1.

    Attributes
    ----------
    map_50_90, map_50_95 : Interval
        Mean over classes and overlaps from 0.50 to 0.90, or to 0.95.
    star, galaxy : Interval
        The first of these for one class.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.boxes import FoundBoxes, TrueBoxes, mean_average_precision
    >>> box, star = np.array([[30.0, 40.0, 8.0, 6.0]]), np.array([False])
    >>> found, true = FoundBoxes(box, star, np.array([0.9])), TrueBoxes(box, star, np.array([False]))
    >>> precision = mean_average_precision([found], [true], resamplings=0)
    >>> precision.star.value, precision.galaxy.value
    (1.0, nan)
    """

    map_50_90: Interval
    map_50_95: Interval
    star: Interval
    galaxy: Interval


def mean_average_precision(
    found: Sequence[FoundBoxes], true: Sequence[TrueBoxes], *, resamplings: int = 100, seed: int = 0
) -> MeanPrecision:
    """Mean average precision over images, with bootstrap intervals over images.

    Parameters
    ----------
    found, true : sequence
        One each per image.
    resamplings : int
        Draws of as many images, with replacement; 0 for no interval.
    seed : int
        Of the draws.

    Returns
    -------
    MeanPrecision
        With intervals of one standard deviation.

    Notes
    -----
    No limit is set to the boxes of an image: COCO's usual 100 would cut off crowded ones. A box of either class that is
    found within an ignored one, made larger by half, counts neither way.

    Examples
    --------
    >>> one = np.array([[10.0, 10.0, 8.0, 8.0]])
    >>> found = FoundBoxes(one, np.array([True]), np.array([0.9]))
    >>> true = TrueBoxes(one, np.array([True]), np.array([False]))
    >>> mean_average_precision([found], [true], resamplings=0).galaxy.value
    1.0
    """
    evaluation = _Evaluation(found, true)
    rng = np.random.default_rng(seed)
    n = len(true)
    drawn = [evaluation.precision(rng.integers(0, n, n)) for _ in range(resamplings)]
    whole = evaluation.precision(np.arange(n))
    views = {
        "map_50_90": (slice(_PAPER), slice(None)),
        "map_50_95": (slice(None), slice(None)),
        "star": (slice(_PAPER), slice(0, 1)),
        "galaxy": (slice(_PAPER), slice(1, 2)),
    }
    return MeanPrecision(
        **{
            name: percentile_interval(_mean(whole[view]), [_mean(d[view]) for d in drawn])
            for name, view in views.items()
        }
    )


def _mean(precision: Floats) -> float:
    """Mean over what could be measured: a class without a source has no precision."""
    known = precision[np.isfinite(precision)]
    return float(known.mean()) if len(known) else float("nan")


class _Evaluation:
    """Matches of all images, of which any choice can be summed up."""

    def __init__(self, found: Sequence[FoundBoxes], true: Sequence[TrueBoxes]) -> None:
        self.most = max([1, *(len(f.score) for f in found)])
        self.found, self.true = found, true

    def precision(self, images: NDArray[np.intp]) -> Floats:
        """Average precision ``(overlaps, classes)`` of some images; NaN without a source of the class."""
        need("faster_coco_eval", "train")
        from faster_coco_eval import COCO, COCOeval_faster

        truth = COCO(_annotations([self.true[i] for i in images]), print_function=_silent)
        results = _results([self.found[i] for i in images])
        if not results:
            present = [any((t.galaxy == bool(k))[~t.ignore].any() for t in self.true) for k in range(2)]
            return np.where(present, np.zeros((len(_OVERLAPS), 2)), np.nan)
        run = COCOeval_faster(truth, truth.loadRes(results), "bbox", print_function=_silent)
        run.params.iouThrs, run.params.maxDets = _OVERLAPS, [self.most]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
        precision = np.asarray(run.eval["precision"])[:, :, :, 0, 0].mean(axis=1)
        return np.where(precision < 0, np.nan, precision)


def _silent(*_: object) -> None:
    pass


def _corners(boxes: Floats) -> list[list[float]]:
    corners = np.asarray(boxes, dtype=float).reshape(-1, 4).copy()
    corners[:, :2] -= corners[:, 2:] / 2
    return corners.tolist()


def _annotations(images: Sequence[TrueBoxes]) -> dict[str, Any]:
    annotations = []
    for i, true in enumerate(images, start=1):
        # an ignored source is ignored as either class, and with a somewhat larger box
        sides = np.where(np.arange(4) < 2, 1.0, np.where(true.ignore[:, None], _IGNORED, 1.0))
        boxes = _corners(np.asarray(true.boxes).reshape(-1, 4) * sides)
        for box, galaxy, ignore in zip(boxes, true.galaxy, true.ignore, strict=True):
            known = {"image_id": i, "bbox": box, "iscrowd": int(ignore), "area": box[2] * box[3]}
            annotations += [{**known, "category_id": k} for k in ((1, 2) if ignore else (int(galaxy) + 1,))]
    return {
        "images": [{"id": i + 1} for i in range(len(images))],
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations, start=1)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES, start=1)],
    }


def _results(images: Sequence[FoundBoxes]) -> list[dict[str, Any]]:
    return [
        {"image_id": i, "bbox": box, "category_id": int(galaxy) + 1, "score": float(score)}
        for i, found in enumerate(images, start=1)
        for box, galaxy, score in zip(_corners(found.boxes), found.galaxy, found.score, strict=True)
    ]
