"""A simulated field of sky: images in several bands, a WCS each, and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrogalaxy.errors import ConfigError
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.profiles import Conditions, SurveyProfile, draw_conditions
from astrogalaxy.simulation.render import draw_sources
from astrogalaxy.simulation.truth import complete_truth

__all__ = ["Scene", "simulate_scene"]

Pixels = NDArray[np.float32]
# Separation of close pairs, in FWHM.
_APART = (0.6, 3.0)


@dataclass(frozen=True)
class Scene:
    """A simulated field.

    Attributes
    ----------
    images : dict
        ``(ny, nx)`` float32 image of each band, in image units of the profile.
    wcs : dict
        The WCS of each band; bands may be shifted by fractions of a pixel.
    truth : Table
        One row per source; see `~astrogalaxy.simulation.truth.complete_truth`.
    profile : SurveyProfile
        The survey that it is like.
    conditions : Conditions
        What was drawn for it.
    reference : str
        Band whose pixels ``x`` and ``y`` of the truth count.

    Examples
    --------
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2)
    >>> scene.images[scene.reference].shape, {"x", "y", "class"} <= set(scene.truth.colnames)
    ((128, 128), True)
    """

    images: dict[str, Pixels]
    wcs: dict[str, WCS]
    truth: Table
    profile: SurveyProfile
    conditions: Conditions
    reference: str


def simulate_scene(
    profile: SurveyProfile,
    *,
    size: int | tuple[int, int] = 512,
    seed: int | np.random.SeedSequence = 0,
    dither: float = 3.0,
    accurate: bool = False,
    artefacts: bool = True,
    conditions: Conditions | None = None,
    centre: tuple[float, float] | None = None,
) -> Scene:
    """Simulate a field.

    Parameters
    ----------
    profile : SurveyProfile
        The survey to imitate.
    size : int or (int, int)
        Side, or rows and columns, in pixels.
    seed : int or numpy.random.SeedSequence
        The same seed gives the same scene.
    dither : float
        Largest shift in pixels of a band's grid against that of the reference band.
    accurate : bool
        Draw profiles with GalSim's default accuracy, not with that of the noise.
    artefacts : bool
        Add cosmic rays, a trail or bad columns now and then.
    conditions : Conditions, optional
        Seeing, noise and density; drawn from the profile by default.
    centre : (float, float), optional
        RA and Dec in degrees; drawn by default.

    Returns
    -------
    Scene
        Images, WCS and truth.

    Raises
    ------
    ConfigError
        If the profile is no `SurveyProfile`, or the size is not one or two whole numbers above 0.

    Examples
    --------
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=64, seed=1)
    >>> scene.images["r"].shape
    (64, 64)
    """
    if not isinstance(profile, SurveyProfile):
        msg = f"profile must be a SurveyProfile, such as PROFILES['sdss'], not {profile!r}"
        raise ConfigError(msg)
    shape = (size, size) if isinstance(size, Integral) else tuple(size)
    if len(shape) != 2 or not all(isinstance(side, Integral) and side > 0 for side in shape):
        msg = f"size must be a whole number of pixels above 0, or two of them, not {size!r}"
        raise ConfigError(msg)
    rng = np.random.default_rng(seed)
    drawn = draw_conditions(profile, rng)
    conditions = conditions or drawn
    reference = profile.bands[len(profile.bands) // 2]
    offsets = _offsets(profile, reference, dither, rng)
    wcs = _grids(profile, shape, offsets, centre, rng)
    area = shape[0] * shape[1] * (profile.pixel_scale / 60) ** 2
    table = draw_population(profile, conditions, area, rng)
    table["x"] = rng.uniform(-0.5, shape[1] - 0.5, len(table))
    table["y"] = rng.uniform(-0.5, shape[0] - 0.5, len(table))
    _pair_up(table, profile, conditions, reference, rng)
    light = {band: np.zeros(shape, np.float32) for band in profile.bands}
    positions = {band: (np.asarray(table["x"]) - dx, np.asarray(table["y"]) - dy) for band, (dx, dy) in offsets.items()}
    stamps = draw_sources(light, table, profile, conditions, positions=positions, rng=rng, accurate=accurate)
    truth = complete_truth(table, stamps, light, profile, conditions, wcs[reference], positions)
    images = {band: _expose(light[band], profile, conditions, band, rng, artefacts=artefacts) for band in profile.bands}
    return Scene(images, wcs, truth, profile, conditions, reference)


def _pair_up(
    table: Table, profile: SurveyProfile, conditions: Conditions, reference: str, rng: np.random.Generator
) -> None:
    """Put some of the sources that can be seen close beside another one, in place."""
    seen = rng.permutation(np.flatnonzero(table[f"mag_{reference}"] < profile.depth[reference]))
    first, second = seen[0::2], seen[1::2]
    n = int(rng.binomial(len(second), conditions.pairs))
    first, second = first[:n], second[:n]
    apart = rng.uniform(*_APART, n) * conditions.seeing[reference] / profile.pixel_scale
    angle = rng.uniform(0, 2 * np.pi, n)
    table["x"][second] = table["x"][first] + apart * np.cos(angle)
    table["y"][second] = table["y"][first] + apart * np.sin(angle)


def _offsets(
    profile: SurveyProfile, reference: str, dither: float, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    shifts = rng.uniform(-dither, dither, (len(profile.bands), 2))
    return {
        band: (0.0, 0.0) if band == reference else (float(dx), float(dy))
        for band, (dx, dy) in zip(profile.bands, shifts, strict=True)
    }


def _grids(
    profile: SurveyProfile,
    shape: tuple[int, int],
    offsets: Mapping[str, tuple[float, float]],
    centre: tuple[float, float] | None,
    rng: np.random.Generator,
) -> dict[str, WCS]:
    drawn = float(rng.uniform(0, 360)), float(np.degrees(np.arcsin(rng.uniform(-0.95, 0.95))))
    ra, dec = centre or drawn
    grids = {}
    for band, (dx, dy) in offsets.items():
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval = [ra, dec]
        wcs.wcs.crpix = [shape[1] / 2 + 0.5 - dx, shape[0] / 2 + 0.5 - dy]
        wcs.wcs.cdelt = [-profile.pixel_scale / 3600, profile.pixel_scale / 3600]
        wcs.wcs.radesys = "ICRS"
        wcs.wcs.set()
        grids[band] = wcs
    return grids


def _expose(
    light: Pixels,
    profile: SurveyProfile,
    conditions: Conditions,
    band: str,
    rng: np.random.Generator,
    *,
    artefacts: bool,
) -> Pixels:
    """Add photon and sky noise, saturate, and lay over a smooth sky."""
    noise = conditions.noise[band]
    sigma = np.sqrt(noise**2 + np.clip(light, 0, None) / profile.gain)
    image = light + sigma * rng.standard_normal(light.shape)
    seeing = conditions.seeing[band] / profile.pixel_scale
    brightest = 10 ** (-0.4 * (profile.saturation - profile.zeropoint))
    # the brightest pixel of a Moffat star holds about half a flux per seeing area
    np.minimum(image, 0.5 * brightest / seeing**2, out=image)
    if artefacts:
        _add_artefacts(image, noise, rng)
    return (image + _sky(light.shape, noise, rng)).astype(np.float32)


def _sky(shape: tuple[int, int], noise: float, rng: np.random.Generator) -> Pixels:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    level, slope_x, slope_y = rng.normal(0, [20, 2, 2])
    return (noise * (level + slope_x * x / shape[1] + slope_y * y / shape[0])).astype(np.float32)


def _add_artefacts(image: NDArray[np.floating], noise: float, rng: np.random.Generator) -> None:
    """Add cosmic rays, a satellite trail and bad columns, none of which is a source, in place."""
    rows, columns = image.shape
    for _ in range(rng.poisson(2e-5 * image.size) if rng.random() < 0.4 else 0):
        n, angle = int(rng.integers(1, 10)), rng.uniform(0, np.pi)
        step = np.arange(n)
        y = np.clip((rng.uniform(0, rows) + step * np.sin(angle)).astype(int), 0, rows - 1)
        x = np.clip((rng.uniform(0, columns) + step * np.cos(angle)).astype(int), 0, columns - 1)
        image[y, x] += noise * rng.uniform(8, 300)
    if rng.random() < 0.05:
        angle, at = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8)
        y, x = np.mgrid[0:rows, 0:columns]
        across = (x - at * columns) * np.sin(angle) - (y - at * rows) * np.cos(angle)
        image += noise * rng.uniform(1, 10) * np.exp(-0.5 * (across / rng.uniform(1, 2.5)) ** 2)
    if rng.random() < 0.1:
        column = int(rng.integers(columns))
        image[:, column] += noise * rng.uniform(-20, 20)
