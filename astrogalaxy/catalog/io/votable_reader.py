"""Read VOTables: rows of fixed width as one array, everything else by way of astropy."""

from __future__ import annotations

import binascii
import gzip
import os
import re
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Column, MaskedColumn

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.io.cells import settled_column
from astrogalaxy.catalog.io.meta import META_JSON, PIXEL_BASE, from_json, plain_meta
from astrogalaxy.catalog.io.target import Source, name_of, reading

if TYPE_CHECKING:
    from astropy.io.votable.tree import Field, TableElement, VOTableFile

__all__ = ["about_field", "catalog_with_meta", "parse_head", "read"]

# VOTable's types as numpy writes them, big-endian; a boolean is a letter.
_CODES = {
    "boolean": "S1",
    "unsignedByte": "u1",
    "short": ">i2",
    "int": ">i4",
    "long": ">i8",
    "float": ">f4",
    "double": ">f8",
    "floatComplex": ">c8",
    "doubleComplex": ">c16",
    "char": "S",
    "unicodeChar": ">u2",
}
_STREAM = re.compile(rb"<BINARY>\s*<STREAM\s+encoding=(?:\"base64\"|'base64')\s*>")


def read(source: Source) -> SourceCatalog:
    """Read the first table of a file that `SourceCatalog.write` made, also after other tools saved it in their own way.

    The provenance is that of the INFO and PARAM elements.
    """
    with reading(name_of(source), "a VOTable"):
        raw = _read_bytes(source)
        found = _STREAM.search(raw)
        fast = found is not None and len(re.findall(rb"<TABLE[\s>]", raw[: found.start()])) == 1
        catalog = _read_stream(raw, found.end()) if found is not None and fast else None
        return _read_slowly(raw) if catalog is None else catalog


def _read_bytes(source: Source) -> bytes:
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            raw = stream.read()
    else:
        raw = source.read()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def _parse(raw: bytes) -> tuple[VOTableFile, TableElement]:
    """Parse with astropy, which knows every version and dialect; give the document and its first table."""
    from astropy.io.votable import parse

    with warnings.catch_warnings():
        # Remarks on the dialect of other tools are of no use to someone who reads a catalogue.
        warnings.simplefilter("ignore")
        document = parse(BytesIO(raw))
        return document, document.get_first_table()


def parse_head(raw: bytes) -> tuple[VOTableFile, TableElement]:
    """Parse a document without data; give it and its first table."""
    from astropy.io.votable import parse

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = parse(BytesIO(raw))
    return document, next(document.iter_tables())


def _read_stream(raw: bytes, start: int) -> SourceCatalog | None:
    """Read BINARY rows of fixed width as one array; None where a cell's width varies."""
    end = raw.find(b"</STREAM>", start)
    if end < 0:
        msg = "it ends in the middle of the table"
        raise ValueError(msg)
    # With the number of rows astropy would set memory aside for rows that it does not get to see.
    head = re.sub(rb'(<TABLE\s[^>]*?)\s+nrows="\d+"', rb"\1", raw[:start])
    document, table = _parse(head + raw[end:])
    kinds = [_kind(field) for field in table.fields]
    if None in kinds:
        return None
    dtype = np.dtype([(f"f{index}", *kind) for index, kind in enumerate(kinds) if kind is not None])
    records = np.frombuffer(binascii.a2b_base64(raw[start:end]), dtype=dtype)
    columns = [_column(field, records[f"f{index}"]) for index, field in enumerate(table.fields)]
    return catalog_with_meta(SourceCatalog(columns, copy=False), document, table)


def _kind(field: Field) -> tuple[str, tuple[int, ...]] | None:
    """numpy type and shape of a cell, or None where its width varies."""
    arraysize = field.arraysize or ""
    if field.datatype not in _CODES or not re.fullmatch(r"((\d+x)*\d+)?", arraysize):
        return None
    shape = tuple(int(length) for length in reversed(arraysize.split("x")) if length)
    if field.datatype == "char":
        return (f"S{shape[0] if shape else 1}", ()) if len(shape) < 2 else None
    if field.datatype == "unicodeChar":
        return (_CODES["unicodeChar"], shape or (1,)) if len(shape) < 2 else None
    return _CODES[field.datatype], shape


def _column(field: Field, cells: np.ndarray) -> Column:
    """One column out of its cells, with unit, UCD and description."""
    about = about_field(field)
    if field.datatype == "unicodeChar":
        return Column(_unicode(cells), **about)
    if field.datatype == "char":
        return Column(_ascii(cells), **about)
    if field.datatype == "boolean":
        truth = np.isin(cells, (b"T", b"t", b"1"))
        return settled_column(MaskedColumn(truth, mask=~truth & ~np.isin(cells, (b"F", b"f", b"0")), **about))
    values = cells.astype(cells.dtype.newbyteorder("="))
    if field.values.null is None or values.dtype.kind not in "iu":
        return Column(values, **about)
    return settled_column(MaskedColumn(values, mask=values == field.values.null, **about))


def about_field(field: Field) -> dict[str, Any]:
    """What a FIELD says of its column, as `astropy.table.Column` takes it."""
    return {
        "name": field.name,
        "unit": field.unit,
        "description": field.description,
        "meta": {"ucd": field.ucd} if field.ucd else {},
    }


def _ascii(cells: np.ndarray) -> np.ndarray:
    try:
        return cells.astype(f"U{cells.dtype.itemsize}")
    except UnicodeDecodeError:
        # Allowed from VOTable 1.6 on.
        return np.char.decode(cells, "utf-8", "replace")


def _unicode(cells: np.ndarray) -> np.ndarray:
    """Strings out of two-byte characters."""
    width = cells.shape[1]
    if ((cells >= 0xD800) & (cells < 0xE000)).any():
        rows = [row.tobytes().decode("utf-16-be", "surrogatepass") for row in cells]
        return np.array(rows, dtype=f"U{width}")
    return np.ascontiguousarray(cells, dtype=np.uint32).view(f"U{width}").reshape(len(cells))


def _read_slowly(raw: bytes) -> SourceCatalog:
    """Read any serialisation, cell by cell."""
    document, table = _parse(raw)
    read = table.to_table(use_names_over_ids=True)
    columns = []
    for field, name in zip(table.fields, read.colnames, strict=True):
        masked = MaskedColumn(read[name], **about_field(field))
        if masked.dtype.kind == "O" and field.datatype in ("char", "unicodeChar"):
            text = [str(value) for value in masked.filled("")]
            masked = MaskedColumn(np.array(text, dtype=None if text else "U1"), **about_field(field))
        columns.append(settled_column(masked))
    return catalog_with_meta(SourceCatalog(columns, copy=False), document, table)


def catalog_with_meta(catalog: SourceCatalog, document: VOTableFile, table: TableElement) -> SourceCatalog:
    """The catalogue with the provenance of every level of the document."""
    # We write INFO elements; TOPCAT makes PARAM elements of them, also of a FITS file's cards.
    levels = (document, document.resources[0], table)
    meta = {entry.name: entry.value for level in levels for entry in (*level.params, *level.infos)}
    for name in (PIXEL_BASE, "CHECKSUM", "DATASUM"):
        meta.pop(name, None)
    rest = from_json(str(meta.pop(META_JSON, "{}")))
    catalog.meta.update(plain_meta(meta) | rest)
    return catalog
