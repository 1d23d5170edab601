"""Linear interpolation of a coarse lattice onto pixels, with the same result in every section."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images.tiling import Section

__all__ = ["expand"]

Float = TypeVar("Float", np.float32, np.float64)


def expand(
    nodes: NDArray[Float], step: tuple[int, int], first: tuple[float, float], section: Section
) -> NDArray[Float]:
    """Interpolate nodes, evenly spaced over the whole image, onto the pixels of a section.

    Parameters
    ----------
    nodes : ndarray, shape (n_y, n_x)
        Values at the nodes; NaN spreads to the cells around it.
    step : (int, int)
        Distance of neighbouring nodes along y and x, pixels.
    first : (float, float)
        Pixel position (y, x) of node [0, 0]: a multiple of 1/2.
    section : Section
        The pixels wanted. Beyond the outermost nodes values stay constant.

    Returns
    -------
    ndarray, shape (ny, nx)
        Contiguous, of the dtype of `nodes`. A pixel gets exactly the same value in every section.

    Examples
    --------
    >>> from astrogalaxy.images import Section
    >>> expand(np.array([[0.0, 4.0]]), (4, 4), (0.0, 0.0), Section(1, 4, 0, 1))
    array([[1., 2., 3.]])
    """
    rows = _expand_last(nodes.T, step[0], first[0], section.y0, section.y1)
    return _expand_last(np.ascontiguousarray(rows.T), step[1], first[1], section.x0, section.x1)


def _expand_last(values: NDArray[Float], step: int, first: float, start: int, stop: int) -> NDArray[Float]:
    """Interpolate along the last axis, for the pixels start <= x < stop.

    Works on whole cells between two nodes and cuts the section out at the end, so that
    each pixel goes through the same arithmetic in every section.
    """
    n = values.shape[-1]
    # Cell c lies between the nodes c - 1 and c; its first pixel is at `begin + c * step`,
    # `phase` behind the node c - 1.
    begin = int(np.ceil(first)) - step
    phase = np.ceil(first) - first
    c0, c1 = (start - begin) // step, -((begin - stop) // step)
    cells = np.arange(c0, c1)
    left = values[..., np.clip(cells - 1, 0, n - 1), None]
    right = values[..., np.clip(cells, 0, n - 1), None]
    weight = ((np.arange(step) + phase) / step).astype(values.dtype)
    spread = (right - left) * weight
    spread += left
    spread = spread.reshape(*values.shape[:-1], cells.size * step)
    origin = begin + c0 * step
    return np.ascontiguousarray(spread[..., start - origin : stop - origin])
