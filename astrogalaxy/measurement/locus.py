"""The track of ordinary stars in colours, by which zero points are checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["LOCUS", "LOCUS_BANDS", "stellar_locus"]

LOCUS_BANDS = ("u", "g", "r", "i", "z", "y")
"""Bands of the colours in `LOCUS`, in its order."""

LOCUS = np.array([
    # g-i    u-g   g-r    r-i    i-z   z-y
    [-0.5,  0.00, -0.35, -0.15, -0.15, -0.08],
    [ 0.0,  0.85,  0.05, -0.05, -0.05, -0.03],
    [ 0.3,  0.95,  0.22,  0.08,  0.02,  0.01],
    [ 0.6,  1.20,  0.44,  0.16,  0.06,  0.03],
    [ 1.0,  1.70,  0.72,  0.28,  0.13,  0.06],
    [ 1.5,  2.20,  1.08,  0.42,  0.22,  0.11],
    [ 2.0,  2.50,  1.34,  0.66,  0.36,  0.18],
    [ 2.5,  2.60,  1.40,  1.10,  0.58,  0.28],
    [ 3.0,  2.70,  1.44,  1.56,  0.84,  0.42],
    [ 3.6,  2.70,  1.50,  2.10,  1.15,  0.60],
])  # fmt: skip
"""AB colours along the stellar locus (Covey et al. 2007, AJ 134, 2398, rounded), against g - i in the first column."""


def stellar_locus(bands: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Two colours along the locus.

    Parameters
    ----------
    bands : sequence of str
        Three bands.

    Returns
    -------
    (ndarray, ndarray) or None
        First minus second band, second minus third; None if a band is not among u g r i z y.

    Examples
    --------
    >>> from astrogalaxy.measurement.locus import stellar_locus
    >>> stellar_locus("gri")[0][3].round(2)
    np.float64(0.44)
    """
    if len(bands) != 3 or not set(bands) <= set(LOCUS_BANDS):
        return None
    steps = np.concatenate([np.zeros((1, len(LOCUS))), -np.cumsum(LOCUS.T[1:], axis=0)])
    first, second, third = (steps[LOCUS_BANDS.index(band)] for band in bands)
    return first - second, second - third
