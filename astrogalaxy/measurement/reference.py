"""The reference band of a measurement: pixels, located sources, and their place on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images.emptyapertures import noise_factor
from astrogalaxy.images.saturation import blunt_cores, with_cores
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.band import BandLight, Footprint, band_scene, measure_light
from astrogalaxy.measurement.canvas import Canvas
from astrogalaxy.measurement.locate import Located, Start, locate
from astrogalaxy.measurement.moments import Shapes, centroid_covariance, sampling_covariance
from astrogalaxy.measurement.photometry import enclosed_share
from astrogalaxy.measurement.places import Covariance, Places, section_around, with_seeing
from astrogalaxy.measurement.sky import transform
from astrogalaxy.measurement.spread import fit_psf
from astrogalaxy.measurement.starlight import Starlight

if TYPE_CHECKING:
    from astrogalaxy.images import Band

__all__ = [
    "SMALL_RADIUS",
    "Reference",
    "centre_scatter",
    "light_in_band",
    "locate_in_band",
    "locate_in_reference",
    "read_canvas",
]

SMALL_RADIUS = 2.0
"""Radius of the small aperture in rms sizes of the stars: near the best signal to noise, and forgiving."""

# Half widths that are whole numbers but for their rounding are not made wider, pixels.
_ROUNDING = 1e-3
# Error of any centroid, however bright and wide the source: the search for it ends there.
_PIXEL_ERROR = 0.002


@dataclass(frozen=True)
class Reference:
    """What other bands and the table need to know of the reference band; n sources.

    Attributes
    ----------
    canvas : Canvas
        Pixels of the part of it that was read.
    located : Located
        Centres (in pixels of the canvas), shapes and apertures.
    places : Places
        Centres in the whole image and on the sky.
    home : ndarray of str, shape (n,)
        Name of the band that has shown each source's centre and shape: this one, unless it hardly shows the source.
    scatter : ndarray, shape (3, n)
        Covariance of the centres from the noise of that band, along east, mixed, and north, square arcsec; NaN where
        there is no light.
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

    canvas: Canvas
    located: Located
    places: Places
    home: np.ndarray
    scatter: np.ndarray
    circles: np.ndarray
    share: np.ndarray
    share_error: np.ndarray
    stars: Starlight
    compact: np.ndarray

    @property
    def band(self) -> Band:
        """The band."""
        return self.places.band

    @property
    def sky_covariance(self) -> Covariance:
        """Covariances of the shapes along east, mixed, and north, square arcsec."""
        shapes = self.located.shapes
        return transform(self.places.jacobian, shapes.xx, shapes.xy, shapes.yy)


def read_canvas(band: Band, section: Section) -> Canvas:
    """Pixels of a section of a band."""
    pixels = band.pixels(section)
    origin = section.x0, section.y0
    # sep takes writable arrays only, though it writes to none; anything else is copied.
    data = np.require(pixels.data, np.float32, ["C", "W", "A"])
    # what follows sums over many pixels: correlated noise counts as so much more noise
    factor = noise_factor(band)
    noise = pixels.noise if factor == 1.0 else pixels.noise * np.float32(factor)
    gain = band.gain if band.gain is not None and band.gain > 0 else None
    if gain is not None and band.exposure.gain is None:
        gain /= factor**2  # by a map that was brought to the noise of single pixels
    noise = np.require(noise, np.float32, ["C", "W", "A"])
    stars = Starlight() if band.starlight is None else band.starlight
    cores = blunt_cores(data, noise, pixels.bad, FWHM_PER_SIGMA * stars.sigma)
    return Canvas(data, noise, pixels.bad, with_cores(pixels.saturated, cores), gain, origin, band.shape, cores)


def locate_in_reference(
    canvas: Canvas, start: Start, guess: Places, stars: Starlight, *, circles: np.ndarray, kron_factor: float
) -> Reference:
    """Locate the sources in the reference band, but those that another band has located.

    Parameters
    ----------
    canvas : Canvas
        Pixels of the reference band around the sources.
    start : Start
        First guess in pixels of the whole image; centres within the canvas.
    guess : Places
        Where that is.
    stars : Starlight
        Of the field, in this band.
    circles : ndarray, shape (k,)
        Radii of the fixed apertures, arcsec.
    kron_factor : float
        Total aperture in Kron radii.

    Returns
    -------
    Reference
    """
    located = locate_in_band(canvas, start, guess, stars, circles=circles, kron_factor=kron_factor)
    shapes, (x0, y0) = located.shapes, canvas.origin
    places = guess.moved(shapes.x + x0, shapes.y + y0)
    known = start.given.known
    home = np.where(known, start.given.home, places.band.name)
    scatter = np.where(known, start.given.scatter, centre_scatter(canvas, shapes, places))
    compact = stars.compactness(shapes.area)
    share = enclosed_share(located.apertures, compact)
    return Reference(canvas, located, places, home, scatter, circles, *share, stars, compact)


