"""All bands of a section on the grid of the reference band, in units of the sky noise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images.band import Band
    from astrogalaxy.images.grids import GridMap, Shift

__all__ = ["Aligned", "resample", "significance"]

# Blocks of this many pixels a side are resampled at a time. They are cut at multiples of
# it on the reference grid, so that a pixel is treated alike in every section.
_BLOCK = 256
# More neighbours than this along an axis are gathered pixel by pixel.
_MAX_TAPS = 4
# A bad pixel counts where bilinear interpolation gives it more than this weight.
_TOUCHED = 1e-3


@dataclass(frozen=True)
class Aligned:
    """A section of all bands on the reference grid, in units of the sky noise.

    Parameters
    ----------
    snr : ndarray, shape (n_bands, ny, nx), float32
        (pixel - background) / noise; 0 where bad. The sky has a root mean square of 1.
    bad : ndarray, shape (n_bands, ny, nx), bool
        Bad in the band, or outside its coverage.
    bands : tuple of str
        Names of the bands, in the order of the first axis.
    section : Section
        Where this lies on the reference grid.
    """

    snr: NDArray[np.float32]
    bad: NDArray[np.bool_]
    bands: tuple[str, ...]
    section: Section


def significance(band: Band, section: Section) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pixels of a band over their noise, on the band's own grid; 0 where bad."""
    pixels = band.pixels(section)
    return np.divide(pixels.data, pixels.noise, out=pixels.data), pixels.bad


