"""From the network's maps to boxes with scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.detection.nms import suppress

__all__ = ["Boxes", "cells", "decode"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Boxes:
    """Boxes found on one image, best first.

    Attributes
    ----------
    x, y : ndarray
        Centres in 0-based pixels.
    width, height : ndarray
        Sides in pixels.
    source, galaxy, disk : ndarray
        Raw logits of "a source is here", "it is a galaxy", "it is a disk galaxy".
    """

    x: Floats
    y: Floats
    width: Floats
    height: Floats
    source: Floats
    galaxy: Floats
    disk: Floats

    def __len__(self) -> int:
        return len(self.x)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Boxes:
        """Return a selection of the boxes."""
        return Boxes(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def decode(
    maps: Sequence[Floats],
    strides: Sequence[float],
    *,
    threshold: float,
    iou: float = 0.5,
    extended: float | None = None,
) -> Boxes:
    """Decode the maps of one image.

    Parameters
    ----------
    maps : sequence of ndarray
        ``(7, rows, columns)`` per level, channels as in `astrogalaxy.models.CHANNELS`.
    strides : sequence of float
        Of the levels, in pixels.
    threshold : float
        Logit of "a source is here" that a cell must exceed to count.
    iou, extended : float
        See `~astrogalaxy.detection.nms.suppress`.

    Returns
    -------
    Boxes
        After non-maximum suppression, best first.
    """
    boxes = cells(maps, strides, threshold=threshold)
    sides = np.column_stack([boxes.x, boxes.y, boxes.width, boxes.height])
    return boxes.take(suppress(sides, boxes.source, iou=iou, extended=extended))


def cells(maps: Sequence[Floats], strides: Sequence[float], *, threshold: float = -np.inf) -> Boxes:
    """Boxes of all cells above a threshold, level by level; see `decode`, which keeps the best that overlap."""
    found = [_cells(m, stride, threshold) for m, stride in zip(maps, strides, strict=True)]
    return Boxes(*np.concatenate(found, axis=1))


def _cells(level: Floats, stride: float, threshold: float) -> Floats:
    """Columns of `Boxes` for the cells of a level above the threshold."""
    row, column = np.nonzero(level[4] > threshold)
    cell = level[:, row, column].astype(np.float32)
    # pixel 0 covers 0 to 1 for the network and has its centre at 0 for astronomers
    x = (column + 0.5 + cell[0]) * stride - 0.5
    y = (row + 0.5 + cell[1]) * stride - 0.5
    width, height = np.exp(np.clip(cell[2:4], -6, 6)) * stride
    return np.stack([x, y, width, height, cell[4], cell[5], cell[6]])
