"""A small field with known stars, for injections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.images import Image
from astrogalaxy.simulation import PROFILES, Conditions, Scene, simulate_scene


@pytest.fixture(scope="session")
def starry() -> Scene:
    """Many stars of one known profile, few galaxies, in three bands that are shifted against each other."""
    profile = replace(PROFILES["sdss"], seeing=(1.2, 1.2))
    conditions = Conditions(
        seeing={"g": 1.3, "r": 1.2, "i": 1.1},
        noise={"g": 0.015, "r": 0.02, "i": 0.03},
        beta=3.2,
        shear=(0.04, -0.03),
        crowding=5.0,
        clustering=0.5,
    )
    return simulate_scene(profile, size=(260, 320), seed=11, artefacts=False, accurate=True, conditions=conditions)


@pytest.fixture(scope="session")
def starry_image(starry: Scene) -> Image:
    source = {band: (starry.images[band], starry.wcs[band]) for band in starry.images}
    return Image.read(source, zeropoint=22.5, gain=200.0, name="starry")


@pytest.fixture(scope="session")
def starry_catalog(starry: Scene, starry_image: Image) -> SourceCatalog:
    """What an ideal catalogue of it would hold: every visible source, and its class for sure."""
    return ideal_catalog(starry)


def ideal_catalog(scene: Scene) -> SourceCatalog:
    """The truth of a scene as a catalogue."""
    truth = scene.truth[scene.truth["visible"]]
    star = np.asarray(truth["class"]) == "star"
    columns = {
        name: np.asarray(truth[name]) for name in ("x", "y", "ra", "dec", "x_min", "x_max", "y_min", "y_max", "snr")
    }
    columns |= {"class": np.where(star, "star", "galaxy"), "p_star": star * 1.0, "p_galaxy": 1.0 - star}
    columns |= {"det_score": np.full(len(truth), 0.9), "half_light_radius": np.where(star, 0.7, 1.4)}
    columns |= {f"flux_{b}": np.asarray(truth[f"flux_{b}"]) * 3630.78 for b in scene.images}
    return SourceCatalog.from_columns(columns, bands=list(scene.images), calibrated=set(scene.images))