def resample(band: Band, grid: GridMap, section: Section) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Resample a band's significance onto a section of the reference grid, bilinearly.

    The division by the noise comes first, on the band's own grid. Interpolation averages
    neighbouring pixels and so lowers the noise; the result is multiplied by one number for
    the whole band that brings the sky's root mean square back to 1 on average. A reference
    pixel is bad where a bad pixel of the band contributes, and outside the band.

    Parameters
    ----------
    band : Band
        The band to resample.
    grid : GridMap
        Where the reference's pixels fall on the band.
    section : Section
        Which pixels of the reference grid.

    Returns
    -------
    snr : ndarray, shape (ny, nx), float32
        0 where bad.
    bad : ndarray, shape (ny, nx), bool
    """
    snr = np.zeros(section.shape, dtype=np.float32)
    bad = np.ones(section.shape, dtype=bool)
    for y0, y1 in _cuts(section.y0, section.y1):
        strip = Section(section.x0, section.x1, y0, y1)
        part = grid.cover(strip, band.shape)
        if 0 in part.shape:
            continue
        source = _Source(*significance(band, part), part, grid, band.shape)
        for x0, x1 in _cuts(section.x0, section.x1):
            block = Section(x0, x1, y0, y1)
            where = (slice(y0 - section.y0, y1 - section.y0), slice(x0 - section.x0, x1 - section.x0))
            source.fill(block, snr[where], bad[where])
    snr *= np.float32(grid.scale)
    snr[bad] = 0
    return snr, bad


class _Source:
    """A part of a band, and the ways to interpolate in it."""

    def __init__(
        self,
        values: NDArray[np.float32],
        bad: NDArray[np.bool_],
        part: Section,
        grid: GridMap,
        shape: tuple[int, int],
    ) -> None:
        self._values, self._bad = values, bad
        self._part, self._grid, self._shape = part, grid, shape
        if grid.bins > 1:
            self._values, self._bad = _binned(values, bad, grid.bins)

    def fill(self, block: Section, snr: NDArray[np.float32], bad: NDArray[np.bool_]) -> None:
        """Interpolate onto a block of the reference grid that no multiple of `_BLOCK` cuts."""
        around = _around(block).clip(self._grid.shape)
        shift = self._grid.shift(around) if self._grid.bins == 1 else None
        if shift is not None and max(shift.taps) <= _MAX_TAPS and shift.within(around, self._shape):
            self._fill_shifted(block, shift, snr, bad)
        else:
            self._fill_gathered(block, snr, bad)

    def _fill_shifted(
        self, block: Section, shift: Shift, snr: NDArray[np.float32], bad: NDArray[np.bool_]
    ) -> None:
        """Add up shifted copies: quick, for grids that hardly turn or stretch within a block."""
        weights = shift.weights(block)
        row, column = block.y0 + shift.y - self._part.y0, block.x0 + shift.x - self._part.x0
        ny, nx = block.shape
        reach = (slice(row, row + ny + shift.taps[0] - 1), slice(column, column + nx + shift.taps[1] - 1))
        snr[...] = _weighted(self._values[reach], *weights)
        touching = self._bad[reach]
        bad[...] = _weighted(touching.astype(np.float32), *weights) > _TOUCHED if touching.any() else False

    def _fill_gathered(self, block: Section, snr: NDArray[np.float32], bad: NDArray[np.bool_]) -> None:
        """Look up each pixel's neighbours: for all grids, and at the band's edges."""
        from scipy import ndimage

        x, y = self._grid.positions(block)
        ny, nx = self._shape
        with np.errstate(invalid="ignore"):
            inside = (x >= -0.5) & (x <= nx - 0.5) & (y >= -0.5) & (y <= ny - 0.5)
        bins, part = self._grid.bins, self._part
        where = np.stack([(y - part.y0 - (bins - 1) / 2) / bins, (x - part.x0 - (bins - 1) / 2) / bins])
        where[:, ~inside] = 0
        ndimage.map_coordinates(self._values, where, output=snr, order=1, prefilter=False, mode="nearest")
        np.logical_not(inside, out=bad)
        if self._bad.any():
            touched = self._bad.astype(np.float32)
            touched = ndimage.map_coordinates(touched, where, order=1, prefilter=False, mode="nearest")
            bad |= touched > _TOUCHED


def _weighted(
    values: NDArray[np.float32], rows: list[NDArray[np.float32]], columns: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Sum of shifted copies of `values`, each with its weight along the rows and the columns."""
    ny, nx = rows[0].shape
    total = np.zeros((ny, nx), dtype=np.float32)
    along, product = np.empty_like(total), np.empty_like(total)
    for j, row in enumerate(rows):
        along[...] = 0
        for i, column in enumerate(columns):
            along += np.multiply(values[j : j + ny, i : i + nx], column, out=product)
        total += np.multiply(along, row, out=product)
    return total


def _cuts(start: int, stop: int) -> list[tuple[int, int]]:
    """Cut start..stop at the multiples of `_BLOCK`."""
    edges = [start, *range((start // _BLOCK + 1) * _BLOCK, stop, _BLOCK), stop]
    return list(pairwise(edges))


def _around(block: Section) -> Section:
    """The whole block, of those that tile the plane, that this (part of a) block lies in."""
    x0, y0 = block.x0 // _BLOCK * _BLOCK, block.y0 // _BLOCK * _BLOCK
    return Section(x0, x0 + _BLOCK, y0, y0 + _BLOCK)


def _binned(
    values: NDArray[np.float32], bad: NDArray[np.bool_], bins: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Add up bins of pixels, keeping the noise at 1; bad where more than half of a bin is.

    Bins cut off by the band's far edges are completed with bad pixels.
    """
    ny, nx = (-(-length // bins) for length in values.shape)
    padding = [(0, n * bins - length) for n, length in zip((ny, nx), values.shape, strict=True)]
    values = np.pad(values, padding).reshape(ny, bins, nx, bins).sum(axis=(1, 3), dtype=np.float32)
    good = np.pad(~bad, padding).reshape(ny, bins, nx, bins).sum(axis=(1, 3))
    np.divide(values, np.sqrt(good), where=good > 0, out=values)
    few = 2 * good < bins * bins
    values[few] = 0
    return values, few
