"""Areas without data that a file fills with a number, such as the zeros around a mosaic, instead of saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BlankSearch"]

# What fills a smaller share of every box goes unnoticed.
_LEAST_SHARE = 1 / 16
# The outline of areas has fewer pixels than this share of what it parts. In noise a value comes and goes: however
# coarsely it is digitised, the share is more than 1.
_RAGGED = 0.1
# Where light without noise fades away, pixels are nearer to nothing than to the next pixel inwards; beside an area cut
# out of noise two thirds are at most.
_FADING = 0.9
# One in so many rows and columns tells it.
_SPARSE = 8


class BlankSearch:
    """Tells, from the rows of boxes of an image, which value fills areas with sharp and even outlines.

    The sky of coarsely digitised images, of single photons, and of scenes without noise has no such value.

    Examples
    --------
    >>> sky = np.random.default_rng(0).normal(0, 1, (64, 128)).astype("float32")
    >>> sky[:, :32] = 7
    >>> search = BlankSearch()
    >>> search.add(sky, np.isnan(sky), np.sort(sky.reshape(1, -1)))
    >>> search.value
    7.0
    """

    def __init__(self) -> None:
        self._candidate, self._share = float("nan"), 0.0
        self._forget()

    def _forget(self) -> None:
        self._areas = np.zeros((2, 2), dtype=int)  # pixels inside and outside, as seen along each axis
        self._edges = np.zeros(2, dtype=int)  # and how often one follows the other
        self._beside = np.zeros(2, dtype=int)  # pixels beside an edge: those that fade, and all

    def add(self, pixels: NDArray[np.float32], masked: NDArray[np.bool_], ordered: NDArray[np.float32]) -> None:
        """Take a row of boxes into account.

        Parameters
        ----------
        pixels : ndarray, shape (ny, nx)
            All its pixels.
        masked : ndarray, shape (ny, nx), bool
            Which of them are known to be bad.
        ordered : ndarray, shape (n_boxes, n_pixels)
            The others of each box in order of their values; NaN follows.
        """
        value, share = _fullest(ordered)
        if share > self._share:
            if value != self._candidate:
                self._forget()
            self._candidate, self._share = value, share
        if self._share:
            self._follow(pixels, masked)

    def _follow(self, pixels: NDArray[np.float32], masked: NDArray[np.bool_]) -> None:
        for axis, (lines, bad) in enumerate(((pixels, masked), (pixels.T, masked.T))):
            lines, bad = lines[:, ::_SPARSE], bad[:, ::_SPARSE]
            inside = (lines == self._candidate) & ~bad
            outside = ~(inside | bad)
            self._areas[axis] += np.count_nonzero(inside), np.count_nonzero(outside)
            for side in (np.s_[:], np.s_[::-1]):
                edges, *beside = _outline(lines[side], inside[side], outside[side], self._candidate)
                self._edges[axis] += edges
                self._beside += beside

    @property
    def value(self) -> float | None:
        """The value, or None."""
        fading, beside = self._beside
        # one more: a handful of pixels is no area
        even = (self._edges + 1 <= _RAGGED * self._areas.min(axis=1)).any()
        return self._candidate if self._share and even and fading <= _FADING * beside else None


def _fullest(ordered: NDArray[np.float32]) -> tuple[float, float]:
    """Value that fills the largest share of a box, and the share, roughly: none below `_LEAST_SHARE`."""
    step = max(1, int(ordered.shape[1] * _LEAST_SHARE / 2))
    samples = ordered[:, ::step]
    value, longest = float("nan"), 0
    for lag in range(2, samples.shape[1]):
        box, rank = np.nonzero(samples[:, lag:] == samples[:, :-lag])
        if not len(box):
            break
        value, longest = float(samples[box[0], rank[0]]), lag
    return value, longest * step / ordered.shape[1]


def _outline(
    pixels: NDArray[np.float32], inside: NDArray[np.bool_], outside: NDArray[np.bool_], value: float
) -> tuple[int, int, int]:
    """Where an area ends along the first axis: number of edges; of pixels beside them that fade into it, and of all."""
    beside = np.nonzero(inside[:-2] & outside[1:-1] & outside[2:])
    first, second = pixels[1:-1][beside], pixels[2:][beside]
    fading = np.abs(first - value) < np.abs(second - first)
    return np.count_nonzero(inside[:-1] & outside[1:]), np.count_nonzero(fading), len(fading)
