"""Stars and galaxies of a field: counts, magnitudes, colours, sizes and shapes.

Number counts, sizes and the mix of types follow deep fields only roughly: a network
must meet every combination of brightness, size and colour rather than a census.
"""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.measurement.locus import LOCUS, LOCUS_BANDS
from astrogalaxy.simulation.profiles import BAND_WAVELENGTHS, Conditions, SurveyProfile

__all__ = ["draw_population"]

# Counts brighter than r = 22.5 per square arcmin, and the slope of log10 counts.
_GALAXIES, _GALAXY_SLOPE = 4.5, 0.34
_STARS, _STAR_SLOPE = 1.6, 0.16
_BRIGHTEST = 14.0
# Sources are drawn to this many magnitudes below the five-sigma limit: those are the confusion noise.
_BELOW_LIMIT = 0.8
_SERSIC_BULGE = (1.5, 2.0, 3.0, 4.0)
# Of even populations, in FWHM of the stars: range of the half-light radii of galaxies, and side of the square that each
# source has to itself.
_EVEN_RADII, _EVEN_ROOM = (0.2, 3.0), 9.0

Floats = NDArray[np.float64]


def draw_population(
    profile: SurveyProfile,
    conditions: Conditions,
    area: float,
    rng: np.random.Generator,
) -> Table:
    """Draw the sources of a field, without positions.

    Parameters
    ----------
    profile : SurveyProfile
        Bands and depth.
    conditions : Conditions
        Density factors, and whether the population is an even one.
    area : float
        Square arcmin.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    astropy.table.Table
        ``class`` (star, galaxy), ``mag_<band>`` (AB), and for galaxies
        ``bulge_fraction``, ``bulge_radius``, ``disk_radius`` (half-light, arcsec),
        ``bulge_sersic``, ``bulge_q``, ``disk_q`` (axis ratios), ``angle`` (radian),
        ``knots`` (fraction of the disk in star-forming knots), ``disk``
        (1 for a disk galaxy, 0 for a smooth one, NaN for stars).
    """
    mag, galaxy, radius = (_evenly if conditions.even else _as_on_the_sky)(profile, conditions, area, rng)
    table = Table({"class": np.where(galaxy, "galaxy", "star")})
    late = galaxy & (rng.random(len(galaxy)) < 0.67)
    for name, values in _structure(mag, galaxy, late, rng, radius=radius).items():
        table[name] = values
    colours = _colours(profile.bands, galaxy, late, rng)
    for band in profile.bands:
        table[f"mag_{band}"] = mag + colours[band]
    return table


