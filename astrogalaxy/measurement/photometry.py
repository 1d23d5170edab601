"""Sums of light in apertures, Kron radii, half-light radii and magnitudes.

Thin and vectorised over sep (Barbary 2016, JOSS 1, 58), whose C code is that of SExtractor.
The functions know nothing of the sky: lengths are pixels, light is in units of the image.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import sep
from astropy import units as u

from astrogalaxy.measurement.profiles import KRON_LIMIT, Moffat, exponent

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

__all__ = [
    "AB_NANOJANSKY",
    "USUAL_KRON",
    "KronApertures",
    "ab_magnitude",
    "circle_sums",
    "ellipse_sums",
    "enclosed_share",
    "half_light_radius",
    "kron_apertures",
    "magnitude_limits",
    "nanojansky",
]

# Kron radius of ordinary sources, in sigma, and its spread: stars and exponential disks in usual seeing.
USUAL_KRON = 1.53
_USUAL_SPREAD = 0.1
# From this signal to noise on, the moment is summed further out than the tables of the profiles go.
_FAR_SNR = 40.0
# But only as far as the light fades as that of a galaxy: it is summed in rings, of so many times the radius of the one
# within, and ends before the first that is below zero or brighter than the one within allows by so many sigma. Out
# there, all Sersic profiles fall faster than by this power of the radius; residual sky and neighbours do not.
_RING, _FADING, _BRIGHTER = 1.2, 1.0, 3.0
# How much of the light that the Moffat profile puts outside the aperture is believed: disks have no wings.
_BELIEF = 0.85
# And how much more of a concentrated galaxy, whose Sersic profile falls slower than the Moffat profile that fits its
# middle: from this Kron radius on, all of it once it is larger by so much.
_WIDE_KRON, _WIDE_STEP, _WIDE_BELIEF = 1.6, 0.3, 0.4
# Light outside the aperture per unit of Kron radius beyond the usual, for Sersic profiles of n = 2 to 4 in
# ground-based seeing, and the most that these may add; and what at least is in the aperture.
_WING_SLOPE = 0.11
_WING_LIMIT = 0.14
_LEAST_SHARE = 0.8
# The added light is known to about this part of itself.
_SHARE_ERROR = 0.05
# The wings of concentrated galaxies differ from one to the next by this part of themselves.
_WING_ERROR = 0.6
# Inner part of the aperture in which half of the light is looked for first: the steps of the search are finer there.
# What is found beyond this part of it may be no more than its end.
_INNER, _NEAR_END = 0.6, 0.95
#: AB magnitude of a nanojansky.
AB_NANOJANSKY = 31.4


@dataclass
class KronApertures:
    """Elliptical apertures of n sources.

    Attributes
    ----------
    radius : ndarray, shape (n,)
        Semi-axes of the aperture in units of those of the source (of its adaptive moments).
    kron : ndarray, shape (n,)
        Kron radius in the same units, drawn towards its usual value where noise drowns it.
    kron_err : ndarray, shape (n,)
        What noise is left in it.
    inner, inner_err : ndarray, shape (n,)
        The same, summed only as far as the tables of the profiles go.
    """

    radius: np.ndarray
    kron: np.ndarray
    kron_err: np.ndarray
    inner: np.ndarray
    inner_err: np.ndarray

    @property
    def beta(self) -> np.ndarray:
        """Exponent of the Moffat profile with the inner Kron radius."""
        return exponent(self.inner)

    @classmethod
    def empty(cls, n: int) -> Self:
        """Apertures to be filled in."""
        return cls(*(np.zeros(n) for _ in fields(cls)))

    def take(self, index: np.ndarray) -> Self:
        """Copy of some of the sources."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    def put(self, index: np.ndarray, other: KronApertures) -> None:
        """Overwrite some of the sources."""
        for field in fields(self):
            getattr(self, field.name)[index] = getattr(other, field.name)


