"""Values of columns: those that are given brought to the contract's type and unit, those of tables compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import MaskedColumn, Table
from astropy.utils.masked import Masked

from astrogalaxy.catalog.columns import Column
from astrogalaxy.errors import CatalogError

__all__ = ["check_alike", "check_column", "check_names", "common_length", "values_of"]


def check_names(columns: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse a name outside the contract."""
    for name in columns:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "add it to the finished table instead"
            msg = f"column {name!r} is not one of this catalogue's; {hint}"
            raise CatalogError(msg)


def common_length(columns: Mapping[str, Any]) -> int:
    """Length that all arrays share; 0 where there is no column at all."""
    lengths: dict[str, int] = {}
    for name, values in columns.items():
        if np.ndim(values) > 1:
            msg = f"column {name!r} has {np.ndim(values)} dimensions; a column has one value per source"
            raise CatalogError(msg)
        if np.ndim(values) == 1:
            lengths[name] = len(values)
    if columns and not lengths:
        msg = "all columns are single values; give at least one as an array, so that the length is known"
        raise CatalogError(msg)
    if len(set(lengths.values())) > 1:
        shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        msg = f"column {shortest!r} has {lengths[shortest]} rows, but {longest!r} has {lengths[longest]}"
        raise CatalogError(msg)
    return next(iter(lengths.values()), 0)


def values_of(column: Column, given: Any, n_rows: int) -> np.ndarray:
    """Values of one column: converted, checked, of the contract's type, and a copy; a scalar is repeated."""
    raw, mask = given, None
    if isinstance(given, Masked):
        raw, mask = given.unmasked, given.mask
    elif np.ma.isMaskedArray(given):
        raw, mask = np.ma.getdata(given), np.ma.getmaskarray(given)
    if getattr(given, "unit", None) is not None:
        raw = _in_unit(column, u.Quantity(raw, given.unit))
    raw = np.asarray(raw)
    if raw.dtype.kind == "S":
        raw = np.char.decode(raw, "utf-8")
    if mask is not None and np.any(mask):
        raw = np.where(mask, np.asarray(column.missing), raw)
    wanted = np.dtype(column.dtype).kind
    cast = {"U": _strings, "i": _integers, "f": _floats}[wanted]
    return np.array(np.broadcast_to(cast(column, raw), n_rows))


def _in_unit(column: Column, quantity: u.Quantity) -> np.ndarray:
    try:
        return quantity.to_value(column.unit or u.one)
    except u.UnitConversionError as error:
        msg = f"column {column.name!r} is in {column.unit or 'no unit'}: {error}"
        raise CatalogError(msg) from error


def _floats(column: Column, raw: np.ndarray) -> np.ndarray:
    if raw.dtype.kind not in "fiub" and raw.size:
        msg = f"column {column.name!r} wants numbers, but got {raw.dtype}"
        raise CatalogError(msg)
    with np.errstate(over="ignore"):
        return raw.astype(column.dtype, copy=False)


def _integers(column: Column, raw: np.ndarray) -> np.ndarray:
    if raw.dtype.kind not in "iub" and raw.size:
        msg = f"column {column.name!r} wants whole numbers, but got {raw.dtype}"
        raise CatalogError(msg)
    limits = np.iinfo(column.dtype)
    if raw.size and not (limits.min <= int(raw.min()) and int(raw.max()) <= limits.max):
        msg = f"column {column.name!r} has a value that does not fit into {column.dtype}"
        raise CatalogError(msg)
    return raw.astype(column.dtype, copy=False)


def _strings(column: Column, raw: np.ndarray) -> np.ndarray:
    if raw.dtype.kind not in "UO" and raw.size:
        msg = f"column {column.name!r} wants strings, but got {raw.dtype}"
        raise CatalogError(msg)
    text = raw.astype(str, copy=False)
    if column.values:
        if not np.isin(text, column.values).all():
            msg = f"column {column.name!r} {_stranger(column, text)}"
            raise CatalogError(msg)
        return text.astype(column.dtype, copy=False)
    # As wide as its longest value: a slice of a wide array must not widen the file. Two at least,
    # since VOTable has no good way to write strings of one.
    width = int(np.char.str_len(text).max(initial=2))
    return text.astype(f"U{width}", copy=False)


def _stranger(column: Column, text: np.ndarray) -> str:
    """Say which value is not among those allowed."""
    stranger = str(np.atleast_1d(text)[~np.isin(np.atleast_1d(text), column.values)][0])
    return f"has the value {stranger!r}; allowed are {', '.join(map(repr, column.values))}"


def check_column(column: Column, here: Any) -> None:
    """Refuse a table's column that is not what its entry in the registry says."""
    wanted = np.dtype(column.dtype)
    if isinstance(here, MaskedColumn):
        problem = "is masked; fill it with the missing value"
    elif here.dtype.kind != wanted.kind or (wanted.kind != "U" and here.dtype != wanted):
        problem = f"has type {here.dtype}, not {wanted}"
    elif here.unit != (column.unit and u.Unit(column.unit)):
        problem = f"has unit {here.unit}, not {column.unit}"
    elif here.meta.get("ucd") != column.ucd:
        problem = f"has UCD {here.meta.get('ucd')!r}, not {column.ucd!r}"
    elif not here.description:
        problem = "has no description"
    elif column.values and not np.isin(here, column.values).all():
        problem = _stranger(column, np.asarray(here))
    else:
        return
    msg = f"column {column.name!r} {problem}"
    raise CatalogError(msg)


def check_alike(first: Table, other: Table, where: str) -> None:
    """Refuse to put rows under each other whose columns differ.

    Parameters
    ----------
    first, other : astropy.table.Table
        The rows.
    where : str
        What ``other`` is, for the error.
    """
    odd = sorted(set(first.colnames) ^ set(other.colnames))
    if odd:
        owner = "the first" if odd[0] in first.colnames else where
        msg = f"cannot stack catalogues: only {owner} has the column {odd[0]!r}"
        raise CatalogError(msg)
    for name in first.colnames:
        for what in ("unit", "ucd", "type"):
            mine, theirs = _trait(first[name], what), _trait(other[name], what)
            if mine != theirs:
                msg = f"cannot stack catalogues: {what} of column {name!r} is {mine} in the first, {theirs} in {where}"
                raise CatalogError(msg)


def _trait(column: Any, what: str) -> Any:
    """What must be the same in stacked columns: strings may differ in width."""
    if what == "unit":
        return column.unit
    if what == "ucd":
        return column.meta.get("ucd")
    shape = "".join(f" x {length}" for length in column.shape[1:])
    return "string" if column.dtype.kind == "U" else f"{column.dtype}{shape}"
