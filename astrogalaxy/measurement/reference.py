"""The reference band of a measurement: pixels, located sources, and their place on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.band import BandLight, Footprint, band_scene, measure_light
from astrogalaxy.measurement.canvas import Canvas
from astrogalaxy.measurement.locate import Located, Start, locate
from astrogalaxy.measurement.moments import Shapes, bound
from astrogalaxy.measurement.photometry import enclosed_share
from astrogalaxy.measurement.sky import SkyGrid, determinant, invert, transform

if TYPE_CHECKING:
    from astrogalaxy.images import Band

__all__ = ["Reference", "light_in_band", "read_canvas", "read_reference"]

# Pixels read around the sources beyond their boxes, for the wings and apertures.
_MARGIN = 48
# Smallest semi-axis of an aperture's shape in a band of coarser pixels.
_SMALLEST = 0.3


@dataclass(frozen=True)
class Reference:
    """What other bands and the table need to know of the reference band; n sources.

    Attributes
    ----------
    band : Band
        The band.
    section : Section
        The part of it that was read.
    canvas : Canvas
        Its pixels.
    located : Located
        Centres (in pixels of the canvas), shapes and apertures.
    x, y : ndarray, shape (n,)
        Centres in pixels of the whole image.
    ra, dec : ndarray, shape (n,)
        ICRS, degrees; NaN without WCS.
    jacobian : ndarray, shape (n, 2, 2)
        Arcsec east and north per pixel; NaN where no scale is known.
    circle : float
        Radius of the fixed aperture, arcsec.
    share : ndarray, shape (n,)
        Share of the light within the total aperture.
    share_error : ndarray, shape (n,)
        Relative error of total fluxes that follows from it, common to all bands.
    """

    band: Band
    section: Section
    canvas: Canvas
    located: Located
    x: np.ndarray
    y: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    jacobian: np.ndarray
    circle: float
    share: np.ndarray
    share_error: np.ndarray

    @property
    def sky_covariance(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Covariances of the shapes along east, mixed, and north, square arcsec."""
        shapes = self.located.shapes
        return transform(self.jacobian, shapes.xx, shapes.xy, shapes.yy)


def read_canvas(band: Band, section: Section) -> Canvas:
    """Pixels of a section of a band."""
    pixels = band.pixels(section)
    gain = band.gain if band.gain is not None and band.gain > 0 else None
    origin = section.x0, section.y0
    # sep takes writable arrays only, though it writes to none; anything else is copied.
    data, noise = (np.require(part, np.float32, ["C", "W", "A"]) for part in (pixels.data, pixels.noise))
    return Canvas(data, noise, pixels.bad, pixels.saturated, gain, origin, band.shape)


def read_reference(
    band: Band, start: Start, limits: Section, *, aperture: float, kron_factor: float, pixel_scale: float | None
) -> Reference:
    """Read the reference band around the sources and locate them.

    Parameters
    ----------
    band : Band
        The reference band.
    start : Start
        First guess in pixels of the whole image; centres within `limits`.
    limits : Section
        Pixels that may be read.
    aperture : float
        Diameter of the fixed aperture, arcsec.
    kron_factor : float
        Total aperture in Kron radii.
    pixel_scale : float or None
        Arcsec per pixel where the band has no WCS.

    Returns
    -------
    Reference
    """
    section = _around(start.x, start.y, start.half, limits)
    canvas = read_canvas(band, section)
    grid = None if band.wcs is None else SkyGrid(band.wcs)
    guess = _jacobian(grid, start.x, start.y, pixel_scale)
    local = start.shifted(-section.x0, -section.y0)
    located = locate(canvas, local, circle=_pixels(aperture / 2, guess), kron_factor=kron_factor)
    x, y = located.shapes.x + section.x0, located.shapes.y + section.y0
    ra, dec = (np.full(len(x), np.nan),) * 2 if grid is None else grid.to_sky(x, y)
    jacobian = _jacobian(grid, x, y, pixel_scale)
    share, share_error = enclosed_share(located.apertures)
    return Reference(band, section, canvas, located, x, y, ra, dec, jacobian, aperture / 2, share, share_error)


