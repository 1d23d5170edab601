"""The field of view of a cutout in radii of its galaxy, measured in the cutout itself."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrogalaxy.morphology.pictures import FIELD_OF_VIEW, resized

__all__ = ["is_square", "measured_frame", "warn_of_oblong"]

logger = logging.getLogger(__name__)

# Side in pixels to which pictures are resized before they are measured, and sigma of the smoothing in these pixels.
_SIDE, _SMOOTH = 128, 1.5
# Least brightness (of 255) of a galaxy above the sky, and its largest distance from the middle in pixels.
_FAINTEST, _OFF_CENTRE = 4.0, 6
# Half-light radius of what a picture shows of its galaxy, in sides: the median of 300 training pictures of Galaxy
# Zoo 2, which are FIELD_OF_VIEW true ones wide. The stretch makes it larger than the true one.
_SHOWN = 0.089
# A cut of one part in twenty off the longer side changes a scale by less than it is known to.
_SQUARE = 1.05


def is_square(picture: NDArray[np.uint8]) -> bool:
    """Whether a cutout is about as high as wide; of others only the middle is seen, so that their scale is another."""
    ny, nx = picture.shape[:2]
    return max(ny, nx) <= _SQUARE * min(ny, nx)


def warn_of_oblong(number: int, total: int) -> None:
    """Warn of cutouts that are not square, if there are any."""
    if number:
        words = "%d of %d cutouts are not square: their ends are cut off, and their scale is that of the shorter side"
        logger.warning(words, number, total)


def measured_frame(picture: NDArray[np.uint8]) -> float:
    """Side of a cutout in half-light radii of the galaxy in its middle.

    Parameters
    ----------
    picture : ndarray
        ``(ny, nx, 3)`` uint8.

    Returns
    -------
    float
        Of its shorter side; NaN where nothing is seen in the middle. The galaxies of Galaxy Zoo 2 scatter by a fifth;
        one that touches a neighbour looks up to three times too large.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.morphology.framing import measured_frame
    >>> away = np.hypot(*(np.mgrid[:128, :128] - 63.5))
    >>> near, far = (np.dstack([(200 * np.exp(-away / size)).astype(np.uint8)] * 3) for size in (12, 6))
    >>> round(measured_frame(far) / measured_frame(near), 1)
    2.0
    """
    light = resized(picture, _SIDE).astype(np.float32).mean(axis=2)
    margin = _SIDE // 16
    edge = np.ones(light.shape, dtype=bool)
    edge[margin:-margin, margin:-margin] = False
    sky = np.median(light[edge])
    noise = np.sqrt(np.mean((sky - light[edge & (light <= sky)]) ** 2))
    light -= sky
    owner, _ = ndimage.label(ndimage.gaussian_filter(light, _SMOOTH) > max(noise, _FAINTEST))
    middle = slice(_SIDE // 2 - _OFF_CENTRE, _SIDE // 2 + _OFF_CENTRE)
    there = owner[middle, middle][owner[middle, middle] > 0]
    if not there.size:
        return float("nan")
    y, x = np.nonzero(owner == np.bincount(there).argmax())
    radius = np.hypot(y - (_SIDE - 1) / 2, x - (_SIDE - 1) / 2)
    order = np.argsort(radius)
    grown = np.cumsum(np.clip(light[y, x], 0, None)[order])
    half = max(float(radius[order][np.searchsorted(grown, grown[-1] / 2)]), 0.5)
    return FIELD_OF_VIEW * _SHOWN * _SIDE / half
