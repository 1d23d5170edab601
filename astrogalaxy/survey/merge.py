"""From the tiles' catalogues to one row per source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.catalog import SourceCatalog, has_flags
from astrogalaxy.catalog.columns import INPUT_ROW
from astrogalaxy.images import Tile

__all__ = ["TileCatalog", "merge_fields", "merge_tiles"]

#: Two tiles' reports of one source differ by no more than this, in pixels.
SAME_PIXELS = 1.5
#: Two fields' reports of one source differ by no more than this, in arcsec.
SAME_ARCSEC = 1.0

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class TileCatalog:
    """The catalogue of a tile."""

    tile: Tile
    catalog: SourceCatalog


def merge_tiles(tiles: Sequence[TileCatalog]) -> SourceCatalog:
    """Join the tiles of one field.

    A source within a pixel of the line between two tiles may be reported by both. The
    tile whose core holds its centre keeps it; if both say so, or neither, the first.

    Parameters
    ----------
    tiles : sequence of TileCatalog
        At least one, in the order of the plan.

    Returns
    -------
    SourceCatalog
        In order of rows.
    """
    joined = SourceCatalog.stack([t.catalog for t in tiles])
    number = np.repeat(np.arange(len(tiles)), [len(t.catalog) for t in tiles])
    own = np.concatenate([t.tile.owns(t.catalog["x"], t.catalog["y"]) for t in tiles])
    points = np.column_stack([joined["x"], joined["y"]])
    if INPUT_ROW in joined.colnames:
        # each given position is in one core only, however close to another
        points[np.asarray(joined[INPUT_ROW]) >= 0] = np.nan
    first, second = _pairs(points, SAME_PIXELS, number)
    # the better of a pair: owned by its tile, then of the earlier tile
    rank = np.where(own, 0, len(tiles)) + number
    gone = _lesser(first, second, rank, len(joined))
    kept = joined[~gone]
    return kept[np.lexsort([kept["x"], kept["y"]])]


def merge_fields(fields: Sequence[SourceCatalog]) -> tuple[SourceCatalog, int]:
    """Join fields that may overlap on the sky.

    Of the reports of one source the one not cut by its field's edge stays, else the more
    significant one. At given positions (``input_row``) a choice by light would favour chance: there the one with
    the most bands stays, else that with the least noise in the fixed aperture.

    Parameters
    ----------
    fields : sequence of SourceCatalog
        At least one.

    Returns
    -------
    catalog : SourceCatalog
        One row per source, field by field; given positions in the order of their table.
    duplicates : int
        Rows dropped.
    """
    joined = SourceCatalog.stack(fields)
    if INPUT_ROW in joined.colnames:
        chosen = _least_noise(joined)
        return joined[chosen], len(joined) - len(chosen)
    number = np.repeat(np.arange(len(fields)), [len(f) for f in fields])
    ra, dec = np.radians(joined["ra"]), np.radians(joined["dec"])
    points = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    first, second = _pairs(points, np.radians(SAME_ARCSEC / 3600), number)
    cut = has_flags(joined["flags"], "edge")
    order = np.lexsort([number, -np.nan_to_num(np.asarray(joined["snr"])), cut])
    rank = np.empty(len(joined), dtype=int)
    rank[order] = np.arange(len(joined))
    gone = _lesser(first, second, rank, len(joined))
    return joined[~gone], int(gone.sum())


def _least_noise(joined: SourceCatalog) -> NDArray[np.intp]:
    """The best row of each given position."""
    row = np.asarray(joined[INPUT_ROW])
    errors = np.column_stack([np.asarray(joined[f"flux_aper_{band}_err"], dtype=float) for band in joined.bands])
    unknown = ~np.isfinite(errors)
    noise = np.where(unknown, 0.0, errors).sum(axis=1)
    order = np.lexsort([noise, unknown.sum(axis=1), has_flags(joined["flags"], "edge"), row])
    return order[np.unique(row[order], return_index=True)[1]]


def _pairs(
    points: NDArray[np.floating], radius: float, group: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of different groups within a radius that are each other's nearest there."""
    index = np.flatnonzero(np.isfinite(points).all(axis=1))
    empty = np.zeros(0, dtype=np.intp)
    if len(index) < 2 or np.ptp(group) == 0:
        return empty, empty
    pairs = cKDTree(points[index]).query_pairs(radius, output_type="ndarray")
    a, b = index[pairs[:, 0]], index[pairs[:, 1]]
    other = group[a] != group[b]
    a, b = a[other], b[other]
    distance = np.linalg.norm(points[a] - points[b], axis=1)
    nearest = _nearest(a, b, distance, group) & _nearest(b, a, distance, group)
    return a[nearest], b[nearest]


def _nearest(
    a: NDArray[np.intp], b: NDArray[np.intp], distance: NDArray[np.floating], group: NDArray[np.intp]
) -> Bools:
    """Whether ``b`` is the nearest of its group to ``a``: a close pair must not be thinned."""
    best: dict[tuple[int, int], float] = {}
    keys = list(zip(a.tolist(), group[b].tolist(), strict=True))
    for key, gap in zip(keys, distance.tolist(), strict=True):
        best[key] = min(gap, best.get(key, np.inf))
    return np.array([gap <= best[key] for key, gap in zip(keys, distance.tolist(), strict=True)], dtype=bool)


def _lesser(first: NDArray[np.intp], second: NDArray[np.intp], rank: NDArray[np.integer], n: int) -> Bools:
    gone = np.zeros(n, dtype=bool)
    gone[np.where(rank[first] <= rank[second], second, first)] = True
    return gone
