"""Real galaxies pasted into examples: they teach morphology that simulated galaxies do not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from astrogalaxy.datasets.galaxyzoo import GalaxyCutout, cutout_light
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.simulation.truth import BOX_RADII
from astrogalaxy.training.examples import SOURCE_DTYPE, Example, half_precision

__all__ = ["paste_galaxies"]

_BANDS = 3
_SHRINK = (1.3, 9.0)
_PEAK = (6.0, 300.0)  # signal to noise of the brightest pixel
_COMMON_SEEING = 4.0  # pixels, where an example does not know its own
_BLUR = (0.7, 1.0)  # of the seeing: a cutout has some of its own
_TRIES = 20
# Brighter sources than this are not covered; fainter ones are no longer asked for where the
# galaxy's light is more than this.
_BRIGHT, _COVERED = 20.0, 3.0


def paste_galaxies(example: Example, cutouts: Sequence[GalaxyCutout], *, seed: int | np.random.SeedSequence) -> Example:
    """Add galaxies of a cutout set to an example of three bands.

    Each is made smaller, blurred by the example's seeing, given a signal to noise, turned, and
    placed where it covers no bright source; faint ones that it covers are no longer asked for.
    The votes become its smooth/disk label.

    Returns
    -------
    Example
        Of the same name; the given one is not changed. One of another number of bands comes back
        as it is: the cutouts have no other colours.
    """
    rng = np.random.default_rng(seed)
    snr = example.snr.astype(np.float32)
    if len(snr) != _BANDS:
        return example
    known = example.sources.copy()
    with np.errstate(invalid="ignore"):
        bright = ~(known["snr"] < _BRIGHT)
    taken = np.column_stack([known["x"], known["y"]])[bright]
    seeing = example.seeing if np.isfinite(example.seeing) else _COMMON_SEEING
    added = []
    for cutout in cutouts:
        shrink = float(np.exp(rng.uniform(*np.log(_SHRINK))))
        stamp = _vary(cutout_light(cutout.path, shrink=shrink), seeing, rng)
        stamp *= np.exp(rng.uniform(*np.log(_PEAK)))
        source = _describe(stamp, cutout.p_disk)
        place = _free_place(stamp, taken, source, snr.shape[1:], rng)
        if place is None:
            continue
        y, x = place
        snr[:, y : y + stamp.shape[1], x : x + stamp.shape[2]] += stamp
        known["ignore"] |= _covered(known, stamp, x, y)
        source["x"] += x
        source["y"] += y
        added.append(source)
        taken = np.vstack([taken, [[source["x"], source["y"]]]])
    if added:
        known = np.concatenate([known, np.array(added, dtype=SOURCE_DTYPE)])
    return replace(example, snr=half_precision(snr), sources=known)


def _covered(sources: NDArray[np.void], stamp: NDArray[np.float32], x: int, y: int) -> NDArray[np.bool_]:
    """Which sources lie in a stamp's bright light, its corner at (x, y)."""
    light = stamp.sum(axis=0) / np.sqrt(len(stamp))
    column, row = np.rint(sources["x"]).astype(int) - x, np.rint(sources["y"]).astype(int) - y
    inside = (column >= 0) & (column < light.shape[1]) & (row >= 0) & (row < light.shape[0])
    return inside & (light[row * inside, column * inside] > _COVERED)


def _vary(stamp: NDArray[np.float32], seeing: float, rng: np.random.Generator) -> NDArray[np.float32]:
    stamp = np.rot90(stamp, int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        stamp = stamp[:, :, ::-1]
    sigma = seeing / FWHM_PER_SIGMA * float(rng.uniform(*_BLUR))
    blurred = ndimage.gaussian_filter(stamp, (0, sigma, sigma))
    tint = rng.lognormal(0, 0.15, (_BANDS, 1, 1)).astype(np.float32)
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
    """A corner for the stamp such that no bright source lies near the galaxy's centre."""
    room_y, room_x = shape[0] - stamp.shape[1], shape[1] - stamp.shape[2]
    if room_y <= 0 or room_x <= 0:
        return None
    tree = cKDTree(taken) if len(taken) else None
    clear = 0.5 * max(source["width"], source["height"])
    for _ in range(_TRIES):
        y, x = int(rng.integers(room_y)), int(rng.integers(room_x))
        centre = (x + source["x"], y + source["y"])
        if tree is None or not tree.query_ball_point(centre, clear):
            return y, x
    return None
