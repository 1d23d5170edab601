"""Simulated stars and galaxies for a real field: drawn under its own conditions, and added to its frames."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from astrogalaxy.evaluation.injection.conditions import FieldConditions, Injection, plain_conditions, plain_profile
from astrogalaxy.evaluation.injection.psf import PointSpread
from astrogalaxy.images import Image, Section
from astrogalaxy.images.sky import to_sky
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.profiles import Conditions, SurveyProfile
from astrogalaxy.simulation.render import draw_sources

__all__ = ["draw_sample", "lay_sources"]

# Injected magnitudes by default, against that of a point source at five sigma.
_BRIGHTER, _FAINTER = 6.0, 1.0
# Half of the sources are spread over all magnitudes, half over those around the limit (against it).
_AROUND = (-1.25, 0.75)
# Not more than this share of the field's own sources, or (in empty fields) than one in a square of so many FWHM.
_SHARE, _SQUARE = 0.1, 60.0
_FEWEST, _MOST = 20, 4000
# Sources sit on a lattice, moved by up to this share of its spacing: two thirds of it always lie between them.
_JITTER = 1 / 6
# Layers of the pool from which sources are drawn: magnitudes, and sources of each class in a layer.
_LAYERS, _IN_LAYER = (15.0, 29.0), 300
_ALIKE = 12
# Half sides of stamps in pixels, and where stars end: this share of the noise.
_SMALLEST_HALF, _LARGEST_HALF, _STAR_ENDS = 16, 1024, 0.02

Floats = NDArray[np.float64]
Stamp = tuple[int, int, NDArray[np.float32]]


# -- what is injected ------------------------------------------------------------------------------


def draw_sample(
    image: Image,
    conditions: FieldConditions,
    injection: Injection,
    *,
    n_found: int,
    rng: np.random.Generator,
) -> Table:
    """Draw sources with positions: half stars and half galaxies, far apart from each other.

    Half of them have magnitudes spread evenly over the whole range, half around the limit of the
    field, where completeness falls.

    Parameters
    ----------
    image : Image
        The field.
    conditions : FieldConditions
        How it sees sources.
    injection : Injection
        How many, and how bright.
    n_found : int
        Sources of the field.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Table
        As `~astrogalaxy.simulation.population.draw_population`, with ``x``, ``y`` (reference
        pixels) and ``mag_<band>`` (AB, with the zero points of the conditions).
    """
    x, y = _places(image, conditions, injection.density, n_found, rng)
    low, high = injection.magnitudes or (conditions.depth - _BRIGHTER, conditions.depth + _FAINTER)
    n = len(x)
    around = np.clip(conditions.depth + np.array(_AROUND), low, high)
    spread, near = rng.uniform(low, high, n), rng.uniform(float(around[0]), float(around[1]), n)
    wanted = np.where(rng.random(n) < 0.5, spread, near)
    wanted += conditions.zeropoints[conditions.reference] - conditions.shown_zeropoint(conditions.reference)
    galaxy = rng.permutation(n) < n // 2
    sample = _drawn(conditions, wanted, galaxy, rng)
    sample["x"], sample["y"] = x, y
    return sample


def _places(
    image: Image, conditions: FieldConditions, density: float | None, n_found: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Positions on a jittered lattice whose origin is drawn."""
    ny, nx = image.shape
    area = nx * ny * image.pixel_scale**2
    usual = max(area / (_SQUARE * conditions.seeing) ** 2, _SHARE * n_found, _FEWEST)
    n = float(np.clip(usual if density is None else density * area / 3600, 1, _MOST))
    step = np.sqrt(nx * ny / n)
    columns = np.arange(-1, nx / step + 1) + rng.random()
    rows = np.arange(-1, ny / step + 1) + rng.random()
    x, y = (axis.ravel() for axis in np.meshgrid(columns, rows))
    x, y = (step * (axis + rng.uniform(-_JITTER, _JITTER, len(axis))) - 0.5 for axis in (x, y))
    inside = Section.whole(image.shape).contains(x, y)
    if not inside.any():
        # the spacing of a lattice for a single source is the side of the field, and all its points may lie outside
        return rng.uniform(-0.5, nx - 0.5, 1), rng.uniform(-0.5, ny - 0.5, 1)
    return x[inside], y[inside]


