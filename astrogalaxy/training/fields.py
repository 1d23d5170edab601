"""Training examples from real frames: the few real labels, and injected sources."""

from __future__ import annotations

import numpy as np
import sep
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.detection.significance import significance
from astrogalaxy.gaussian import SIGMA_PER_MAD
from astrogalaxy.images import Image, Pixels, Section
from astrogalaxy.images.stars import find_stars, half_light_radius
from astrogalaxy.images.threshold import above_threshold
from astrogalaxy.measurement.starlight import image_seeing
from astrogalaxy.simulation.inject import inject_sources
from astrogalaxy.simulation.profiles import SurveyProfile
from astrogalaxy.simulation.render import star_size
from astrogalaxy.simulation.truth import BOX_RADII
from astrogalaxy.training.examples import Example, half_precision, sources_array, truth_sources
from astrogalaxy.training.labels import SEEN_SNR, label_bounds

__all__ = ["injected_example", "labelled_example"]

# Threshold and least area of detections on the sum of the bands; those without a label may be real sources.
_DETECT_SIGMA, _DETECT_PIXELS = 1.5, 4
_SMALLEST_BOX = 6.0
# The class of a real source is plain where it is this significant, alone, and as wide as stars or this
# much wider (logarithm of half-light radii). Beyond the highest significance stars may saturate.
_PLAIN_SNR, _SATURATES_SNR = 50.0, 4000.0
_STAR_WIDTH, _GALAXY_WIDTH = 0.07, 0.25
_ALONE = 3.0  # half sides of a box: how far the next source must be


def labelled_example(image: Image, labels: Table, *, region: Section | None = None, name: str = "") -> Example:
    """Example of a real field with labels.

    Labels give a position and a class; the boxes come from the light itself. What is
    seen but not labelled is ignored, unless it lies inside a labelled source's box: then it
    is a piece of that source, and finding it is wrong. Labels without light (catalogues know other
    bands) are ignored, too, and so are those that are not ``visible``.

    Parameters
    ----------
    image : Image
        The field.
    labels : Table
        See `~astrogalaxy.training.labels.read_labels`.
    region : Section, optional
        Part of the field that the labels cover; default their bounding box.
    name : str
        Name of the example.

    Returns
    -------
    Example
        Pixels of the region. Labels of another class than star and galaxy have a place to be
        found at, but no class.
    """
    region = (region or label_bounds(labels)).clip(image.shape)
    image.register()
    snr = image.aligned(region).snr
    x = np.asarray(labels["x"], dtype=float) - region.x0
    y = np.asarray(labels["y"], dtype=float) - region.y0
    summed = _sum(snr)
    radius, _ = sep.flux_radius(summed, x, y, _room(x, y), 0.5, subpix=5)
    side = np.clip(2 * BOX_RADII * np.where(np.isfinite(radius), radius, 0), _SMALLEST_BOX, None)
    galaxy = np.select([labels["class"] == "galaxy", labels["class"] == "star"], [1.0, 0.0], np.nan)
    unseen = significance(snr, x, y) < SEEN_SNR
    if "visible" in labels.colnames:
        unseen |= ~np.asarray(labels["visible"])
    sources = sources_array(x=x, y=y, width=side, height=side, galaxy=galaxy, ignore=unseen)
    unknown, _ = _detections(summed)
    inside = _within(unknown, sources[~unseen])
    seeing, sources = image_seeing(image), np.concatenate([sources, unknown[~inside]])
    return Example(half_precision(snr), sources, name, seeing, image.pixel_scale)


def injected_example(
    image: Image, profile: SurveyProfile, *, seed: int | np.random.SeedSequence, name: str = ""
) -> Example:
    """Example of a real field with simulated sources injected.

    Of its own sources those that are plainly stars or galaxies are to be found, too; the others
    are ignored, and so is what is injected upon any of them.
    """
    image.register()
    summed = _sum(image.aligned().snr)
    own, owner = _detections(summed)
    own = _plain(own, summed)
    injected = inject_sources(image, profile, seed=seed)
    conditions = injected.conditions
    seeing = float(np.mean(list(conditions.seeing.values())))
    sources = truth_sources(injected.truth, seeing)
    x = np.clip(np.rint(sources["x"]).astype(int), 0, image.shape[1] - 1)
    y = np.clip(np.rint(sources["y"]).astype(int), 0, image.shape[0] - 1)
    sources["ignore"] |= owner[y, x] > 0
    own["ignore"] |= _within(own, sources[~sources["ignore"]])
    snr = injected.image.aligned().snr
    stars = star_size(conditions, image.reference, image.pixel_scale)
    sources = np.concatenate([sources, own])
    return Example(half_precision(snr), sources, name, stars, image.pixel_scale)


def _plain(found: NDArray[np.void], summed: NDArray[np.float32]) -> NDArray[np.void]:
    """Name the class of sources whose class is plain, and ask for them; leave the others ignored."""
    flat, none = np.ones_like(summed), np.zeros(summed.shape, dtype=bool)
    stars = find_stars([Pixels(summed, flat, none, none, Section.whole(summed.shape))])[0] / 2
    if not np.isfinite(stars) or len(found) < 2:
        return found
    x, y = found["x"].astype(float), found["y"].astype(float)
    radius = half_light_radius(summed, x, y, found["width"] / 4)
    flux, error, _ = sep.sum_circle(summed, x, y, 1.5 * radius, err=1.0, subpix=5)
    nearest = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)[0][:, 1]
    half = np.maximum(BOX_RADII * radius, _SMALLEST_BOX / 2)
    plain = (flux > _PLAIN_SNR * error) & (flux < _SATURATES_SNR * error) & (nearest > _ALONE * half)
    wider = np.log(radius / stars)
    named = found.copy()
    star, galaxy = plain & (np.abs(wider) < _STAR_WIDTH), plain & (wider > _GALAXY_WIDTH)
    named["galaxy"] = np.select([star, galaxy], [0.0, 1.0], np.nan)
    named["ignore"] = ~(star | galaxy)
    for side in ("width", "height"):
        named[side] = np.where(named["ignore"], found[side], 2 * half)
    return named


def _room(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radius around each label that is not its neighbour's."""
    points = np.column_stack([x, y])
    nearest, _ = cKDTree(points).query(points, k=2)
    return np.clip(0.6 * nearest[:, -1], 4.0, 15.0)


def _sum(snr: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the bands in units of its own measured noise."""
    summed = snr.sum(axis=0)
    noise = SIGMA_PER_MAD * float(np.median(np.abs(summed - np.median(summed))))
    return np.ascontiguousarray(summed / max(noise, 1e-6), dtype=np.float32)


def _detections(summed: NDArray[np.float32]) -> tuple[NDArray[np.void], NDArray[np.int32]]:
    """What a plain threshold finds, as sources to ignore, and the map of their pixels."""
    settings = {"minarea": _DETECT_PIXELS, "deblend_cont": 0.001, "segmentation_map": True}
    found, owner = above_threshold(summed, _DETECT_SIGMA, **settings)
    width, height = (np.clip(found[f"{c}max"] - found[f"{c}min"] + 1, _SMALLEST_BOX, None) for c in "xy")
    return sources_array(x=found["x"], y=found["y"], width=width, height=height, ignore=True), owner


def _within(points: NDArray[np.void], boxes: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which points lie inside any of the boxes."""
    dx = np.abs(points["x"][:, None] - boxes["x"]) < boxes["width"] / 2
    dy = np.abs(points["y"][:, None] - boxes["y"]) < boxes["height"] / 2
    return np.asarray((dx & dy).any(axis=1))
