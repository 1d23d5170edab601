"""Stamps: the pixels around many sources as one array, so that numpy works on all at once.

Sources are sorted into a few sizes of stamp and each size is worked on in batches of
bounded memory. A stamp is a square of ``2 * half + 1`` pixels around the pixel nearest to
the source; what lies outside the image is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HALF_WIDTHS", "Stamps", "batches", "class_of", "nearest_pixel"]

HALF_WIDTHS = np.array([6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 50, 64, 80, 100, 128, 160, 200, 256, 320, 400, 512])
"""Half widths of stamps, pixels; a larger source gets the last one."""

_PIXELS_PER_BATCH = 1_500_000


def nearest_pixel(x: np.ndarray) -> np.ndarray:
    """Number of the nearest pixel, as a float.

    Halfway between two it is always the higher one, wherever pixels are counted from: `numpy.rint` takes the even one,
    which on a tile need not be the same pixel as on the whole image.

    Examples
    --------
    >>> nearest_pixel(np.array([1.5, 2.5, 2.4]))
    array([2., 3., 2.])
    """
    return np.floor(np.asarray(x, dtype=float) + 0.5)


def class_of(half: np.ndarray) -> np.ndarray:
    """Index into `HALF_WIDTHS` of the smallest stamp that is not smaller than `half`."""
    found = np.searchsorted(HALF_WIDTHS, np.nan_to_num(half, nan=0.0))
    return np.minimum(found, len(HALF_WIDTHS) - 1)


def batches(half: np.ndarray, index: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Sources of one stamp size at a time, few enough to fit in memory.

    Parameters
    ----------
    half : ndarray, shape (n,)
        Half width that each source needs, pixels.
    index : ndarray of int, optional
        Which sources to take; default all.

    Yields
    ------
    half : int
        Half width of the stamps.
    index : ndarray of int
        Sources of the batch.
    """
    index = np.arange(len(half)) if index is None else index
    classes = class_of(half[index])
    for number in np.unique(classes):
        members = index[classes == number]
        width = int(HALF_WIDTHS[number])
        step = max(1, _PIXELS_PER_BATCH // (2 * width + 1) ** 2)
        for start in range(0, len(members), step):
            yield width, members[start : start + step]


class Stamps:
    """Where the stamps of a batch lie in an image.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Positions in the image, pixels.
    half : int
        Half width.
    shape : (int, int)
        Shape of the image.

    Attributes
    ----------
    x0, y0 : ndarray of int, shape (n,)
        Image pixel of each stamp's first pixel.
    size : int
        Pixels along a side.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, half: int, shape: tuple[int, int]) -> None:
        self.x0 = nearest_pixel(x).astype(np.int64) - half
        self.y0 = nearest_pixel(y).astype(np.int64) - half
        self.half = half
        self.size = 2 * half + 1
        self.shape = shape
        crossing = (self.x0 < 0) | (self.y0 < 0)
        crossing |= (self.x0 + self.size > shape[1]) | (self.y0 + self.size > shape[0])
        self._crossing = np.flatnonzero(crossing)

    def __len__(self) -> int:
        return len(self.x0)

    def cropped(self, half: int) -> Stamps:
        """The inner part of the same stamps."""
        return Stamps(self.x0 + self.half, self.y0 + self.half, min(half, self.half), self.shape)

    def take(self, rows: np.ndarray) -> Stamps:
        """Some of the stamps."""
        return Stamps(self.x0[rows] + self.half, self.y0[rows] + self.half, self.half, self.shape)

    @property
    def outside(self) -> np.ndarray | None:
        """Pixels of the stamps that lie outside the image, (n, size, size), or None where all lie inside."""
        if not len(self._crossing):
            return None
        outside = np.zeros((len(self), self.size, self.size), dtype=bool)
        for row in self._crossing:
            outside[row] = True
            outside[row][self._overlap(row)[1]] = False
        return outside

    def gather(self, image: np.ndarray, *, fill: float = 0.0) -> np.ndarray:
        """Copy the stamps out of an image, (n, size, size); `fill` outside the image."""
        if min(self.shape) < self.size:
            stamps = np.empty((len(self), self.size, self.size), dtype=image.dtype)
        else:
            windows = np.lib.stride_tricks.sliding_window_view(image, (self.size, self.size))
            rows = np.clip(self.y0, 0, self.shape[0] - self.size)
            stamps = windows[rows, np.clip(self.x0, 0, self.shape[1] - self.size)]
        # Few stamps cross the edge; they are cut one by one.
        for row in self._crossing:
            in_image, in_stamp = self._overlap(row)
            stamps[row] = fill
            stamps[row][in_stamp] = image[in_image]
        return stamps

    def add(self, image: np.ndarray, stamps: np.ndarray) -> None:
        """Add stamps onto an image in place; overlapping stamps add up, what lies outside is dropped."""
        # One slice at a time is several times faster than numpy.add.at, which cannot go by rows.
        size = self.size
        for row, (x0, y0) in enumerate(zip(self.x0.tolist(), self.y0.tolist(), strict=True)):
            if x0 >= 0 and y0 >= 0:
                target = image[y0 : y0 + size, x0 : x0 + size]
                target += stamps[row, : target.shape[0], : target.shape[1]]
            else:
                in_image, in_stamp = self._overlap(row)
                image[in_image] += stamps[row][in_stamp]

    def _overlap(self, row: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Slices of the part that image and stamp share, in the image and in the stamp."""
        in_image, in_stamp = [], []
        for first, length in ((int(self.y0[row]), self.shape[0]), (int(self.x0[row]), self.shape[1])):
            low, high = min(max(first, 0), length), min(max(first + self.size, 0), length)
            in_image.append(slice(low, high))
            in_stamp.append(slice(low - first, high - first))
        return (in_image[0], in_image[1]), (in_stamp[0], in_stamp[1])