def kron_apertures(
    data: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    extent: np.ndarray,
    room: np.ndarray | float,
    core: np.ndarray,
    noise: np.ndarray,
    *,
    factor: float = 2.5,
    usual: np.ndarray | float = USUAL_KRON,
    gain: float | None = None,
) -> KronApertures:
    """Apertures after Kron (1980, ApJS 43, 305) that stay steady for faint sources.

    The first moment of the radius is averaged with its usual value, weighted by the noise
    of the one and the spread of the other; a value that is certainly unusual stands. The
    brighter the source, the further out the moment is summed, as long as its light fades.

    Parameters
    ----------
    data : ndarray of float32, shape (ny, nx)
        Background-subtracted light.
    x, y : ndarray, shape (n,)
        Centres.
    axes : tuple of ndarray
        Semi-axes a, b (pixels) and angle (radians from x towards y).
    extent : ndarray, shape (n,)
        Radius beyond which no light of the source is expected, pixels.
    room : float or ndarray, shape (n,)
        Radius that nothing may exceed, pixels.
    core : ndarray, shape (n,)
        Core light of the source.
    noise : ndarray, shape (n,)
        Sky noise per pixel at the source.
    factor : float, optional
        Aperture in Kron radii; the aperture is never smaller than 1.4 times this in semi-axes.
    usual : float or ndarray, shape (n,), optional
        Kron radius that a source is expected to have.
    gain : float, optional
        Electrons per unit of `data`.

    Returns
    -------
    KronApertures
    """
    a, b, angle = axes
    room = room / a
    usual = np.broadcast_to(usual, a.shape)

    def moment(limit: np.ndarray, index: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Kron radius and its variance within a limit."""
        kron, _ = sep.kron_radius(data, x[index], y[index], a[index], b[index], angle[index], limit)
        variance = _kron_variance(limit, usual[index], (a * b)[index], core[index], noise[index], gain)
        return _steadied(kron, variance, limit, usual[index])

    limit = np.minimum(KRON_LIMIT, room)
    inner, inner_err = moment(limit, slice(None))
    kron, error = inner.copy(), inner_err.copy()
    snr = np.maximum(core, 0.0) / (noise * np.sqrt(4 * np.pi * a * b))
    far = np.minimum(np.minimum(KRON_LIMIT * np.sqrt(snr / _FAR_SNR), extent / a), room)
    further = np.flatnonzero(far > 1.05 * limit)
    if len(further):
        some = x[further], y[further], tuple(part[further] for part in axes)
        far[further] = _fading(data, *some, limit[further], far[further], noise[further])
        further = further[far[further] > 1.05 * limit[further]]
    if len(further):
        kron[further], error[further] = moment(far[further], further)
    radius = np.minimum(factor * np.maximum(kron, 1.4), room)
    return KronApertures(radius, kron, error, inner, inner_err)


def _fading(
    data: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    near: np.ndarray,
    far: np.ndarray,
    noise: np.ndarray,
) -> np.ndarray:
    """Radius from `near` to `far`, all in semi-axes, up to which the light fades as that of one source does."""
    area = np.pi * axes[0] * axes[1]

    def within(radius: np.ndarray, index: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Light within a radius; the rings are so wide that whole pixels will do."""
        place = x[index], y[index], *(part[index] for part in axes)
        return np.asarray(sep.sum_ellipse(data, *place, radius, subpix=1)[0])

    def level(
        light: np.ndarray, inner: np.ndarray, outer: np.ndarray, index: np.ndarray | slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Light per pixel of a ring, and its noise squared."""
        pixels = np.maximum(area[index] * (outer**2 - inner**2), 1.0)
        return light / pixels, noise[index] ** 2 / pixels

    edge, sums = near.copy(), within(near)
    before, before_noise = level(sums - within(near / _RING), near / _RING, near)
    on = np.flatnonzero(far > near)
    while len(on):
        outer = np.minimum(edge[on] * _RING, far[on])
        total = within(outer, on)
        ring, ring_noise = level(total - sums[on], edge[on], outer, on)
        most = np.maximum(before[on], 0.0) * (edge[on] / outer) ** _FADING
        fades = ring <= most + _BRIGHTER * np.sqrt(ring_noise + before_noise[on])
        fades &= ring >= -_BRIGHTER * np.sqrt(ring_noise)
        on, keep = on[fades], fades
        edge[on], sums[on], before[on], before_noise[on] = outer[keep], total[keep], ring[keep], ring_noise[keep]
        on = on[edge[on] < far[on]]
    return edge


def _kron_variance(
    limit: np.ndarray, usual: np.ndarray, area: np.ndarray, core: np.ndarray, noise: np.ndarray, gain: float | None
) -> np.ndarray:
    """Noise of the Kron radius, squared: the sum of (r - kron)**2 over the ellipse, times the noise, over the light."""
    light = core / Moffat(3.0).core
    spread = limit**4 / 4 - 2 * usual * limit**3 / 3 + usual**2 * limit**2 / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = 2 * np.pi * area * spread * noise**2 / light**2
        if gain is not None:
            variance = variance + 0.7 / (gain * light)
    return np.where(np.isfinite(variance) & (light > 0), variance, np.inf)


def _steadied(
    kron: np.ndarray, variance: np.ndarray, limit: np.ndarray, usual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Kron radii drawn towards the usual value by their noise, and the noise that is left."""
    usable = np.isfinite(variance) & (kron > 0)
    excess = np.where(usable, kron - usual, 0.0)
    noise = np.where(usable, variance, 1.0)
    prior = np.maximum(_USUAL_SPREAD**2, excess**2 - 3.0 * noise)
    trust = np.where(usable, prior / (prior + noise), 0.0)
    kron = np.clip(usual + trust * excess, 1.0, np.maximum(limit / 2.0, 1.4))
    return kron, trust * np.sqrt(noise)


def enclosed_share(
    apertures: KronApertures, compact: np.ndarray | float = 0.0, *, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Share of a source's light within its aperture, from the profile's wings.

    Parameters
    ----------
    apertures : KronApertures
        The apertures.
    compact : float or ndarray, shape (n,), optional
        How much of the profile is the seeing's: the wings of a star are believed, a disk has none.
    shift : float, optional
        By how much the Kron radius of stars is larger in the band at hand than in the one of the apertures.

    Returns
    -------
    share : ndarray, shape (n,)
        Between 0.8 and 1.
    error : ndarray, shape (n,)
        Relative error of the light that follows, from the noise of the Kron radius and the
        unknown wings.
    """
    radius = apertures.radius
    kron, inner = (part + shift * compact for part in (apertures.kron, apertures.inner))
    beta = exponent(inner)
    wide = _WIDE_BELIEF * np.clip((kron - _WIDE_KRON) / _WIDE_STEP, 0.0, 1.0)
    belief = _BELIEF + (1.0 - _BELIEF) * compact + wide * (1.0 - compact)
    share = _share(kron, radius, beta, belief)
    step = 0.05
    # Noise of the Kron radius moves the aperture, whose light and share go together, and of the
    # inner one the exponent, which moves the share alone.
    wider = radius * (1.0 + step / kron)
    profile = Moffat(beta)
    light = np.log(profile.enclosed(wider) / profile.enclosed(radius))
    from_radius = (light - np.log(_share(kron + step, wider, beta, belief) / share)) / step
    from_profile = np.log(_share(kron, radius, exponent(inner + step), belief) / share) / step
    noise = np.hypot(from_radius * apertures.kron_err, from_profile * apertures.inner_err)
    wings = np.hypot(_SHARE_ERROR * (1.0 - share), _WING_ERROR * _sersic_wings(kron))
    return share, np.hypot(wings, noise)


def _share(kron: np.ndarray, radius: np.ndarray, beta: np.ndarray, belief: np.ndarray | float) -> np.ndarray:
    moffat = belief * (1.0 - Moffat(beta).enclosed(radius))
    return np.clip(1.0 - np.maximum(moffat, _sersic_wings(kron)), _LEAST_SHARE, 1.0)


def _sersic_wings(kron: np.ndarray) -> np.ndarray:
    """Light outside the aperture of galaxies whose Kron radius is larger than a disk's."""
    return np.clip(_WING_SLOPE * (kron - USUAL_KRON), 0.0, _WING_LIMIT)


def ellipse_sums(
    data: np.ndarray,
    error: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    radius: np.ndarray,
    *,
    gain: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Light in ellipses and its error.

    Parameters
    ----------
    data, error : ndarray of float32, shape (ny, nx)
        Light, and noise per pixel.
    x, y : ndarray, shape (n,)
        Centres.
    axes : tuple of ndarray
        Semi-axes a >= b and angle.
    radius : ndarray, shape (n,)
        Factor on the semi-axes.
    gain : float, optional
        Electrons per unit of `data`, for photon noise.

    Returns
    -------
    light, error : ndarray, shape (n,)
    """
    a, b, angle = axes
    light, sigma, _ = sep.sum_ellipse(data, x, y, a, b, angle, radius, err=error, gain=gain)
    return light, sigma


def circle_sums(
    data: np.ndarray, error: np.ndarray, x: np.ndarray, y: np.ndarray, radius: np.ndarray, *, gain: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Light in circles of given radii (pixels) and its error; see `ellipse_sums`."""
    light, sigma, _ = sep.sum_circle(data, x, y, radius, err=error, gain=gain, subpix=0)
    return light, sigma


def half_light_radius(
    data: np.ndarray, x: np.ndarray, y: np.ndarray, largest: np.ndarray, light: np.ndarray
) -> np.ndarray:
    """Radius (pixels) of the circle that holds half of `light`; NaN where light is not positive, or none does.

    It is looked for within `largest`; nearly all light is concentrated enough that an inner part of it will do.
    """
    lit = np.isfinite(light) & (light > 0)
    norm, inner = np.where(lit, light, 1.0), _INNER * largest
    radius, _ = sep.flux_radius(data, x, y, inner, 0.5, normflux=norm, subpix=5)
    far = np.flatnonzero(lit & (radius > _NEAR_END * inner))
    if len(far):
        radius[far], _ = sep.flux_radius(data, x[far], y[far], largest[far], 0.5, normflux=norm[far], subpix=5)
    # where no circle holds half, the end of the search is returned
    return np.where(lit & (radius > 0) & (radius < (1 - 1e-6) * largest), radius, np.nan)


def nanojansky(zeropoint: float) -> float:
    """Nanojansky in one image unit of the given AB magnitude.

    Examples
    --------
    >>> from astrogalaxy.measurement.photometry import nanojansky
    >>> nanojansky(31.4)
    1.0
    """
    return float(10.0 ** (0.4 * (AB_NANOJANSKY - zeropoint)))


def ab_magnitude(flux: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AB magnitudes and errors of fluxes in nanojansky; NaN where the flux is not positive."""
    positive = np.isfinite(flux) & (flux > 0)
    safe = np.where(positive, flux, 1.0)
    magnitude = np.where(positive, AB_NANOJANSKY - 2.5 * np.log10(safe), np.nan)
    return magnitude, np.where(positive, 2.5 / np.log(10) * error / safe, np.nan)


def magnitude_limits(flux: ArrayLike, error: ArrayLike, *, sigma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Brightest and faintest AB magnitude within so many sigma of a flux: the asymmetric errors of a faint source.

    Parameters
    ----------
    flux, error : array_like
        Nanojansky, or with a unit; the flux may be negative.
    sigma : float, optional
        How many.

    Returns
    -------
    bright, faint : ndarray
        Magnitudes of ``max(flux, 0) + sigma * error``, which is the upper limit of a source that is not seen, and of
        ``flux - sigma * error``, infinite where that is not positive; NaN where flux or error is.

    Examples
    --------
    >>> from astrogalaxy.measurement import magnitude_limits
    >>> [part.round(2).tolist() for part in magnitude_limits([1000.0, -5.0], [100.0, 20.0], sigma=3)]
    [[23.62, 26.95], [24.29, inf]]
    """
    flux, error = (u.Quantity(part, u.nJy, dtype=float).value for part in (flux, error))
    most, least = np.maximum(flux, 0.0) + sigma * error, flux - sigma * error
    with np.errstate(divide="ignore", invalid="ignore"):
        bright, faint = (AB_NANOJANSKY - 2.5 * np.log10(np.where(part > 0, part, 0.0)) for part in (most, least))
    unknown = ~(np.isfinite(flux) & np.isfinite(error))
    return np.where(unknown, np.nan, bright), np.where(unknown, np.nan, faint)
