"""Match a catalogue with another one by position."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.masked import Masked

from astrogalaxy.catalog.ids import degrees
from astrogalaxy.errors import CatalogError

if TYPE_CHECKING:
    import pandas as pd
    from astropy.coordinates import SkyCoord
    from numpy.typing import NDArray

    WithPositions: TypeAlias = Table | pd.DataFrame | SkyCoord

__all__ = ["CrossMatch", "as_table", "closest_first", "crossmatch", "sky_positions"]

# Largest sensible radius: beyond it nearly everything pairs with something.
_WIDEST = 10 * u.deg


@dataclass(frozen=True, eq=False)
class CrossMatch:
    """Pairs of rows of two catalogues.

    Attributes
    ----------
    index : ndarray of int
        ``(n,)`` rows of the first catalogue that have a partner, rising.
    other_index : ndarray of int
        ``(n,)`` their partners' rows in the second.
    separation : astropy.units.Quantity
        ``(n,)`` on the sky, arcsec.
    unmatched : ndarray of int
        Rows of the first that have none.
    other_unmatched : ndarray of int
        Rows of the second that are nobody's partner.

    Examples
    --------
    >>> from astrogalaxy.catalog import SourceCatalog
    >>> first = SourceCatalog.from_columns({"ra": [10.0, 11.0], "dec": [0.0, 0.0]}, bands=["r"])
    >>> second = SourceCatalog.from_columns({"ra": [11.0001, 12.0], "dec": [0.0, 0.0]}, bands=["r"])
    >>> match = first.crossmatch(second, radius=1.0)
    >>> match.index.tolist(), match.other_index.tolist(), match.separation.round(2)
    ([1], [0], <Quantity [0.36] arcsec>)
    >>> len(match.joined()), len(match.joined(keep="first"))
    (1, 2)
    >>> match
    <CrossMatch: 1 pairs, 0.36 arcsec apart in the median; 1 and 1 without a partner>
    """

    index: NDArray[np.intp]
    other_index: NDArray[np.intp]
    separation: u.Quantity
    unmatched: NDArray[np.intp]
    other_unmatched: NDArray[np.intp]
    _first: Table = field(repr=False)
    _second: Table = field(repr=False)

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        apart = f", {np.median(self.separation.to_value('arcsec')):.3g} arcsec apart in the median" if len(self) else ""
        alone = f"{len(self.unmatched)} and {len(self.other_unmatched)} without a partner"
        return f"<CrossMatch: {len(self)} pairs{apart}; {alone}>"

    def joined(self, *, keep: Literal["pairs", "first"] = "pairs", suffix: str = "_2") -> Table:
        """The first catalogue's columns beside the second's.

        Parameters
        ----------
        keep : {"pairs", "first"}
            Only rows with a partner, or all of the first catalogue; then the second's columns
            are masked where there is none.
        suffix : str
            Added to the second's names that the first has too.

        Returns
        -------
        astropy.table.Table
            Of the first one's class, with ``separation`` in arcsec last (NaN without a partner).

        Raises
        ------
        CatalogError
            If two columns would still share a name, or `keep` is something else.
        """
        if keep not in ("pairs", "first"):
            msg = f"keep must be 'pairs' or 'first', not {keep!r}"
            raise CatalogError(msg)
        rows = self.index if keep == "pairs" else np.arange(len(self._first))
        result = self._first[rows]
        partner = np.full(len(self._first), -1, dtype=np.intp)
        partner[self.index] = self.other_index
        for name in self._second.colnames:
            fresh = name + suffix if name in self._first.colnames else name
            _check_free(result, fresh)
            result[fresh] = _taken(self._second[name], partner[rows])
        _check_free(result, "separation")
        separation = np.full(len(self._first), np.nan)
        separation[self.index] = self.separation.to_value("arcsec")
        result["separation"] = Column(
            separation[rows], unit="arcsec", description="Separation of the pair", meta={"ucd": "pos.angDistance"}
        )
        return result


def _check_free(table: Table, name: str) -> None:
    if name in table.colnames:
        msg = f"both tables would have a column {name!r}; give another suffix, or rename it"
        raise CatalogError(msg)


def _taken(column: Column, rows: NDArray[np.intp]) -> Column:
    """Cells of some rows; masked where the row is -1."""
    gone = rows < 0
    if not len(column):
        # what is no array, such as coordinates, has no type and no unit
        dtype, unit = (getattr(column, name, None) for name in ("dtype", "unit"))
        filled = np.zeros((len(rows), *column.shape[1:]), dtype=dtype)
        about = {"unit": unit, "description": column.info.description, "meta": column.info.meta}
        return MaskedColumn(filled, mask=np.ones(filled.shape, dtype=bool), **about)
    chosen = column[np.where(gone, 0, rows)]
    if not gone.any():
        return chosen
    if isinstance(chosen, u.Quantity):
        return Masked(chosen, mask=gone)
    if not isinstance(chosen, Column):
        chosen[gone] = chosen.info.mask_val
        return chosen
    masked = MaskedColumn(chosen)
    masked.mask = masked.mask | gone.reshape(-1, *[1] * (masked.ndim - 1))
    return masked


def crossmatch(
    first: Table, second: WithPositions, *, radius: u.Quantity | float = 1.0, one_to_one: bool = True
) -> CrossMatch:
    """Match two tables by position; see `SourceCatalog.crossmatch`."""
    limit = _angle(radius)
    second = as_table(second, "the other table")
    here, there = _somewhere(first, "the catalogue"), _somewhere(second, "the other table")
    index, other, separation = _pairs(here, there, limit, nearest=not one_to_one)
    if one_to_one:
        chosen = closest_first(index, other, separation)
        index, other, separation = index[chosen], other[chosen], separation[chosen]
    order = np.argsort(index)
    index, other, separation = index[order], other[order], separation[order]
    return CrossMatch(
        index, other, separation * u.arcsec,
        np.delete(np.arange(len(here)), index), np.delete(np.arange(len(there)), other),
        first, second if isinstance(second, Table) else Table({"ra": there.ra.deg, "dec": there.dec.deg}),
    )  # fmt: skip


def _angle(radius: u.Quantity | float) -> u.Quantity:
    if isinstance(radius, str):
        msg = f"radius must be an angle, or a number of arcsec, not the text {radius!r}"
        raise CatalogError(msg)
    try:
        angle = u.Quantity(radius, u.arcsec) if not hasattr(radius, "unit") else u.Quantity(radius).to(u.arcsec)
    except (u.UnitConversionError, TypeError) as error:
        msg = f"radius must be an angle, or a number of arcsec, not {radius!r}"
        raise CatalogError(msg) from error
    if not (angle.isscalar and 0 < angle <= _WIDEST):
        msg = f"radius must be more than 0 and at most {_WIDEST}, not {radius}"
        raise CatalogError(msg)
    return angle


def as_table(table: Any, what: str) -> Table | SkyCoord:
    """A table or positions as astropy has them; an error for anything else."""
    from astropy.coordinates import SkyCoord

    if isinstance(table, Table | SkyCoord):
        return table
    # Whoever passes a DataFrame has imported pandas; nobody else shall have to wait for that.
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(table, pandas.DataFrame):
        return Table.from_pandas(table)
    msg = f"{what} is a {type(table).__name__}; give a Table, a DataFrame or a SkyCoord"
    raise CatalogError(msg)


def sky_positions(table: WithPositions, what: str) -> SkyCoord:
    """ICRS positions of the rows; NaN where there is none."""
    from astropy.coordinates import SkyCoord

    table = as_table(table, what)
    if isinstance(table, SkyCoord):
        return table.icrs.ravel()
    names = {name.lower(): name for name in reversed(table.colnames)}
    if "ra" in names and "dec" in names:
        ra, dec = (_degrees(table[names[name]], what) for name in ("ra", "dec"))
        _check_declinations(dec, names["dec"], what)
        return SkyCoord(ra * u.deg, dec * u.deg, frame="icrs")
    mixed = [table[name] for name in table.colnames if isinstance(table[name], SkyCoord)]
    if len(mixed) != 1:
        msg = f"{what} has no columns 'ra' and 'dec', and not exactly one column of coordinates"
        raise CatalogError(msg)
    return mixed[0].icrs


def _somewhere(table: WithPositions, what: str) -> SkyCoord:
    """ICRS positions of the rows; an error where there are rows, and not one has a position."""
    sky = sky_positions(table, what)
    if len(sky) and not (np.isfinite(sky.ra) & np.isfinite(sky.dec)).any():
        msg = f"none of the {len(sky)} rows of {what} has a position on the sky; images without a WCS give none"
        raise CatalogError(msg)
    return sky


def _check_declinations(dec: NDArray[np.float64], name: str, what: str) -> None:
    beyond = np.flatnonzero(np.abs(dec) > 90)
    if len(beyond):
        first = beyond[0]
        msg = (
            f"column {name!r} of {what} has {dec[first]:g} degrees in row {first} (the first of {len(beyond)}), "
            "which is no declination; mask what is unknown, or make it NaN"
        )
        raise CatalogError(msg)


def _degrees(column: Column, what: str) -> NDArray[np.float64]:
    try:
        return degrees(column)
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"column {column.info.name!r} of {what} is no angle: {error}"
        raise CatalogError(msg) from error


def _pairs(
    here: SkyCoord, there: SkyCoord, limit: u.Quantity, *, nearest: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pairs within the limit with their separations in arcsec: all, or each row's nearest."""
    known, other_known = (np.flatnonzero(np.isfinite(sky.ra) & np.isfinite(sky.dec)) for sky in (here, there))
    if not (len(known) and len(other_known)):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp), np.empty(0)
    here, there = here[known], there[other_known]
    if nearest:
        found, separation, _ = here.match_to_catalog_sky(there)
        close = separation <= limit
        index, other, separation = np.flatnonzero(close), found[close], separation[close]
    else:
        other, index, separation, _ = here.search_around_sky(there, limit)
    return known[index], other_known[other], separation.to_value(u.arcsec)


def closest_first(
    index: NDArray[np.intp], other: NDArray[np.intp], separation: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Pairs that remain if each row is used once, the closest pair first."""
    chosen: list[int] = []
    left = np.lexsort([other, index, separation])
    while len(left):
        # A pair that is the closest one left of both its rows is taken, whatever becomes of the others.
        is_first = np.zeros(len(left), dtype=bool)
        is_first[np.unique(index[left], return_index=True)[1]] = True
        other_first = np.zeros(len(left), dtype=bool)
        other_first[np.unique(other[left], return_index=True)[1]] = True
        taken = left[is_first & other_first]
        chosen += taken.tolist()
        left = left[~np.isin(index[left], index[taken]) & ~np.isin(other[left], other[taken])]
    return np.array(chosen, dtype=np.intp)
