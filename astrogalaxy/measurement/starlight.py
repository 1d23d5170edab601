"""How the light of a field's stars is spread in each band: the ruler for apertures and for bands of other seeing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sep

from astrogalaxy.images import Pixels
from astrogalaxy.images.around import read_around
from astrogalaxy.images.sky import to_pixel, to_sky
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.moments import Shapes, adapt
from astrogalaxy.measurement.profiles import KRON_LIMIT
from astrogalaxy.measurement.stamps import HALF_WIDTHS, Stamps, class_of

if TYPE_CHECKING:
    from astrogalaxy.images import Band, GivenPsf, Image

__all__ = ["Starlight", "field_starlight", "image_seeing", "relative_scale", "star_places"]

# First guess of the rms size of stars, pixels: the moments find theirs from any.
_FIRST_SIGMA = 2.0
# Only the brightest of the clear stars are taken, this share of them, and not fewer than so many.
_BRIGHTEST, _LEAST = 0.5, 4
# A star has a neighbour where one of so many sectors is brighter than usual by more than so many times its noise,
# plus this share of the usual, plus this share of the star.
_SECTORS = 8
_BRIGHTER = (4.0, 0.5, 0.005)


@dataclass(frozen=True)
class Starlight:
    """Stars of a field in one band.

    Attributes
    ----------
    sigma : float
        Rms size of their adaptive moments, pixels of the band; NaN: unknown.
    kron : float
        Kron radius within `KRON_LIMIT`, in units of `sigma`; NaN: unknown.
    """

    sigma: float = float("nan")
    kron: float = float("nan")

    @property
    def known(self) -> bool:
        """Whether there were stars enough."""
        return bool(np.isfinite(self.sigma) and np.isfinite(self.kron))

    def compactness(self, area: np.ndarray) -> np.ndarray:
        """How much of a source of this area (product of its semi-axes, square pixels) is the seeing's: 1 for stars."""
        if not self.known:
            return np.zeros(len(area))
        return np.clip(self.sigma**2 / np.maximum(area, 1e-6), 0.0, 1.0) ** 2


def field_starlight(image: Image) -> dict[str, Starlight]:
    """Light of the stars of the whole field, by band; measured once, and kept with the bands.

    The clear stars of the reference band are looked at in all bands; where it has fewer than four, each band's own.
    Where these are too few as well, stars are drawn with the point spread that is given.

    Parameters
    ----------
    image : Image
        The field.

    Returns
    -------
    dict of str to Starlight
        Unknown in bands with fewer than four clear stars, and no point spread.
    """
    image.register()
    reference = image.bands[image.reference]
    for band in image.bands.values():
        if band.starlight is None:
            found = _measure(band, star_places(reference, band))
            given = band.given_psf
            band.starlight = found if found.known or given is None else _drawn(given)
    return {name: band.starlight for name, band in image.bands.items()}


def image_seeing(image: Image) -> float:
    """How wide stars are in all bands together: the median of the bands.

    What looks at all bands at once, such as the network, sees stars about as wide as that, whichever is the reference.

    Parameters
    ----------
    image : Image
        The field.

    Returns
    -------
    float
        Half-light diameter, pixels of the reference band: the seeing of that times what the bands' moments say of the
        others. NaN where the seeing of the reference is not known.
    """
    reference, lights = image.bands[image.reference], field_starlight(image)
    own = lights[image.reference].sigma
    widths = [lights[name].sigma / (own * relative_scale(reference, band)) for name, band in image.bands.items()]
    known = [width for width in widths if np.isfinite(width)]
    return reference.seeing * float(np.median(known)) if known else reference.seeing


def relative_scale(reference: Band, band: Band) -> float:
    """Pixels of a band along one of the reference's."""
    if reference.wcs is None or band.wcs is None or band is reference:
        return 1.0
    return reference.pixel_scale / band.pixel_scale


def star_places(reference: Band, band: Band) -> np.ndarray:
    """Pixels of the reference's clear stars in a band, (n, 2); of its own, where the reference has hardly any."""
    stars = reference.stars
    if len(stars) < _LEAST:
        return band.stars
    if band is reference:
        return stars
    if reference.wcs is None or band.wcs is None:
        return stars if band.shape == reference.shape else stars[:0]
    places = np.column_stack(to_pixel(band.wcs, *to_sky(reference.wcs, *stars.T)))
    return places[np.isfinite(places).all(axis=1)]


