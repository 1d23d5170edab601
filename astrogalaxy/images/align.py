"""All bands of a section on the grid of the reference band, in units of the sky noise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.bins import binned
from astrogalaxy.images.grids import BandPixels, ReferencePixels
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images.band import Band
    from astrogalaxy.images.grids import GridMap

__all__ = ["Aligned", "resample", "significance"]

# At most this many rows and columns are resampled at a time: bounds the memory, and keeps
# work arrays (2 MB) where the processor's cache and allocator are quick. Blocks are wide
# because files are stored by rows, and compressed ones are unpacked by whole rows.
_BLOCK = (128, 2048)
# No pixel is more significant than this: what is, is no light, and would drown all around it in the network.
_MOST = 1e6
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
    correlation : float, optional
        By how much the light of a source's area scatters more than that of independent pixels, all bands together.
    factors : tuple of float, optional
        The same of each band; empty: that of all together.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy import Image
    >>> aligned = Image.read(np.random.default_rng(0).normal(100, 5, (90, 120))).aligned()
    >>> aligned.bands, aligned.snr.shape, bool(abs(aligned.snr.std() - 1) < 0.1)
    (('image',), (1, 90, 120), True)
    """

    snr: NDArray[np.float32]
    bad: NDArray[np.bool_]
    bands: tuple[str, ...]
    section: Section
    correlation: float = 1.0
    factors: tuple[float, ...] = ()


def significance(band: Band, section: Section) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pixels of a band over their noise, on the band's own grid; 0 where bad."""
    pixels = band.pixels(section)
    snr = pixels.data / pixels.noise
    return np.clip(snr, -_MOST, _MOST, out=snr), pixels.bad


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
    band.keep(grid.cover(section, band.shape))
    for y0, y1 in _cuts(section.y0, section.y1, _BLOCK[0]):
        for x0, x1 in _cuts(section.x0, section.x1, _BLOCK[1]):
            block = Section(x0, x1, y0, y1)
            where = block.within(section).slices
            _resample_block(band, grid, block, snr[where], bad[where])
    snr *= np.float32(grid.scale)
    snr[bad] = 0
    return snr, bad


def _resample_block(
    band: Band, grid: GridMap, block: Section, snr: NDArray[np.float32], bad: NDArray[np.bool_]
) -> None:
    """Write a block of the reference grid into `snr` and `bad`; leave them where the band has nothing."""
    from reproject import reproject_interp

    part = grid.cover(block, band.shape)
    if 0 in part.shape:
        return
    values, touched = significance(band, part)
    if grid.bins > 1:
        values, touched = _coarser(values, touched, grid.bins)
    layers = np.stack([values, touched]) if touched.any() else values[None]
    made = np.empty((len(layers), *block.shape), dtype=np.float32)
    reproject_interp(
        (layers, BandPixels(part.x0 // grid.bins, part.y0 // grid.bins)),
        ReferencePixels(grid, block),
        order="bilinear",
        roundtrip_coords=False,
        output_array=made,
        return_footprint=False,
    )
    snr[...] = made[0]
    # Not a number: outside the band.
    np.isnan(made[0], out=bad)
    if len(made) > 1:
        bad |= made[1] > _TOUCHED


def _cuts(start: int, stop: int, longest: int) -> list[tuple[int, int]]:
    """Cut start..stop into equal parts of at most `longest`."""
    count = -(-(stop - start) // longest)
    edges = [start + (stop - start) * i // count for i in range(count + 1)]
    return list(pairwise(edges))


def _coarser(
    values: NDArray[np.float32], bad: NDArray[np.bool_], bins: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Add up bins of pixels, keeping the noise at 1; bad where more than half of a bin is.

    Bins cut off by the band's far edges are completed with bad pixels.
    """
    padding = [(0, -length % bins) for length in values.shape]
    values = binned(np.pad(values, padding), bins)
    good = binned(np.pad(~bad, padding), bins, dtype=np.int64)
    np.divide(values, np.sqrt(good), where=good > 0, out=values)
    few = 2 * good < bins * bins
    values[few] = 0
    return values, few
