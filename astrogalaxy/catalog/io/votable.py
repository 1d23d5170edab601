"""Catalogues as VOTable 1.4 with BINARY rows, written and read as whole arrays.

`astropy.io.votable` walks over the cells in Python, which takes seconds per hundred thousand
rows; BINARY rows of fixed width are the same bytes as a big-endian record array.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from astropy.table import Column, Table

from astrogalaxy.catalog.io.cells import ascii_bytes, big_endian, cells, code_points, text_width, unit_text
from astrogalaxy.catalog.io.meta import META_JSON, PIXEL_BASE, plain_meta, printable, to_json
from astrogalaxy.catalog.io.rows import FilledRows, Rows

__all__ = ["table_head", "write"]

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


def write(rows: Rows, stream: IO[bytes]) -> None:
    """Write rows as a VOTable, with no more than a block of them in memory.

    Each FIELD has its unit, UCD and DESCRIPTION; ``ra`` and ``dec`` refer to an ICRS COOSYS.
    Provenance is INFO elements; values that are not text are also in METAJSON, exactly. Types
    that VOTable lacks are widened, and strings are at least two characters wide.
    """
    rows = FilledRows(rows)
    texts = {name: _text_kind(rows, name) for name in rows.head.colnames if rows.head[name].dtype.kind == "U"}
    fields = table_head(rows.head, len(rows), {name: kind[:2] for name, kind in texts.items()}, rows.nulls)
    stream.write("\n".join([*fields, '<DATA><BINARY><STREAM encoding="base64">\n']).encode("utf-8"))
    for block in _base64(_records(rows, texts)):
        stream.write(block)
    stream.write(b"</STREAM></BINARY></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def table_head(
    head: Table, n_rows: int | None, texts: Mapping[str, tuple[str, str]], nulls: Mapping[str, int]
) -> list[str]:
    """Lines of the document up to the last FIELD.

    Parameters
    ----------
    head : astropy.table.Table
        Columns and meta; rows do not matter.
    n_rows : int or None
        Number of rows; None for a document without data.
    texts : mapping
        Datatype and arraysize of the string columns.
    nulls : mapping
        What stands for a hole in the integer columns that have some.

    Returns
    -------
    list of str
        Lines in their order.
    """
    fields = list(_opening(head.meta, n_rows))
    for name in head.colnames:
        column = head[name]
        arraysize = "x".join(str(length) for length in reversed(column.shape[1:]))
        datatype, arraysize = texts.get(name) or (_DATATYPES.get(column.dtype.str[1:], ""), arraysize)
        fields += _field(column, datatype, arraysize or None, nulls.get(name))
    return fields


def _records(rows: Rows, texts: Mapping[str, tuple[str, str, str]]) -> Iterator[np.ndarray]:
    """The table's bytes, block by block."""
    for block in rows.blocks():
        columns = {
            name: _characters(values, texts[name][2]) if name in texts else cells(values)
            for name, values in block.items()
        }
        yield big_endian(columns)


def _opening(meta: Mapping[Any, Any], n_rows: int | None) -> Iterator[str]:
    """Everything before the first FIELD."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
    yield '<RESOURCE name="astrogalaxy">'
    yield '<COOSYS ID="coosys_icrs" system="ICRS"/>'
    yield '<TABLE name="CATALOG">' if n_rows is None else f'<TABLE name="CATALOG" nrows="{n_rows}">'
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


def _field(column: Column, datatype: str, arraysize: str | None, null: int | None) -> Iterator[str]:
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
        yield f"<DESCRIPTION>{escape(printable(column.description))}</DESCRIPTION>"
    if null is not None:
        yield f'<VALUES null="{null}"/>'
    yield "</FIELD>"


def _text_kind(rows: Rows, name: str) -> tuple[str, str, str]:
    """Datatype, arraysize and numpy type of a string column: char where all are ASCII, else unicodeChar."""
    # Validators complain about single characters, with an arraysize of 1 and without one.
    width = max(text_width(rows.head[name]), 2)
    codes = [_codes(block[name]) for block in rows.blocks([name]) if len(block[name])]
    if all(highest < 0x80 for highest, _ in codes):
        return "char", str(width), f"S{width}"
    width = max([width, *(pairs for _, pairs in codes)])
    return "unicodeChar", str(width), f"({width},)>u2"


def _codes(text: np.ndarray) -> tuple[int, int]:
    """The highest code of some strings, and the longest string where characters above 0xFFFF count two."""
    codes = code_points(text)
    highest = int(codes.max(initial=0))
    return highest, len(_utf16(text).T) if highest > 0xFFFF else 0


def _characters(text: np.ndarray, kind: str) -> np.ndarray:
    """Strings as they stand in the stream."""
    if kind.startswith("S"):
        plain = ascii_bytes(text, int(kind[1:]))
        return text.astype(kind) if plain is None else plain
    cells_ = np.zeros(len(text), dtype=kind)
    codes = _utf16(text)
    cells_[:, : codes.shape[1]] = codes
    return cells_


def _utf16(text: np.ndarray) -> np.ndarray:
    """Strings as two-byte characters, ``(n, width)``."""
    codes = code_points(text)
    if codes.max(initial=0) <= 0xFFFF:
        return codes.astype(">u2")
    # Beyond two bytes a character takes a pair, so the strings lose their common width.
    pairs = [value.encode("utf-16-be", "surrogatepass") for value in text.tolist()]
    width = max(len(pair) for pair in pairs)
    joined = b"".join(pair.ljust(width, b"\0") for pair in pairs)
    return np.frombuffer(joined, dtype=">u2").reshape(len(text), -1)


def _base64(parts: Iterable[np.ndarray]) -> Iterator[bytes]:
    """Base64 of the bytes in lines of 76."""
    rest = np.empty(0, dtype=np.uint8)
    for part in parts:
        data = np.concatenate([rest, part]) if len(rest) else part
        whole = len(data) - len(data) % _LINE
        for start in range(0, whole, _BLOCK):
            coded = binascii.b2a_base64(data[start : min(start + _BLOCK, whole)].data, newline=False)
            lines = np.empty((len(coded) // 76, 77), dtype=np.uint8)
            lines[:, :76] = np.frombuffer(coded, dtype=np.uint8).reshape(-1, 76)
            lines[:, 76] = ord("\n")
            yield lines.tobytes()
        rest = data[whole:]
    if len(rest):
        yield binascii.b2a_base64(rest.data)
