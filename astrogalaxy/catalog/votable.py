"""Catalogues as VOTable 1.4 with BINARY rows, written and read as whole arrays.

`astropy.io.votable` walks over the cells in Python, which takes seconds per hundred thousand
rows; BINARY rows of fixed width are the same bytes as a big-endian record array.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from astrogalaxy.catalog._meta import META_JSON, PIXEL_BASE, plain_meta, to_json
from astrogalaxy.catalog._records import null_of, plain_table, unit_text, without_mask
from astrogalaxy.catalog._target import open_target
from astrogalaxy.catalog._votable_reader import read_votable

__all__ = ["read_votable", "write_votable"]

# numpy types and their names in VOTable.
_DATATYPES = {
    "b1": "boolean",
    "u1": "unsignedByte",
    "i2": "short",
    "i4": "int",
    "i8": "long",
    "f4": "float",
    "f8": "double",
    "c8": "floatComplex",
    "c16": "doubleComplex",
}
# 76 characters of base64 are 57 bytes; whole lines per block, so that blocks join without seam.
_LINE, _BLOCK = 57, 57 * 4096


def write_votable(catalog: Table, target: str | os.PathLike[str] | IO[bytes], *, overwrite: bool = False) -> None:
    """Write a catalogue as a VOTable; called by ``catalog.write("x.vot")``.

    Parameters
    ----------
    catalog : SourceCatalog
        Columns beyond the contract are written too, as long as they are plain.
    target : path-like or binary file
        A path ending in ``.gz`` is compressed. The file appears whole or not at all.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    CatalogError
        If a column, its unit or a meta value cannot be held by the format.
    FileExistsError
        If the file exists and ``overwrite`` is false.
    RunError
        If the folder or the disk does not take the file.

    Notes
    -----
    Each FIELD has its unit, UCD and DESCRIPTION; ``ra`` and ``dec`` refer to an ICRS COOSYS.
    Provenance is INFO elements; values that are not text are also in METAJSON, exactly. Types
    that VOTable lacks are widened, and strings are at least two characters wide.
    """
    table = plain_table(catalog)
    fields, arrays = [], {}
    for name in table.colnames:
        arrays[name], datatype, arraysize = _cells(table[name])
        fields += _field(table[name], datatype, arraysize)
    head = "\n".join([*_opening(catalog.meta, len(table)), *fields, '<DATA><BINARY><STREAM encoding="base64">\n'])
    with open_target(target, overwrite=overwrite) as stream:
        stream.write(head.encode("utf-8"))
        for block in _base64(_rows(arrays, len(table))):
            stream.write(block)
        stream.write(b"</STREAM></BINARY></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def _opening(meta: Mapping[Any, Any], n_rows: int) -> Iterator[str]:
    """Everything before the first FIELD."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
    yield '<RESOURCE name="astrogalaxy">'
    yield '<COOSYS ID="coosys_icrs" system="ICRS"/>'
    yield f'<TABLE name="CATALOG" nrows="{n_rows}">'
    yield "<DESCRIPTION>Stars and galaxies, one row per source</DESCRIPTION>"
    yield from _infos(meta)


def _infos(meta: Mapping[Any, Any]) -> Iterator[str]:
    """Provenance as INFO elements, and as JSON what they cannot give back exactly."""
    yield f'<INFO name="{PIXEL_BASE}" value="0">x, y: the centre of the first pixel is (0, 0)</INFO>'
    rest = {}
    for key, value in plain_meta(meta).items():
        readable = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", key) and key not in (META_JSON, PIXEL_BASE)
        if readable and isinstance(value, str | int | float) and str(value).isprintable():
            yield f"<INFO name={quoteattr(key)} value={quoteattr(str(value))}/>"
            if isinstance(value, str) and value.strip() == value:
                continue
        rest[key] = value
    if rest:
        yield f"<INFO name={quoteattr(META_JSON)} value={quoteattr(to_json(rest))}/>"


def _field(column: Column, datatype: str, arraysize: str | None) -> Iterator[str]:
    """The FIELD element of one column."""
    name = column.name
    attributes = {
        "name": name,
        # An ID must be an XML name; a reader can do without.
        "ID": name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) and name != "coosys_icrs" else None,
        "datatype": datatype,
        "arraysize": arraysize,
        "unit": unit_text(name, column, "vounit"),
        "ucd": column.meta.get("ucd"),
        "ref": "coosys_icrs" if name in ("ra", "dec") else None,
    }
    yield "<FIELD " + " ".join(f"{key}={quoteattr(text)}" for key, text in attributes.items() if text) + ">"
    if column.description:
        yield f"<DESCRIPTION>{escape(_printable(column.description))}</DESCRIPTION>"
    if isinstance(column, MaskedColumn):
        yield f'<VALUES null="{null_of(column.dtype)}"/>'
    yield "</FIELD>"


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _cells(column: Column) -> tuple[np.ndarray, str, str | None]:
    """A column's cells as they stand in the stream, their datatype and their arraysize."""
    if column.dtype.kind == "U":
        return _characters(np.asarray(column))
    values = without_mask(column)
    arraysize = "x".join(str(length) for length in reversed(values.shape[1:])) or None
    datatype = _DATATYPES[values.dtype.str[1:]]
    if values.dtype.kind == "b":
        return np.where(values, b"T", b"F"), datatype, arraysize
    return values, datatype, arraysize


def _characters(text: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Strings as char where all are ASCII, else as unicodeChar."""
    # Validators complain about single characters, with an arraysize of 1 and without one.
    text = text.astype(f"U{max(text.dtype.itemsize // 4, 2)}", copy=False)
    width = text.dtype.itemsize // 4
    try:
        return text.astype(f"S{width}"), "char", str(width)
    except UnicodeEncodeError:
        pass
    codes = np.ascontiguousarray(text).view(np.uint32).reshape(len(text), width)
    if codes.max(initial=0) > 0xFFFF:
        # Beyond two bytes a character takes a pair, so the strings lose their common width.
        pairs = [value.encode("utf-16-be", "surrogatepass") for value in text.tolist()]
        width = max(width, max(len(pair) for pair in pairs) // 2)
        joined = b"".join(pair.ljust(2 * width, b"\0") for pair in pairs)
        codes = np.frombuffer(joined, dtype=">u2").reshape(len(text), width)
    return codes.astype(">u2"), "unicodeChar", str(width)


def _rows(arrays: Mapping[str, np.ndarray], n_rows: int) -> np.ndarray:
    """All cells as bytes, row after row, big-endian."""
    kinds = [(name, values.dtype.newbyteorder(">"), values.shape[1:]) for name, values in arrays.items()]
    records = np.empty(n_rows, dtype=kinds)
    for name, values in arrays.items():
        records[name] = values
    return records.view(np.uint8) if kinds and n_rows else np.empty(0, dtype=np.uint8)


def _base64(data: np.ndarray) -> Iterator[bytes]:
    """Base64 of the bytes in lines of 76, block by block."""
    whole = len(data) - len(data) % _LINE
    for start in range(0, whole, _BLOCK):
        coded = binascii.b2a_base64(data[start : min(start + _BLOCK, whole)], newline=False)
        lines = np.frombuffer(coded, dtype=np.uint8).reshape(-1, 76)
        yield np.pad(lines, ((0, 0), (0, 1)), constant_values=ord("\n")).tobytes()
    if whole < len(data):
        yield binascii.b2a_base64(data[whole:])
