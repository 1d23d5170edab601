"""Skies of so few photons that pixels have none, as in ultraviolet and X-ray images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GRAIN", "photon_sky"]

GRAIN = 1.0
"""Variance added to that of the photons, in squares of one photon.

Where they are few, each is many times the noise, although one alone means nothing: what looks for sources in units of
the noise would find every photon.
"""

# With fewer pixels empty than this share, their number is too uncertain, and the usual statistics see a sky.
_EMPTY = 0.005
# Fewer photons than this in a box tell neither their mean nor what one is worth.
_LEAST = 30
# Where the response varies over a box, one photon has several values; those of faded light go on to nothing.
_EVEN = 2.0
# The share of pixels with up to one photon, in that of Poisson's distribution: beside a border of zeros nearly all are.
_POISSON = 0.75, 1.1


def photon_sky(ordered: NDArray[np.float32], good: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean number of the photons in a pixel, and the value of one, in boxes that have pixels without any.

    The share of empty pixels is exp(-mean), which sources hardly change, for they cover few pixels. Of the others, the
    lowest are those that have one photon.

    Parameters
    ----------
    ordered : ndarray, shape (n_boxes, n_pixels)
        Pixels of each box in order of their values; what is not good comes last.
    good : ndarray, shape (n_boxes,)
        How many of them are good.

    Returns
    -------
    mean, photon : ndarray, shape (2, n_boxes)
        Photons in a pixel of the sky, and what one adds to a pixel. Both are NaN where fewer than 0.5 % of the pixels
        are 0, where pixels are negative, and where what is above 0 is no photons: noise cut off at 0, or light without
        noise. The second is NaN where there are too few to tell.

    Examples
    --------
    >>> photons = 0.25 * np.random.default_rng(0).poisson(0.1, (1, 4096)).astype("float32")
    >>> photon_sky(np.sort(photons), np.array([4096])).round(2)
    array([[0.1 ],
           [0.25]])
    """
    sky = np.full((2, len(ordered)), np.nan)
    for box in np.flatnonzero((good > 0) & (ordered[:, 0] == 0)):
        values = ordered[box, : good[box]]
        empty = int(values.searchsorted(0.0, "right"))
        if empty >= _EMPTY * len(values):
            sky[:, box] = _counted(values, empty)
    return sky


def _counted(values: NDArray[np.float32], empty: int) -> tuple[float, float]:
    """Mean and value of the photons in a box, of whose pixels so many are empty; see `photon_sky`."""
    mean = -np.log(empty / len(values))
    if len(values) - empty < _LEAST:
        return mean, np.nan
    singles = values[empty : empty + max(round(mean * empty), 1)]  # as many as Poisson's distribution has
    low, photon = (float(value) for value in np.percentile(singles, (10, 50), method="nearest"))
    up_to_one = values.searchsorted(1.5 * photon) / (empty * (1 + mean))
    photons = photon <= _EVEN * low and _POISSON[0] <= up_to_one <= _POISSON[1]
    return (mean, photon) if photons else (np.nan, np.nan)
