"""Examples of the star/galaxy set of AstroYOLO: PhoSim fields of Astro R-CNN, or simulated ones like them.

A field is 512 x 512 pixels of the Dark Energy Camera in g, r and z, with the light of every source known. Boxes are
those of isophotes (`~astrogalaxy.datasets.isophotes`); sources that cannot be told from the noise or from a brighter
one are neither asked for nor counted as wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.datasets.isophotes import OwnLight, isophotal_sources
from astrogalaxy.images import Image
from astrogalaxy.simulation import PROFILES, Conditions, SurveyProfile, draw_conditions
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.render import draw_sources
from astrogalaxy.training.examples import Example, half_precision, sources_array

__all__ = ["BANDS", "PIXEL_SCALE", "PROFILE", "isophotal_example", "simulated_field"]

#: Bands of the fields, shortest wavelength first; arcsec per pixel; the profile of their survey.
BANDS = ("g", "r", "z")
PIXEL_SCALE = 0.263
PROFILE = "decam"
# FWHM of stars in arcsec: Astro R-CNN's fields have a simple PSF of 1.0.
_SEEING = (0.9, 1.1)
# A field has about as many visible stars as galaxies, and no clusters or crowds; like its model it has a magnitude
# limit (in r, at the fainter end the depth of the survey), and stars without a halo or spikes.
_STARS, _GALAXIES = (2.5, 4.5), (0.6, 1.2)
_BRIGHTEST = 16.0
# A source that is the brightest in less than this share of its own isophote, and of its core, is part of another.
_OWN = 0.6

Floats = NDArray[np.float32]


def simulated_field(
    size: int, *, isophote: float, faintest: float, seed: int | np.random.SeedSequence, name: str = ""
) -> Example:
    """Simulate a field like those of Astro R-CNN.

    Parameters
    ----------
    size : int
        Side in pixels.
    isophote : float
        Limit of the boxes in units of the sky's noise (bands added up).
    faintest : float
        Signal to noise below which a source is ignored.
    seed : int or numpy.random.SeedSequence
        The same seed gives the same field.
    name : str
        Of the example.

    Returns
    -------
    Example

    Examples
    --------
    >>> example = simulated_field(96, isophote=0.3, faintest=15, seed=1)
    >>> example.snr.shape
    (3, 96, 96)
    """
    rng = np.random.default_rng(seed)
    profile = replace(PROFILES[PROFILE], pixel_scale=PIXEL_SCALE, bands=BANDS, seeing=_SEEING)
    conditions = replace(
        draw_conditions(profile, rng),
        crowding=float(rng.uniform(*_STARS)),
        clustering=float(rng.uniform(*_GALAXIES)),
        halo=0.0,
        spikes=0.0,
        bleeding=None,
    )
    light, objects = _draw(profile, conditions, size, rng)
    frames = {band: _expose(light[band], conditions.noise[band], profile, rng) for band in BANDS}
    return isophotal_example(
        Image.read(frames, reference="r"), objects, isophote=isophote, faintest=faintest, name=name
    )


def _draw(
    profile: SurveyProfile, conditions: Conditions, size: int, rng: np.random.Generator
) -> tuple[dict[str, Floats], list[OwnLight]]:
    """Noise-free image of each band, and each source's own light in all of them."""
    table = draw_population(profile, conditions, (size * profile.pixel_scale / 60) ** 2, rng)
    table = table[(table["mag_r"] > _BRIGHTEST) & (table["mag_r"] < profile.depth["r"])]
    x, y = rng.uniform(-0.5, size - 0.5, (2, len(table)))
    light = {band: np.zeros((size, size), np.float32) for band in profile.bands}
    objects = []
    for i, row in enumerate(table):
        frames = {band: np.zeros((size, size), np.float32) for band in profile.bands}
        place = dict.fromkeys(frames, (x[i : i + 1], y[i : i + 1]))
        draw_sources(frames, table[i : i + 1], profile, conditions, positions=place, rng=rng)
        for band, frame in frames.items():
            light[band] += frame
        combined = sum(frame / conditions.noise[band] for band, frame in frames.items()) / np.sqrt(len(frames))
        objects.append(OwnLight.from_frame(np.asarray(combined, np.float32), galaxy=row["class"] == "galaxy"))
    return light, objects


def _expose(light: Floats, noise: float, profile: SurveyProfile, rng: np.random.Generator) -> Floats:
    """Add the noise of the sky and of the photons."""
    sigma = np.sqrt(noise**2 + light / profile.gain)
    return (light + sigma * rng.standard_normal(light.shape)).astype(np.float32)


def isophotal_example(
    image: Image, objects: Sequence[OwnLight], *, isophote: float, faintest: float, name: str = ""
) -> Example:
    """Make an example of a field whose sources' own light is known.

    Parameters
    ----------
    image : Image
        The field.
    objects : sequence of OwnLight
        Its sources.
    isophote, faintest : float
        As in `simulated_field`.
    name : str
        Of the example.

    Returns
    -------
    Example
        With an ignored source where one is too faint, or lost in the light of a brighter one.
    """
    found = isophotal_sources(objects, image.shape, isophote=isophote)
    sources = sources_array(
        x=(found["x_min"] + found["x_max"]) / 2,
        y=(found["y_min"] + found["y_max"]) / 2,
        width=found["x_max"] - found["x_min"],
        height=found["y_max"] - found["y_min"],
        galaxy=found["galaxy"].astype(float),
        snr=found["snr"],
        ignore=(found["snr"] < faintest) | (found["own"] < _OWN),
    )
    return Example(half_precision(image.aligned().snr), sources, name)
