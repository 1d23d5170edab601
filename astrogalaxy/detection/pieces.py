"""Join what the network has found in pieces: cores of saturated stars, and galaxies larger than it can see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.detection.detections import Detections
from astrogalaxy.images import Aligned
from astrogalaxy.images.saturation import blunt_cores, core_of

__all__ = ["NEAR", "from_middle", "in_middle", "one_each", "whole_galaxies"]

#: Usual distance of a large galaxy's nucleus from the middle of its box, in sides of the box; and the largest.
NEAR = 0.1
_MIDDLE = 0.25
# A source stands out of a galaxy if it is so many times as bright as its surroundings, which are taken to have at least
# so many sigma.
_STANDS_OUT, _SKY = 2.0, 1.0
# Quantile of the square outline around a source that is its surroundings: around a knot in an edge-on galaxy most of
# the outline is sky.
_RIDGE = 0.8
# Half a side of the smallest such square, and its distance from the source's box, pixels.
_LEAST_AROUND, _BEYOND = 4.0, 1.0


def one_each(found: Detections, aligned: Aligned, seeing: float) -> Detections:
    """Keep one source in the core of each saturated star: the surest, moved to the core's middle, with all boxes."""
    for snr, bad in zip(aligned.snr, aligned.bad, strict=True):
        cores = blunt_cores(snr, 1.0, bad, seeing)
        cores[:, :2] += aligned.section.x0, aligned.section.y0
        core = core_of(cores, found.x, found.y)
        kept = np.ones(len(found), dtype=bool)
        for number in np.flatnonzero(np.bincount(core[core >= 0]) > 1):
            members = np.flatnonzero(core == number)
            kept[members[1:]] = False
            x, y = cores[number, :2]
            found = _with(found, members[0], x=x, y=y, **_around(found.take(members)))
        found = found.take(kept)
    return found


def _around(found: Detections) -> dict[str, float]:
    """Sides of the box that holds those of some sources."""
    (x_min, _, y_min, _), (_, x_max, _, y_max) = found.boxes.min(axis=0), found.boxes.max(axis=0)
    return {"x_min": x_min, "x_max": x_max, "y_min": y_min, "y_max": y_max}


def _with(found: Detections, number: int, **values: float) -> Detections:
    """The same sources with other values of one of them."""
    changed = {name: getattr(found, name).copy() for name in values}
    for name, value in values.items():
        changed[name][number] = value
    return replace(found, **changed)


def in_middle(found: Detections, galaxy: Detections) -> int | None:
    """Index of the source that is the middle of a large galaxy: a clear galaxy near its centre; None without one."""
    distance = from_middle(found, galaxy)
    possible = (distance <= _MIDDLE) & (found.p_galaxy >= 0.5)
    clear = found.significance * np.exp(-0.5 * (distance / NEAR) ** 2)
    return int(np.argmax(np.where(possible, clear, -np.inf))) if possible.any() else None


def from_middle(found: Detections, galaxy: Detections) -> NDArray[np.float64]:
    """Distances of sources from the middle of a galaxy, in sides of its box: within 0.5 they lie on it."""
    width, height = galaxy.x_max - galaxy.x_min, galaxy.y_max - galaxy.y_min
    return np.hypot((found.x - galaxy.x) / width, (found.y - galaxy.y) / height)


def whole_galaxies(found: Detections, aligned: Aligned, large: Detections) -> Detections:
    """Make each large galaxy one source: that in its middle, with the box and the morphology of the whole, or itself.

    Other sources within it are pieces of it and go, unless they stand out: a star in front, or another galaxy, is
    brighter than its surroundings.

    Parameters
    ----------
    found : Detections
        All sources.
    aligned : Aligned
        Where they were found.
    large : Detections
        Large galaxies of the whole image, the largest first. Those that are centred elsewhere change nothing.

    Returns
    -------
    Detections
        Best first, if they were.
    """
    large = large.take(aligned.section.contains(large.x, large.y))
    if not len(large):
        return found
    light = aligned.snr.sum(axis=0) / np.sqrt(len(aligned.snr))
    for galaxy in large:
        main = in_middle(found, galaxy)
        if main is None:
            main = int(np.count_nonzero(found.det_score >= galaxy.det_score[0]))
            found = found.join(galaxy).take(np.insert(np.arange(len(found)), main, len(found)))
        kept = _stands_out(found, galaxy, light, aligned)
        kept &= ~_holds(found, found.x[main], found.y[main])
        kept[main] = True
        both = found.take(np.array([main])).join(galaxy)
        found = _with(found, main, p_smooth=galaxy.p_smooth[0], p_disk=galaxy.p_disk[0], **_around(both)).take(kept)
    return found


def _holds(found: Detections, x: float, y: float) -> NDArray[np.bool_]:
    """Galaxies whose boxes hold a position."""
    inside = (found.x_min <= x) & (x <= found.x_max) & (found.y_min <= y) & (y <= found.y_max)
    return inside & (found.p_galaxy >= 0.5)


def _stands_out(
    found: Detections, galaxy: Detections, light: NDArray[np.float32], aligned: Aligned
) -> NDArray[np.bool_]:
    """Sources outside a galaxy, and those within it that are brighter than their surroundings."""
    out = from_middle(found, galaxy) > 0.5
    ny, nx = light.shape
    for i in np.flatnonzero(~out):
        x, y = (int(np.rint(at)) for at in (found.x[i] - aligned.section.x0, found.y[i] - aligned.section.y0))
        side = max(found.x_max[i] - found.x_min[i], found.y_max[i] - found.y_min[i])
        around = int(np.ceil(max(side / 2 + _BEYOND, _LEAST_AROUND)))
        square = light[max(y - around, 0) : min(y + around + 1, ny), max(x - around, 0) : min(x + around + 1, nx)]
        outline = np.concatenate([square[0], square[-1], square[:, 0], square[:, -1]])
        top = light[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean()
        out[i] = top > _STANDS_OUT * max(float(np.quantile(outline, _RIDGE)), _SKY)
    return out
