"""The reference band of a measurement: pixels, located sources, and their place on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.emptyapertures import noise_factor
from astrogalaxy.images.saturation import blunt_cores, with_cores
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.band import BandLight, Footprint, band_scene, measure_light
from astrogalaxy.measurement.canvas import Canvas
from astrogalaxy.measurement.locate import Located, Start, locate
from astrogalaxy.measurement.moments import Shapes, bound
from astrogalaxy.measurement.photometry import enclosed_share
from astrogalaxy.measurement.sky import SkyGrid, determinant, invert, transform
from astrogalaxy.measurement.spread import spread_in_band
from astrogalaxy.measurement.starlight import Starlight

if TYPE_CHECKING:
    from astrogalaxy.images import Band

__all__ = ["SMALL_RADIUS", "Reference", "light_in_band", "read_canvas", "read_reference"]

# Of a Gaussian over its rms size.
_FWHM = 2.355
# Pixels read around the sources beyond their boxes, for the wings and apertures.
_MARGIN = 48
# What is read is rounded up to all that may be, from this share of it on.
_NEARLY = 0.8
SMALL_RADIUS = 2.0
"""Radius of the small aperture in rms sizes of the stars: near the best signal to noise, and forgiving."""

# Half widths that are whole numbers but for their rounding are not made wider, pixels.
_ROUNDING = 1e-3
# Smallest semi-axis of an aperture's shape in a band of coarser pixels.
_SMALLEST = 0.3
# Variance that no source falls below, in units of that of its band's stars.
_SHARPEST = 0.5


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
    circles : ndarray, shape (k,)
        Radii of the fixed apertures, arcsec.
    share : ndarray, shape (n,)
        Share of the light within the total aperture.
    share_error : ndarray, shape (n,)
        Relative error of total fluxes that follows from it, common to all bands.
    stars : Starlight
        Of the field, in the reference band.
    compact : ndarray, shape (n,)
        How much of each source's profile is the seeing's.
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
    circles: np.ndarray
    share: np.ndarray
    share_error: np.ndarray
    stars: Starlight
    compact: np.ndarray

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
    data = np.require(pixels.data, np.float32, ["C", "W", "A"])
    # what follows sums over many pixels: correlated noise counts as so much more noise
    factor = noise_factor(band)
    noise = pixels.noise if factor == 1.0 else pixels.noise * np.float32(factor)
    noise = np.require(noise, np.float32, ["C", "W", "A"])
    stars = Starlight() if band.starlight is None else band.starlight
    cores = blunt_cores(data, noise, pixels.bad, _FWHM * stars.sigma)
    return Canvas(data, noise, pixels.bad, with_cores(pixels.saturated, cores), gain, origin, band.shape, cores)


def read_reference(
    band: Band,
    start: Start,
    limits: Section,
    *,
    stars: Starlight,
    circles: np.ndarray,
    kron_factor: float,
    pixel_scale: float | None,
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
    stars : Starlight
        Of the field, in this band.
    circles : ndarray, shape (k,)
        Radii of the fixed apertures, arcsec.
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
    local = start.shifted(-section.x0, -section.y0).centred(canvas.cores)
    widest = np.fmax(_pixels(circles.max(), guess), SMALL_RADIUS * stars.sigma)
    located = locate(canvas, local, circle=widest, stars=stars, kron_factor=kron_factor)
    x, y = located.shapes.x + section.x0, located.shapes.y + section.y0
    ra, dec = (np.full(len(x), np.nan),) * 2 if grid is None else grid.to_sky(x, y)
    jacobian = _jacobian(grid, x, y, pixel_scale)
    compact = stars.compactness(located.shapes.area)
    share, share_error = enclosed_share(located.apertures, compact)
    return Reference(
        band, section, canvas, located, x, y, ra, dec, jacobian, circles, share, share_error, stars, compact
    )


def light_in_band(reference: Reference, band: Band, stars: Starlight) -> BandLight:
    """Light of all sources in one band; missing where the band does not reach.

    Parameters
    ----------
    reference : Reference
        Located sources.
    band : Band
        Any band of the image, also the reference itself.
    stars : Starlight
        Of the field, in this band.

    Returns
    -------
    BandLight
        In units of the band's image.

    Raises
    ------
    ImageError
        If the band has no WCS and another shape than the reference.
    """
    # The reference goes the way of all bands: the same pixels have the same light in whichever band they are.
    own = band is reference.band
    located = reference.located
    n = len(reference.x)
    x, y, jacobian = _place(reference, band)
    inside = np.arange(n)
    if not own:
        inside = np.flatnonzero(Section.whole(band.shape).contains(x, y) & _regular(jacobian, reference.jacobian))
    result = BandLight.empty(n, len(reference.circles) + 1)
    if not len(inside):
        return result
    ratio, covariance = _carry(reference, jacobian, inside, stars)
    half, core = (np.ceil(part[inside] * ratio - _ROUNDING) + 1.0 for part in (located.half, located.core))
    section = reference.section
    if not own:
        section = _around(x[inside], y[inside], half, Section.whole(band.shape))
    canvas = reference.canvas if own else read_canvas(band, section)
    shapes = Shapes.circles(x[inside] - section.x0, y[inside] - section.y0, np.ones(len(inside)))
    shapes.xx, shapes.xy, shapes.yy = covariance
    circles = _circles(reference, jacobian[inside], stars)
    footprint = Footprint(shapes, located.apertures.radius[inside], circles, _share_in(reference, stars)[inside])
    renumber = np.full(n, -1)
    renumber[inside] = np.arange(len(inside))
    modelled, pairs = _renumbered(located, renumber)
    beta, held = located.apertures.beta[inside], stars.known and reference.stars.known
    scene, index = band_scene(canvas, footprint, half, core, beta, modelled, pairs, held=held)
    light = measure_light(canvas, footprint, scene, index, sizes=own)
    light.spread, light.spread_err = spread_in_band(canvas, shapes, scene, index, band.psf)
    result.put_all(inside, light)
    return result


def _circles(reference: Reference, jacobian: np.ndarray, stars: Starlight) -> np.ndarray:
    """Radii of the circular apertures in pixels of a band, shape (n, k + 1); the last goes by the size of its stars."""
    fixed = [_pixels(radius, jacobian) for radius in reference.circles]
    return np.column_stack([*fixed, np.full(len(jacobian), SMALL_RADIUS * stars.sigma)])


def _share_in(reference: Reference, stars: Starlight) -> np.ndarray:
    """Share of the light in the apertures, in a band whose stars may have other wings."""
    if not (stars.known and reference.stars.known):
        return reference.share
    shift = stars.kron - reference.stars.kron
    return enclosed_share(reference.located.apertures, reference.compact, shift=shift)[0]


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
    reference: Reference, jacobian: np.ndarray, index: np.ndarray, stars: Starlight
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Linear scale from pixels of the reference to those of a band, and the shapes in the band's pixels and seeing."""
    shapes = reference.located.shapes.take(index)
    if jacobian is reference.jacobian:
        scale = np.ones(len(index))
        return scale, _with_seeing((shapes.xx, shapes.xy, shapes.yy), scale, reference.stars, stars)
    across = np.einsum("nij,njk->nik", invert(jacobian[index]), reference.jacobian[index])
    scale = np.sqrt(np.abs(determinant(across)))
    return scale, _with_seeing(transform(across, shapes.xx, shapes.xy, shapes.yy), scale, reference.stars, stars)


