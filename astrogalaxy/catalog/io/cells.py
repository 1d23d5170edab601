"""Columns as files hold them, and the big-endian records of FITS and VOTable BINARY."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table

from astrogalaxy.catalog.columns import COLUMNS
from astrogalaxy.errors import CatalogError

__all__ = [
    "ascii_bytes",
    "big_endian",
    "cells",
    "code_points",
    "floats",
    "holes",
    "plain_table",
    "settled_column",
    "text_width",
    "unit_text",
]

# Types that one of the formats lacks, and the next wider one that both have.
_WIDER = {"i1": "i2", "u2": "i4", "u4": "i8", "f2": "f4"}
# What stands for a hole in a column that is not of the contract.
_HOLES = {"f": np.nan, "c": np.nan, "U": "", "S": b""}
_WRITABLE = {"b1", "u1", "i2", "i4", "i8", "f4", "f8", "c8", "c16"}


def plain_table(table: Table) -> Table:
    """Reduce a table to what both file formats hold.

    Parameters
    ----------
    table : astropy.table.Table
        Any table of plain columns.

    Returns
    -------
    astropy.table.Table
        New columns where something changed: masked floats and strings are filled with NaN and
        "", byte strings decoded, narrow types widened, bytes put in native order. Integers and
        booleans with holes stay masked.

    Raises
    ------
    CatalogError
        If a column is a mixin (`~astropy.coordinates.SkyCoord`, say) or of a type that cannot be
        written.
    """
    # A bare Table: the copy must not go through a subclass's own rules.
    return Table([_plain_column(name, table[name]) for name in table.colnames], names=table.colnames, copy=False)


def _plain_column(name: str, column: Any) -> Column:
    if not isinstance(column, Column):
        msg = f"column {name!r} is a {type(column).__name__}, which a file cannot hold; split it into plain columns"
        raise CatalogError(msg)
    if isinstance(column, MaskedColumn):
        column = _fillable_column(column)
    if not column.dtype.isnative:
        # Whatever astropy reads from FITS is big-endian.
        column = column.astype(column.dtype.newbyteorder("="))
    code = column.dtype.str[1:]
    if column.dtype.kind == "S":
        column = _like(column, np.char.decode(np.asarray(column), "utf-8"))
    if column.dtype.kind == "U" and column.ndim == 1:
        return column
    if code in _WIDER:
        return column.astype(_WIDER[code])
    if code not in _WRITABLE:
        msg = f"column {name!r} has type {column.dtype} and {column.ndim} dimensions, which a file cannot hold"
        raise CatalogError(msg)
    return column


def holes(values: np.ndarray) -> np.ndarray | None:
    """Which of the values are holes; None where none is."""
    return np.ma.getmaskarray(values) if np.ma.is_masked(values) else None


def floats(values: np.ndarray) -> np.ndarray:
    """Values as floats, NaN in the holes that integers may have."""
    return np.ma.filled(values.astype(float, copy=False), np.nan)


def cells(values: np.ndarray) -> np.ndarray:
    """Values as FITS and VOTable BINARY have them: booleans are letters, NUL in their holes; bytes big-endian."""
    if values.dtype.kind == "b":
        return np.where(np.ma.getmaskarray(values), b"", np.where(np.ma.getdata(values), b"T", b"F"))
    return values.astype(values.dtype.newbyteorder(">"), copy=False)


def text_width(text: np.ndarray | Column) -> int:
    """Letters that a string of a column may have, at least one."""
    return max(text.dtype.itemsize // 4, 1)


def code_points(text: np.ndarray) -> np.ndarray:
    """The code of each letter of some strings, ``(n, width)``; 0 after the last one."""
    return np.ascontiguousarray(text).view(np.uint32).reshape(len(text), text.dtype.itemsize // 4)


def ascii_bytes(text: np.ndarray, width: int) -> np.ndarray | None:
    """Strings of one column as bytes, ``S<width>``, or None where one is not ASCII; ten times as quick as numpy's."""
    codes = code_points(text)
    if codes.max(initial=0) > 0x7F:
        return None
    letters = np.zeros((len(text), width), dtype=np.uint8)
    letters[:, : codes.shape[1]] = codes[:, :width]
    return letters.view(f"S{width}").reshape(len(text))


def big_endian(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The bytes of all cells, row by row."""
    n_rows = len(next(iter(columns.values()), ()))
    kinds = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    if not n_rows:
        return np.empty(0, dtype=np.uint8)
    records = np.empty(n_rows, dtype=kinds)
    for name, values in columns.items():
        records[name] = values
    return records.view(np.uint8)


def settled_column(column: MaskedColumn) -> Column:
    """Take the mask off a column that was read.

    Holes become the contract's missing value, or else NaN or "". Integers and booleans outside
    the contract have no such value and stay masked where they have holes.
    """
    known = COLUMNS.get(column.name)
    missing = known.missing if known is not None else _HOLES.get(column.dtype.kind)
    if missing is None and column.mask.any():
        return column
    return _fill(column, missing)


def _fillable_column(column: MaskedColumn) -> Column:
    """Take the mask off a column that is to be written; integers and booleans with holes keep it."""
    if not column.mask.any():
        return _like(column, column.data.data)
    missing = _HOLES.get(column.dtype.kind)
    return column if missing is None else _fill(column, missing)


def _fill(column: MaskedColumn, missing: Any) -> Column:
    values = column.data.data
    if not column.mask.any():
        return _like(column, values)
    # A string may be longer than the column is wide; a number takes the column's type.
    fill = np.asarray(missing, dtype=None if isinstance(missing, str | bytes) else values.dtype)
    return _like(column, np.where(column.mask, fill, values))


def _like(column: Column, values: np.ndarray) -> Column:
    """A column with other values and the same unit, description and UCD."""
    return Column(
        np.asarray(values), name=column.name, unit=column.unit, description=column.description, meta=column.meta
    )


def unit_text(name: str, column: Column, form: str) -> str | None:
    """Spell a column's unit in a format's own way, or refuse one that it does not know.

    Parameters
    ----------
    name : str
        The column's name, for the error.
    column : astropy.table.Column
        The column.
    form : {"fits", "vounit"}
        Name of the format, as astropy has it.

    Returns
    -------
    str or None
        None where the column has no unit.

    Raises
    ------
    CatalogError
        If the format has no such unit: it would be lost without a word.
    """
    if column.unit is None or column.unit == u.dimensionless_unscaled:
        return None
    try:
        return column.unit.to_string(format=form)
    except (ValueError, TypeError) as error:
        msg = f"column {name!r} has the unit {column.unit}, which the format {form} does not know; convert it first"
        raise CatalogError(msg) from error
