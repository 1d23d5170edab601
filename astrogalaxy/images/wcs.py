"""The gate every WCS passes: celestial, usable, without noise."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS

from astrogalaxy.images.quiet import quiet
from astrogalaxy.images.sky import comes_back

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["find_wcs", "read_wcs", "usable_wcs"]

logger = logging.getLogger(__name__)

# Cards of a WCS that hold numbers, those of polynomials, and names of celestial frames that astropy knows.
_NUMBERS = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|PV[12]_\d+|L(ON|AT)POLE")
_POLYNOMIAL = re.compile(r"PV[12]_\d+")
_EQUINOX = re.compile(r"\s*[JB]?(\d{4}(\.\d*)?)\s*")
# Cards of further axes, and those that tie the first two to them.
_FURTHER = re.compile(r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CNAME|NAXIS)[3-9]|(PV|PS)[3-9]_\d+|(CD|PC)[3-9]_[3-9]")
_TIES = re.compile(r"(CD|PC)([12]_[3-9]|[3-9]_[12])")
_FRAMES = ("ICRS", "FK5", "FK4", "FK4-NO-E")
# Longitudes of which astropy knows how they lie to ICRS; it takes ecliptic ones for right ascensions.
_LONGITUDES = ("RA", "GLON")


def read_wcs(
    header: fits.Header, shape: tuple[int, int], *, origin: str, hdus: fits.HDUList | None = None
) -> WCS | None:
    """Celestial WCS of an image header, or None where it has none that works.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Header of the image. SIP, TPV and lookup-table distortions are honoured.
    shape : (int, int)
        Rows and columns of the image.
    origin : str
        What to call the image in the log.
    hdus : astropy.io.fits.HDUList, optional
        The file, needed by lookup-table distortions.

    Returns
    -------
    astropy.wcs.WCS or None
        None without celestial axes, and (with a warning in the log) where the WCS cannot
        be parsed or does not take pixels to the sky and back.
    """
    return find_wcs(header, shape, origin=origin, hdus=hdus)[0]


def find_wcs(
    header: fits.Header, shape: tuple[int, int], *, origin: str, hdus: fits.HDUList | None = None
) -> tuple[WCS | None, str]:
    """WCS of an image header, as `read_wcs` gives it, and why there is none where it has one that does not work."""
    try:
        with quiet():
            wcs = WCS(_of_two_axes(_with_numbers(header)), fobj=hdus)
            if wcs.naxis > 2:
                # Not `.celestial`, which would turn an image whose first axis is declination.
                wcs = wcs.sub([1, 2])
            if not wcs.has_celestial:
                return None, ""
            _complete(wcs)
            if any(_POLYNOMIAL.fullmatch(key) for key in header):
                _fold(wcs)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        AssertionError,
        OSError,
        MemoryError,
        RuntimeError,
    ) as error:
        problem = f"its WCS cannot be read and is left out ({_first_line(error)})"
    else:
        problem = _problem(wcs, shape)
    if problem:
        logger.warning("%s: %s", origin, problem)
        return None, problem
    return wcs, ""


def usable_wcs(wcs: Any, shape: tuple[int, int], *, origin: str) -> Any:
    """Return `wcs` if it takes pixels to the sky and back, else None and a warning in the log.

    Parameters
    ----------
    wcs : astropy.wcs.wcsapi.BaseHighLevelWCS or None
        Any WCS of two pixel axes that yields one sky position.
    shape : (int, int)
        Rows and columns of the image.
    origin : str
        What to call the image in the log.

    Returns
    -------
    WCS or None
        None also where there was none.
    """
    if wcs is None or (isinstance(wcs, WCS) and not wcs.has_celestial):
        return None
    problem = _problem(wcs, shape)
    if problem:
        logger.warning("%s: %s", origin, problem)
        return None
    return wcs


def _problem(wcs: Any, shape: tuple[int, int]) -> str:
    """Why a celestial WCS cannot be used; empty where it can."""
    if isinstance(wcs, WCS) and wcs.wcs.lngtyp.strip() not in _LONGITUDES:
        axes = f"{wcs.wcs.lngtyp.strip()} and {wcs.wcs.lattyp.strip()}"
        return f"its WCS is left out, since it is in {axes}; equatorial and galactic coordinates are understood"
    x = np.array([0.5, 0.25, 0.75, 0.4]) * (shape[1] - 1)
    y = np.array([0.5, 0.4, 0.75, 0.6]) * (shape[0] - 1)
    try:
        back = comes_back(wcs, x, y)
    except (ValueError, TypeError, AttributeError) as error:
        return f"its WCS does not work and is left out ({_first_line(error)})"
    if not back.all():
        return "its WCS does not take pixels to the sky and back, and is left out"
    return ""


def _complete(wcs: WCS) -> None:
    """Give a frame a name that is known, and the equinox of the FITS standard if it needs one and does not say it."""
    # what astropy has no name for would be refused: some write J2000, small letters, or what no catalogue knows
    frame = wcs.wcs.radesys.strip().upper()
    if frame not in _FRAMES:
        frame = "FK5" if frame.startswith(("FK5", "J2000")) else ""
    wcs.wcs.radesys = frame
    default = {"FK5": 2000.0, "FK4": 1950.0, "FK4-NO-E": 1950.0}.get(frame)
    if default is not None and not np.isfinite(wcs.wcs.equinox):
        wcs.wcs.equinox = default


def _fold(wcs: WCS) -> None:
    """Put scales and rotation into one matrix: between the two, in wrong units, wcslib evaluates polynomials."""
    if wcs.wcs.has_cd():
        return
    wcs.wcs.cd = wcs.pixel_scale_matrix
    del wcs.wcs.pc
    if wcs.wcs.has_crota():
        del wcs.wcs.crota
    wcs.wcs.set()


def _with_numbers(header: fits.Header) -> fits.Header:
    """Header whose WCS is numbers: wcslib passes over those that are written as text, and all would lie at RA 0."""
    numbers = {key: float(header[key]) for key in header if _NUMBERS.fullmatch(key) and isinstance(header[key], str)}
    # an equinox may be anything else, too, and is none then
    texts = {key: header[key] for key in ("EQUINOX", "EPOCH") if isinstance(header.get(key), str)}
    numbers |= {key: float(found[1]) for key, text in texts.items() if (found := _EQUINOX.fullmatch(text))}
    if not numbers:
        return header
    made = header.copy()
    for key, number in numbers.items():
        made[key] = number
    return made


def _of_two_axes(header: fits.Header) -> fits.Header:
    """Header without further axes (of length 1), which no distortion can stand, unless the first two depend on them."""
    further = [key for key in header if _FURTHER.fullmatch(key)]
    if not further or any(header[key] != 0 for key in header if _TIES.fullmatch(key)):
        return header
    made = header.copy()
    for key in [*further, *filter(_TIES.fullmatch, header)]:
        del made[key]
    made["NAXIS"] = 2
    if "WCSAXES" in made:
        made["WCSAXES"] = 2
    return made


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
