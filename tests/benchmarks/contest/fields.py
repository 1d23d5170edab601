"""Simulated fields with complete truth: sparse, normal and crowded skies, pairs, and single sources.

Skies are those of `astrogalaxy.simulation.simulate_scene`, drawn accurately, without cosmic rays, trails, bad columns, halos
and spikes (which a classical pipeline masks before it detects), and with no more big galaxies than the counts give. The regime
``difficult`` has all of them. Pairs and single sources lie on a loose lattice,
far enough from each other, drawn by the same functions out of the same population.
Seeds lie in a stream of their own that no training touches; tuning and test fields have other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from astropy.table import Table, vstack
from astropy.wcs import WCS
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.simulation import PROFILES, Conditions, SurveyProfile, draw_conditions, simulate_scene
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.render import draw_sources
from astrogalaxy.simulation.truth import complete_truth

__all__ = ["DIFFICULT", "REGIMES", "Field", "pair_field", "single_field", "sky_field"]

_STREAM = 77_000_000
#: Factors on the counts of stars and of galaxies.
REGIMES = {"sparse": (0.4, 0.5), "normal": (1.0, 1.0), "crowded": (8.0, 1.5), "difficult": (1.0, 1.0)}
#: The one whose fields have artefacts, glare and big galaxies.
DIFFICULT = "difficult"
#: Truth at least this significant (matched filter on the source alone, all bands) is to be found,
WANTED_SNR = 5.0
#: if no brighter source lies nearer than this many FWHM. Finding anything else that is true is not wrong.
SEPARABLE = 0.8
#: Separations of blended pairs, FWHM.
BLENDED = (0.8, 2.0)


@dataclass
class Field:
    """One field, as the tools see it, and its truth.

    Attributes
    ----------
    image : Image
        The bands.
    truth : Table
        As `astrogalaxy.simulation.truth.complete_truth` gives it.
    fwhm : float
        Mean seeing of the bands, pixels.
    wanted : ndarray
        Which true sources are to be found.
    pairs : ndarray
        ``(n, 2)`` rows of the truth that are blended with each other and with nothing else.
    reach : float
        Found sources this near, in pixels, are matched even if half an FWHM is less.
    """

    name: str
    image: ag.Image
    truth: Table
    profile: SurveyProfile
    conditions: Conditions
    fwhm: float
    wanted: np.ndarray
    pairs: np.ndarray
    reach: float = 1.0
    cache: dict = field(default_factory=dict)

    @property
    def depth(self) -> float:
        """Five-sigma point-source limit in the reference band."""
        return self.profile.depth[self.image.reference]

    @property
    def magnitude(self) -> np.ndarray:
        """Of the true sources in the reference band."""
        return np.asarray(self.truth[f"mag_{self.image.reference}"])

    def with_bands(self, bands: Sequence[str], reference: str) -> Field:
        """The same field and the same truth in some of its bands."""
        image = ag.Image({b: self.image.bands[b] for b in bands}, reference=reference, name=self.name)
        fwhm = float(np.mean([self.conditions.seeing[b] for b in bands])) / self.profile.pixel_scale
        return replace(self, image=image, fwhm=fwhm, cache={})


def _seed(part: str, *numbers: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([_STREAM, ("tune", "test").index(part), *numbers])


def survey_number(name: str) -> int:
    return sorted(PROFILES).index(name)


def opened(name: str, images: dict, wcs: dict, profile: SurveyProfile) -> ag.Image:
    """The image that a survey's arrays are."""
    frames = {band: (images[band], wcs[band]) for band in images}
    return ag.Image.read(frames, zeropoint=profile.zeropoint, gain=profile.gain, name=name)


def _field(name: str, images: dict, wcs: dict, truth: Table, profile: SurveyProfile, conditions: Conditions) -> Field:
    """Open the images, and say what is to be found."""
    image = opened(name, images, wcs, profile)
    fwhm = float(np.mean([conditions.seeing[band] for band in images])) / profile.pixel_scale
    snr, points = np.asarray(truth["snr"]), np.column_stack([truth["x"], truth["y"]])
    beside = cKDTree(points).query_pairs(BLENDED[1] * fwhm, output_type="ndarray")
    gaps = np.hypot(*(points[beside[:, 0]] - points[beside[:, 1]]).T) / fwhm
    lost = np.zeros(len(truth), dtype=bool)
    close = beside[gaps < SEPARABLE]
    lost[np.where(snr[close[:, 0]] < snr[close[:, 1]], close[:, 0], close[:, 1])] = True
    wanted = (snr >= WANTED_SNR) & ~lost
    pairs = beside[(gaps >= BLENDED[0]) & (snr[beside] >= WANTED_SNR).all(axis=1) & wanted[beside].all(axis=1)]
    # no third source: what is measured is the pair
    bright = beside[(snr[beside] >= WANTED_SNR).all(axis=1)]
    alone = np.bincount(bright.ravel(), minlength=len(truth)) == 1
    return Field(name, image, truth, profile, conditions, fwhm, wanted, pairs[alone[pairs].all(axis=1)])


