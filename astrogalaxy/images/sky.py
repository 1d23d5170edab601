"""The gate every WCS passes: celestial, usable, without noise; and the ways from pixels to the sky and back."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS, DistortionLookupTable, Sip

from astrogalaxy.images.quiet import quiet

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

__all__ = [
    "find_wcs", "is_off", "map_pixels", "pixel_scale", "read_wcs", "shifted", "to_pixel", "to_sky", "usable_wcs",
]  # fmt: skip

logger = logging.getLogger(__name__)

# Pixels that do not come back to within this distance are not where their WCS says.
_ROUND_TRIP_PX = 0.5
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
        x_back, y_back = map_pixels(wcs, wcs, x, y)
    except (ValueError, TypeError, AttributeError) as error:
        return f"its WCS does not work and is left out ({_first_line(error)})"
    error_px = np.hypot(x_back - x, y_back - y)
    if not np.all(error_px < _ROUND_TRIP_PX):
        return "its WCS does not take pixels to the sky and back, and is left out"
    return ""


def map_pixels(
    source: BaseHighLevelWCS, target: BaseHighLevelWCS, x: NDArray[Any], y: NDArray[Any], *, checked: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions on the grid of `target` of the pixels (x, y) of the grid of `source`.

    Celestial frames may differ. Positions that the sky projection cannot reach are NaN. Far outside of `target`,
    where its distortion has no inverse, they may be anything; `checked` makes those NaN, too.
    """
    with quiet():
        # Through the sky even where source and target are one object: `pixel_to_pixel`
        # would return the input then.
        sky = source.pixel_to_world(x, y)
        x_new, y_new = (np.array(part, dtype=float) for part in target.world_to_pixel(sky))
    if checked:
        x_back, y_back = map_pixels(target, source, x_new, y_new)
        wrong = ~(np.hypot(x_back - x, y_back - y) < _ROUND_TRIP_PX)
        x_new[wrong], y_new[wrong] = np.nan, np.nan
    return x_new, y_new


def to_sky(wcs: BaseHighLevelWCS, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ICRS right ascension (0 to 360) and declination of pixels, degrees; NaN where a pixel has no sky."""
    with quiet():
        sky = _icrs(wcs.pixel_to_world(x, y))
    return np.asarray(sky.ra.deg, dtype=float) % 360.0, np.asarray(sky.dec.deg, dtype=float)


def to_pixel(
    wcs: BaseHighLevelWCS, ra: NDArray[Any], dec: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels of ICRS positions; NaN where the projection, or the inverse of the distortion, does not reach."""
    from astropy.coordinates import SkyCoord

    x, y = np.full(np.shape(ra), np.nan), np.full(np.shape(ra), np.nan)
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        return x, y
    sky = SkyCoord(ra[known], dec[known], unit="deg")
    # far outside an image, solvers for a distortion's inverse may return any pixel, on the image too
    aside, along = np.array([[0.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [1.0]])
    with quiet():
        found: Any = wcs.world_to_pixel(sky)
        back = _icrs(wcs.pixel_to_world(found[0] + aside, found[1] + along))
    here, right, up = np.moveaxis(back.cartesian.xyz.to_value(""), 0, 1)
    miss, wide, high = (np.linalg.norm(at - here, axis=0) for at in (sky.cartesian.xyz.to_value(""), right, up))
    hit = miss < _ROUND_TRIP_PX * np.maximum(wide, high)
    x[known], y[known] = (np.where(hit, part, np.nan) for part in found)
    return x, y


def _icrs(sky: Any) -> Any:
    return sky if sky.frame.name == "icrs" else sky.icrs


def is_off(wcs: Any, shape: tuple[int, int], onto: Any, onto_shape: tuple[int, int]) -> bool:
    """Whether the middle of one image lies outside another; false where the WCS cannot say."""
    x, y = map_pixels(wcs, onto, np.array([(shape[1] - 1) / 2]), np.array([(shape[0] - 1) / 2]))
    if not (np.isfinite(x[0]) and np.isfinite(y[0])):
        return False
    return not (-0.5 <= x[0] <= onto_shape[1] - 0.5 and -0.5 <= y[0] <= onto_shape[0] - 0.5)


def shifted(wcs: WCS, dx: float, dy: float) -> WCS:
    """Copy of a WCS in which all sky positions lie (dx, dy) pixels further, its distortions with them.

    Examples
    --------
    >>> from astropy.wcs import WCS
    >>> from astrogalaxy.images.sky import shifted
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.crpix, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [50, 50], [-1e-4, 1e-4]
    >>> [round(float(part), 2) for part in shifted(wcs, 0.5, -2).world_to_pixel(wcs.pixel_to_world(9, 9))]
    [9.5, 7.0]
    """
    result = wcs.deepcopy()
    step = np.array([dx, dy])
    result.wcs.crpix = result.wcs.crpix + step
    if wcs.sip is not None:
        terms = (wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp)
        result.sip = Sip(*terms, wcs.sip.crpix + step)
    for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"):
        table = getattr(wcs, name)
        if table is not None:
            # its reference value is a pixel of the image
            moved = DistortionLookupTable(table.data, tuple(table.crpix), tuple(table.crval + step), tuple(table.cdelt))
            setattr(result, name, moved)
    result.wcs.set()
    return result


def pixel_scale(wcs: BaseHighLevelWCS | None, shape: tuple[int, int]) -> float:
    """Pixel size at the image's centre, arcsec: the root of a pixel's area; NaN without WCS."""
    if wcs is None:
        return float("nan")
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    with quiet():
        sky = wcs.pixel_to_world(np.array([x, x + 0.5, x - 0.5, x, x]), np.array([y, y, y, y + 0.5, y - 0.5]))
        # not by `spherical_offsets_to`, which takes as long as reading the header
        at = sky.cartesian.xyz.to_value("")
    area = np.linalg.norm(np.cross(at[:, 1] - at[:, 2], at[:, 3] - at[:, 4]))
    return float(np.degrees(np.sqrt(area)) * 3600)


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
