"""Fields of isolated sources and of pairs whose light is drawn far out, so that the true flux is known to a fraction of a percent.

`astrogalaxy.simulation` ends its stamps where the noise hides the profile, which is right for training; up to a twentieth of
the light lies further out, and a total flux is to hold it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import galsim
import numpy as np
import sep
from astropy.table import Table, vstack

import astrogalaxy as ag
from astrogalaxy.simulation import PROFILES, Conditions, SurveyProfile, draw_conditions
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.render import Stamp, point_spread
from astrogalaxy.simulation.truth import complete_truth
from contest.fields import clear, lattice, near, opened, survey_number, tangent_wcs

__all__ = ["KINDS", "KnownField", "known_field"]

_STREAM = 78_000_000
#: Stars; galaxies whose light is mostly a disk's; and the others.
KINDS = ("star", "disk", "bulge")
# Cells of the lattice, FWHM; sources are at most this share of a cell wide (half-light radius).
_STEP, _WIDEST = 16.0, 0.09
_SIDE = 2.0
_PARAMS = galsim.GSParams(folding_threshold=1e-3, maximum_fft_size=16384)
# Magnitudes above the 5 sigma limit between which sources are drawn.
_BRIGHTER = (0.0, 6.5)


@dataclass
class KnownField:
    """A field and all that is known of it.

    Attributes
    ----------
    image : Image
        The bands, with zero point and gain.
    pixels : dict
        The same as arrays.
    truth : Table
        One row per source: what `complete_truth` says, ``kind``, ``snr_<band>`` (matched filter), and of the
        reference band ``radius`` (half-light, arcsec, as seen), ``ratio`` (b/a) and ``angle_seen`` (x to y, rad).
    fwhm : float
        Seeing in the reference band, pixels.
    """

    name: str
    image: ag.Image
    pixels: dict[str, np.ndarray]
    truth: Table
    profile: SurveyProfile
    conditions: Conditions
    fwhm: float


def known_field(survey: str, number: int, *, pairs: bool = False, size: int = 1200, gap: float = 3.0) -> KnownField:
    """Draw a field.

    Parameters
    ----------
    survey : str
        Profile whose pixels, seeing and depth are imitated.
    number : int
        Which one: another seeing, PSF and sky.
    pairs : bool
        Put another source beside each.
    gap : float
        Separation of the pairs, FWHM.
    """
    profile = PROFILES[survey]
    seed = np.random.SeedSequence([_STREAM, survey_number(survey), number, int(pairs)])
    rng = np.random.default_rng(seed)
    conditions = replace(clear(draw_conditions(profile, rng)), crowding=1.0, clustering=1.0)
    reference = profile.bands[len(profile.bands) // 2]
    fwhm = conditions.seeing[reference] / profile.pixel_scale
    table = _sources(survey, size, fwhm, gap if pairs else None, rng)
    shifts = {band: rng.uniform(-3, 3, 2) * (band != reference) for band in profile.bands}
    positions = {b: (np.asarray(table["x"]) - s[0], np.asarray(table["y"]) - s[1]) for b, s in shifts.items()}
    wcs = {band: tangent_wcs(profile, size, shift) for band, shift in shifts.items()}
    light = {band: np.zeros((size, size), np.float32) for band in profile.bands}
    stamps, seen = _draw(light, table, profile, conditions, positions, reference, _STEP * fwhm)
    truth = complete_truth(table, stamps, light, profile, conditions, wcs[reference], positions)
    for name, values in seen.items():
        truth[name] = values
    pixels = {}
    for band, values in light.items():
        noise = conditions.noise[band]
        sigma = np.sqrt(noise**2 + np.clip(values, 0, None) / profile.gain)
        sky = 30.0 * noise + rng.normal(0, 1.5 * noise) * np.linspace(0, 1, size)
        pixels[band] = (values + sigma * rng.standard_normal(values.shape) + sky).astype(np.float32)
    name = f"{survey}-{number}"
    return KnownField(name, opened(name, pixels, wcs, profile), pixels, truth, profile, conditions, fwhm)


@lru_cache(maxsize=4)
def _pool(survey: str) -> Table:
    """Many sources of a survey, by magnitude."""
    profile = PROFILES[survey]
    rng = np.random.default_rng([_STREAM, 9, survey_number(survey)])
    conditions = replace(draw_conditions(profile, rng), crowding=1.0, clustering=1.0, nearby=0.0)
    wide, small = (draw_population(profile, conditions, area, rng) for area in (1500.0, 100.0))
    pool = vstack([wide[wide["mag_r"] < 20], small[small["mag_r"] >= 20]])
    pool["kind"] = np.where(pool["class"] == "star", "star", np.where(pool["disk"] > 0, "disk", "bulge"))
    pool.sort("mag_r")
    return pool


def _sources(survey: str, size: int, fwhm: float, gap: float | None, rng: np.random.Generator) -> Table:
    """Stars, disks and bulges in equal parts, on a lattice, each with another beside it where pairs are wanted."""
    profile, pool = PROFILES[survey], _pool(survey)
    step = _STEP * fwhm * (1.25 if gap else 1.0)
    x, y = lattice(size, step, rng)
    radius = np.fmax(np.nan_to_num(pool["bulge_radius"]), np.nan_to_num(pool["disk_radius"]))
    pool = pool[radius <= _WIDEST * _STEP * fwhm * profile.pixel_scale]
    magnitude = profile.depth["r"] - rng.uniform(*_BRIGHTER, len(x))
    if gap is None:
        table = _pick(pool, magnitude, rng)
        table["x"], table["y"] = x, y
        return table
    other = magnitude + rng.uniform(-2, 2, len(x))
    turn = rng.uniform(0, 2 * np.pi, len(x))
    dx, dy = (gap * fwhm * part(turn) / 2 for part in (np.cos, np.sin))
    table = vstack([_pick(pool, magnitude, rng), _pick(pool, other, rng)])
    table["x"], table["y"] = np.concatenate([x - dx, x + dx]), np.concatenate([y - dy, y + dy])
    return table


def _pick(pool: Table, magnitude: np.ndarray, rng: np.random.Generator) -> Table:
    rows = np.empty(len(magnitude), dtype=int)
    kinds = rng.permutation(np.resize(KINDS, len(magnitude)))
    for kind in KINDS:
        mine, known = np.flatnonzero(kinds == kind), np.flatnonzero(pool["kind"] == kind)
        rows[mine] = near(pool, known, magnitude[mine], rng)
    chosen = pool[rows]
    shift = magnitude - np.asarray(chosen["mag_r"])
    for band in [name for name in chosen.colnames if name.startswith("mag_")]:
        chosen[band] += np.clip(shift, -0.5, 0.5)
    return chosen


def _profile(row: Table.Row) -> galsim.GSObject:
    """Bulge and disk; radii are those of the major axis."""
    angle = float(row["angle"]) * galsim.radians
    share, parts = float(row["bulge_fraction"]), []
    for make, weight, radius, q in (
        (lambda r: galsim.Sersic(float(row["bulge_sersic"]), half_light_radius=r, gsparams=_PARAMS), share, "bulge_radius", "bulge_q"),
        (lambda r: galsim.Exponential(half_light_radius=r, gsparams=_PARAMS), 1 - share, "disk_radius", "disk_q"),
    ):  # fmt: skip
        ratio = float(row[q])
        part = make(float(row[radius]) * np.sqrt(ratio)).shear(q=ratio, beta=angle)
        parts.append(weight * part)
    return galsim.Add(parts)


def _draw(light, table, profile, conditions, positions, reference, step):
    """Add all sources to the bands; what was drawn, and how it looks without noise."""
    n, side = len(table), 2 * int(_SIDE * step / 2)
    stamps = [Stamp() for _ in range(n)]
    seen = {name: np.full(n, np.nan) for name in ("radius", "ratio", "angle_seen")}
    seen |= {f"snr_{band}": np.zeros(n) for band in light}
    for band, image in light.items():
        psf = point_spread(conditions, band, accurate=True).withGSParams(_PARAMS)
        for i, row in enumerate(table):
            flux = 10 ** (-0.4 * (float(row[f"mag_{band}"]) - profile.zeropoint))
            source = psf if row["class"] == "star" else galsim.Convolve(_profile(row), psf)
            x, y = float(positions[band][0][i]), float(positions[band][1][i])
            x0, y0 = round(x) - side // 2, round(y) - side // 2
            frame = galsim.ImageF(side + 1, side + 1, xmin=x0, ymin=y0)
            source.withFlux(flux).drawImage(image=frame, scale=profile.pixel_scale, center=galsim.PositionD(x, y))
            snr2 = float(np.sum(frame.array.astype(float) ** 2)) / conditions.noise[band] ** 2
            seen[f"snr_{band}"][i] = np.sqrt(snr2)
            stamps[i].snr = np.hypot(stamps[i].snr, np.sqrt(snr2))
            stamps[i].peak[band] = float(frame.array.max())
            bounds = frame.bounds & galsim.BoundsI(0, image.shape[1] - 1, 0, image.shape[0] - 1)
            image[bounds.ymin : bounds.ymax + 1, bounds.xmin : bounds.xmax + 1] += frame[bounds].array
            if band == reference:
                _look(seen, i, frame, x - x0, y - y0, flux, profile.pixel_scale)
    return stamps, seen


def _look(seen: dict, i: int, frame: galsim.Image, x: float, y: float, flux: float, scale: float) -> None:
    """Half-light radius and axis ratio of one source without noise."""
    pixels = np.ascontiguousarray(frame.array)
    radius, _ = sep.flux_radius(pixels, [x], [y], [x * 0.98], 0.5, normflux=[flux], subpix=11)
    seen["radius"][i] = radius[0] * scale
    moments = galsim.hsm.FindAdaptiveMom(frame, strict=False, guess_sig=2.0)
    if moments.moments_status == 0:
        e = moments.observed_shape.e
        seen["ratio"][i] = np.sqrt((1 - e) / (1 + e))
        seen["angle_seen"][i] = moments.observed_shape.beta.rad