def _as_on_the_sky(
    profile: SurveyProfile, conditions: Conditions, area: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Magnitudes by number counts, which sources are galaxies, and half-light radii (NaN: to be drawn as usual)."""
    limit = _limit(profile)
    n_star = rng.poisson(area * _counts(_STARS * conditions.crowding, _STAR_SLOPE, limit))
    n_galaxy = rng.poisson(area * _counts(_GALAXIES * conditions.clustering, _GALAXY_SLOPE, limit))
    nearby = _nearby(rng.poisson(conditions.nearby), area, rng)
    mag = np.concatenate(
        [_magnitudes(n_star, _STAR_SLOPE, limit, rng), _magnitudes(n_galaxy, _GALAXY_SLOPE, limit, rng), nearby["mag"]]
    )
    radius = np.concatenate([np.full(n_star + n_galaxy, np.nan), nearby["radius"]])
    return mag, np.arange(len(mag)) >= n_star, radius


def _evenly(
    profile: SurveyProfile, conditions: Conditions, area: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """The same of an even population: all magnitudes from saturation to the limit, classes and sizes equally often."""
    limit = _limit(profile)
    fwhm = float(np.mean(list(conditions.seeing.values())))
    n = rng.poisson(conditions.clustering * area * (60 / (_EVEN_ROOM * fwhm)) ** 2)
    mag = rng.uniform(min(profile.saturation, limit - 1), limit, n)
    radius = fwhm * np.exp(rng.uniform(*np.log(_EVEN_RADII), n))
    return mag, rng.random(n) < 0.5, radius


def _limit(profile: SurveyProfile) -> float:
    return profile.depth.get("r", max(profile.depth.values())) + _BELOW_LIMIT


def _counts(at_22: float, slope: float, limit: float) -> float:
    return float(at_22 * 10 ** (slope * (limit - 22.5)))


def _magnitudes(n: int, slope: float, limit: float, rng: np.random.Generator) -> Floats:
    """Magnitudes of counts that rise as ``10**(slope * m)`` up to the limit."""
    floor = 10 ** (slope * (_BRIGHTEST - limit))
    return limit + np.log10(rng.uniform(floor, 1, n)) / slope


def _nearby(n: int, area: float, rng: np.random.Generator) -> dict[str, Floats]:
    """Magnitudes and half-light radii of big nearby galaxies, which a network that saw few of them takes to pieces."""
    mag = rng.uniform(13, 18, n)
    # the larger ones would fill the field
    largest = 0.1 * np.sqrt(area) * 60
    radius = np.minimum(6 * 10 ** (-0.15 * (mag - 15)) * 10 ** rng.normal(0, 0.2, n), largest)
    return {"mag": mag, "radius": radius}


def _structure(
    mag: Floats, galaxy: NDArray[np.bool_], late: NDArray[np.bool_], rng: np.random.Generator, *, radius: Floats
) -> dict[str, Floats]:
    """Shapes; half-light radii where ``radius`` does not give them (NaN)."""
    n = len(mag)
    # half-light radii as fits to galaxies in HST's COSMOS field have them: median 0.7 arcsec at r = 21
    usual = np.clip(0.7 * 10 ** (-0.1 * (mag - 21)) * 10 ** rng.normal(0, 0.26, n), 0.08, 15)
    radius = np.where(np.isfinite(radius), radius, usual)
    cos_i = rng.uniform(0, 1, n)
    structure = {
        "bulge_fraction": np.where(late, rng.beta(1, 4, n), rng.uniform(0.75, 1.0, n)),
        "bulge_radius": np.where(late, 0.35, 0.9) * radius * 10 ** rng.normal(0, 0.08, n),
        "disk_radius": np.where(late, 1.1, 1.4) * radius,
        "bulge_sersic": np.where(late, rng.choice(_SERSIC_BULGE[:3], n), rng.choice(_SERSIC_BULGE[1:], n)),
        "bulge_q": rng.uniform(0.55, 1.0, n),
        "disk_q": np.where(late, np.sqrt(cos_i**2 + (1 - cos_i**2) * 0.2**2), rng.uniform(0.5, 1, n)),
        "angle": rng.uniform(0, np.pi, n),
        # knots show in galaxies that are well resolved; drawing them elsewhere only costs time
        "knots": np.where(late & (radius > 0.6) & (rng.random(n) < 0.7), rng.uniform(0.05, 0.35, n), 0.0),
        "disk": late.astype(float),
    }
    return {name: np.where(galaxy, values, np.nan) for name, values in structure.items()}


def _colours(
    bands: tuple[str, ...],
    galaxy: NDArray[np.bool_],
    late: NDArray[np.bool_],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Magnitude minus that in r: the stellar locus for stars, a broken power law for galaxies."""
    n = len(galaxy)
    break_at = 400 * (1 + rng.gamma(2.2, 0.17, n))
    step = np.where(late, rng.uniform(0.1, 0.7, n), rng.uniform(0.7, 1.3, n))
    slope = np.where(late, rng.normal(0.6, 0.4, n), rng.normal(1.5, 0.3, n))

    def magnitude(wavelength: float) -> Floats:
        """Magnitude of the broken power law, but for a constant."""
        below = 1 / (1 + np.exp((wavelength - break_at) / 25))
        return step * below - slope * np.log(wavelength / 623)

    zero, star = magnitude(BAND_WAVELENGTHS["r"]), _star_colours(bands, n, rng)
    return {
        band: np.where(galaxy, magnitude(BAND_WAVELENGTHS[band]) - zero, star[band]) + rng.normal(0, 0.04, n)
        for band in bands
    }


def _star_colours(bands: tuple[str, ...], n: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Magnitude minus that in r along the stellar locus; in the infrared that of a black body beyond y."""
    kind = rng.random(n)
    # the halo's turn-off stars, the disk's red dwarfs, and a few blue ones
    red, turn_off, blue = rng.normal(2.4, 0.5, n), rng.gamma(4, 0.18, n), rng.uniform(-0.5, 0.3, n)
    g_i = np.clip(np.select([kind < 0.5, kind < 0.95], [red, turn_off], blue), -0.5, 3.6)
    steps = [np.interp(g_i, LOCUS[:, 0], column) for column in LOCUS.T[1:]]
    from_u = np.concatenate([np.zeros((1, n)), -np.cumsum(steps, axis=0)])
    locus = dict(zip(LOCUS_BANDS, from_u - from_u[LOCUS_BANDS.index("r")], strict=True))
    locus["Y"] = locus["y"]
    temperature = np.interp(g_i, [-0.5, 0.5, 1.5, 3.0], [12000, 6200, 4500, 3000])

    def body(wavelength: float) -> Floats:
        """Magnitude of a black body, but for a constant."""
        return 2.5 * np.log10(wavelength**3 * np.expm1(1.4388e7 / (wavelength * temperature)))

    beyond = {band: locus["y"] + body(w) - body(BAND_WAVELENGTHS["y"]) for band, w in BAND_WAVELENGTHS.items()}
    return {band: locus.get(band, beyond[band]) for band in bands}
