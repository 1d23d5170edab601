"""The ways from pixels to the sky, back, and on to other pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS, DistortionLookupTable, Sip

from astrogalaxy.images.quiet import quiet

if TYPE_CHECKING:
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

__all__ = ["comes_back", "is_off", "map_pixels", "pixel_scale", "shifted", "to_pixel", "to_sky"]

# Pixels that do not come back to within this distance are not where their WCS says.
_ROUND_TRIP_PX = 0.5


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


def comes_back(wcs: BaseHighLevelWCS, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pixels a WCS takes to the sky and back."""
    x_back, y_back = map_pixels(wcs, wcs, x, y)
    return np.asarray(np.hypot(x_back - x, y_back - y) < _ROUND_TRIP_PX)


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
    # far outside an image, solvers for a distortion's inverse may return any pixel, on the image too; and nothing tells
    # which WCS have one, since wcslib takes TPV for TAN with a distortion of its own
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
