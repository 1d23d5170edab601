"""Training examples from real frames: the few real labels, and injected sources."""

from __future__ import annotations

import numpy as np
import sep
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.errors import ConfigError
from astrogalaxy.evaluation.truth import read_truth
from astrogalaxy.images import Image, Section
from astrogalaxy.simulation.inject import inject_sources
from astrogalaxy.simulation.profiles import SurveyProfile
from astrogalaxy.simulation.truth import BOX_RADII
from astrogalaxy.training.examples import SOURCE_DTYPE, Example, sources_array, truth_sources

__all__ = ["injected_example", "labelled_example", "read_labels"]

# What a plain threshold finds on the sum of the bands but no label names may be real.
_DETECT_SIGMA, _DETECT_PIXELS = 1.5, 4
_SMALLEST_BOX = 6.0


def read_labels(path: str, split: str | None = None, part: str = "train") -> Table:
    """Read labels: ``x``, ``y`` (0-based pixels of the reference band) and ``class``.

    Parameters
    ----------
    path : str
        CSV, ECSV or FITS; see `~astrogalaxy.evaluation.truth.read_truth`.
    split : str, optional
        CSV with ``row`` (of the label file, from 0) and ``part``.
    part : str
        Part of the split to keep.

    Raises
    ------
    ConfigError
        If a file or a column is missing.
    """
    labels = read_truth(path, split=split, part=part)
    missing = {"x", "y", "class"} - set(labels.colnames)
    if missing:
        msg = f"{path}: no column {min(missing)!r}; labels need x, y and class"
        raise ConfigError(msg)
    return labels


def labelled_example(image: Image, labels: Table, *, region: Section | None = None, name: str = "") -> Example:
    """Example of a real field with labels.

    Labels give a position and a class; the boxes come from the light itself. What is
    seen but not labelled is ignored, unless it lies inside a labelled source's box: then it
    is a piece of that source, and finding it is wrong.

    Parameters
    ----------
    image : Image
        The field.
    labels : Table
        See `read_labels`.
    region : Section, optional
        Part of the field that the labels cover; default their bounding box.

    Returns
    -------
    Example
        Pixels of the region. Labels of another class than star and galaxy have a place to be
        found at, but no class.
    """
    region = (region or _bounds(labels)).clip(image.shape)
    snr = image.aligned(region).snr
    x = np.asarray(labels["x"], dtype=float) - region.x0
    y = np.asarray(labels["y"], dtype=float) - region.y0
    summed = _sum(snr)
    radius, _ = sep.flux_radius(summed, x, y, _room(x, y), 0.5, subpix=5)
    side = np.clip(2 * BOX_RADII * np.where(np.isfinite(radius), radius, 0), _SMALLEST_BOX, None)
    galaxy = np.select([labels["class"] == "galaxy", labels["class"] == "star"], [1.0, 0.0], np.nan)
    sources = sources_array(x=x, y=y, width=side, height=side, galaxy=galaxy)
    unknown, _ = _detections(summed)
    inside = _within(unknown, sources)
    return Example(np.clip(snr, -6e4, 6e4).astype(np.float16), np.concatenate([sources, unknown[~inside]]), name)


def injected_example(
    image: Image, profile: SurveyProfile, *, seed: int | np.random.SeedSequence, name: str = ""
) -> Example:
    """Example of a real field with simulated sources injected; its own sources are ignored."""
    own, owner = _detections(_sum(image.aligned().snr))
    injected = inject_sources(image, profile, seed=seed)
    seeing = float(np.mean(list(injected.conditions.seeing.values())))
    sources = truth_sources(injected.truth, seeing)
    x = np.clip(np.rint(sources["x"]).astype(int), 0, image.shape[1] - 1)
    y = np.clip(np.rint(sources["y"]).astype(int), 0, image.shape[0] - 1)
    sources["ignore"] |= owner[y, x] > 0
    snr = injected.image.aligned().snr
    return Example(np.clip(snr, -6e4, 6e4).astype(np.float16), np.concatenate([sources, own]), name)


def _room(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radius around each label that is not its neighbour's."""
    points = np.column_stack([x, y])
    nearest, _ = cKDTree(points).query(points, k=2)
    return np.clip(0.6 * nearest[:, -1], 4.0, 15.0)


def _bounds(labels: Table) -> Section:
    x, y = np.asarray(labels["x"]), np.asarray(labels["y"])
    return Section(int(x.min()), int(x.max()) + 1, int(y.min()), int(y.max()) + 1)


def _sum(snr: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the bands in units of its own measured noise."""
    summed = snr.sum(axis=0)
    noise = 1.4826 * float(np.median(np.abs(summed - np.median(summed))))
    return np.ascontiguousarray(summed / max(noise, 1e-6), dtype=np.float32)


def _detections(summed: NDArray[np.float32]) -> tuple[NDArray[np.void], NDArray[np.int32]]:
    """What a plain threshold finds, as sources to ignore, and the map of their pixels."""
    sep.set_extract_pixstack(max(sep.get_extract_pixstack(), summed.size // 4))
    found, owner = sep.extract(summed, _DETECT_SIGMA, minarea=_DETECT_PIXELS, deblend_cont=0.001, segmentation_map=True)
    ignored = np.zeros(len(found), dtype=SOURCE_DTYPE)
    for name in ("galaxy", "disk", "snr"):
        ignored[name] = np.nan
    ignored["x"], ignored["y"], ignored["ignore"] = found["x"], found["y"], True
    ignored["width"] = np.clip(found["xmax"] - found["xmin"] + 1, _SMALLEST_BOX, None)
    ignored["height"] = np.clip(found["ymax"] - found["ymin"] + 1, _SMALLEST_BOX, None)
    return ignored, owner


def _within(points: NDArray[np.void], boxes: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which points lie inside any of the boxes."""
    dx = np.abs(points["x"][:, None] - boxes["x"]) < boxes["width"] / 2
    dy = np.abs(points["y"][:, None] - boxes["y"]) < boxes["height"] / 2
    return np.asarray((dx & dy).any(axis=1))
