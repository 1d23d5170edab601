"""Where a catalogue and a truth are compared: by pixels or on the sky, and within which region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.catalog.directions import directions
from astrogalaxy.errors import CatalogError
from astrogalaxy.evaluation.footprint import footprint_of
from astrogalaxy.evaluation.matching import Match, match_positions, match_sky, repeated
from astrogalaxy.tables import numbers_of

__all__ = ["PIXELS", "SKY", "Frame", "Region", "check_placed", "check_shared", "column_of", "frame_of", "inside"]

# A position lies outside of what a table covers if it is this many times as far from any of its sources as nearly all
# of these are from their nearest neighbour; tables of fewer than `_ENOUGH` sources cannot tell.
_AFAR, _NEARLY_ALL, _ENOUGH = 3.0, 0.99, 20
# True sources fill a rectangle if the share of it that their footprint lacks is at most this many times what any
# footprint lacks beyond its outermost sources: all simulated squares are full, and none of those with 1000 sources that
# are turned by 3 degrees.
_FULL = 1.5
# Sources within this part of the largest distance of a match are taken for one that is listed twice.
_SAME = 0.1

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Region = tuple[float, float, float, float] | Literal["truth"] | None


@dataclass(frozen=True)
class Frame:
    """In what positions are compared.

    Attributes
    ----------
    axes : (str, str)
        Columns of the positions.
    unit : {'pix', 'arcsec'}
        Of distances.
    usual : float
        Largest distance of a match by default.
    """

    axes: tuple[str, str]
    unit: Literal["pix", "arcsec"]
    usual: float

    def positions(self, table: Table) -> list[Floats]:
        """Both coordinates of each source; NaN where they are unknown."""
        return [numbers_of(table, name) for name in self.axes]

    def points(self, table: Table) -> Floats:
        """Pixels, or unit vectors to places on the sky; NaN where they are unknown."""
        first, second = self.positions(table)
        return directions(first, second) if self is SKY else np.column_stack([first, second])

    def match(self, catalog: Table, scores: Floats, truth: Table, reach: float) -> Match:
        """Match one to one, the best score first."""
        match = match_sky if self is SKY else match_positions
        return match(*self.positions(catalog), scores, *self.positions(truth), radius=reach)

    def afar(self, table: Table, others: Table) -> int:
        """How many sources are far from any of the others, measured by how far these are from each other."""
        points, there = (_known(self.points(one)) for one in (table, others))
        if not len(points) or len(there) < _ENOUGH:
            return 0
        tree = cKDTree(there)
        spacing = np.quantile(tree.query(there, k=2)[0][:, 1], _NEARLY_ALL)
        return int(np.sum(tree.query(points)[0] > _AFAR * spacing))

    def twice(self, table: Table, reach: float) -> int:
        """How many sources are at the place of one before them."""
        return repeated(_known(self.points(table)), np.radians(_SAME * reach / 3600) if self is SKY else _SAME * reach)

    def reach(self, asked: float | u.Quantity | None) -> float:
        """How far a match may be: as is asked, or as usual.

        Raises
        ------
        CatalogError
            If that is no distance.
        """
        reach = self.usual if asked is None else asked
        try:
            reach = float(u.Quantity(reach, self.unit).value)
        except (TypeError, u.UnitConversionError):
            known = "arcsec" if self is SKY else "pixels, in which both tables are matched"
            msg = f"a radius of {reach} is no number of {known}"
            raise CatalogError(msg) from None
        if not 0 < reach < np.inf:
            unit = "arcsec" if self is SKY else "pixels"
            msg = f"a radius of {reach:g} matches nothing; give a number above 0, in {unit}"
            raise CatalogError(msg)
        return reach


PIXELS, SKY = Frame(("x", "y"), "pix", 3.0), Frame(("ra", "dec"), "arcsec", 1.0)


def frame_of(catalog: Table, truth: Table, *, sky: bool) -> Frame:
    """What both tables have positions in: pixels, unless the sky is asked for.

    Raises
    ------
    CatalogError
        If they have none in common, or pixels are of several images.
    """
    shared = {*catalog.colnames} & {*truth.colnames}
    if not ({*SKY.axes} <= shared or ({*PIXELS.axes} <= shared and not sky)):
        wanted = "ra and dec" if sky else "x and y, or ra and dec"
        msg = f"catalogue and truth cannot be matched: both need {wanted}"
        raise CatalogError(msg)
    if sky or not {*PIXELS.axes} <= shared:
        return SKY
    fields = np.asarray(catalog["field"]).astype(str) if "field" in catalog.colnames else np.array([], dtype=str)
    if len(set(fields)) > 1:
        many = f"{len(set(fields))} fields ({first_names(fields)})"
        msg = f"pixels are ambiguous: the catalogue has {many}; name one, or match on the sky"
        raise CatalogError(msg)
    return PIXELS


def first_names(fields: NDArray[np.str_]) -> str:
    """The first of the names, in their order."""
    names = sorted(set(fields.tolist()))
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")


def column_of(table: Table, name: str, what: str) -> Any:
    """A column, or a CatalogError that says what has none of that name."""
    if name not in table.colnames:
        msg = f"{what} has no column {name!r}, only {', '.join(table.colnames[:12]) or 'none'}"
        raise CatalogError(msg)
    return table[name]


def check_placed(catalog: Table, truth: Table, asked: Bools, frame: Frame) -> None:
    """Refuse true sources without a position, and a catalogue in which no source has one: nothing could match."""
    names = " and ".join(frame.axes)
    found, true = (np.isfinite(frame.positions(table)).all(axis=0) for table in (catalog, truth))
    if len(catalog) and not found.any():
        msg = f"no source of the catalogue has {names}{': its images have no WCS' if frame is SKY else ''}"
        raise CatalogError(msg)
    lost = np.flatnonzero(asked & ~true)
    if len(lost):
        more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
        msg = f"the truth's row {lost[0]} (from 0{more}) has no {names}: NaN or missing; leave such rows out"
        raise CatalogError(msg)


def inside(catalog: Table, truth: Table, region: Region, frame: Frame) -> tuple[Bools, Bools]:
    """Rows of both in the region, which is in pixels if it is not that of the truth; without a position: inside.

    Raises
    ------
    CatalogError
        If the region is none, or a table has no positions for it.
    """
    if region is None:
        return np.ones(len(catalog), dtype=bool), np.ones(len(truth), dtype=bool)
    if not _is_truth(region):
        return _within(_edges(region), *_coordinates(catalog, truth, PIXELS))
    if not len(truth):
        msg = "the truth has no rows, and so covers no area; give at least one true source"
        raise CatalogError(msg)
    found, true = _coordinates(catalog, truth, frame)
    if frame is SKY:
        edges = [(np.nanmin(a), np.nextafter(np.nanmax(a), np.inf)) for a in true]
    else:
        edges = [(np.nanmin(a) - 0.5, np.nanmax(a) + 0.5) for a in true]
    near, covered = _within(edges, found, true)
    footprint = footprint_of(frame.points(truth))
    if footprint.area < (1 - _FULL * footprint.missing) * _area(true, frame):
        points = frame.points(catalog)
        near = footprint.holds(points) | ~np.isfinite(points).all(axis=1)
    return near, covered


def _is_truth(region: object) -> bool:
    """Whether the region is that of the truth; four edges may be an array, which is equal to no word."""
    return isinstance(region, str) and region == "truth"


def _edges(region: object) -> list[tuple[float, float]]:
    """First and last positions in x and y within a range of pixels."""
    try:
        x0, x1, y0, y1 = (float(edge) for edge in region)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        msg = f"region must be 'truth', or x0, x1, y0, y1 in pixels, not {region!r}"
        raise CatalogError(msg) from None
    return [(x0 - 0.5, x1 - 0.5), (y0 - 0.5, y1 - 0.5)]


def _within(edges: list[tuple[float, float]], found: list[Floats], true: list[Floats]) -> tuple[Bools, Bools]:
    near, covered = (
        ~np.any([(a < low) | (a >= high) for a, (low, high) in zip(pair, edges, strict=True)], axis=0)
        for pair in (found, true)
    )
    return near, covered


def _area(places: list[Floats], frame: Frame) -> float:
    """Area from the first to the last: square pixels, or steradian."""
    across, along = places
    if frame is SKY:
        across, along = np.radians(across), np.sin(np.radians(along))
    return float((np.nanmax(across) - np.nanmin(across)) * (np.nanmax(along) - np.nanmin(along)))


def _coordinates(catalog: Table, truth: Table, frame: Frame) -> tuple[list[Floats], list[Floats]]:
    """Positions of both; right ascension is counted from the middle of the truth, so that no field is cut at 0 h."""
    for table, what in ((catalog, "the catalogue"), (truth, "the truth")):
        for name in frame.axes:
            column_of(table, name, what)
    found, true = (frame.positions(table) for table in (catalog, truth))
    if frame is SKY:
        middle = np.degrees(np.angle(np.nanmean(np.exp(1j * np.radians(true[0])))))
        found[0], true[0] = ((ra - middle + 180) % 360 - 180 for ra in (found[0], true[0]))
    return found, true


def check_shared(catalog: Table, truth: Table, region: Region, frame: Frame) -> None:
    """Refuse a catalogue outside of the region of the truth: they are of different parts of the sky."""
    if not (_is_truth(region) and len(catalog)):
        return
    pairs = zip(*_coordinates(catalog, truth, frame), strict=True)
    if all(np.nanmin(found) <= np.nanmax(true) and np.nanmin(true) <= np.nanmax(found) for found, true in pairs):
        return
    here, there = (_first_place(table, frame) for table in (catalog, truth))
    msg = f"no source of the catalogue lies in the area of the truth: its first is at {here}, the truth's at {there}"
    raise CatalogError(msg)


def _first_place(table: Table, frame: Frame) -> str:
    """Where the first source with a position is."""
    place = _known(np.transpose(frame.positions(table)))[0]
    return ", ".join(f"{name} {value:.7g}" for name, value in zip(frame.axes, place, strict=True))


def _known(points: Floats) -> Floats:
    """Without those that are not finite."""
    return points[np.isfinite(points).all(axis=1)]
