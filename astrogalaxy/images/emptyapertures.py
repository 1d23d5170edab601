"""Correlated noise: by how much sums over apertures scatter more than their pixels say.

Resampling, as in coadds, spreads each pixel's noise over its neighbours: the pixels scatter less than before, sums
over many of them as before, and errors that add up pixels in quadrature come out too small (Casertano et al. 2000,
AJ 120, 2747). What sums really scatter by is seen where there are no sources, in the differences of sums that lie near
each other: on longer distances the sky is not even, which is no noise of a source whose own sky is subtracted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.sums import PEAK, SIDE, differences, empty_sums
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astrogalaxy.images.band import Band

__all__ = ["noise_factor", "scatter_of_sums"]

logger = logging.getLogger(__name__)

# The band is sampled on so many squares of this side along its diagonal.
_SQUARES, _SQUARE = 3, 512
# Which apertures are empty is told by a sigma that is measured on one pixel in so many rows and columns: with that of a
# weight map that is too low, all would be full.
_SPARSE = 4
_LEAST = 200
# The estimate's own noise, and undetected sources, make a factor this far above 1 where there is no correlation.
_SURE = 1.05


def noise_factor(band: Band) -> float:
    """Factor on the errors of a band's apertures; measured once, and kept with the band.

    Parameters
    ----------
    band : Band
        The band.

    Returns
    -------
    float
        1 where the noise is not seen to be correlated, and where too little of the band is empty.
    """
    if band.noise_factor is None:
        band.noise_factor = _measured(band)
        if band.noise_factor > 1.0:
            text = "%s: noise is correlated; errors of apertures are %.2f times those of independent pixels"
            logger.info(text, band.origin, band.noise_factor)
    return band.noise_factor


def _measured(band: Band) -> float:
    squares = map(band.pixels, _squares(band.shape))
    factor = scatter_of_sums(np.concatenate([_differences(part.data / part.noise, part.bad) for part in squares]))
    return factor if factor > _SURE else 1.0


def scatter_of_sums(sums: np.ndarray) -> float:
    """Scatter below the median of sums in units of their expected noise; NaN of fewer than 200.

    Faint sources that nothing detects only add; the lower half hardly knows of them.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.images.emptyapertures import scatter_of_sums
    >>> round(scatter_of_sums(np.random.default_rng(1).normal(0, 1.5, 100_000)), 2)
    1.5
    """
    if len(sums) < _LEAST:
        return float("nan")
    low, middle = np.percentile(sums, [15.866, 50.0])
    return float(middle - low)


def _differences(snr: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Differences of sums over empty squares of pixels in units of their noise, over that of independent pixels."""
    scatter = scatter_of_sums(snr[::_SPARSE, ::_SPARSE][~bad[::_SPARSE, ::_SPARSE]])
    found = np.concatenate(differences(empty_sums(snr, PEAK * scatter if scatter > 0 else PEAK, bad)), axis=None)
    return found[np.isfinite(found)] / SIDE


def _squares(shape: tuple[int, int]) -> Iterator[Section]:
    """Sections along the diagonal; all of the band where it is small."""
    ny, nx = shape
    if max(ny, nx) <= 2 * _SQUARE:
        yield Section.whole(shape)
        return
    for step in np.linspace(0.0, 1.0, _SQUARES):
        y, x = (round(step * max(length - _SQUARE, 0)) for length in (ny, nx))
        yield Section(x, min(x + _SQUARE, nx), y, min(y + _SQUARE, ny))
