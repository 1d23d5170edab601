"""Where the pixels of one band fall on the grid of another, by their WCS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from astropy.wcs.wcsapi import BaseLowLevelWCS

from astrogalaxy.errors import ImageError
from astrogalaxy.images.lattice import expand
from astrogalaxy.images.sky import map_pixels
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images.band import Band

__all__ = ["BandPixels", "GridMap", "ReferencePixels", "check_overlap", "map_grid"]

# Grids that agree to this many pixels everywhere need no resampling.
_SAME_PX = 1e-3
# The WCS is evaluated on a lattice of every 256th pixel and interpolated between; where the
# distortion bends faster than the tolerance allows, the lattice is made finer.
_STEPS = (256, 128, 64, 32, 16, 8, 4)
_TOLERANCE_PX = 0.005
# Positions along a side that tell where an image lies.
_OUTLINE = 17
# Bands with pixels this much smaller than the reference's are binned before interpolation.
_BIN_FROM = 1.5


@dataclass(frozen=True)
class GridMap:
    """Where the pixels of the reference grid fall on the grid of another band.

    Parameters
    ----------
    x, y : ndarray, shape (n_y, n_x), float64
        Positions on the band's grid of every `step`-th pixel of the reference; NaN where
        there is none.
    step : int
        Spacing of this lattice in reference pixels.
    shape : (int, int)
        Rows and columns of the reference.
    bins : int
        Band pixels (a side) to add up before interpolation.
    scale : float
        What interpolated values are multiplied by, for the sky's root mean square to be 1.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    step: int
    shape: tuple[int, int]
    bins: int = 1
    scale: float = 1.0

    def positions(self, section: Section) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions (x, y) on the band's grid of the reference pixels in a section."""
        x, y = (expand(nodes, (self.step, self.step), (0.0, 0.0), section) for nodes in (self.x, self.y))
        return x, y

    def cover(self, section: Section, shape: tuple[int, int]) -> Section:
        """Part of the band, in whole bins, that a section of the reference is interpolated from.

        Empty where the section lies outside the band, whose shape is `shape`.
        """
        # Between nodes positions are bilinear: their extremes are at the section's corners
        # and where its edges cross the lattice.
        rows, columns = (
            np.unique([start, *range(start // self.step * self.step + self.step, stop - 1, self.step), stop - 1])
            for start, stop in ((section.y0, section.y1), (section.x0, section.x1))
        )
        at = np.meshgrid(rows / self.step, columns / self.step, indexing="ij")
        x, y = (_between(nodes, *at) for nodes in (self.x, self.y))
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            x, y = (nodes[self._nodes(section)] for nodes in (self.x, self.y))
        known = np.isfinite(x) & np.isfinite(y)
        if not known.any():
            return Section(0, 0, 0, 0)
        margin = 2 * self.bins
        edges = []
        for positions in (x[known], y[known]):
            low, high = np.floor(positions.min()) - margin, np.ceil(positions.max()) + margin + 1
            edges += [int(low // self.bins) * self.bins, int(-(-high // self.bins)) * self.bins]
        return Section(*edges).clip(shape)

    def _nodes(self, section: Section) -> tuple[slice, slice]:
        """Slices (y, x) of the nodes that a section is interpolated from."""
        step = self.step
        y0, x0 = (min(start // step, n - 2) for start, n in zip((section.y0, section.x0), self.x.shape, strict=True))
        return slice(y0, -(-(section.y1 - 1) // step) + 1), slice(x0, -(-(section.x1 - 1) // step) + 1)


class _PositionWCS(BaseLowLevelWCS):
    """WCS (APE 14) of a part of a grid whose "world" is the position (x, y) on the band, in bins.

    With one of these for each grid, reproject interpolates between any two of them without
    going through the sky for every pixel.
    """

    pixel_n_dim = world_n_dim = 2
    world_axis_physical_types = (None, None)
    world_axis_units = ("pixel", "pixel")
    # High-level "world objects" are the plain arrays themselves: nothing is converted or copied.
    world_axis_object_components = (("x", 0, np.asarray), ("y", 0, np.asarray))
    world_axis_object_classes: ClassVar = {axis: (np.ndarray, (), {}, np.asarray) for axis in "xy"}

    def pixel_to_world_values(self, *pixels: Any) -> Any:
        """Positions on the band of pixels, where a grid knows them."""
        raise NotImplementedError

    def world_to_pixel_values(self, *world: Any) -> Any:
        """Pixels at positions on the band, where a grid knows them."""
        raise NotImplementedError


class ReferencePixels(_PositionWCS):
    """Whole pixels of a section of the reference grid, and where they fall on the band.

    Parameters
    ----------
    grid : GridMap
        Where the reference's pixels fall on the band.
    section : Section
        The pixel (x0, y0) of the reference is the pixel (0, 0) of this WCS.
    """

    def __init__(self, grid: GridMap, section: Section) -> None:
        self._nx = section.shape[1]
        centre = (grid.bins - 1) / 2
        self._x, self._y = ((at.ravel() - centre) / grid.bins for at in grid.positions(section))

    def pixel_to_world_values(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions on the band, in bins, of the pixels (x, y) of the section."""
        index = np.asarray(y * self._nx + x, dtype=np.intp)
        return self._x[index], self._y[index]


class BandPixels(_PositionWCS):
    """Pixels of a part of the band, in bins, whose position on the band is known by counting.

    Parameters
    ----------
    x0, y0 : int
        Which bin of the band is (0, 0) in this part.
    """

    def __init__(self, x0: int, y0: int) -> None:
        self._x0, self._y0 = x0, y0

    def world_to_pixel_values(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels of the part at the positions (x, y) on the band; exact, so the same in every part."""
        return x - self._x0, y - self._y0


def map_grid(reference: Band, band: Band) -> GridMap | None:
    """Map the reference grid onto a band's, by their WCS.

    Parameters
    ----------
    reference : Band
        The band whose pixels are to be found.
    band : Band
        The band they are to be found on.

    Returns
    -------
    GridMap or None
        None if both grids are the same to 0.001 pixel (or of one shape, and one of them
        without WCS), so that nothing has to be resampled.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the shapes differ and there is no WCS to tell how, or the band does not overlap
        the reference.
    """
    if reference.wcs is None or band.wcs is None:
        if reference.shape == band.shape:
            return None
        without = reference if reference.wcs is None else band
        msg = f"{without.origin}: without a celestial WCS it cannot be aligned, and the shapes differ"
        raise ImageError(f"{msg} ({reference.shape} and {band.shape})")
    if reference.wcs is band.wcs and reference.shape == band.shape:
        return None
    check_overlap(reference, band)
    for step in _STEPS:
        x, y = _lattice(reference, band, step)
        if _bend(reference, band, x, y, step) < _TOLERANCE_PX:
            break
    if reference.shape == band.shape and _is_identity(x, y, step):
        return None
    ratio = reference.pixel_scale / band.pixel_scale
    bins = round(ratio) if ratio >= _BIN_FROM else 1
    grid = GridMap(x, y, step, reference.shape, bins)
    return replace(grid, scale=_noise_scale(grid, band))


def check_overlap(reference: Band, band: Band) -> None:
    """Refuse a band that lies elsewhere on the sky.

    Parameters
    ----------
    reference, band : Band
        Nothing is asked of bands without WCS.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the rectangle around the reference, in the band's pixels, is not on the band.
    """
    if reference.wcs is None or band.wcs is None:
        return
    columns, rows = np.meshgrid(*(np.linspace(-0.5, length - 0.5, _OUTLINE) for length in reference.shape[::-1]))
    positions = map_pixels(reference.wcs, band.wcs, columns, rows)
    known = np.isfinite(positions[0]) & np.isfinite(positions[1])
    for at, length in zip(positions, band.shape[::-1], strict=True):
        if not known.any() or at[known].max() < -0.5 or at[known].min() > length - 0.5:
            msg = f"{band.origin}: it does not overlap {reference.origin} on the sky"
            raise ImageError(msg)


def _lattice(reference: Band, band: Band, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions on the band of every `step`-th reference pixel, beyond the last one included."""
    ny, nx = reference.shape
    columns, rows = np.meshgrid(
        np.arange(0.0, max(nx - 1, 1) + step, step), np.arange(0.0, max(ny - 1, 1) + step, step)
    )
    return map_pixels(reference.wcs, band.wcs, columns, rows, checked=True)


def _bend(reference: Band, band: Band, x: NDArray[Any], y: NDArray[Any], step: int) -> float:
    """Largest error of interpolating the lattice linearly, at the centres of up to 32 x 32 cells."""
    rows, columns = (np.unique(np.linspace(0, n - 2, 32).astype(int)) for n in x.shape)
    cells = np.ix_(rows, columns)
    true_x, true_y = map_pixels(
        reference.wcs, band.wcs, *(g * float(step) + step / 2 for g in np.meshgrid(columns, rows))
    )
    middle_x, middle_y = ((v[:-1, :-1] + v[1:, :-1] + v[:-1, 1:] + v[1:, 1:])[cells] / 4 for v in (x, y))
    errors = np.hypot(true_x - middle_x, true_y - middle_y)
    near = (np.abs(middle_x) < 2 * band.shape[1]) & (np.abs(middle_y) < 2 * band.shape[0])
    errors = errors[near & np.isfinite(errors)]
    return float(errors.max()) if errors.size else 0.0


def _is_identity(x: NDArray[Any], y: NDArray[Any], step: int) -> bool:
    rows, columns = np.indices(x.shape) * step
    return bool(np.all(np.hypot(x - columns, y - rows) < _SAME_PX))


def _noise_scale(grid: GridMap, band: Band) -> float:
    """Inverse of the sky's root mean square after interpolation, over the whole reference.

    A pixel interpolated from neighbours of equal and independent noise, with weights w, has
    the noise sqrt(sum of w squared). The weights follow from where between the pixels it
    falls: everywhere the same for grids that are only shifted, else averaged over positions
    spread evenly over the reference.
    """
    (ny, nx), step = grid.shape, grid.step
    # An additive recurrence (Roberts' R2): even, and in step with no lattice.
    index = np.arange(1, 4097)
    columns, rows = (
        np.floor(index * 0.7548776662466927 % 1 * nx),
        np.floor(index * 0.5698402909980532 % 1 * ny),
    )
    x, y = (_between(nodes, rows / step, columns / step) for nodes in (grid.x, grid.y))
    inside = (x >= 0) & (x <= band.shape[1] - 1) & (y >= 0) & (y <= band.shape[0] - 1)
    if not inside.any():  # it shares a corner at most
        return 1.0
    variance = np.ones(np.count_nonzero(inside))
    for positions in (x[inside], y[inside]):
        fraction = (positions - (grid.bins - 1) / 2) / grid.bins % 1
        variance *= fraction**2 + (1 - fraction) ** 2
    return float(1 / np.sqrt(variance.mean()))


def _between(nodes: NDArray[np.float64], row: NDArray[Any], column: NDArray[Any]) -> NDArray[np.float64]:
    """Bilinear interpolation of the lattice at fractional rows and columns."""
    i = np.minimum(row.astype(int), nodes.shape[0] - 2)
    j = np.minimum(column.astype(int), nodes.shape[1] - 2)
    u, v = row - i, column - j
    upper = nodes[i, j] * (1 - v) + nodes[i, j + 1] * v
    lower = nodes[i + 1, j] * (1 - v) + nodes[i + 1, j + 1] * v
    return upper * (1 - u) + lower * u
