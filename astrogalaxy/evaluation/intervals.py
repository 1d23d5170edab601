"""Measured values with their confidence intervals, and the bins in which they are counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BIN_WIDTH", "CONFIDENCE", "Interval", "magnitude_bins", "percentile_interval", "share", "wilson"]

#: Intervals are those of one standard deviation.
CONFIDENCE = 0.6827
#: Usual width of a bin of magnitudes.
BIN_WIDTH = 0.5


@dataclass(frozen=True)
class Interval:
    """A measured value between the ends of its interval of one standard deviation; NaN where nothing was measured.

    Attributes
    ----------
    value, low, high : float
        The value, and the lower and upper end.

    Examples
    --------
    >>> from astrogalaxy.evaluation.intervals import Interval
    >>> share = Interval(0.75, 0.52, 0.89)
    >>> f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"
    '75% [52%, 89%]'
    """

    value: float
    low: float
    high: float


def wilson(k: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's interval of shares (`astropy.stats.binom_conf_interval`).

    Parameters
    ----------
    k, n : array-like
        Number of successes and of trials, rounded to whole numbers.

    Returns
    -------
    low, high : ndarray
        NaN where n is 0.

    Examples
    --------
    >>> low, high = wilson([9, 0], [10, 0])
    >>> low.round(2), high.round(2)
    (array([0.77, nan]), array([0.96, nan]))
    """
    from astropy.stats import binom_conf_interval

    k, n = np.broadcast_arrays(np.rint(k), np.rint(n))
    low, high = np.full(k.shape, np.nan), np.full(k.shape, np.nan)
    known = n > 0
    if known.any():
        low[known], high[known] = binom_conf_interval(
            np.clip(k[known], 0, n[known]).astype(int),
            n[known].astype(int),
            confidence_level=CONFIDENCE,
            interval="wilson",
        )
    return low, high


def share(k: float, n: float) -> Interval:
    """Share of successes, with Wilson's interval.

    Parameters
    ----------
    k, n : float
        Number of successes and of trials.

    Returns
    -------
    Interval
        NaN without a trial.

    Examples
    --------
    >>> right = share(2, 3)
    >>> round(right.value, 3), right.low < right.value < right.high
    (0.667, True)
    """
    low, high = wilson(k, n)
    return Interval(float(k / n) if n else float("nan"), float(low), float(high))


def percentile_interval(value: float, resampled: ArrayLike) -> Interval:
    """Interval of a value from resamplings: 68 % of them lie in it.

    Parameters
    ----------
    value : float
        What was measured.
    resampled : array-like
        The same in each resampling; NaN is left out.

    Returns
    -------
    Interval
        Its ends are NaN where there are no resamplings.

    Examples
    --------
    >>> percentile_interval(0.5, np.linspace(0, 1, 1001))
    Interval(value=0.5, low=0.15865, high=0.84135)
    """
    resampled = np.asarray(resampled, float)
    if not np.isfinite(resampled).any():
        return Interval(value, float("nan"), float("nan"))
    low, high = np.nanquantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def magnitude_bins(
    magnitude: NDArray[np.float64], width: float = BIN_WIDTH
) -> Iterator[tuple[float, float, NDArray[np.bool_]]]:
    """Bins that hold any of the magnitudes, at multiples of the width.

    Parameters
    ----------
    magnitude : ndarray
        ``(n,)``; those that are not finite are in no bin.
    width : float
        Of a bin.

    Yields
    ------
    low, high : float
        Edges of a bin, which holds the first.
    here : ndarray
        ``(n,)`` bool: what lies in it.

    Examples
    --------
    >>> [(low, high, here.tolist()) for low, high, here in magnitude_bins(np.array([20.1, 21.5, np.nan]), 1.0)]
    [(20.0, 21.0, [True, False, False]), (21.0, 22.0, [False, True, False])]
    """
    known = np.isfinite(magnitude)
    number = np.full(len(magnitude), np.iinfo(int).min)
    number[known] = np.floor(magnitude[known] / width).astype(int)
    for bin_ in np.unique(number[known]):
        yield float(bin_ * width), float((bin_ + 1) * width), number == bin_
