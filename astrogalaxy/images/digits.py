"""Pixels digitised in steps as wide as their noise: a handful of values is all that statistics of the sky see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SPREAD", "coarse_steps", "spread_out"]

SPREAD = 0.7
"""Sigma over which pixels of one value are spread out, in steps: less leaves a sky between two values lopsided."""

# With this many values at most among the middle two thirds of all, a step is more than 0.3 of the noise. Where these
# are one value, the noise may be less than a step: what is lower shows it, for what is higher may be sources.
_FEW = 7
_MIDDLE, _LOWER = (0.16, 0.84), (0.005, 0.84)
# Pixels out of a box that tell.
_SAMPLES = 200


def coarse_steps(ordered: NDArray[np.float32], good: NDArray[np.intp]) -> NDArray[np.float64]:
    """Step in which the pixels of each box are digitised, if that is more than about 0.3 of their noise.

    Parameters
    ----------
    ordered : ndarray, shape (n_boxes, n_pixels)
        Pixels of each box in order of their values; what is not good comes last.
    good : ndarray, shape (n_boxes,)
        How many of them are good.

    Returns
    -------
    ndarray, shape (n_boxes,)
        0 where it is less, and where all pixels of the sky have one value.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(50, 1, (2, 4000)).astype("float32")
    >>> noise[0] = np.rint(noise[0])
    >>> coarse_steps(np.sort(noise), np.array([4000, 4000]))
    array([1., 0.])
    """
    steps, values = _steps_within(ordered, good, _MIDDLE)
    alone = values == 1
    steps[alone], _ = _steps_within(ordered[alone], good[alone], _LOWER)
    return steps


def _steps_within(
    ordered: NDArray[np.float32], good: NDArray[np.intp], share: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Least difference of values between two shares of the pixels, 0 where there are one or many; and how many."""
    ranks = (np.linspace(*share, _SAMPLES) * np.maximum(good[:, None] - 1, 0)).astype(np.intp)
    rises = np.diff(np.take_along_axis(ordered, ranks, axis=1), axis=1)
    values = 1 + np.count_nonzero(rises > 0, axis=1)
    least = np.min(rises, axis=1, where=rises > 0, initial=np.inf).astype(np.float64)
    return np.where((values > 1) & (values <= _FEW), least, 0.0), values


def spread_out(ordered: NDArray[np.float32], good: NDArray[np.intp], steps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pixels with those of one value spread out as a Gaussian, box by box.

    What has more values than that stays a Gaussian if it was one, and what has two or three becomes one, nearly. The
    mean stays, and the variance is larger by that of the Gaussian.

    Parameters
    ----------
    ordered : ndarray, shape (n_boxes, n_pixels)
        Pixels of each box in order of their values; what is not good comes last.
    good : ndarray, shape (n_boxes,)
        How many of them are good.
    steps : ndarray, shape (n_boxes,)
        See `coarse_steps`.

    Returns
    -------
    ndarray, shape (n_boxes, n_pixels), float32
        In order of their values; the array itself where no box has a step.

    Examples
    --------
    >>> spread_out(np.array([[4.0, 5, 5, 5, 5]]), np.array([5]), np.array([1.0])).round(2)
    array([[4.  , 4.19, 4.78, 5.22, 5.81]], dtype=float32)
    """
    if not steps.any():
        return ordered
    from scipy.special import ndtri

    made = ordered.astype(np.float32)
    for box in np.flatnonzero(steps):
        values = ordered[box, : good[box]]
        first, last = values.searchsorted(values, "left"), values.searchsorted(values, "right")
        share = (np.arange(good[box]) - first + 0.5) / (last - first)
        made[box, : good[box]] = np.sort(values + SPREAD * steps[box] * ndtri(share))
    return made
