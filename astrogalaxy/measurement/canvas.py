"""The pixels on which sources are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from astrogalaxy.images.bins import box_sums, sum_table
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.stamps import nearest_pixel

__all__ = ["Canvas", "touched"]

# Side of the cells of pixels that are looked at as one, to see whether anything near a source is flawed.
_CELL = 16


@dataclass(frozen=True)
class Canvas:
    """Pixels on which sources are measured.

    Attributes
    ----------
    data : ndarray of float32, shape (ny, nx)
        Background-subtracted light, 0 where bad.
    noise : ndarray of float32, shape (ny, nx)
        Sky noise per pixel, positive.
    bad, saturated : ndarray of bool, shape (ny, nx)
        Pixels without data, and pixels at the detector's limit.
    gain : float or None
        Electrons per unit of the data; None: sky noise only.
    origin : (int, int)
        Pixel (x, y) of the whole image that is the canvas's first.
    full : (int, int) or None
        Shape of the whole image; None: that of the canvas.
    cores : ndarray, shape (k, 3)
        Saturated cores of stars: centre x and y, and radius; see `~astrogalaxy.images.saturation.blunt_cores`.
    """

    data: np.ndarray
    noise: np.ndarray
    bad: np.ndarray
    saturated: np.ndarray
    gain: float | None = None
    origin: tuple[int, int] = (0, 0)
    full: tuple[int, int] | None = None
    cores: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def whole(self) -> tuple[int, int]:
        """Shape of the whole image, of which the canvas may be a part."""
        return self.shape if self.full is None else self.full

    @property
    def section(self) -> Section:
        """Which part of the whole image the canvas is."""
        (x0, y0), (ny, nx) = self.origin, self.shape
        return Section(x0, x0 + nx, y0, y0 + ny)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape

    @cached_property
    def any_bad(self) -> bool:
        """Whether there is a bad pixel."""
        return bool(self.bad.any())

    @cached_property
    def any_saturated(self) -> bool:
        """Whether there is a saturated pixel."""
        return bool(self.saturated.any())

    def noise_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Sky noise of the pixel nearest to each position."""
        rows = np.clip(nearest_pixel(y).astype(int), 0, self.shape[0] - 1)
        columns = np.clip(nearest_pixel(x).astype(int), 0, self.shape[1] - 1)
        return self.noise[rows, columns].astype(np.float64)


def touched(canvas: Canvas, x: np.ndarray, y: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Sources with bad or saturated pixels, or the edge of the canvas, within `reach` pixels.

    Parameters
    ----------
    canvas : Canvas
        The pixels.
    x, y : ndarray, shape (n,)
        Positions, pixels.
    reach : ndarray, shape (n,)
        Half side of the square looked at.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    ny, nx = canvas.shape
    rows = nearest_pixel(y - reach).astype(np.int64), nearest_pixel(y + reach).astype(np.int64) + 1
    columns = nearest_pixel(x - reach).astype(np.int64), nearest_pixel(x + reach).astype(np.int64) + 1
    found = (rows[0] < 0) | (columns[0] < 0) | (rows[1] > ny) | (columns[1] > nx)
    if not (canvas.any_bad or canvas.any_saturated):
        return found
    flawed = canvas.bad | canvas.saturated
    y0, y1 = (np.clip(edge, 0, ny) for edge in rows)
    x0, x1 = (np.clip(edge, 0, nx) for edge in columns)
    # few sources have anything flawed in the cells around them, and need a closer look
    for k in np.flatnonzero(~found & _in_cells(flawed, x0, x1, y0, y1)):
        found[k] = flawed[y0[k] : y1[k], x0[k] : x1[k]].any()
    return found


def _in_cells(flawed: np.ndarray, x0: np.ndarray, x1: np.ndarray, y0: np.ndarray, y1: np.ndarray) -> np.ndarray:
    """Whether any of the cells that boxes of pixels meet has a flawed pixel, (n,)."""
    ny, nx = flawed.shape
    cells = np.zeros((-(-ny // _CELL), -(-nx // _CELL)), dtype=bool)
    row, column = np.divmod(np.flatnonzero(flawed), nx)
    cells[row // _CELL, column // _CELL] = True
    edges = y0 // _CELL, -(-y1 // _CELL), x0 // _CELL, -(-x1 // _CELL)
    return box_sums(sum_table(cells), *edges) > 0
