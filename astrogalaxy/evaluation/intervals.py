"""Intervals of shares: how far a count of so few may be from the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CONFIDENCE", "wilson"]

#: Intervals are those of one standard deviation.
CONFIDENCE = 0.6827


def wilson(k: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's interval of shares (`astropy.stats.binom_conf_interval`).

    Parameters
    ----------
    k, n : array-like
        Counts, rounded to whole ones; of how many.

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