def _drawn(conditions: FieldConditions, wanted: Floats, galaxy: NDArray[np.bool_], rng: np.random.Generator) -> Table:
    """Sources of the wanted reference magnitudes (AB): those of the pool that have nearly these."""
    pool = _pool(set(conditions.colours.values()), wanted, rng)
    reference = conditions.colours[conditions.reference]
    chosen = np.zeros(len(wanted), dtype=int)
    for is_galaxy in (False, True):
        rows = np.flatnonzero((pool["class"] == "galaxy") == is_galaxy)
        rows = rows[np.argsort(pool[f"mag_{reference}"][rows])]
        here = np.flatnonzero(galaxy == is_galaxy)
        at = np.searchsorted(pool[f"mag_{reference}"][rows], wanted[here])
        at = at + rng.integers(-_ALIKE, _ALIKE + 1, len(here))
        chosen[here] = rows[np.clip(at, 0, len(rows) - 1)]
    sample = pool[chosen]
    shift = wanted - sample[f"mag_{reference}"]
    colours = {band: np.asarray(sample[f"mag_{other}"] + shift) for band, other in conditions.colours.items()}
    sample.remove_columns([name for name in sample.colnames if name.startswith("mag_")])
    for band, values in colours.items():
        sample[f"mag_{band}"] = values
    return sample


def _pool(bands: set[str], wanted: Floats, rng: np.random.Generator) -> Table:
    """Populations of ever fainter limits: each holds most sources near its own."""
    low, high = (np.clip(edge, *_LAYERS) for edge in (np.min(wanted) - 3, np.max(wanted) + 3))
    layers = []
    for limit in np.arange(low, high + 1):
        area = 1.0
        while True:
            layer = draw_population(plain_profile(bands, float(limit)), plain_conditions(), area, rng)
            galaxies = int(np.sum(layer["class"] == "galaxy"))
            if min(galaxies, len(layer) - galaxies) >= _IN_LAYER:
                break
            area *= 4
        layers.append(layer)
    return vstack(layers, metadata_conflicts="silent")


# -- laid into the frames --------------------------------------------------------------------------


def lay_sources(
    image: Image, sample: Table, conditions: FieldConditions, *, seed: np.random.SeedSequence
) -> tuple[Image, Table]:
    """Lay sources into the frames of a field, with the photon noise of their light where the gain is known.

    Parameters
    ----------
    image : Image
        The field; nothing in it is changed.
    sample : Table
        See `draw_sample`.
    conditions : FieldConditions
        How the field sees sources.
    seed : numpy.random.SeedSequence
        The same seed lays the same light.

    Returns
    -------
    image : Image
        The field with the sources, read by section as the field is. Its sky is its own, yet to
        be measured.
    truth : Table
        ``class``, ``x``, ``y``, ``ra``, ``dec``, ``mag_<band>`` (AB, instrumental where the band
        has no zero point), ``flux_<band>`` (nJy or image units), both of the light that was laid;
        ``half_light_radius`` (arcsec, along the major axis, without seeing, 0 for stars) and
        ``snr`` (matched filter, all bands).
    """
    # what is laid must lie in every band where the field's own sources do
    image.register()
    states = [int(state) for state in seed.generate_state(len(sample), np.uint64)]
    lit, power = {}, np.zeros(len(sample))
    truth = Table({name: sample[name] for name in ("class", "x", "y")})
    truth["ra"], truth["dec"] = to_sky(image.wcs, sample["x"], sample["y"])
    for name, band in image.bands.items():
        stamps, laid, snr = _stamps(image, name, sample, conditions, states)
        lit[name] = band.altered(_adder(stamps))
        power += snr**2
        with np.errstate(divide="ignore"):
            truth[f"mag_{name}"] = conditions.shown_zeropoint(name) - 2.5 * np.log10(laid)
        truth[f"flux_{name}"] = laid * conditions.unit(name)
    truth["half_light_radius"] = _half_light(sample)
    truth["snr"] = np.sqrt(power)
    return Image(lit, reference=image.reference, name=image.name), truth


def _stamps(
    image: Image, name: str, sample: Table, conditions: FieldConditions, states: Sequence[int]
) -> tuple[list[Stamp], Floats, Floats]:
    """Light of every source on a band's pixels, its sum (image units), and its signal to noise."""
    band, spread, scale = image.bands[name], conditions.spreads[name], conditions.scales[name]
    profile = replace(
        plain_profile({name}, conditions.depth), pixel_scale=scale, zeropoint=conditions.zeropoints[name]
    )  # fmt: skip
    seen = plain_conditions(
        {name: spread.fwhm * scale}, noise={name: conditions.noise[name]}, beta=spread.beta, shear=spread.shear
    )
    x, y, angle = _on_band(image, name, sample)
    drawn = sample.copy()
    drawn["angle"] = angle
    stamps, laid, snr = [], np.zeros(len(sample)), np.zeros(len(sample))
    for i, state in enumerate(states):
        place = float(x[i]), float(y[i])
        if sample["class"][i] == "star":
            flux = 10 ** (-0.4 * (float(sample[f"mag_{name}"][i]) - profile.zeropoint))
            x0, y0, light = _star(spread, flux, place, conditions.noise[name])
        else:
            x0, y0, light = _galaxy(drawn[i : i + 1], name, place, profile, seen, state)
        laid[i] = light.sum(dtype=float)
        snr[i] = np.sqrt(np.sum(light.astype(float) ** 2)) / conditions.noise[name]
        if band.gain:
            photons = np.random.default_rng([state, _number(name)]).standard_normal(light.shape)
            light = light + (np.sqrt(np.clip(light, 0, None) * (band.unit / band.gain)) * photons).astype(np.float32)
        stamps.append((x0, y0, light))
    return stamps, laid, snr


