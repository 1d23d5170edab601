"""Pixels put together: in square bins, and in many boxes of one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["binned", "box_sums", "sum_table"]


def binned(
    pixels: NDArray[np.generic], side: int, together: np.ufunc = np.add, *, dtype: DTypeLike = None
) -> NDArray[np.generic]:
    """Put pixels together in bins: add them up, or what is asked for.

    Parameters
    ----------
    pixels : ndarray, shape (ny * side, nx * side)
        Any numbers, or truth values.
    side : int
        Of a bin.
    together : ufunc, optional
        What is done with two pixels, such as ``np.maximum`` or ``np.logical_or``.
    dtype : data type, optional
        That of the result; default: that of the pixels.

    Returns
    -------
    ndarray, shape (ny, nx)

    Examples
    --------
    >>> import numpy as np
    >>> binned(np.array([[True, False, True, True]] * 2), 2, dtype=np.uint8)
    array([[2, 4]], dtype=uint8)
    >>> binned(np.arange(16).reshape(4, 4), 2, np.maximum)
    array([[ 5,  7],
           [13, 15]])
    """
    # whole rows and columns at a time: axes of a few pixels take up to fifteen times as long
    made = pixels.astype(dtype) if dtype is not None and dtype != pixels.dtype else pixels
    for strips in (lambda k: np.s_[k::side], lambda k: np.s_[:, k::side]):
        total = made[strips(0)].copy()
        for number in range(1, side):
            together(total, made[strips(number)], out=total)
        made = total
    return made


def sum_table(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums over all boxes that begin at the origin, for `box_sums`.

    Parameters
    ----------
    values : ndarray, shape (ny, nx)
        Any numbers, or truth values.

    Returns
    -------
    ndarray, shape (ny + 1, nx + 1)
        At [y, x] the sum of ``values[:y, :x]``.
    """
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    inner = table[1:, 1:]
    np.cumsum(values, axis=0, out=inner)
    np.cumsum(inner, axis=1, out=inner)
    return table


def box_sums(
    table: NDArray[np.float64],
    y0: NDArray[np.integer],
    y1: NDArray[np.integer],
    x0: NDArray[np.integer],
    x1: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Sums over ``values[y0:y1, x0:x1]`` for many boxes at once.

    Parameters
    ----------
    table : ndarray
        What `sum_table` made of the values.
    y0, y1, x0, x1 : ndarray of int, shape (n,)
        Edges, within the values.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> table = sum_table(np.arange(12).reshape(3, 4))
    >>> box_sums(table, np.array([0, 1]), np.array([3, 2]), np.array([0, 2]), np.array([4, 4]))
    array([66., 13.])
    """
    return table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
