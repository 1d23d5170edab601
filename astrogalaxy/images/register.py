"""How far a band lies beside where its WCS puts it, by the stars that it shares with the reference band."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import sep

from astrogalaxy.images.seeing import places_read_together
from astrogalaxy.images.sky import can_be_shifted, map_pixels, pixel_scale
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from astrogalaxy.images.band import Band
    from astrogalaxy.images.seeing import Floats

__all__ = ["find_shift"]

logger = logging.getLogger(__name__)

# A shift is believed if so many stars agree on it to so many pixels, and so many times its error.
_LEAST, _ALIKE, _SURE = 10, 0.5, 5.0
# Pixels: what is less is as good as any WCS, and may be the colours of the stars and the air.
_NOTICED = 0.15
# Stars further than this from where the WCS puts them are not recognised, seeing diameters.
_FURTHEST = 1.0
_ROUNDS = 3
# Pixels read around stars.
_MARGIN = 24


def find_shift(reference: Band, band: Band) -> tuple[float, float]:
    """Measure by how much the stars of a band lie beside where both WCS put those of the reference.

    Parameters
    ----------
    reference : Band
        The band whose WCS is believed.
    band : Band
        Another band.

    Returns
    -------
    (float, float)
        Median along x and y, pixels of the band. Zero where it is less than 0.15 pixel or not sure; where fewer than
        ten stars, or less than half of them, agree on it to half a pixel; and where there is no WCS, or one with a
        table of distortions.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If a band has no usable pixels, or its file cannot be read.

    Examples
    --------
    >>> from astrogalaxy import Image
    >>> from astrogalaxy.images.register import find_shift
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=256, seed=2)
    >>> image = Image.read({band: (scene.images[band], scene.wcs[band]) for band in "gr"}, reference="r")
    >>> find_shift(image.bands["r"], image.bands["g"])
    (0.0, 0.0)
    """
    none = (0.0, 0.0)
    if band is reference or reference.wcs is None or not can_be_shifted(band.wcs):
        return none
    stars, seeing = reference.stars, reference.seeing
    if len(stars) < _LEAST or not np.isfinite(seeing):
        return none
    here = _centred(reference, stars, seeing)[1]
    there = np.column_stack(map_pixels(reference.wcs, band.wcs, *here.T))
    scale = pixel_scale(reference.wcs, reference.shape) / pixel_scale(band.wcs, band.shape)
    shift = np.zeros(2)
    for _ in range(_ROUNDS):
        before, after = _centred(band, there + shift, seeing * scale)
        offsets = after - before + shift
        offsets = offsets[np.hypot(*(after - before).T) < _FURTHEST * seeing * scale]
        if len(offsets) < _LEAST:
            return none
        shift = np.median(offsets, axis=0)
    alike = offsets[np.hypot(*(offsets - shift).T) < _ALIKE]
    size = float(np.hypot(*shift))
    if len(alike) < max(_LEAST, len(before) / 2) or size < _NOTICED:
        return none
    error = 1.25 * float(np.hypot(*alike.std(axis=0))) / np.sqrt(len(alike))
    if size < _SURE * error:
        return none
    dx, dy = (float(value) for value in shift)
    text = "%s: its stars lie %+.2f, %+.2f pixels beside where its WCS puts those of %s (%d agree); corrected"
    logger.warning(text, band.origin, dx, dy, reference.origin, len(alike))
    return dx, dy


def _centred(band: Band, places: Floats, seeing: float) -> tuple[Floats, Floats]:
    """Places that lie on the band, and windowed centroids of the light there, (n, 2) each."""
    before, after = [np.zeros((0, 2))], [np.zeros((0, 2))]
    inside = Section.whole(band.shape).contains(*places.T)
    for group in places_read_together(band, places[inside]):
        low = np.floor(group.min(axis=0)).astype(int) - _MARGIN
        high = np.ceil(group.max(axis=0)).astype(int) + _MARGIN
        section = Section(int(low[0]), int(high[0]), int(low[1]), int(high[1])).clip(band.shape)
        data = np.require(band.pixels(section).data, np.float32, ["C", "W", "A"])
        corner = np.array([section.x0, section.y0])
        x, y, _ = sep.winpos(data, *(group - corner).T, np.full(len(group), seeing / 2.355))
        before.append(group)
        after.append(np.column_stack([x, y]) + corner)
    return np.concatenate(before), np.concatenate(after)