def _with_seeing(
    covariance: tuple[np.ndarray, np.ndarray, np.ndarray], scale: np.ndarray, here: Starlight, there: Starlight
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariances in pixels of another band, with its seeing in place of that of the reference."""
    xx, xy, yy = covariance
    if here.known and there.known:
        wider = there.sigma**2 - (here.sigma * scale) ** 2
        # no source is sharper than the stars of its band
        wider = np.maximum(wider, _SHARPEST * there.sigma**2 - np.minimum(xx, yy))
        xx, yy = xx + wider, yy + wider
    return bound(xx, xy, yy, _SMALLEST, np.inf)


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
    """Section within `limits` that holds squares around positions: the smallest, or all where it is nearly that."""
    reach = 2.0 * half + margin
    low = np.floor(np.min([x - reach, y - reach], axis=1)).astype(int)
    high = np.ceil(np.max([x + reach, y + reach], axis=1)).astype(int) + 1
    x0, y0 = max(int(low[0]), limits.x0), max(int(low[1]), limits.y0)
    found = Section(x0, min(int(high[0]), limits.x1), y0, min(int(high[1]), limits.y1))
    size, most = (shape[0] * shape[1] for shape in (found.shape, limits.shape))
    # all of a section is at hand where another stage has read it
    return limits if size > _NEARLY * most else found
