"""Measured values with their confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CONFIDENCE", "Interval", "percentile_interval", "share_right", "wilson"]

#: Intervals are those of one standard deviation.
CONFIDENCE = 0.6827


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


def share_right(right: NDArray[np.bool_]) -> Interval:
    """Share of answers that are right, with Wilson's interval.

    Parameters
    ----------
    right : ndarray
        ``(n,)`` bool.

    Returns
    -------
    Interval
        Of one standard deviation; NaN without an answer.

    Examples
    --------
    >>> share = share_right(np.array([True, True, False]))
    >>> round(share.value, 3), share.low < share.value < share.high
    (0.667, True)
    """
    if not len(right):
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = wilson(right.sum(), len(right))
    return Interval(float(right.mean()), float(low), float(high))


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
