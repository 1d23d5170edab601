"""Areas without data, as the network sees them: a border with perfectly flat sky would look like a source."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from astrogalaxy.images import Aligned
from astrogalaxy.images.bins import binned

__all__ = ["fill_blanks"]

# Areas that hold a square of this side are filled; masks of single stars and columns are not. Any such square holds a
# whole bin of the second side.
_SQUARE, _BIN = 17, 8
# Side of the patch of noise that is repeated, and its shift from band to band.
_PERIOD, _STEP = 256, (37, 91)


def fill_blanks(aligned: Aligned) -> NDArray[np.float32]:
    """Bands with noise where none of them has data, for the network alone.

    Such areas are 0, and the network takes their borders for sources, above all in empty fields. What is
    filled in depends only on the position in the whole image, so that tiles agree.

    Parameters
    ----------
    aligned : Aligned
        Bands on the reference grid.

    Returns
    -------
    ndarray of float32, shape (n_bands, ny, nx)
        Signal to noise; that of the bands themselves where there is no such area.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.detection.blanks import fill_blanks
    >>> from astrogalaxy.images import Aligned, Section
    >>> bad = np.zeros((1, 64, 64), dtype=bool)
    >>> bad[:, :, :30] = True
    >>> filled = fill_blanks(Aligned(np.zeros((1, 64, 64), np.float32), bad, ("r",), Section(0, 64, 0, 64)))
    >>> bool(0.9 < filled[0, :, :30].std() < 1.1), bool((filled[0, :, 30:] == 0).all())
    (True, True)
    """
    blank = _blank(aligned.bad.all(axis=0))
    if blank is None:
        return aligned.snr
    filled = aligned.snr.copy()
    y, x = np.nonzero(blank)
    for number, band in enumerate(filled):
        down, right = aligned.section.y0 + number * _STEP[0], aligned.section.x0 + number * _STEP[1]
        band[y, x] = _noise()[(y + down) % _PERIOD, (x + right) % _PERIOD]
    return filled


def _blank(bad: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Pixels of squares without data, None if there are none; beyond the section there is taken to be no data."""
    ny, nx = (side // _BIN * _BIN for side in bad.shape)
    if not (bad.any() and binned(bad[:ny, :nx], _BIN, np.logical_and).any()):
        return None
    inner = minimum_filter(bad.astype(np.uint8), _SQUARE, mode="constant", cval=1)
    blank = maximum_filter(inner, _SQUARE, mode="constant", cval=0).astype(bool)
    return blank if blank.any() else None


@cache
def _noise() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_PERIOD, _PERIOD), dtype=np.float32)
