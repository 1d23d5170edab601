"""Catalogues as text: astropy's enhanced CSV."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import chain, islice
from typing import IO, Any, TextIO

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.columns import COLUMNS
from astrogalaxy.catalog.io.cells import holes, settled_column
from astrogalaxy.catalog.io.meta import plain_meta
from astrogalaxy.catalog.io.rows import BLOCK, Rows, joined
from astrogalaxy.catalog.io.target import Source, name_of, reading
from astrogalaxy.errors import CatalogError

__all__ = ["read", "write"]

_VERSION = "%ECSV 1.0"
# What a cell must not be without quotes.
_TO_QUOTE = re.compile(r'^$|^[\s#]|\s$|[",\r\n]')


def write(rows: Rows, stream: IO[bytes]) -> None:
    """Write rows as ECSV, with no more than a block of them in memory.

    Units, UCDs, descriptions and provenance are the YAML at the file's beginning, as astropy
    writes it; numbers have as many digits as give them back exactly. Cells are parted by commas. An empty string has
    quotes, a hole has none; astropy's own readers take both for a hole, which ``filled("")`` of the column undoes.
    """
    head = rows.head
    for name in head.colnames:
        if head[name].dtype.kind == "c" and head[name].ndim > 1:
            msg = f"column {name!r} has complex arrays, which ECSV cannot hold; split it into plain columns"
            raise CatalogError(msg)
    opening = "".join(f"# {line}\n" for line in _header(head))
    stream.write((opening + _lines([list(map(_quoted, head.colnames))])).encode("utf-8", "surrogatepass"))
    for block in rows.blocks():
        cells = [_cells(block[name]) for name in head.colnames]
        stream.write(_lines(zip(*cells, strict=True)).encode("utf-8", "surrogatepass"))


def _header(head: Table) -> Iterator[str]:
    from astropy.table.meta import get_yaml_from_header

    yield _VERSION
    yield "---"
    header: dict[str, Any] = {"cols": list(head.columns.values()), "delimiter": ","}
    meta = plain_meta(head.meta)
    yield from get_yaml_from_header({**header, "meta": meta} if meta else header)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    """Lines out of cells, which are quoted where need be."""
    return "".join(",".join(row) + "\n" for row in rows)


def _quoted(text: str) -> str:
    """A string as a cell."""
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def _cells(values: np.ndarray) -> list[str]:
    """Cells of a column as text; a hole is an empty one."""
    if values.ndim > 1:
        return [_quoted(json.dumps(row, separators=(",", ":"))) for row in values.tolist()]
    if values.dtype.kind == "U":
        return list(map(_quoted, values.tolist()))
    gone, text = holes(values), np.ma.getdata(values).astype(str)
    return (text if gone is None else np.where(gone, "", text)).tolist()


def read(source: Source) -> SourceCatalog:
    """Read a file that `SourceCatalog.write` or astropy made.

    Strings of other columns than the catalogue's own are as wide as their longest value.
    """
    with reading(name_of(source), "ECSV"):
        if not isinstance(source, str | os.PathLike):
            return _parse(StringIO(source.read().decode("utf-8", "surrogatepass"), newline=""))
        with open(source, encoding="utf-8", errors="surrogatepass", newline="") as stream:
            return _parse(stream)


def _parse(stream: TextIO) -> SourceCatalog:
    from astropy.table.meta import YamlParseError, get_header_from_yaml

    opening = []
    while (line := stream.readline()).startswith("#"):
        opening.append(line.strip("\r\n"))
    if not opening or not opening[0].startswith("# %ECSV"):
        msg = "it does not begin with %ECSV"
        raise ValueError(msg)
    try:
        header = get_header_from_yaml([line[2:] for line in opening[1:]])
    except YamlParseError as error:
        msg = f"its header is no YAML: {error.__cause__}"
        raise ValueError(msg) from error
    delimiter = header.get("delimiter", " ")
    rows = csv.reader(chain([line], stream), delimiter=delimiter, skipinitialspace=delimiter == " ")
    names = next(rows, [])
    entries = {entry["name"]: entry for entry in header["datatype"]}
    if names != list(entries):
        msg = "the names of its columns are not those of its header"
        raise ValueError(msg)
    # The text of a cell takes many times the memory of its number, so that no more than a block is kept as text.
    parts: dict[str, list[np.ndarray]] = {name: [_values(entry, ())] for name, entry in entries.items()}
    while block := list(islice(rows, BLOCK)):
        # An empty line is no row, except where an only cell is empty.
        filled = [row for row in block if row]
        if any(len(row) != len(names) for row in filled):
            msg = f"not every row has {len(names)} cells"
            raise ValueError(msg)
        for name, cells in zip(names, zip(*filled, strict=True), strict=bool(filled)):
            parts[name].append(_values(entries[name], cells))
    columns = [_column(entries[name], joined(parts.pop(name))) for name in names]
    return SourceCatalog(columns, copy=False, meta=dict(header.get("meta") or {}))


def _column(entry: Mapping[str, Any], values: np.ndarray) -> Column:
    """A column out of its entry in the header and its values."""
    about = {
        "name": entry["name"],
        "unit": entry.get("unit"),
        "description": entry.get("description"),
        "meta": dict(entry.get("meta") or {}),
    }
    if np.ma.isMaskedArray(values):
        return settled_column(MaskedColumn(values, **about))
    return _text(Column(values, **about))


def _values(entry: Mapping[str, Any], cells: Sequence[str]) -> np.ndarray:
    """Values of some cells of a column: strings, or a masked array."""
    if "subtype" in entry:
        return _arrays(entry["subtype"], cells)
    if entry["datatype"] == "string":
        return np.array(cells, dtype=str if cells else "U1")
    kind = np.dtype(entry["datatype"])
    gone = np.array([not cell for cell in cells], dtype=bool)
    values = np.array(cells, dtype=object)
    if kind.kind == "b":
        values = np.array([_truth(cell) for cell in cells], dtype=bool)
    else:
        values[gone] = "0"
    with np.errstate(over="ignore"):
        return np.ma.MaskedArray(values.astype(kind), gone)


def _truth(cell: str) -> bool:
    """Whether a cell says so; false where it is empty."""
    if cell not in ("True", "False", ""):
        msg = f"{cell!r} is neither True nor False"
        raise ValueError(msg)
    return cell == "True"


def _arrays(subtype: str, cells: Sequence[str]) -> np.ma.MaskedArray:
    """Cells that hold arrays of one shape."""
    name, _, shape = subtype.partition("[")
    lengths = json.loads(f"[{shape}")
    if name == "string" or None in lengths:
        msg = f"it has arrays of {subtype}, which a catalogue has no place for"
        raise ValueError(msg)
    values = np.array([json.loads(cell) for cell in cells], dtype=object).reshape(len(cells), *lengths)
    gone = np.array([value is None for value in values.ravel()], dtype=bool).reshape(values.shape)
    return np.ma.MaskedArray(np.where(gone, 0, values).astype(name), gone)


def _text(column: Column) -> Column:
    """The text does not say how wide the column was: as wide as the contract has it, and at least two."""
    known = COLUMNS.get(column.name)
    width = max(np.dtype(kind).itemsize // 4 for kind in (column.dtype, "U2", known.dtype if known else "U2"))
    return column.astype(f"U{width}", copy=False)