def _number(name: str) -> int:
    return zlib.crc32(name.encode())


def _star(spread: PointSpread, flux: float, place: tuple[float, float], noise: float) -> Stamp:
    """Draw a star out to where it sinks well below the noise."""
    radius = spread.radius(_STAR_ENDS * noise / flux)
    half = int(np.clip(np.ceil(radius), _SMALLEST_HALF, _LARGEST_HALF))
    x0, y0 = round(place[0]) - half, round(place[1]) - half
    rows, columns = np.indices((2 * half + 1, 2 * half + 1), dtype=float)
    return x0, y0, (flux * spread.star(columns + x0 - place[0], rows + y0 - place[1])).astype(np.float32)


def _galaxy(
    row: Table, name: str, place: tuple[float, float], profile: SurveyProfile, seen: Conditions, state: int
) -> Stamp:
    """Draw a galaxy on an array large enough for all of it."""
    half = _SMALLEST_HALF
    while True:
        x0, y0 = round(place[0]) - half, round(place[1]) - half
        light = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
        at = {name: (np.array([place[0] - x0]), np.array([place[1] - y0]))}
        # the same state for every band: a galaxy has its knots in the same places
        draw_sources({name: light}, row, profile, seen, positions=at, rng=np.random.default_rng(state), accurate=True)
        rim = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
        if not rim.any() or half >= _LARGEST_HALF:
            return x0, y0, light
        half *= 2


def _on_band(image: Image, name: str, sample: Table) -> tuple[Floats, Floats, Floats]:
    """Pixels of a band, and the angle of the major axis there (radian)."""
    x, y, angle = (np.asarray(sample[column], dtype=float) for column in ("x", "y", "angle"))
    if image.grid(name) is None:
        return x, y, angle
    turned = np.nan_to_num(angle)
    there, ahead = image.to_band(name, x, y), image.to_band(name, x + np.cos(turned), y + np.sin(turned))
    return *there, np.where(np.isfinite(angle), np.arctan2(ahead[1] - there[1], ahead[0] - there[0]), np.nan)


def _adder(
    stamps: Sequence[Stamp],
) -> Callable[[Section, NDArray[np.float32]], NDArray[np.float32]]:
    """Give what adds stamps to the pixels of a section."""
    boxes = np.array([(x0, x0 + s.shape[1], y0, y0 + s.shape[0]) for x0, y0, s in stamps]).reshape(-1, 4)

    def add(section: Section, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lay the stamps that reach into the section on its pixels."""
        near = (boxes[:, 0] < section.x1) & (boxes[:, 1] > section.x0)
        near &= (boxes[:, 2] < section.y1) & (boxes[:, 3] > section.y0)
        for i in np.flatnonzero(near).tolist():
            x0, y0, light = stamps[i]
            left, right = max(x0, section.x0), min(x0 + light.shape[1], section.x1)
            low, high = max(y0, section.y0), min(y0 + light.shape[0], section.y1)
            here = Section(left - section.x0, right - section.x0, low - section.y0, high - section.y0)
            pixels[here.slices] += light[Section(left - x0, right - x0, low - y0, high - y0).slices]
        return pixels

    return add


def _half_light(sample: Table) -> Floats:
    """Major-axis radius that holds half of the light of bulge and disk together, arcsec; 0 for stars."""
    bulge = {name: np.nan_to_num(sample[f"bulge_{name}"], nan=1.0) for name in ("fraction", "radius", "sersic")}
    disk = np.nan_to_num(sample["disk_radius"], nan=1.0)
    low, high = np.minimum(bulge["radius"], disk), np.maximum(bulge["radius"], disk)
    for _ in range(30):
        middle = (low + high) / 2
        inside = bulge["fraction"] * _enclosed(middle / bulge["radius"], bulge["sersic"])
        inside = inside + (1 - bulge["fraction"]) * _enclosed(middle / disk, 1.0)
        low, high = np.where(inside < 0.5, middle, low), np.where(inside < 0.5, high, middle)
    return np.where(sample["class"] == "galaxy", (low + high) / 2, 0.0)


def _enclosed(radius: Floats, index: Floats | float) -> Floats:
    """Share of a Sérsic profile's light within a radius, in half-light radii."""
    index = np.asarray(index, dtype=float)
    return np.asarray(gammainc(2 * index, gammaincinv(2 * index, 0.5) * radius ** (1 / index)))
