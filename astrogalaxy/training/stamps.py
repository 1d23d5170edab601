"""Real galaxies laid into examples, for what a simulated galaxy cannot teach of morphology."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from astrogalaxy.datasets.galaxyzoo import GalaxyCutout, cutout_light
from astrogalaxy.simulation.truth import BOX_RADII
from astrogalaxy.training.examples import SOURCE_DTYPE, Example

__all__ = ["paste_galaxies"]

_SHRINK = (2.5, 9.0)
_PEAK = (6.0, 200.0)  # signal to noise of the brightest pixel
_SEEING = (1.0, 2.0)  # sigma in pixels of the blur that stands for the seeing
_TRIES = 20


def paste_galaxies(example: Example, cutouts: Sequence[GalaxyCutout], *, seed: int | np.random.SeedSequence) -> Example:
    """Add galaxies of a cutout set to an example of three bands.

    Each is made smaller, blurred, given a signal to noise, turned, and placed where no
    source of the example has its centre. The votes become its smooth/disk label.

    Returns
    -------
    Example
        Of the same name; the given one is not changed.
    """
    rng = np.random.default_rng(seed)
    snr = example.snr.astype(np.float32)
    taken = np.column_stack([example.sources["x"], example.sources["y"]])
    added = []
    for cutout in cutouts:
        stamp = _vary(cutout_light(cutout.path, shrink=float(rng.uniform(*_SHRINK))), rng)
        stamp *= np.exp(rng.uniform(*np.log(_PEAK)))
        source = _describe(stamp, cutout.p_disk)
        place = _free_place(stamp, taken, source, snr.shape[1:], rng)
        if place is None:
            continue
        y, x = place
        snr[:, y : y + stamp.shape[1], x : x + stamp.shape[2]] += stamp
        source["x"] += x
        source["y"] += y
        added.append(source)
        taken = np.vstack([taken, [[source["x"], source["y"]]]])
    if added:
        sources = np.concatenate([example.sources, np.array(added, dtype=SOURCE_DTYPE)])
    else:
        sources = example.sources
    return Example(np.clip(snr, -6e4, 6e4).astype(np.float16), sources, example.name)


def _vary(stamp: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    stamp = np.rot90(stamp, int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        stamp = stamp[:, :, ::-1]
    sigma = float(rng.uniform(*_SEEING))
    blurred = ndimage.gaussian_filter(stamp, (0, sigma, sigma))
    tint = rng.lognormal(0, 0.15, (3, 1, 1)).astype(np.float32)
    return np.ascontiguousarray(blurred * tint / max(float(blurred.max()), 1e-6))


def _describe(stamp: NDArray[np.float32], p_disk: float) -> np.void:
    """Source record of a galaxy alone on its stamp: a box from its moments."""
    light = np.clip(stamp.sum(axis=0), 0, None)
    y, x = np.mgrid[0 : light.shape[0], 0 : light.shape[1]]
    total = max(float(light.sum()), 1e-6)
    cx, cy = float((light * x).sum() / total), float((light * y).sum() / total)
    source = np.zeros(1, dtype=SOURCE_DTYPE)[0]
    # an exponential disk's half-light radius is 0.7 of its rms along either axis
    source["x"], source["y"] = cx, cy
    source["width"] = 2 * BOX_RADII * max(0.85 * np.sqrt((light * (x - cx) ** 2).sum() / total), 1.4)
    source["height"] = 2 * BOX_RADII * max(0.85 * np.sqrt((light * (y - cy) ** 2).sum() / total), 1.4)
    source["galaxy"], source["disk"] = 1.0, p_disk
    source["snr"] = np.sqrt((stamp.astype(float) ** 2).sum())
    return source


def _free_place(
    stamp: NDArray[np.float32],
    taken: NDArray[np.floating],
    source: np.void,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """A corner for the stamp such that no source lies in the galaxy's box."""
    room_y, room_x = shape[0] - stamp.shape[1], shape[1] - stamp.shape[2]
    if room_y <= 0 or room_x <= 0:
        return None
    tree = cKDTree(taken) if len(taken) else None
    clear = 0.6 * max(source["width"], source["height"])
    for _ in range(_TRIES):
        y, x = int(rng.integers(room_y)), int(rng.integers(room_x))
        centre = (x + source["x"], y + source["y"])
        if tree is None or not tree.query_ball_point(centre, clear):
            return y, x
    return None