def locate_in_band(
    canvas: Canvas, start: Start, places: Places, stars: Starlight, *, circles: np.ndarray, kron_factor: float
) -> Located:
    """Locate sources on a canvas of a band; `start` and `places` are in pixels of the whole band."""
    x0, y0 = canvas.origin
    local = start.shifted(-x0, -y0).centred(canvas.cores)
    widest = np.fmax(circles.max() / places.scale, SMALL_RADIUS * stars.sigma)
    return locate(canvas, local, circle=widest, stars=stars, kron_factor=kron_factor)


def centre_scatter(canvas: Canvas, shapes: Shapes, places: Places) -> np.ndarray:
    """Covariance of centres along east, mixed, and north, square arcsec, (3, n); NaN where there is no light."""
    covariance = centroid_covariance(shapes, canvas.noise_at(shapes.x, shapes.y), canvas.gain)
    sampling = sampling_covariance(shapes)
    xx, xy, yy = (
        np.where(np.isfinite(covariance[0]), sum(parts), np.nan) for parts in zip(covariance, sampling, strict=True)
    )
    return np.array(transform(places.jacobian, xx + _PIXEL_ERROR**2, xy, yy + _PIXEL_ERROR**2))


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
        In units of the band's pixels (`Band.unit`).

    Raises
    ------
    ImageError
        If the band has no WCS and another shape than the reference.
    """
    # The reference goes the way of all bands: the same pixels have the same light in whichever band they are.
    own = band is reference.band
    located = reference.located
    n = len(reference.home)
    places = reference.places.on(band)
    inside = np.arange(n)
    if not own:
        inside = np.flatnonzero(places.covered & (reference.places.ratio(places) > 0))
    result = BandLight.empty(n, len(reference.circles) + 1)
    if not len(inside):
        return result
    in_reference, in_band = reference.places.take(inside), places.take(inside)
    ratio, shapes = in_reference.ratio(in_band), located.shapes.take(inside)
    half, core = (np.ceil(part[inside] * ratio - _ROUNDING) + 1.0 for part in (located.half, located.core))
    canvas = reference.canvas
    if not own:
        canvas = read_canvas(band, section_around(in_band.x, in_band.y, half, Section.whole(band.shape)))
    shapes.x, shapes.y = in_band.x - canvas.origin[0], in_band.y - canvas.origin[1]
    carried = with_seeing((shapes.xx, shapes.xy, shapes.yy), in_reference, in_band, (reference.stars, stars))
    shapes.xx, shapes.xy, shapes.yy = carried
    circles = _circles(reference, in_band, stars)
    footprint = Footprint(shapes, located.apertures.radius[inside], circles, _share_in(reference, stars)[inside])
    renumber = np.full(n, -1)
    renumber[inside] = np.arange(len(inside))
    modelled, pairs = _renumbered(located, renumber)
    beta, held = located.apertures.beta[inside], stars.known and reference.stars.known
    scene, index = band_scene(canvas, footprint, half, core, beta, modelled, pairs, held=held)
    light = measure_light(canvas, footprint, scene, index, sizes=reference.home[inside] == band.name)
    light.put_fit(fit_psf(canvas, shapes, scene, index, band.psf))
    result.put_all(inside, light)
    return result


def _circles(reference: Reference, places: Places, stars: Starlight) -> np.ndarray:
    """Radii of the circular apertures in pixels of a band, shape (n, k + 1); the last goes by the size of its stars."""
    fixed = [radius / places.scale for radius in reference.circles]
    return np.column_stack([*fixed, np.full(len(places.x), SMALL_RADIUS * stars.sigma)])


def _share_in(reference: Reference, stars: Starlight) -> np.ndarray:
    """Share of the light in the apertures, in a band whose stars may have other wings."""
    if not (stars.known and reference.stars.known):
        return reference.share
    shift = stars.kron - reference.stars.kron
    return enclosed_share(reference.located.apertures, reference.compact, shift=shift)[0]


def _renumbered(located: Located, renumber: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Sources with neighbours and their pairs in the numbering of a band; those not in the band are dropped."""
    members = renumber[located.modelled]
    i, j = members[located.pairs[0]], members[located.pairs[1]]
    kept = (i >= 0) & (j >= 0)
    return members[members >= 0], (i[kept], j[kept])
