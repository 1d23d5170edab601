"""Areas without data in some or all bands, as the network sees them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from astrogalaxy.detection.inputs import map_bands
from astrogalaxy.images import Aligned
from astrogalaxy.images.bins import binned

__all__ = ["fill_blanks"]

# Areas that hold a square of this side are filled; masks of single stars and columns are not. Any such square holds a
# whole bin of the second side.
_SQUARE, _BIN = 17, 8
# Side of the patch of noise that is repeated, and its shift from band to band.
_PERIOD, _STEP = 256, (37, 91)


def fill_blanks(aligned: Aligned, channels: int) -> NDArray[np.float32]:
    """Bands for the network, which would be misled where some or all of them are blank over an area.

    A band without data is 0, and to the network a source that is missing in a band is none. Where some bands are
    blank, the others are mapped onto the channels as if there were no more. Where all are, the network would take the
    borders for sources, above all in empty fields: such areas are filled with noise. What is filled in depends only
    on the position in the whole image, so that tiles agree.

    Parameters
    ----------
    aligned : Aligned
        Bands on the reference grid.
    channels : int
        Input channels of the network, onto which bands are mapped.

    Returns
    -------
    ndarray of float32, shape (n_bands, ny, nx) or (channels, ny, nx)
        Signal to noise of the bands themselves where there is no such area, else of the channels.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.detection.blanks import fill_blanks
    >>> from astrogalaxy.images import Aligned, Section
    >>> snr, bad = np.ones((2, 64, 64), np.float32), np.zeros((2, 64, 64), dtype=bool)
    >>> bad[:, :, :30], bad[0] = True, True
    >>> filled = fill_blanks(Aligned(snr, bad, ("g", "r"), Section(0, 64, 0, 64)), 3)
    >>> filled.shape, bool(0.9 < filled[:, :, :30].std() < 1.1), bool((filled[:, :, 30:] == 1).all())
    ((3, 64, 64), True, True)
    """
    blanks = [_blank(bad) for bad in aligned.bad]
    if all(blank is None for blank in blanks):
        return aligned.snr
    # which bands are blank, a bit for each: few combinations occur
    kinds = np.zeros(aligned.bad.shape[1:], dtype=np.uint64)
    for number, blank in enumerate(blanks):
        if blank is not None:
            kinds |= blank.astype(np.uint64) << np.uint64(number)
    filled = map_bands(aligned.snr, channels).copy()
    y, x = np.nonzero(kinds)
    kinds = kinds[y, x]
    for kind in np.unique(kinds):
        here = y[kinds == kind], x[kinds == kind]
        left = [number for number in range(len(blanks)) if not int(kind) >> number & 1]
        bands = np.stack([aligned.snr[number][here] for number in left]) if left else _noise(aligned, *here)
        filled[:, here[0], here[1]] = map_bands(bands[:, None], channels)[:, 0]
    return filled


def _noise(aligned: Aligned, y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
    """Noise of all bands at pixels of the section, ``(n_bands, n)``."""
    steps = np.arange(len(aligned.snr))[:, None] * np.array(_STEP)[:, None, None]
    down, right = steps + np.array([aligned.section.y0, aligned.section.x0])[:, None, None]
    return np.asarray(_patch()[(y + down) % _PERIOD, (x + right) % _PERIOD])


def _blank(bad: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Pixels of squares without data, None if there are none; beyond the section there is taken to be no data."""
    ny, nx = (side // _BIN * _BIN for side in bad.shape)
    if not (bad.any() and binned(bad[:ny, :nx], _BIN, np.logical_and).any()):
        return None
    inner = minimum_filter(bad.astype(np.uint8), _SQUARE, mode="constant", cval=1)
    blank = maximum_filter(inner, _SQUARE, mode="constant", cval=0).astype(bool)
    return blank if blank.any() else None


@cache
def _patch() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_PERIOD, _PERIOD), dtype=np.float32)