def sky_field(
    survey: str, regime: str, number: int, part: str, *, size: int = 512, bands: tuple[str, ...] = (),
    scale: float | None = None,
) -> Field:  # fmt: skip
    """A field of sky.

    Parameters
    ----------
    survey : str
        Profile.
    regime : str
        Of `REGIMES`.
    part : {'tune', 'test'}
        Which stream of seeds.
    bands : tuple of str, optional
        Other bands than the profile's.
    scale : float, optional
        Another pixel scale, arcsec; the sky, its noise per area and the seeing stay.
    """
    seed = _seed(part, 0, survey_number(survey), list(REGIMES).index(regime), number)
    profile = PROFILES[survey]
    profile = replace(profile, bands=bands or profile.bands, pixel_scale=scale or profile.pixel_scale)
    stars, galaxies = REGIMES[regime]
    conditions = draw_conditions(profile, np.random.default_rng(seed.spawn(1)[0]))
    difficult = regime == DIFFICULT
    conditions = replace(conditions if difficult else clear(conditions), crowding=stars, clustering=galaxies)
    if difficult:
        conditions = replace(conditions, nearby=2.0)
    scene = simulate_scene(
        profile, size=size, seed=seed, accurate=True, artefacts=difficult, conditions=conditions
    )  # fmt: skip
    return _field(f"{survey}-{regime}-{number}", scene.images, scene.wcs, scene.truth, profile, conditions)


def clear(conditions: Conditions) -> Conditions:
    """Without glare of bright stars and without extra galaxies."""
    return replace(conditions, nearby=0.0, halo=0.0, spikes=0.0, bleeding=None)


@lru_cache(maxsize=4)
def _pool(survey: str) -> Table:
    """Many sources of a survey, without positions, by magnitude."""
    profile = PROFILES[survey]
    rng = np.random.default_rng(_seed("tune", 9, survey_number(survey)))
    conditions = replace(clear(draw_conditions(profile, rng)), crowding=1.0, clustering=1.0)
    # the bright ones are rare: a large area for them, a small one for the rest
    wide, small = (draw_population(profile, conditions, area, rng) for area in (8000.0, 400.0))
    pool = vstack([wide[wide["mag_r"] < 19], small[small["mag_r"] >= 19]])
    pool.sort("mag_r")
    return pool


def _pick(pool: Table, kind: np.ndarray, magnitude: np.ndarray, rng: np.random.Generator) -> Table:
    """For each class and magnitude a source of the pool that is near it."""
    rows = np.empty(len(kind), dtype=int)
    for name in ("star", "galaxy"):
        mine, known = np.flatnonzero(kind == name), np.flatnonzero(pool["class"] == name)
        rows[mine] = near(pool, known, magnitude[mine], rng)
    return pool[rows]


