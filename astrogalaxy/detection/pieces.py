"""Make one source of what the network has found of it in pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.detection.detections import Detections
from astrogalaxy.images import Aligned
from astrogalaxy.images.saturation import blunt_cores, core_of

__all__ = ["NEAR", "from_middle", "in_middle", "one_each", "whole_galaxies"]

#: How far from the middle of its box a large galaxy usually is at full size, in sides of the box.
NEAR = 0.1
# And how far it may be.
_MIDDLE = 0.25
# What stands out of a galaxy is so many times as bright as what lies around it; below so many sigma that is sky.
_STANDS_OUT, _SKY = 2.0, 1.0
# Of the outline so much is fainter than what counts: around a knot in an edge-on galaxy most of it is sky.
_RIDGE = 0.8
# Half a side of the smallest square whose outline is around a source, and how far it is beyond the box, pixels.
_LEAST_AROUND, _BEYOND = 4.0, 1.0


def one_each(found: Detections, aligned: Aligned, seeing: float) -> Detections:
    """Make one of all that was found in the core of one saturated star: the surest, in the middle."""
    for snr, bad in zip(aligned.snr, aligned.bad, strict=True):
        cores = blunt_cores(snr, 1.0, bad, seeing)
        cores[:, :2] += aligned.section.x0, aligned.section.y0
        core = core_of(cores, found.x, found.y)
        kept = np.ones(len(found), dtype=bool)
        for number in np.flatnonzero(np.bincount(core[core >= 0]) > 1):
            first, *others = np.flatnonzero(core == number)
            kept[others] = False
            found.x[first], found.y[first] = cores[number, :2]
            _enclose(found, first, found.take(np.array(others)))
        found = found.take(kept)
    return found


def _enclose(found: Detections, number: int, others: Detections) -> None:
    """Widen the box of a source, in place, so that it holds those of others."""
    for name, outermost in (("x_min", min), ("x_max", max), ("y_min", min), ("y_max", max)):
        sides = getattr(found, name)
        sides[number] = outermost(sides[number], *getattr(others, name))


def in_middle(found: Detections, galaxy: Detections) -> int | None:
    """Which source is the middle of a large galaxy: the clearest galaxy there, the nearer the better; None without."""
    distance = from_middle(found, galaxy)
    there = (distance <= _MIDDLE) & (found.p_galaxy >= 0.5)
    clear = found.significance * np.exp(-0.5 * (distance / NEAR) ** 2)
    return int(np.argmax(np.where(there, clear, -np.inf))) if there.any() else None


def from_middle(found: Detections, galaxy: Detections) -> NDArray[np.float64]:
    """Distances of sources from the middle of a galaxy, in sides of its box: within 0.5 they lie on it."""
    width, height = galaxy.x_max - galaxy.x_min, galaxy.y_max - galaxy.y_min
    return np.hypot((found.x - galaxy.x) / width, (found.y - galaxy.y) / height)


def whole_galaxies(found: Detections, aligned: Aligned, large: Detections) -> Detections:
    """Make one source of each large galaxy: that in its middle, with the box and the shape of the whole, or itself.

    What else was found within it is a piece and goes, unless it stands out: a star in front, or another galaxy, is
    brighter than what lies around it.

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
        _enclose(found, main, galaxy)
        found.p_smooth[main], found.p_disk[main] = galaxy.p_smooth[0], galaxy.p_disk[0]
        found = found.take(kept)
    return found


def _holds(found: Detections, x: float, y: float) -> NDArray[np.bool_]:
    """Boxes of galaxies in which a place lies."""
    inside = (found.x_min <= x) & (x <= found.x_max) & (found.y_min <= y) & (y <= found.y_max)
    return inside & (found.p_galaxy >= 0.5)


def _stands_out(
    found: Detections, galaxy: Detections, light: NDArray[np.float32], aligned: Aligned
) -> NDArray[np.bool_]:
    """Sources outside a galaxy, and those within it that are brighter than what lies around them."""
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
