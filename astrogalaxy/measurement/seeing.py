"""The size of the stars of a catalogue, the ruler for everything that is wider."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.catalog.flags import has_flags

__all__ = ["CLEAR", "CLEAR_SNR", "DISTURBED", "relative_extent", "star_radius"]

#: Flags of sources whose place, light or size may not be theirs.
DISTURBED = ("edge", "saturated", "masked", "blended", "bad_centroid")
# Sources whose measured radius is not their own.
_NOT_THEIRS = ("blended", "deblended", "bad_centroid", "saturated")
#: Least probability and signal to noise of a source whose class is clear.
CLEAR, CLEAR_SNR = 0.8, 25.0
# So many clear stars can serve as a ruler.
_MIN_CLEAR = 6


def star_radius(radius: ArrayLike, snr: ArrayLike, p_star: ArrayLike, flags: ArrayLike) -> float:
    """Half-light radius of stars: the median of the clear ones.

    Parameters
    ----------
    radius : array-like
        ``(n,)`` half-light radii, any unit of length.
    snr, p_star, flags : array-like
        ``(n,)`` signal to noise, probability of being a star, and flags of the same sources.

    Returns
    -------
    float
        In the unit of ``radius``; NaN where there are fewer than six clear stars.

    Examples
    --------
    >>> from astrogalaxy.measurement import star_radius
    >>> star_radius([1.0] * 7 + [3.0], [300.0] * 8, [0.99] * 7 + [0.01], [0] * 8)
    1.0
    """
    radius, snr = np.asarray(radius, dtype=float), np.asarray(snr, dtype=float)
    with np.errstate(invalid="ignore"):
        clear = (np.asarray(p_star) > CLEAR) & (snr > CLEAR_SNR) & np.isfinite(radius)
    clear &= ~has_flags(flags, "saturated", "blended", "edge")
    return float(np.median(radius[clear])) if clear.sum() >= _MIN_CLEAR else float("nan")


def relative_extent(radius: ArrayLike, ruler: float, *, flags: ArrayLike = 0) -> NDArray[np.float64]:
    """Logarithm of half-light radii over that of stars: 0 for a star, NaN where unknown.

    Parameters
    ----------
    radius : array-like
        Half-light radii, any unit of length.
    ruler : float
        Half-light radius of stars, same unit.
    flags : array-like
        Flags of the sources: the radius of one that shares its light with others is theirs too,
        that of a saturated one says how much is lost, and neither tells anything.

    Returns
    -------
    ndarray
        NaN where unknown.

    Examples
    --------
    >>> relative_extent([0.5, 1.0], 0.5).round(2)
    array([0.  , 0.69])
    """
    radius = np.asarray(radius, dtype=float)
    # a source cannot be much smaller than a star, and how much wider it is soon does not matter
    with np.errstate(divide="ignore", invalid="ignore"):
        extent = np.clip(np.log(radius / ruler), -0.7, 1.5)
    return np.where(has_flags(flags, *_NOT_THEIRS), np.nan, extent)
