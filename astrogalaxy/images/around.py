"""The pixels around stars, wherever they lie on a band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astrogalaxy.images.band import Band
    from astrogalaxy.images.pixels import Pixels

__all__ = ["read_around"]

# Bands of up to so many pixels are read in one go, larger ones around the stars of one cell after the other.
_WHOLE, _CELL = 3072**2, 1024

Floats = NDArray[np.float64]


def read_around(band: Band, places: Floats, reach: float) -> Iterator[tuple[Floats, Pixels]]:
    """Read the pixels around stars, those of neighbours in one go.

    Parameters
    ----------
    band : Band
        The band.
    places : ndarray, shape (n, 2)
        Positions x and y, pixels.
    reach : float
        So far around each star, where the band reaches.

    Yields
    ------
    group : ndarray, shape (m, 2)
        Some of the places; none of the groups is empty.
    pixels : Pixels
        Those around them, and more where that is nearly all of a small band.
    """
    for group in _groups(band, places):
        low = np.floor(group.min(axis=0) - reach).astype(int)
        high = np.ceil(group.max(axis=0) + reach).astype(int) + 1
        section = Section(int(low[0]), int(high[0]), int(low[1]), int(high[1]))
        yield group, band.pixels(band.rounded(section.clip(band.shape)))


def _groups(band: Band, places: Floats) -> Iterator[Floats]:
    if not len(places):
        return
    if band.shape[0] * band.shape[1] <= _WHOLE:
        yield places
        return
    cells = np.floor(places / _CELL).astype(np.int64)
    for cell in np.unique(cells, axis=0):
        yield places[(cells == cell).all(axis=1)]
