"""Given positions: where a table says that sources are, on the images of a survey."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.catalog.columns import INPUT_ROW
from astrogalaxy.catalog.crossmatch import sky_positions
from astrogalaxy.errors import CatalogError, ConfigError
from astrogalaxy.evaluation.truth import read_truth
from astrogalaxy.images import Image, Section
from astrogalaxy.images.sky import to_pixel, to_sky
from astrogalaxy.tables import numbers_of

__all__ = ["Positions", "SkyTable", "given_rows", "image_positions", "place", "read_sky"]

Floats = NDArray[np.float64]
KEY = "detection.positions"
# Points along each side of an image that say how far it reaches from its middle; and by how much more than they do
# positions are looked for, since the side may bulge between two of them. Where that is beyond so many radians, as for
# images of half the sky, the part of the sky that is farthest from the middle need not lie on the side.
_POINTS, _MARGIN, _FARTHEST = 9, 1.1, 1.0


@dataclass(frozen=True)
class Positions:
    """Rows of a table that lie on an image.

    Attributes
    ----------
    row : ndarray of int64, shape (n,)
        Row of the table, from 0.
    x, y : ndarray, shape (n,)
        0-based pixels of the whole reference image.
    ra, dec : ndarray, shape (n,)
        ICRS, degrees, as they were given; NaN where pixels were.
    """

    row: NDArray[np.int64]
    x: Floats
    y: Floats
    ra: Floats
    dec: Floats

    def __len__(self) -> int:
        return len(self.row)

    def within(self, section: Section) -> Positions:
        """Those on a part of the image."""
        inside = section.contains(self.x, self.y)
        return Positions(*(getattr(self, name)[inside] for name in self.__dataclass_fields__))

    def standing_for(self, reach: float) -> NDArray[np.intp]:
        """Which position each is measured as: itself, or that of an earlier row within ``reach`` pixels.

        Light cannot be divided between positions that coincide. In a chain of near positions, none stands for one that
        is further than ``reach`` from it.

        Parameters
        ----------
        reach : float
            Pixels.

        Returns
        -------
        ndarray of int, shape (n,)
            Index for each position.
        """
        points = np.column_stack([self.x, self.y])
        _, once, same = np.unique(points, axis=0, return_index=True, return_inverse=True)
        first, distinct = once[same.ravel()], np.sort(once)
        pairs = distinct[cKDTree(points[distinct]).query_pairs(reach, output_type="ndarray")]
        later, earlier = pairs.max(axis=1), pairs.min(axis=1)
        order = np.lexsort([np.linalg.norm(points[later] - points[earlier], axis=1), later])
        # row by row, with the nearest of the earlier positions first
        for row, other in zip(later[order], earlier[order], strict=True):
            if first[row] == row and first[other] == other:
                first[row] = other
        return first[first]

    def digest(self) -> str:
        """SHA-256 (hex) of rows and positions, for content keys."""
        content = hashlib.sha256()
        for name in self.__dataclass_fields__:
            content.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return content.hexdigest()


@dataclass(frozen=True, eq=False)
class SkyTable:
    """Positions of a table on the sky, which finds those near an image without a look at the others.

    Attributes
    ----------
    ra, dec : ndarray, shape (n,)
        ICRS, degrees; all finite.
    """

    ra: Floats
    dec: Floats

    def __len__(self) -> int:
        return len(self.ra)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(_unit_vectors(self.ra, self.dec))

    def near(self, image: Image) -> NDArray[np.int64]:
        """Rows that may lie on an image, in order: all that do, and some beside it."""
        ny, nx = image.shape
        across, along = (part.ravel() for part in np.meshgrid(*2 * [np.linspace(0, 1, _POINTS)]))
        # the points within the image do no harm
        around = _unit_vectors(*to_sky(image.wcs, nx * across - 0.5, ny * along - 0.5))
        middle = _unit_vectors(*to_sky(image.wcs, np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2])))[0]
        reach = _MARGIN * np.linalg.norm(around - middle, axis=1).max()
        if not reach <= _FARTHEST:  # NaN where the image has corners without sky
            return np.arange(len(self))
        return np.array(self._tree.query_ball_point(middle, reach, return_sorted=True), dtype=np.int64)


def _unit_vectors(ra: Floats, dec: Floats) -> Floats:
    ra, dec = np.radians(ra), np.radians(dec)
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def read_sky(path: str | Path) -> SkyTable:
    """Positions of a table on disk, one per row.

    Parameters
    ----------
    path : path-like
        With columns ra and dec, in any case, ICRS degrees; see `~astrogalaxy.evaluation.truth.read_truth`.

    Returns
    -------
    SkyTable
        All of them.

    Raises
    ------
    ConfigError
        If it cannot be read, has no such columns or no rows, or a row has no position.
    """
    try:
        table = read_truth(path)
    except ConfigError as error:
        msg = f"{KEY}: {error}"
        raise ConfigError(msg) from error
    if not {"ra", "dec"} <= set(table.colnames):
        msg = f"{KEY}: {path}: no columns ra and dec among {', '.join(table.colnames[:8])}; it needs both, in degrees"
        raise ConfigError(msg)
    ra, dec = (np.asarray(table[name], dtype=float) for name in ("ra", "dec"))
    _check_all(f"{KEY}: {path}", ra, dec)
    return SkyTable(ra, dec)


def place(image: Image, sky: SkyTable) -> Positions:
    """The positions on the sky that lie on an image.

    Parameters
    ----------
    image : Image
        With a WCS.
    sky : SkyTable
        Where they are.

    Returns
    -------
    Positions
        With the row of each in what was given.
    """
    near = sky.near(image)
    x, y = to_pixel(image.wcs, sky.ra[near], sky.dec[near])
    on = Section.whole(image.shape).contains(x, y)
    row = near[on]
    return Positions(row, x[on], y[on], sky.ra[row], sky.dec[row])


def image_positions(image: Image, given: Table | SkyCoord | str | Path) -> Positions:
    """The given positions that lie on an image.

    Parameters
    ----------
    image : Image
        What they are of.
    given : Table, SkyCoord or path
        Positions on the sky in any frame, or a table with columns ra and dec (in any case; ICRS, in their units or
        degrees) or with one column of coordinates. Where those are missing, or the image's WCS, a table with x and y
        (0-based pixels of the reference image). A path is that of a table.

    Returns
    -------
    Positions
        With the row of each in what was given.

    Raises
    ------
    ConfigError
        If there are no such columns, no rows, or a row has no position.
    """
    what = "positions"
    if isinstance(given, str | Path):
        given = read_truth(given)
    names = {name.lower(): name for name in reversed(given.colnames)} if isinstance(given, Table) else {}
    pixels = {"x", "y"} <= set(names)
    if pixels and (image.wcs is None or not _has_sky(given, names)):
        x, y = (_numbers(given, names[name]) for name in ("x", "y"))
        _check_all(what, x, y)
        row = np.flatnonzero(Section.whole(image.shape).contains(x, y))
        unknown = np.full(len(row), np.nan)
        return Positions(row.astype(np.int64), x[row], y[row], unknown, unknown.copy())
    if image.wcs is None:
        msg = "positions: the image has no WCS; give a table with columns x and y, in its pixels from 0"
        raise ConfigError(msg)
    try:
        sky = sky_positions(given, what)
    except (CatalogError, ValueError) as error:
        msg = f"positions: {error}"
        raise ConfigError(msg) from error
    ra, dec = (np.asarray(angle.deg, dtype=float) for angle in (sky.ra, sky.dec))
    _check_all(what, ra, dec)
    return place(image, SkyTable(ra, dec))


def given_rows(catalog: Table) -> Table:
    """The rows of a catalogue that were given, in the order of their table; what was found besides is left out."""
    row = np.asarray(catalog[INPUT_ROW])
    given = np.flatnonzero(row >= 0)
    return catalog[given[np.argsort(row[given], kind="stable")]]


def _has_sky(table: Table, names: dict[str, str]) -> bool:
    return {"ra", "dec"} <= set(names) or any(isinstance(table[name], SkyCoord) for name in table.colnames)


def _numbers(table: Table, name: str) -> Floats:
    try:
        return numbers_of(table, name)
    except (TypeError, ValueError) as error:
        msg = f"positions: column {name!r} must hold numbers"
        raise ConfigError(msg) from error


def _check_all(what: str, first: Floats, second: Floats) -> None:
    """Refuse no rows, and rows without a position."""
    if not len(first):
        msg = f"{what}: the table has no rows; give at least one position"
        raise ConfigError(msg)
    unknown = np.flatnonzero(~(np.isfinite(first) & np.isfinite(second)))
    if len(unknown):
        more = f", and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        msg = f"{what}: row {unknown[0]} (from 0{more}) has no position: NaN or missing; leave such rows out"
        raise ConfigError(msg)