def near(pool: Table, known: np.ndarray, magnitude: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each magnitude one of the known rows of a pool whose own is among the nearest."""
    at = np.searchsorted(np.asarray(pool["mag_r"])[known], magnitude) + rng.integers(-8, 9, len(magnitude))
    return known[np.clip(at, 0, len(known) - 1)]


def _half_light(table: Table) -> np.ndarray:
    """Rough half-light radius, arcsec; 0 for stars."""
    share = np.nan_to_num(np.asarray(table["bulge_fraction"]))
    bulge, disk = (np.nan_to_num(np.asarray(table[n])) for n in ("bulge_radius", "disk_radius"))
    return share * bulge + (1 - share) * disk


def lattice(size: int, step: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centres of cells, each moved a little."""
    n = int(size // step)
    grid = (np.arange(n) + 0.5) * size / n - 0.5
    x, y = (axis.ravel() + rng.uniform(-0.1, 0.1, n * n) * step for axis in np.meshgrid(grid, grid))
    return x, y


def _drawn(
    name: str, survey: str, seed: np.random.SeedSequence, size: int, make: Callable[..., Table]
) -> Field:  # fmt: skip
    """Draw a table of sources by the package's own functions, with sky and photon noise."""
    profile = PROFILES[survey]
    rng = np.random.default_rng(seed)
    conditions = clear(draw_conditions(profile, rng))
    table = make(profile, conditions, rng)
    x, y = np.asarray(table["x"]), np.asarray(table["y"])
    shifts = {band: rng.uniform(-0.5, 0.5, 2) for band in profile.bands}
    reference = profile.bands[len(profile.bands) // 2]
    shifts[reference] = np.zeros(2)
    light = {band: np.zeros((size, size), np.float32) for band in profile.bands}
    positions = {band: (x - dx, y - dy) for band, (dx, dy) in shifts.items()}
    stamps = draw_sources(light, table, profile, conditions, positions=positions, rng=rng, accurate=True)
    wcs = {band: tangent_wcs(profile, size, shift) for band, shift in shifts.items()}
    truth = complete_truth(table, stamps, light, profile, conditions, wcs[reference], positions)
    images = {}
    for band, values in light.items():
        sigma = np.sqrt(conditions.noise[band] ** 2 + np.clip(values, 0, None) / profile.gain)
        images[band] = (values + sigma * rng.standard_normal(values.shape)).astype(np.float32)
    return _field(name, images, wcs, truth, profile, conditions)


def tangent_wcs(profile: SurveyProfile, size: int, shift: np.ndarray) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [size / 2 + 0.5 - shift[0], size / 2 + 0.5 - shift[1]]
    wcs.wcs.cdelt = [-profile.pixel_scale / 3600, profile.pixel_scale / 3600]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def pair_field(survey: str, number: int, part: str, *, size: int = 640) -> Field:
    """Pairs of stars and galaxies 0.8 to 2 FWHM apart, and as many single sources.

    The fainter member lies half a magnitude to four above the limit, the brighter up to 2.5 magnitudes
    above it; galaxies of pairs have half-light radii up to one FWHM. Single sources are up
    to 6.5 magnitudes above the limit, galaxies up to 1.5 FWHM: splitting those is wrong.
    """

    def make(profile: SurveyProfile, conditions: Conditions, rng: np.random.Generator) -> Table:
        fwhm = float(np.mean(list(conditions.seeing.values())))
        step = 12 * fwhm / profile.pixel_scale
        x, y = lattice(size, step, rng)
        pool, depth = _pool(survey), profile.depth["r"]
        radius = _half_light(pool)
        n = len(x) // 2
        faint = depth - rng.uniform(0.5, 4.0, n)
        kind = rng.choice(["star", "galaxy"], len(x) + n)
        small, single = pool[radius <= fwhm], pool[radius <= 1.5 * fwhm]
        mags = np.concatenate([faint, faint - rng.uniform(0, 2.5, n)])
        members = _pick(small, kind[: 2 * n], mags, rng)
        others = _pick(single, kind[2 * n :], depth - rng.uniform(0.5, 6.5, len(x) - n), rng)
        gap, angle = rng.uniform(*BLENDED, n) * fwhm / profile.pixel_scale, rng.uniform(0, 2 * np.pi, n)
        order = rng.permutation(len(x))
        x, y = x[order], y[order]
        dx, dy = gap * np.cos(angle) / 2, gap * np.sin(angle) / 2
        table = vstack([members, others])
        table["x"] = np.concatenate([x[:n] - dx, x[:n] + dx, x[n:]])
        table["y"] = np.concatenate([y[:n] - dy, y[:n] + dy, y[n:]])
        return table

    return _drawn(f"{survey}-pairs-{number}", survey, _seed(part, 1, survey_number(survey), number), size, make)


def single_field(survey: str, number: int, part: str, *, size: int = 640) -> Field:
    """As many stars as galaxies, evenly over seven magnitudes above the limit, far from each other."""

    def make(profile: SurveyProfile, conditions: Conditions, rng: np.random.Generator) -> Table:
        fwhm = float(np.mean(list(conditions.seeing.values())))
        step = 12 * fwhm / profile.pixel_scale
        x, y = lattice(size, step, rng)
        pool = _pool(survey)
        pool = pool[_half_light(pool) <= step * profile.pixel_scale / 4]
        table = _pick(pool, rng.choice(["star", "galaxy"], len(x)), profile.depth["r"] - rng.uniform(0, 7, len(x)), rng)
        table["x"], table["y"] = x, y
        return table

    return _drawn(f"{survey}-single-{number}", survey, _seed(part, 2, survey_number(survey), number), size, make)
