"""Positions on the sky as unit vectors, whose distances need no special case at the poles or at right ascension 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["directions"]


def directions(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    """Unit vectors of positions on the sky.

    Parameters
    ----------
    ra, dec : array_like
        Degrees, of one shape.

    Returns
    -------
    ndarray
        That shape with a last axis of 3; NaN where the position is NaN.

    Examples
    --------
    >>> from astrogalaxy.catalog.directions import directions
    >>> directions([0.0, 90.0], [0.0, 0.0]).round(6).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    ra, dec = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
