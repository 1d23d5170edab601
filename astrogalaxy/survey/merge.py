"""From the tiles' catalogues to one row per source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from astrogalaxy.catalog import SourceCatalog, has_flags
from astrogalaxy.catalog.columns import INPUT_ROW
from astrogalaxy.catalog.directions import directions
from astrogalaxy.images import Tile
from astrogalaxy.measurement.fieldwide import GIVEN_QUALITY

__all__ = ["Claim", "TileCatalog", "best_claims", "merge_tiles", "neighbouring", "rank_between"]

#: Positions that two tiles report for one source differ by no more than this, in pixels.
SAME_PIXELS = 1.5
#: Positions that two fields report for one source differ by no more than this, in arcsec,
SAME_ARCSEC = 1.0
# or by no more than the least of so many times their errors, the smaller of their widths, and so many arcsec.
_SAME_ERRORS, _FARTHEST_ARCSEC = 3.0, 3.0

Bools = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class TileCatalog:
    """The catalogue of a tile."""

    tile: Tile
    catalog: SourceCatalog


def merge_tiles(tiles: Sequence[TileCatalog]) -> SourceCatalog:
    """Join the tiles of one field.

    A source within a pixel of the line between two tiles may be reported by both. Then the tile whose core holds its
    centre keeps it; if that is so in both, or in neither, the first tile.

    Parameters
    ----------
    tiles : sequence of TileCatalog
        At least one, in the order of the plan; the sources of each in order of rows.

    Returns
    -------
    SourceCatalog
        In order of rows.
    """
    if len(tiles) == 1:
        return tiles[0].catalog
    joined = SourceCatalog.stack([t.catalog for t in tiles])
    # processors may differ in the last digit of what each tile has computed, and what differs is dropped
    told = [t.catalog.meta[GIVEN_QUALITY] for t in tiles if GIVEN_QUALITY in t.catalog.meta]
    if told:
        joined.meta[GIVEN_QUALITY] = told[0]
    number = np.repeat(np.arange(len(tiles)), [len(t.catalog) for t in tiles])
    own = np.concatenate([t.tile.owns(t.catalog["x"], t.catalog["y"]) for t in tiles])
    points = np.column_stack([joined["x"], joined["y"]])
    if INPUT_ROW in joined.colnames:
        # each given position is in the core of one tile, and is never the same source as another
        points[np.asarray(joined[INPUT_ROW]) >= 0] = np.nan
    first, second = _mutual(*_pairs(points, SAME_PIXELS, number), number)
    gone = np.zeros(len(joined), dtype=bool)
    gone[np.where(own[first] >= own[second], second, first)] = True
    order = np.lexsort([joined["x"], joined["y"]])
    return joined[order[~gone[order]]]


@dataclass(frozen=True)
class Claim:
    """All that joining fields needs to know of the n sources of one field.

    Attributes
    ----------
    points : ndarray, shape (n, 3)
        Unit vectors to them; NaN without a position.
    cut : ndarray of bool, shape (n,)
        Whether the field's edge cuts them.
    row : ndarray of int, shape (n,)
        Row of the given position that they stand for; -1 if they were found.
    lacking : ndarray of int, shape (n,)
        Number of bands without a flux in the fixed aperture.
    noise : ndarray, shape (n,)
        Sum of the errors of that flux in the other bands.
    error, width : ndarray, shape (n,)
        One-sigma error of their place along an axis, and their FWHM, arcsec; 0 where not known.
    """

    points: NDArray[np.float64]
    cut: Bools
    row: NDArray[np.int64]
    lacking: NDArray[np.intp]
    noise: NDArray[np.float64]
    error: NDArray[np.float64]
    width: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cut)

    @classmethod
    def of(cls, catalog: SourceCatalog) -> Self:
        """The claim of a field, from its catalogue."""
        given = INPUT_ROW in catalog.colnames
        errors = [np.asarray(catalog[f"flux_aper_{band}_err"], dtype=float) for band in catalog.bands]
        unknown = ~np.isfinite(errors)
        ra_err, dec_err, fwhm = (np.asarray(catalog[name], float) for name in ("ra_err", "dec_err", "fwhm"))
        return cls(
            directions(catalog["ra"], catalog["dec"]),
            has_flags(catalog["flags"], "edge"),
            np.asarray(catalog[INPUT_ROW], np.int64) if given else np.full(len(catalog), -1),
            unknown.sum(axis=0),
            np.where(unknown, 0.0, errors).sum(axis=0),
            np.nan_to_num(np.hypot(ra_err, dec_err) / np.sqrt(2)),
            np.nan_to_num(fwhm),
        )

    @property
    def cap(self) -> tuple[NDArray[np.float64], float]:
        """Centre and radius of a ball that holds all the points; NaN if there are none."""
        known = self.points[np.isfinite(self.points).all(axis=1)]
        if not len(known):
            return np.full(3, np.nan), np.nan
        centre = known.mean(axis=0)
        return centre, float(np.linalg.norm(known - centre, axis=1).max())


def neighbouring(caps: Sequence[tuple[NDArray[np.float64], float]]) -> list[tuple[int, int]]:
    """Pairs of fields, by their `Claim.cap`, that may have seen the same source; sorted, the earlier field first."""
    index = np.flatnonzero([np.isfinite(radius) for _, radius in caps])
    if len(index) < 2:
        return []
    centres, radii = np.array([caps[i][0] for i in index]), np.array([caps[i][1] for i in index])
    same = _chord(_FARTHEST_ARCSEC)
    pairs = _within_reach(centres, 2 * radii + same)
    near = np.linalg.norm(centres[pairs[:, 0]] - centres[pairs[:, 1]], axis=1) <= radii[pairs].sum(axis=1) + same
    return sorted((int(index[a]), int(index[b])) for a, b in np.sort(pairs[near], axis=1))


def _within_reach(points: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.intp]:
    """Pairs of points whose distance is within the larger of their reaches.

    Each pair is found from the point with the larger reach, so that one large field does not make all others look far.
    """
    found = cKDTree(points).query_ball_point(points, reach)
    first = np.repeat(np.arange(len(points)), [len(others) for others in found])
    second = np.fromiter(chain.from_iterable(found), np.intp, len(first))
    rank = np.argsort(np.argsort(-reach, kind="stable"))
    return np.column_stack([first, second])[rank[first] < rank[second]]


def rank_between(first: Claim, second: Claim) -> tuple[Bools, Bools]:
    """Which sources of two fields give way to the other field's report of the same source.

    The report that is not cut by its field's edge stays; else the one with more bands; else the one with less noise in
    the fixed aperture; else that of the first field. The edge comes first because a source that it cuts is measured
    wrongly, while a band that is lacking is only unknown. Signal to noise would favour what chance has made bright. The
    choice between two fields does not depend on any third.

    Parameters
    ----------
    first, second : Claim
        The fields, the earlier one first.

    Returns
    -------
    tuple of ndarray of bool
        Of the first, and of the second.
    """
    number = np.repeat([0, 1], [len(first), len(second)])
    a, b, distance = _pairs(np.concatenate([first.points, second.points]), _chord(_FARTHEST_ARCSEC), number)
    error, width = (np.concatenate([getattr(claim, name) for claim in (first, second)]) for name in ("error", "width"))
    wide = np.minimum(_SAME_ERRORS * np.hypot(error[a], error[b]), np.minimum(width[a], width[b]))
    same = distance <= _chord(np.clip(wide, SAME_ARCSEC, _FARTHEST_ARCSEC))
    a, b = _mutual(a[same], b[same], distance[same], number)
    b -= len(first)
    lost_a = first.noise[a] > second.noise[b]
    for name in ("lacking", "cut"):
        of_a, of_b = getattr(first, name)[a], getattr(second, name)[b]
        lost_a = np.where(of_a != of_b, of_a > of_b, lost_a)
    gone = np.zeros(len(first), dtype=bool), np.zeros(len(second), dtype=bool)
    gone[0][a[lost_a]] = True
    gone[1][b[~lost_a]] = True
    return gone


def best_claims(claims: Sequence[Claim]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The best report of each given position, by the rules of `rank_between`.

    Parameters
    ----------
    claims : sequence of Claim
        Those of all fields.

    Returns
    -------
    field, source : ndarray of int
        Index of its claim, and its row in that; in the order of the table of positions.
    """
    field = np.repeat(np.arange(len(claims)), [len(c) for c in claims])
    source = np.concatenate([np.arange(len(c)) for c in claims])
    row, *keys = (np.concatenate([getattr(c, n) for c in claims]) for n in ("row", "cut", "lacking", "noise"))
    order = np.lexsort([*reversed(keys), row])
    chosen = order[np.unique(row[order], return_index=True)[1]]
    return field[chosen], source[chosen]


