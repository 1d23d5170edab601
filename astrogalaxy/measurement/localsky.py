"""The sky around each source, once all sources are hidden.

The mesh of the whole image takes for sky what the wings of sources add to it: some hundredths of the noise, which
in an aperture of a few hundred pixels is several percent of a faint source. Around each source the sky that is
left is averaged over the pixels that no source reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.bins import binned, box_sums, sum_table
from astrogalaxy.measurement.stamps import nearest_pixel

if TYPE_CHECKING:
    from astrogalaxy.measurement.canvas import Canvas

__all__ = ["REACH", "local_sky"]

REACH = 40
"""Half a side of the square over which the sky is averaged, pixels, at least."""

# The square reaches this much further than what the source hides, but no further than every tile sees.
_BEYOND, _FARTHEST = 1.5, 120
# What the mesh may be off by, in units of the noise: where few pixels are left the mesh is believed.
_MESH_ERROR = 0.1
_CLIP = 3.0
# Pixels are summed in squares of this side first.
_BLOCK = 4


def local_sky(canvas: Canvas, x: np.ndarray, y: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sky that the mesh has left, around each source.

    Parameters
    ----------
    canvas : Canvas
        Pixels from which the mesh's sky has been taken away.
    x, y : ndarray, shape (n,)
        Centres of all sources, pixels of the canvas.
    hidden : ndarray, shape (n,)
        Half a side of the square around each that counts as its own, pixels.

    Returns
    -------
    sky, error : ndarray, shape (n,)
        Per pixel; drawn towards 0 the more, the fewer pixels there are.
    """
    origin = [-edge % _BLOCK for edge in canvas.origin]
    light, count = _blocks(canvas, origin)
    place = [(centre - first) / _BLOCK - 0.5 for centre, first in zip((x, y), origin, strict=True)]
    hiding = _coverage(_corners(*place, np.ceil(hidden / _BLOCK), count.shape), count.shape)
    count[hiding > 0], light[hiding > 0] = 0.0, 0.0
    box = _corners(*place, np.clip(_BEYOND * hidden, REACH, _FARTHEST) / _BLOCK, count.shape)
    noise = canvas.noise_at(x, y)
    # as many pixels as it takes to know the sky as well as the mesh does
    number = box_sums(sum_table(count), *box) + 1.0 / _MESH_ERROR**2
    return box_sums(sum_table(light), *box) / number, noise / np.sqrt(number)


def _blocks(canvas: Canvas, origin: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Light and number of the good pixels within the noise, in blocks counted from the image's first pixel."""
    rows, columns = ((length - first) // _BLOCK for length, first in zip(canvas.shape, origin[::-1], strict=True))
    if rows < 1 or columns < 1:
        return np.zeros((1, 1)), np.zeros((1, 1))
    part = (slice(origin[1], origin[1] + rows * _BLOCK), slice(origin[0], origin[0] + columns * _BLOCK))
    data = canvas.data[part]
    free = np.abs(data) < _CLIP * canvas.noise[part]
    if canvas.any_bad:
        free &= ~canvas.bad[part]
    if canvas.any_saturated:
        free &= ~canvas.saturated[part]
    return binned(data * free, _BLOCK), binned(free, _BLOCK, dtype=np.uint8).astype(np.float32)


def _coverage(corners: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> np.ndarray:
    """How many boxes cover each block."""
    edges = np.zeros((shape[0] + 1, shape[1] + 1), dtype=np.int32)
    y0, y1, x0, x1 = corners
    for rows, columns, sign in ((y0, x0, 1), (y0, x1, -1), (y1, x0, -1), (y1, x1, 1)):
        np.add.at(edges, (rows, columns), sign)
    return np.cumsum(np.cumsum(edges, axis=0), axis=1)[: shape[0], : shape[1]]


def _corners(x: np.ndarray, y: np.ndarray, half: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """First rows of squares and those after the last, and columns likewise, within the canvas."""
    low, high = np.rint(half).astype(np.int64), np.rint(half).astype(np.int64) + 1
    column, row = nearest_pixel(x).astype(np.int64), nearest_pixel(y).astype(np.int64)
    rows = (np.clip(row - low, 0, shape[0]), np.clip(row + high, 0, shape[0]))
    return (*rows, np.clip(column - low, 0, shape[1]), np.clip(column + high, 0, shape[1]))
