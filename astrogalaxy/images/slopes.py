"""Slopes of the sky across the boxes of a mesh: what they add to the noise, and how the sky goes on at the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["continued", "filled", "slopes"]

Float = TypeVar("Float", np.float32, np.float64)


def slopes(levels: NDArray[Float], axis: int) -> NDArray[Float]:
    """By how much levels rise from box to box along an axis.

    That is the smaller of the steps to both neighbours, and nothing where these are of opposite sign: a lone bright box
    has no slope, noise makes little, and a plane shows all of its own.

    Parameters
    ----------
    levels : ndarray, shape (n_boxes_y, n_boxes_x)
        Level of each box, NaN where it is unknown.
    axis : int
        Along what.

    Returns
    -------
    ndarray, shape (n_boxes_y, n_boxes_x)
        At the ends, and beside boxes without a level, as in the nearest box that has two neighbours; 0 if none has.

    Examples
    --------
    >>> slopes(np.array([[0.0, 2.0, 4.0, 5.0, 4.0]]), 1)
    array([[2., 2., 1., 0., 0.]])
    """
    found = np.full_like(levels, np.nan)
    steps = np.diff(levels, axis=axis)
    before, after = (np.moveaxis(steps, axis, 0)[part] for part in (np.s_[:-1], np.s_[1:]))
    same = np.where(np.sign(before) == -np.sign(after), 0, np.sign(before))
    np.moveaxis(found, axis, 0)[1:-1] = same * np.minimum(np.abs(before), np.abs(after))
    return filled(found, np.isfinite(found), 0.0)


def continued(levels: NDArray[Float]) -> NDArray[Float]:
    """Levels with one more box on each side, to which they go on with the slope at that edge.

    Parameters
    ----------
    levels : ndarray, shape (n_boxes_y, n_boxes_x)
        Level of each box.

    Returns
    -------
    ndarray, shape (n_boxes_y + 2, n_boxes_x + 2)
        The levels themselves are in the middle.

    Examples
    --------
    >>> continued(np.array([[0.0, 2.0, 4.0]]))[0]
    array([-2.,  0.,  2.,  4.,  6.])
    """
    for axis in (0, 1):
        levels = np.concatenate(
            [_before(levels, axis), levels, np.flip(_before(np.flip(levels, axis), axis), axis)], axis
        )
    return levels


def _before(levels: NDArray[Float], axis: int) -> NDArray[Float]:
    """What comes before the first box along an axis, by the slope of the first three."""
    three = levels[:3] if axis == 0 else levels[:, :3]
    return np.take(three - slopes(three, axis), [0], axis)


def filled(values: NDArray[Float], known: NDArray[np.bool_], otherwise: float) -> NDArray[Float]:
    """Values, with that of the nearest known box where one is not known; or another if none is.

    Parameters
    ----------
    values : ndarray, shape (n_boxes_y, n_boxes_x)
        Of each box.
    known : ndarray, shape (n_boxes_y, n_boxes_x), bool
        Which of them count.
    otherwise : float
        Value of all if none does.

    Returns
    -------
    ndarray, shape (n_boxes_y, n_boxes_x)
        The array itself if all do.
    """
    if known.all():
        return values
    if not known.any():
        return np.full_like(values, otherwise)
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