def _chord(arcsec: ArrayLike) -> NDArray[np.float64]:
    return np.radians(np.asarray(arcsec) / 3600)


def _pairs(
    points: NDArray[np.floating], radius: float, group: NDArray[np.intp]
) -> tuple[Places, Places, NDArray[np.floating]]:
    """Pairs of points of different groups within a radius, the earlier point first, and their distances."""
    index = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(index) < 2 or np.ptp(group) == 0:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0)
    pairs = cKDTree(points[index]).query_pairs(radius, output_type="ndarray")
    a, b = index[pairs[:, 0]], index[pairs[:, 1]]
    other = group[a] != group[b]
    a, b = a[other], b[other]
    return a, b, np.linalg.norm(points[a] - points[b], axis=1)


def _mutual(a: Places, b: Places, distance: NDArray[np.floating], group: NDArray[np.intp]) -> tuple[Places, Places]:
    """The pairs of which each point is the nearest of its group to the other."""
    nearest = _nearest(a, group[b], distance) & _nearest(b, group[a], distance)
    return a[nearest], b[nearest]


def _nearest(a: NDArray[np.intp], group: NDArray[np.intp], distance: NDArray[np.floating]) -> Bools:
    """Whether the other point of a pair is the nearest of its group to ``a``: both stars of a close pair must stay."""
    _, key = np.unique(np.column_stack([a, group]), axis=0, return_inverse=True)
    best = np.full(len(a), np.inf)
    np.minimum.at(best, key.ravel(), distance)
    return np.asarray(distance <= best[key.ravel()])
