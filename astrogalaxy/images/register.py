"""How far a band lies beside where its WCS puts it, by the stars that it shares with the reference band."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import sep
from astropy.wcs import WCS

from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images.around import read_around
from astrogalaxy.images.sky import map_pixels
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from astrogalaxy.images.band import Band

__all__ = ["find_shifts"]

logger = logging.getLogger(__name__)

# A shift is believed if so many stars agree on it to so many pixels, and so many times its error.
_LEAST, _ALIKE, _SURE = 10, 0.5, 5.0
# Pixels: what is less is as good as any WCS, and may be the colours of the stars and the air.
_NOTICED = 0.15
# Stars further than this from where the WCS puts them are not recognised, seeing diameters.
_FURTHEST = 1.0
# Read around stars, seeing diameters: the window of a centroid, and the way to the furthest.
_REACH = 4.0
# Error of a median over that of a mean.
_MEDIAN_ERROR = 1.25


def find_shifts(reference: Band, bands: Iterable[Band]) -> list[tuple[float, float]]:
    """Measure by how much the stars of bands lie beside where the WCS put those of the reference.

    Parameters
    ----------
    reference : Band
        The band whose WCS is believed.
    bands : iterable of Band
        Other bands.

    Returns
    -------
    list of (float, float)
        For each band the median along x and y, pixels of the band. Zero where it is less than 0.15 pixel or not sure;
        where fewer than ten stars, or less than half of them, agree on it to half a pixel; and where there is no WCS
        of astropy's.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If a band has no usable pixels, or its file cannot be read.

    Examples
    --------
    >>> from astrogalaxy import Image
    >>> from astrogalaxy.images.register import find_shifts
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=256, seed=2)
    >>> image = Image.read({band: (scene.images[band], scene.wcs[band]) for band in "gr"}, reference="r")
    >>> find_shifts(image.bands["r"], [image.bands["g"]])
    [(0.0, 0.0)]
    """
    bands = list(bands)
    possible = [band for band in bands if reference.wcs is not None and isinstance(band.wcs, WCS)]
    if not possible or not np.isfinite(reference.seeing) or len(reference.stars) < _LEAST:
        return [(0.0, 0.0)] * len(bands)
    _, stars = _centred(reference, reference.stars, reference.seeing)
    return [_shift(reference, stars, band) if band in possible else (0.0, 0.0) for band in bands]


def _shift(reference: Band, stars: NDArray[np.float64], band: Band) -> tuple[float, float]:
    scale = reference.pixel_scale / band.pixel_scale
    seeing = reference.seeing * scale
    places = np.column_stack(map_pixels(reference.wcs, band.wcs, *stars.T, checked=True))
    expected, found = _centred(band, places, seeing)
    offsets = found - expected
    offsets = offsets[np.hypot(*offsets.T) < _FURTHEST * seeing]
    if len(offsets) < _LEAST:
        return 0.0, 0.0
    shift = np.median(offsets, axis=0)
    alike = offsets[np.hypot(*(offsets - shift).T) < _ALIKE]
    if len(alike) < max(_LEAST, len(expected) / 2):
        return 0.0, 0.0
    error = _MEDIAN_ERROR * np.hypot(*alike.std(axis=0)) / np.sqrt(len(alike))
    if np.hypot(*shift) < max(_NOTICED, _SURE * error):
        return 0.0, 0.0
    dx, dy = (float(value) for value in shift)
    text = "%s: its stars lie %+.2f, %+.2f pixels beside where its WCS puts those of %s (%d agree); corrected"
    logger.info(text, band.origin, dx, dy, reference.origin, len(alike))
    return dx, dy


def _centred(band: Band, places: NDArray[np.float64], seeing: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places that lie on the band, and windowed centroids of the light there, (n, 2) each."""
    before, after = [np.zeros((0, 2))], [np.zeros((0, 2))]
    inside = Section.whole(band.shape).contains(*places.T)
    for group, pixels in read_around(band, places[inside], _REACH * seeing):
        data = np.require(pixels.data, np.float32, ["C", "W", "A"])
        corner = np.array([pixels.section.x0, pixels.section.y0])
        x, y, _ = sep.winpos(data, *(group - corner).T, np.full(len(group), seeing / FWHM_PER_SIGMA))
        before.append(group)
        after.append(np.column_stack([x, y]) + corner)
    return np.concatenate(before), np.concatenate(after)