def light_in_band(reference: Reference, band: Band) -> BandLight:
    """Light of all sources in one band; missing where the band does not reach.

    Parameters
    ----------
    reference : Reference
        Located sources.
    band : Band
        Any band of the image, also the reference itself.

    Returns
    -------
    BandLight
        In units of the band's image.

    Raises
    ------
    ImageError
        If the band has no WCS and another shape than the reference.
    """
    if band is reference.band:
        return _light_in_reference(reference)
    n = len(reference.x)
    x, y, jacobian = _place(reference, band)
    inside = np.flatnonzero(Section.whole(band.shape).contains(x, y) & _regular(jacobian, reference.jacobian))
    result = BandLight.empty(n)
    if not len(inside):
        return result
    ratio, covariance = _carry(reference, jacobian, inside)
    half, core = (np.ceil(part[inside] * ratio) + 1.0 for part in (reference.located.half, reference.located.core))
    section = _around(x[inside], y[inside], half, Section.whole(band.shape), margin=2)
    shapes = Shapes.circles(x[inside] - section.x0, y[inside] - section.y0, np.ones(len(inside)))
    shapes.xx, shapes.xy, shapes.yy = covariance
    located = reference.located
    circle = _pixels(reference.circle, jacobian[inside])
    footprint = Footprint(shapes, located.apertures.radius[inside], circle, reference.share[inside])
    renumber = np.full(n, -1)
    renumber[inside] = np.arange(len(inside))
    modelled, pairs = _renumbered(located, renumber)
    canvas = read_canvas(band, section)
    scene, index = band_scene(canvas, footprint, half, core, located.apertures.beta[inside], modelled, pairs)
    result.put_all(inside, measure_light(canvas, footprint, scene, index))
    return result


def _light_in_reference(reference: Reference) -> BandLight:
    located = reference.located
    circle = _pixels(reference.circle, reference.jacobian)
    footprint = Footprint(located.shapes, located.apertures.radius, circle, reference.share)
    return measure_light(reference.canvas, footprint, located.scene, located.modelled, sizes=True)


def _place(reference: Reference, band: Band) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of the sources in a band, and the band's Jacobian there."""
    first = reference.band
    if first.wcs is None or band.wcs is None:
        if band.shape != first.shape:
            msg = (
                f"{band.origin}: no WCS, and its shape {band.shape} is not that of the reference band "
                f"{first.shape}; give it a WCS or resample it onto the reference"
            )
            raise ImageError(msg)
        return reference.x, reference.y, reference.jacobian
    if band.wcs is first.wcs and band.shape == first.shape:
        return reference.x, reference.y, reference.jacobian
    grid = SkyGrid(band.wcs)
    x, y = grid.to_pixel(reference.ra, reference.dec)
    return x, y, _jacobian(grid, x, y, None)


def _carry(
    reference: Reference, jacobian: np.ndarray, index: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Linear scale from pixels of the reference to those of a band, and the shapes in the band's pixels."""
    shapes = reference.located.shapes.take(index)
    if jacobian is reference.jacobian:
        return np.ones(len(index)), (shapes.xx, shapes.xy, shapes.yy)
    across = np.einsum("nij,njk->nik", invert(jacobian[index]), reference.jacobian[index])
    scale = np.sqrt(np.abs(determinant(across)))
    return scale, bound(*transform(across, shapes.xx, shapes.xy, shapes.yy), _SMALLEST, np.inf)


def _regular(*jacobians: np.ndarray) -> np.ndarray:
    """Where all maps can be inverted; the same map twice need not even be known."""
    if jacobians[0] is jacobians[1]:
        return np.ones(len(jacobians[0]), dtype=bool)
    return np.all([np.isfinite(j).all(axis=(1, 2)) & (np.abs(determinant(j)) > 0) for j in jacobians], axis=0)


def _renumbered(located: Located, renumber: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Sources with neighbours and their pairs in the numbering of a band; those not in the band are dropped."""
    members = renumber[located.modelled]
    i, j = members[located.pairs[0]], members[located.pairs[1]]
    kept = (i >= 0) & (j >= 0)
    return members[members >= 0], (i[kept], j[kept])


def _jacobian(grid: SkyGrid | None, x: np.ndarray, y: np.ndarray, pixel_scale: float | None) -> np.ndarray:
    if grid is not None:
        return grid.jacobian(x, y)
    scale = np.nan if pixel_scale is None else pixel_scale
    return np.broadcast_to(np.array([[-scale, 0.0], [0.0, scale]]), (len(x), 2, 2)).copy()


def _pixels(length: float, jacobian: np.ndarray) -> np.ndarray:
    """A length in arcsec in pixels."""
    return length / np.sqrt(np.abs(determinant(jacobian)))


def _around(x: np.ndarray, y: np.ndarray, half: np.ndarray, limits: Section, *, margin: int = _MARGIN) -> Section:
    """Smallest section within `limits` that holds squares around positions."""
    reach = 2.0 * half + margin
    low = np.floor(np.min([x - reach, y - reach], axis=1)).astype(int)
    high = np.ceil(np.max([x + reach, y + reach], axis=1)).astype(int) + 1
    x0, y0 = max(int(low[0]), limits.x0), max(int(low[1]), limits.y0)
    return Section(x0, min(int(high[0]), limits.x1), y0, min(int(high[1]), limits.y1))
