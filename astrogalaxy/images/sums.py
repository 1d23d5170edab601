"""Sums over small apertures that hold no source: what they scatter by is the noise of a flux."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.bins import binned

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PEAK", "SIDE", "differences", "empty_sums"]

#: Side of an aperture, pixels: the area of usual apertures, and wider than any kernel of resampling.
SIDE = 8
#: An aperture with a pixel that many sigma above the sky holds a source.
PEAK = 4.0
# Sums that are compared lie so many apertures apart: neighbours share what resampling has spread over their common
# side, and over longer distances the sky itself is another.
_APART = 2


def empty_sums(
    pixels: NDArray[np.floating], peak: NDArray[np.floating] | float, bad: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Sums over the square apertures that tile an image, of those that are empty and have empty neighbours.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        With or without the sky.
    peak : float, or ndarray, shape (nx // SIDE,)
        An aperture with a brighter pixel holds a source; one for each column of apertures.
    bad : ndarray of bool, shape (ny, nx)
        Pixels without data.

    Returns
    -------
    ndarray, shape (ny // SIDE, nx // SIDE)
        NaN in all others.
    """
    from scipy import ndimage

    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    if rows < 1 or columns < 1:
        return np.zeros((rows, columns))
    part = np.s_[: rows * SIDE, : columns * SIDE]
    full = (binned(pixels[part], SIDE, np.maximum) > peak) | binned(bad[part], SIDE, np.logical_or)
    sums = binned(np.where(bad[part], 0, pixels[part]), SIDE).astype(float)
    sums[ndimage.binary_dilation(full, np.ones((3, 3)))] = np.nan
    return sums


def differences(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences of sums from the mean of those on both sides, along columns and rows, with the scatter of the sums.

    Levels and slopes of the sky are not in them, nor is most of what is wider than a few apertures.

    Parameters
    ----------
    sums : ndarray, shape (ny, nx)
        See `empty_sums`.

    Returns
    -------
    along_y, along_x : ndarray, shape (ny, nx)
        NaN where one of the three is.

    Examples
    --------
    >>> import numpy as np
    >>> sums = np.random.default_rng(1).normal(0, 3, (200, 300)) + np.arange(300)
    >>> round(float(np.nanstd(differences(sums)[1])), 1)
    3.0
    """
    found = np.full((2, *sums.shape), np.nan)
    for values, result in ((sums, found[0]), (sums.T, found[1].T)):
        middle = values[_APART:-_APART] - (values[2 * _APART :] + values[: -2 * _APART]) / 2
        result[_APART : _APART + len(middle)] = middle / np.sqrt(1.5)
    return found[0], found[1]
