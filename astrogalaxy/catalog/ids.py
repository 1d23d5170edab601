"""Source identifiers that depend on nothing but the position on the sky."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.tables import numbers

__all__ = ["ID_ORDER", "degrees", "source_ids"]

ID_ORDER = 29
"""HEALPix order of the identifiers; a pixel is 0.4 milliarcsec wide."""


def source_ids(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """Identifier of each position: its HEALPix pixel, nested scheme, order 29.

    Parameters
    ----------
    ra, dec : array_like of float, or Quantity
        ICRS position, the same shape: in degrees, or in the unit that it carries. Right ascension may lie
        outside [0, 360).

    Returns
    -------
    ndarray of int64
        Same shape; -1 where a coordinate is masked or not finite, or the declination is beyond a pole.

    Raises
    ------
    astropy.units.UnitConversionError
        If a unit is no angle.

    Notes
    -----
    The nested scheme keeps neighbours on the sky close in number: ``source_id >> 2 * (29 - n)``
    is the pixel of order ``n``, so that catalogues partition and join by a shift.

    Examples
    --------
    >>> from astrogalaxy.catalog import source_ids
    >>> int(source_ids(150.1, 2.2)) >> 2 * (29 - 5)
    6814
    """
    from astropy import units as u
    from astropy_healpix import lonlat_to_healpix

    ra, dec = np.broadcast_arrays(degrees(ra), degrees(dec))
    known = np.isfinite(ra) & (np.abs(dec) <= 90)
    ids = np.full(ra.shape, -1, dtype=np.int64)
    if known.any():
        # Reduced before the library sees it: the same point must give the same number at 0 and 360.
        lon = np.mod(ra[known], 360.0)
        ids[known] = lonlat_to_healpix(lon * u.deg, dec[known] * u.deg, 2**ID_ORDER, order="nested")
    return ids


def degrees(angle: ArrayLike) -> NDArray[np.float64]:
    """Numbers of a column, array or quantity, in degrees unless it has a unit of its own; NaN where they are masked."""
    from astropy import units as u

    return np.asarray(u.Quantity(numbers(angle), getattr(angle, "unit", None) or u.deg).to_value(u.deg))