def _measure(band: Band, places: np.ndarray) -> Starlight:
    """Median size and Kron radius of the brightest stars of a band."""
    inside = Section.whole(band.shape).contains(*places.T)
    half = _half_width(5.0 * _FIRST_SIGMA)
    reach = 2.0 * KRON_LIMIT * _FIRST_SIGMA + half
    found = [_look(pixels, group, half) for group, pixels in read_around(band, places[inside], reach)]
    if not found:
        return Starlight()
    core, sigma, kron = np.concatenate(found, axis=1)
    good = (core > 0) & np.isfinite(kron) & (kron > 0)
    if good.sum() < _LEAST:
        return Starlight()
    order = np.argsort(-core[good])[: max(_LEAST, int(_BRIGHTEST * good.sum()))]
    return Starlight(float(np.median(sigma[good][order])), float(np.median(kron[good][order])))


def _drawn(given: GivenPsf) -> Starlight:
    """Median size and Kron radius of stars as they would be, without noise."""
    data, x, y = given.row(int(KRON_LIMIT * given.seeing))
    none = np.zeros(data.shape, dtype=bool)
    pixels = Pixels(data, np.ones_like(data), none, none, Section.whole(data.shape))
    _, sigma, kron = _look(pixels, np.column_stack([x, y]), _half_width(5.0 * _FIRST_SIGMA))
    return Starlight(float(np.median(sigma)), float(np.median(kron)))


def _look(pixels: Pixels, places: np.ndarray, half: int) -> np.ndarray:
    """Core light (0: not to be used), rms size and Kron radius of some stars, shape (3, n)."""
    data = np.require(pixels.data, np.float32, ["C", "W", "A"])
    x, y = places[:, 0] - pixels.section.x0, places[:, 1] - pixels.section.y0
    stamps = Stamps(x, y, half, data.shape)
    guess = Shapes.circles(x - stamps.x0, y - stamps.y0, np.full(len(x), _FIRST_SIGMA))
    shapes = adapt(stamps.gather(data), guess, largest=4.0 * _FIRST_SIGMA).shifted(stamps.x0, stamps.y0)
    sigma = np.sqrt(shapes.area)
    safe = np.where(sigma > 0, sigma, 1.0)
    zero = np.zeros(len(x))
    kron, _ = sep.kron_radius(data, shapes.x, shapes.y, safe, safe, zero, KRON_LIMIT)
    alone = _alone(data, pixels.noise, shapes, float(np.median(safe)))
    return np.array([np.where(shapes.settled & alone, shapes.core, 0.0), sigma, kron])


def _half_width(reach: float) -> int:
    return int(HALF_WIDTHS[class_of(np.array([np.ceil(reach) + 1.0]))[0]])


def _alone(data: np.ndarray, noise: np.ndarray, shapes: Shapes, sigma: float) -> np.ndarray:
    """Stars around which no sector of the ring out to `KRON_LIMIT` is brighter than the others."""
    stamps = Stamps(shapes.x, shapes.y, _half_width(KRON_LIMIT * sigma), data.shape)
    steps = np.arange(stamps.size)
    dx = steps - (shapes.x - stamps.x0)[:, None]
    dy = steps - (shapes.y - stamps.y0)[:, None]
    radius = np.hypot(dx[:, None, :], dy[:, :, None])
    ring = (radius > KRON_LIMIT / 2 * sigma) & (radius < KRON_LIMIT * sigma)
    sector = ((np.arctan2(dy[:, :, None], dx[:, None, :]) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    star = np.broadcast_to(np.arange(len(shapes))[:, None, None], ring.shape)
    part = (star * _SECTORS + sector)[ring]

    def summed(values: np.ndarray) -> np.ndarray:
        """Sums over the sectors of each ring, (n_sectors, n)."""
        return np.bincount(part, values[ring], minlength=len(shapes) * _SECTORS).reshape(-1, _SECTORS).T

    sums, errors = summed(stamps.gather(data)), np.sqrt(summed(stamps.gather(noise) ** 2))
    usual = np.median(sums, axis=0)
    limit = _BRIGHTER[0] * errors + _BRIGHTER[1] * np.abs(usual) + _BRIGHTER[2] * np.maximum(shapes.core, 0.0)
    return np.all(sums - usual < limit, axis=0)
