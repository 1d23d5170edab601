"""Zero points that headers tell without naming them: by the unit of the pixels, or by what one count is worth."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from astrogalaxy.images.quiet import quiet
from astrogalaxy.images.sky import pixel_scale

if TYPE_CHECKING:
    from astrogalaxy.images.inputs import Plane

__all__ = ["positive_card", "remark_on_zeropoint", "unit_zeropoint", "zeropoint_of"]

# Of a flux density of 1 erg/s/cm2/Angstrom at 1 Angstrom: the speed of light over 10^(-0.4 * 48.6).
_STMAG, _AB_OF_ST = -21.10, 18.6921
_COUNTS = {"ELECTRON", "ELECTRONS", "E-", "COUNT", "COUNTS", "DN", "ADU"}
# The same as units that come with an array: they have no zero point of their own.
_COUNTED = {u.adu, u.electron, u.ct, u.ph, u.DN}
# Magnitudes by which a zero point may differ from that of the header's unit: calibrations are better than that.
_OTHER_ZEROPOINT = 0.3


def zeropoint_of(plane: Plane) -> float | None:
    """AB magnitude of one image unit, by what the header says of the unit.

    Parameters
    ----------
    plane : Plane
        An image with a header.

    Returns
    -------
    float or None
        From BUNIT, or the unit of an array or NDData, where it is a flux density (nJy, nanomaggy) or a surface
        brightness (MJy/sr; the pixel's area is PIXAR_SR, or that of the WCS); from PHOTFLAM and PHOTPLAM (Hubble); from
        FLUXMAG0 (Hyper Suprime-Cam); from EXPTIME of a Pan-STARRS stack. None where none of them is there.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astrogalaxy.images.inputs import as_plane
    >>> header = fits.Header({"BUNIT": "MJy/sr", "PIXAR_SR": 9.3e-14})
    >>> round(zeropoint_of(as_plane((np.zeros((8, 8)), header))), 2)
    26.48
    """
    keywords = plane.keywords
    with quiet():
        text = str(keywords.get("BUNIT", "")).strip()
        unit = getattr(plane, "unit", None) or u.Unit(text.replace("maggies", "maggy"), parse_strict="silent")
        found = unit_zeropoint(unit)
        if found is None and unit.is_equivalent(u.Jy / u.sr):
            by_wcs = pixel_scale(plane.wcs, plane.shape) ** 2 * u.arcsec.to("rad") ** 2
            area = positive_card(keywords, "PIXAR_SR") or by_wcs
            found = unit_zeropoint(u.Unit(unit * area * u.sr)) if area > 0 else None
    return found if found is not None else _of_counts(keywords)


def remark_on_zeropoint(plane: Plane, given: float | None) -> str:
    """Say what is odd about a zero point beside the unit of its image; an empty text if nothing is.

    It may contradict the unit, or be left out though the unit tells it, or the unit may be one that tells none and is
    none of counts.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astrogalaxy.images.inputs import as_plane
    >>> plane = as_plane((np.zeros((8, 8)), fits.Header({"BUNIT": "nJy"})), origin="m31-r.fits")
    >>> remark_on_zeropoint(plane, 22.5)
    'm31-r.fits: zeropoint says 22.50, but its unit is that of zero point 31.40 (zeropoint: auto)'
    >>> remark_on_zeropoint(plane, None)
    'm31-r.fits: without a zero point fluxes stay in image units; its unit tells one, 31.40 (zeropoint: auto)'
    """
    told, unit = zeropoint_of(plane), getattr(plane, "unit", None)
    if told is None:
        strange = given is None and unit is not None and unit.bases and not _COUNTED.intersection(unit.bases)
        text = f"{plane.origin}: its unit, {unit}, is no flux density per frequency: fluxes stay in image units"
        return text if strange else ""
    if given is None:
        return (
            f"{plane.origin}: without a zero point fluxes stay in image units; its unit tells one, {told:.2f} "
            "(zeropoint: auto)"
        )
    if abs(given - told) <= _OTHER_ZEROPOINT:
        return ""
    return (
        f"{plane.origin}: zeropoint says {given:.2f}, but its unit is that of zero point {told:.2f} (zeropoint: auto)"
    )


def unit_zeropoint(unit: Any) -> float | None:
    """AB magnitude of one image unit, from a unit of flux density; None for other units."""
    maggies = u.zero_point_flux((0 * u.ABmag).to(u.Jy))
    if unit is None or not unit.is_equivalent(u.Jy, maggies):
        return None
    return float((1 * unit).to(u.Jy, maggies).to_value(u.ABmag))


def _of_counts(keywords: Mapping[str, Any]) -> float | None:
    flam, pivot = positive_card(keywords, "PHOTFLAM"), positive_card(keywords, "PHOTPLAM")
    exposure, one = positive_card(keywords, "EXPTIME"), positive_card(keywords, "FLUXMAG0")
    unit = str(keywords.get("BUNIT", "")).strip().upper()
    if flam and pivot:
        rate = _STMAG + _AB_OF_ST - 2.5 * np.log10(flam * pivot**2)
        if unit.endswith(("/S", "/SEC", "/SECOND")):
            return float(rate)
        return float(rate + 2.5 * np.log10(exposure)) if unit in _COUNTS and exposure else None
    if one:
        return float(2.5 * np.log10(one))
    return float(25 + 2.5 * np.log10(exposure)) if "BSOFTEN" in keywords and exposure else None


def positive_card(keywords: Mapping[str, Any], key: str) -> float:
    """Value of a card if that is a number above 0, and else 0."""
    value = keywords.get(key)
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) and value > 0 else 0.0
