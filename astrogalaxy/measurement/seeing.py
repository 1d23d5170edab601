"""The size of stars on an image, the ruler for everything that is wider."""

from __future__ import annotations

import numpy as np
import sep
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.catalog.flags import has_flags

__all__ = ["estimate_seeing", "relative_extent", "star_radius"]

_MIN_STARS = 5
_DETECT_SIGMA = 10.0
_NOT_ALONE = ("blended", "deblended", "bad_centroid")
# A star that can serve as a ruler.
_CLEAR, _CLEAR_SNR, _MIN_CLEAR = 0.8, 25.0, 6


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
    """
    radius, snr = np.asarray(radius, dtype=float), np.asarray(snr, dtype=float)
    with np.errstate(invalid="ignore"):
        clear = (np.asarray(p_star) > _CLEAR) & (snr > _CLEAR_SNR) & np.isfinite(radius)
    for flaw in ("saturated", "blended", "edge"):
        clear &= ~has_flags(np.asarray(flags), flaw)
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
        and tells nothing.

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
    return np.where(has_flags(flags, *_NOT_ALONE), np.nan, extent)


def estimate_seeing(data: NDArray[np.float32], noise: NDArray[np.float32]) -> float:
    """FWHM of stars in pixels, as twice the half-light radius of bright compact sources.

    Parameters
    ----------
    data, noise : ndarray
        Background-subtracted image and its noise, ``(ny, nx)`` native float32.

    Returns
    -------
    float
        NaN where fewer than five sources are bright enough.
    """
    found = sep.extract(data, _DETECT_SIGMA, err=noise, minarea=6)
    found = found[(found["flag"] == 0) & (found["b"] / found["a"] > 0.7)]
    if len(found) < _MIN_STARS:
        return float("nan")
    radius, _ = sep.flux_radius(
        data, found["x"], found["y"], np.maximum(6 * found["a"], 6.0), 0.5,
        normflux=found["flux"], subpix=5,
    )  # fmt: skip
    radius = np.sort(radius[np.isfinite(radius) & (radius > 0.5)])
    if len(radius) < _MIN_STARS:
        return float("nan")
    # stars crowd at the small end: the densest stretch that holds a tenth of the sources
    width = max(len(radius) // 10, _MIN_STARS) - 1
    start = int(np.argmin((radius[width:] - radius[: len(radius) - width]) / radius[width:]))
    return float(2 * np.median(radius[start : start + width + 1]))
