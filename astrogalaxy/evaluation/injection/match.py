"""Which injected sources were found, as against the frame's own sources, and what else was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.catalog import has_flags
from astrogalaxy.evaluation.matching import match_positions
from astrogalaxy.images import Image, Section
from astrogalaxy.images.background import Mesh
from astrogalaxy.tables import numbers_of

__all__ = ["MatchedRound", "free_and_good", "match_round", "mirrored"]

# A detection that was there before is the injected source only if it has gained this share of its light.
_GAINED = 0.5
# Radii of what is masked in the mirrored frame, in half sides of a source's box; more around saturated ones.
_MASKED, _MASKED_SATURATED = 1.5, 3.0
# Rows of pixels that are looked at together.
_ROWS = 512

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class MatchedRound:
    """What became of injected sources.

    Attributes
    ----------
    row : ndarray of int
        ``(n_injected,)`` row of the detection that is each of them; -1 for none.
    confused : ndarray of bool
        ``(n_injected,)`` not found, at a place where the frame has a source of its own.
    extra : ndarray of int
        Detections that are neither injected nor were there before.
    """

    row: NDArray[np.intp]
    confused: Bools
    extra: NDArray[np.intp]


def match_round(truth: Table, found: Table, before: Table, *, band: str, radius: float) -> MatchedRound:
    """Tell injected sources from the frame's own.

    Injected sources and those of the untouched frame are matched together with the detections,
    the brightest first, each with the nearest free detection. Where a source of the frame is
    left without a detection of its own, the detection is the injected one only if it has gained
    at least half of its light.

    Parameters
    ----------
    truth, found, before : Table
        Injected sources, detections with them, and detections on the untouched frame: ``x``,
        ``y`` and ``flux_<band>``, all in the same units.
    band : str
        The reference band.
    radius : float
        Largest distance, pixels.

    Returns
    -------
    MatchedRound

    Examples
    --------
    A faint source on a bright one's place is not found, however bright that is:

    >>> before = Table({"x": [10.0], "y": [10.0], "flux_r": [100.0]})
    >>> found = Table({"x": [10.0], "y": [10.0], "flux_r": [101.0]})
    >>> truth = Table({"x": [10.5], "y": [10.0], "flux_r": [20.0]})
    >>> match_round(truth, found, before, band="r", radius=3.0).row
    array([-1])
    """
    x, y = (np.concatenate([numbers_of(truth, axis), numbers_of(before, axis)]) for axis in "xy")
    flux = f"flux_{band}"
    light, old, new = (np.nan_to_num(numbers_of(table, flux)) for table in (truth, before, found))
    match = match_positions(x, y, np.concatenate([light, old]), found["x"], found["y"], radius=radius)
    row, own = match.truth[: len(truth)].copy(), match.truth[len(truth) :].copy()
    neighbour = _nearest(found, before, radius)
    for i in np.flatnonzero(row >= 0):
        there = neighbour[row[i]]
        if there >= 0 and own[there] < 0 and new[row[i]] - old[there] < _GAINED * light[i]:
            own[there], row[i] = row[i], -1
    near = _nearest(truth, before, radius)
    taken = np.zeros(len(found), dtype=bool)
    taken[row[row >= 0]] = taken[own[own >= 0]] = True
    return MatchedRound(row, (row < 0) & (near >= 0), np.flatnonzero(~taken))


def _nearest(table: Table, others: Table, radius: float) -> NDArray[np.intp]:
    """Row of the nearest of the others within a radius of each source; -1 for none."""
    points, targets = (np.column_stack([numbers_of(t, "x"), numbers_of(t, "y")]) for t in (table, others))
    placed = np.flatnonzero(np.isfinite(targets).all(axis=1))
    nearest = np.full(len(points), -1, dtype=np.intp)
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(placed) and len(known):
        gaps, at = cKDTree(targets[placed]).query(points[known])
        nearest[known] = np.where(gaps <= radius, placed[at], -1)
    return nearest


def mirrored(image: Image, catalog: Table) -> Image:
    """Turn a field's light upside down about its sky, and mask its own sources: what is found there is noise.

    Sky, noise and seeing are those of the field.

    Parameters
    ----------
    image : Image
        The field.
    catalog : SourceCatalog
        Its sources.

    Returns
    -------
    Image
        Read by section, as the field is.
    """
    discs = _discs(catalog)
    bands = {}
    for name, band in image.bands.items():
        bands[name] = band.altered(_turner(band.mesh, _on_band(image, name, discs)))
        bands[name].mesh, bands[name].seeing = band.mesh, band.seeing
    return Image(bands, reference=image.reference, name=image.name)


def _turner(mesh: Mesh, discs: Floats) -> Callable[[Section, NDArray[np.float32]], NDArray[np.float32]]:
    """Give what turns the light of a section over about the sky; NaN within discs."""

    def turn(section: Section, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn the pixels of a section over."""
        turned = 2 * mesh.background(section) - pixels
        turned[_covered(section, discs)] = np.nan
        return np.asarray(turned, dtype=np.float32)

    return turn


def free_and_good(image: Image, catalog: Table) -> tuple[float, int]:
    """Share of a field's good pixels that `mirrored` does not mask, and how many these pixels are."""
    band, discs = image.bands[image.reference], _discs(catalog)
    ny, nx = image.shape
    free = good = 0
    for y0 in range(0, ny, _ROWS):
        section = Section(0, nx, y0, min(y0 + _ROWS, ny))
        usable = ~band.pixels(section).bad
        good += int(usable.sum())
        free += int((usable & ~_covered(section, discs)).sum())
    return free / max(good, 1), good


def _discs(catalog: Table) -> Floats:
    """x, y and radius of what is masked around the sources, reference pixels; shape (3, n)."""
    wide, high = (numbers_of(catalog, f"{axis}_max") - numbers_of(catalog, f"{axis}_min") for axis in "xy")
    factor = np.where(has_flags(catalog["flags"], "saturated"), _MASKED_SATURATED, _MASKED)
    discs = np.array([numbers_of(catalog, "x"), numbers_of(catalog, "y"), factor * np.fmax(wide, high) / 2])
    return discs[:, np.isfinite(discs).all(axis=0)]


def _on_band(image: Image, name: str, discs: Floats) -> Floats:
    if image.grid(name) is None:
        return discs
    x, y = image.to_band(name, discs[0], discs[1])
    there = np.array([x, y, discs[2] * image.pixel_scale / image.bands[name].pixel_scale])
    return there[:, np.isfinite(there).all(axis=0)]


def _covered(section: Section, discs: Floats) -> Bools:
    """Pixels of a section within any disc."""
    covered = np.zeros(section.shape, dtype=bool)
    x, y, radius = discs
    near = (x + radius > section.x0) & (x - radius < section.x1)
    near &= (y + radius > section.y0) & (y - radius < section.y1)
    for cx, cy, r in discs[:, near].T:
        box = Section(int(cx - r), int(cx + r) + 2, int(cy - r), int(cy + r) + 2)
        box = Section(
            max(box.x0, section.x0), min(box.x1, section.x1), max(box.y0, section.y0), min(box.y1, section.y1)
        )
        columns, rows = np.arange(box.x0, box.x1), np.arange(box.y0, box.y1)
        inside = (columns - cx) ** 2 + (rows[:, None] - cy) ** 2 <= r**2
        at = box.within(section)
        covered[at.slices] |= inside
    return covered
