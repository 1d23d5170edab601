"""Catalogues as FITS binary tables with units, UCDs, descriptions, provenance and checksums."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.io.cells import ascii_bytes, big_endian, cells, settled_column, text_width, unit_text
from astrogalaxy.catalog.io.checksum import add_checksum, signed_header
from astrogalaxy.catalog.io.meta import META_JSON, PIXEL_BASE, from_json, plain_meta, to_json
from astrogalaxy.catalog.io.rows import FilledRows, Rows
from astrogalaxy.catalog.io.target import Source, name_of, reading
from astrogalaxy.errors import CatalogError

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["EXTENSION", "add_provenance", "read", "write"]

log = logging.getLogger(__name__)

EXTENSION = "CATALOG"
"""Name of the extension that holds the table."""

_PIXEL_BASE = (0, "x, y: the centre of the first pixel is (0, 0)")

# Keywords that belong to the file's structure or to us; provenance under such a key goes into the JSON.
_RESERVED = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|EXTNAME|EXTVER|EXTLEVEL|TFIELDS|THEAP|END|"
    r"CHECKSUM|DATASUM|COMMENT|HISTORY|CONTINUE|HIERARCH|LONGSTRN|BSCALE|BZERO|BLANK|GROUPS|BLOCKED|"
    rf"T[A-Z]+\d+|\d*T[A-Z]+\d+|{META_JSON}|{PIXEL_BASE}|"
)
_LONGEST_NAME = 68
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def write(rows: Rows, stream: IO[bytes]) -> None:
    """Write rows as a FITS table, with no more than a block of them in memory.

    The table is the first extension, named CATALOG. Each column has its TUNIT, TUCD and TCOMM
    card. Provenance is written to both headers: a card each where keyword and value fit one
    exactly, everything else as JSON in METAJSON. A string column with other than printable
    ASCII characters is percent-encoded, and its card TESC holds its width before.
    """
    from astropy.io import fits

    rows = FilledRows(rows)
    primary = fits.PrimaryHDU()
    primary.header[PIXEL_BASE] = _PIXEL_BASE
    add_provenance(primary.header, rows.head.meta)
    # The default comment is the time, which would make another file of the same catalogue.
    primary.add_checksum(when="as written")
    escaped = _escaped_widths(rows)
    header = _table_header(rows, escaped)
    fits.HDUList([primary]).writeto(stream)
    # The header holds the checksum of the data that follow it, and not every stream can seek back.
    size, total = 0, 0
    for block in _records(rows, escaped):
        total = add_checksum(total, block, size)
        size += len(block)
    stream.write(signed_header(header, total))
    for block in _records(rows, escaped):
        stream.write(block.data)
    stream.write(b"\0" * (-size % 2880))


def _table_header(rows: FilledRows, escaped: Mapping[str, int]) -> fits.Header:
    """Header of the extension, without the sums."""
    from astropy.io import fits

    head = rows.head
    _check_names(head.colnames)
    kinds = []
    for name in head.colnames:
        column = head[name]
        is_text = column.dtype.kind == "U"
        width = escaped.get(name) or text_width(column)
        kinds.append((name, f"S{width}" if is_text else column.dtype, column.shape[1:]))
    # As bytes: otherwise astropy decodes every string only to encode it again.
    hdu = fits.BinTableHDU.from_columns(np.empty(0, dtype=kinds), name=EXTENSION, character_as_bytes=True)
    hdu.header["NAXIS2"] = len(rows)
    for number, name in enumerate(head.colnames, start=1):
        width = text_width(head[name]) if name in escaped else None
        _describe(hdu, number, head[name], width, rows.nulls.get(name))
    hdu.header[PIXEL_BASE] = _PIXEL_BASE
    add_provenance(hdu.header, head.meta)
    return hdu.header


def _escaped_widths(rows: Rows) -> dict[str, int]:
    """Widths in bytes of the string columns that must be percent-encoded."""
    widths = {}
    for name in [name for name in rows.head.colnames if rows.head[name].dtype.kind == "U"]:
        if any(_plain(block[name]) is None for block in rows.blocks([name])):
            widths[name] = max(_escaped(block[name]).dtype.itemsize for block in rows.blocks([name]))
    return widths


def _records(rows: Rows, escaped: Mapping[str, int]) -> Iterator[np.ndarray]:
    """The table's bytes, block by block."""
    head = rows.head
    for block in rows.blocks():
        columns = {}
        for name in head.colnames:
            values = block[name]
            if values.dtype.kind == "U":
                width = escaped.get(name) or text_width(head[name])
                plain = None if name in escaped else ascii_bytes(values, width)
                columns[name] = _escaped(values).astype(f"S{width}") if plain is None else plain
            else:
                columns[name] = cells(values)
        yield big_endian(columns)


def _describe(hdu: fits.BinTableHDU, number: int, column: Column, width: int | None, null: int | None) -> None:
    """Put a column's unit, UCD, description and null value into the header."""
    card = hdu.columns[number - 1]
    unit = unit_text(column.name, column, "fits")
    if unit:
        card.unit = unit
    if null is not None:
        card.null = null
    texts = {"TUCD": column.meta.get("ucd"), "TCOMM": column.description, "TESC": width}
    for key, text in texts.items():
        if text:
            # At the end: putting a card beside its TFORM makes the header renumber itself each time.
            hdu.header.append((f"{key}{number}", _ascii(text) if isinstance(text, str) else text), end=True)


def _ascii(text: str) -> str:
    """Text as a header card can hold it: on one line, in ASCII."""
    return " ".join(text.split()).encode("ascii", "replace").decode("ascii")


def _check_names(names: list[str]) -> None:
    """Refuse column names that FITS cannot hold or cannot tell apart."""
    seen: dict[str, str] = {}
    for name in names:
        if not (name.isascii() and name.isprintable() and name.strip() == name):
            msg = f"column name {name!r} cannot be written to FITS; use ASCII letters, digits and underscores"
            raise CatalogError(msg)
        # In a card a quote is two, and a name does not go on in the next card.
        if len(name.replace("'", "''")) > _LONGEST_NAME:
            msg = f"column name {name!r} is too long for FITS; use at most {_LONGEST_NAME} characters"
            raise CatalogError(msg)
        other = seen.setdefault(name.lower(), name)
        if other != name:
            msg = f"columns {other!r} and {name!r} differ in case only, which FITS ignores; rename one"
            raise CatalogError(msg)


def _plain(text: np.ndarray) -> np.ndarray | None:
    """Strings as bytes, or None where FITS would not give them back."""
    plain = ascii_bytes(text, text_width(text))
    return plain if plain is not None and _is_plain(plain) else None


def _escaped(text: np.ndarray) -> np.ndarray:
    """Strings as percent-encoded bytes."""
    values, where = np.unique(text, return_inverse=True)
    return np.array([_escape(str(value)) for value in values], dtype="S")[where]


def _is_plain(text: np.ndarray) -> bool:
    """Whether FITS gives these bytes back as they are: printable, without trailing spaces."""
    codes = np.ascontiguousarray(text).view(np.uint8).reshape(len(text), text.dtype.itemsize)
    inside = codes != 0
    if (inside & ((codes < 0x20) | (codes > 0x7E))).any() or (inside[:, 1:] & ~inside[:, :-1]).any():
        return False
    ends = inside.copy()
    ends[:, :-1] &= ~inside[:, 1:]
    return not (codes[ends] == 0x20).any()


def _escape(text: str) -> str:
    bare = text.rstrip(" ")
    return quote(bare, safe=_PRINTABLE, errors="surrogatepass") + "%20" * (len(text) - len(bare))


def add_provenance(header: fits.Header, meta: Mapping[Any, Any]) -> None:
    """Write what fits a card exactly as a card, and the rest as JSON; no card that is there is touched."""
    rest = {}
    for key, value in plain_meta(meta).items():
        card = _card(key, value)
        if card is None or key in header:
            rest[key] = value
        else:
            header.append(card, end=True)
    if rest:
        header[META_JSON] = to_json(rest)


def _card(key: str, value: Any) -> fits.Card | None:
    """A card from which key and value are read back unchanged; None if there is no such card."""
    from astropy.io import fits

    if not re.fullmatch(r"[A-Z0-9_-]{1,8}", key) or _RESERVED.fullmatch(key):
        return None
    if not isinstance(value, str | bool | int | float):
        return None
    if isinstance(value, str) and not (value.isascii() and value.isprintable()):
        return None
    try:
        card = fits.Card(key, value)
        # A card cuts long floats and loses trailing spaces: see what comes back.
        back = fits.Card.fromstring(str(card)).value
    except (ValueError, fits.VerifyError):
        return None
    return card if type(back) is type(value) and back == value else None


def read(source: Source, *, hdu: int | str | None = None) -> SourceCatalog:
    """Read a file that `SourceCatalog.write` made, also after other tools changed and saved it.

    Parameters
    ----------
    source : path-like or binary file
        The file.
    hdu : int or str, optional
        Extension; default: CATALOG, else the first binary table.

    Returns
    -------
    SourceCatalog
        With native byte order, and ``meta`` from the extension's header.

    Raises
    ------
    CatalogError
        If the file is damaged or has no binary table.

    Notes
    -----
    A wrong checksum is one warning in the log, since tools that edit a header often leave the
    old one behind.
    """
    from astropy.io import fits

    name = name_of(source)
    with reading(name, "a FITS table"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with fits.open(source, memmap=False, checksum=True, character_as_bytes=True) as hdus:
            part = _find_table(hdus, hdu, name)
            catalog = SourceCatalog([_column(part, number) for number in range(len(part.columns))], copy=False)
            catalog.meta.update(_meta(part.header))
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        log.warning("%s: %s", name, text)
    return catalog


def _find_table(hdus: fits.HDUList, hdu: int | str | None, name: str) -> fits.BinTableHDU:
    """The extension asked for, or the catalogue's."""
    from astropy.io import fits

    tables = [part for part in hdus if isinstance(part, fits.BinTableHDU) and not isinstance(part, fits.CompImageHDU)]
    if hdu is not None:
        tables = [part for part in tables if part is hdus[hdu]]
    if not tables:
        where = "" if hdu is None else f" in extension {hdu!r}"
        msg = f"{name} has no binary table{where} that can be read; it is damaged, cut short, or no catalogue"
        raise CatalogError(msg)
    return next((part for part in tables if part.name == EXTENSION), tables[0])


def _column(part: fits.BinTableHDU, index: int) -> Column:
    """One column with unit, UCD and description."""
    card = part.columns[index]
    # Booleans are letters, NUL in the holes, which astropy's own access does not distinguish from false.
    stored = np.recarray.field(part.data, index)
    is_truth = stored.dtype == np.int8
    values = np.asarray(stored if is_truth else part.data.field(index))
    if values.dtype.kind == "S":
        values = _from_ascii(values, part.header.get(f"TESC{index + 1}"))
    else:
        values = values.astype(values.dtype.newbyteorder("="))
    unit = u.Unit(card.unit, format="fits", parse_strict="silent") if card.unit else None
    ucd = part.header.get(f"TUCD{index + 1}")
    about = {"unit": unit, "description": part.header.get(f"TCOMM{index + 1}"), "meta": {"ucd": ucd} if ucd else {}}
    if is_truth:
        return settled_column(MaskedColumn(values == ord("T"), name=card.name, mask=values == 0, **about))
    if card.null is None or values.dtype.kind not in "iu":
        return Column(values, name=card.name, **about)
    return settled_column(MaskedColumn(values, name=card.name, mask=values == card.null, **about))


def _from_ascii(text: np.ndarray, width: int | None) -> np.ndarray:
    """Strings of a column, decoded where it was percent-encoded."""
    text = np.char.rstrip(np.asarray(text), b" ")
    if width is None:
        try:
            return text.astype(f"U{max(text.dtype.itemsize, 1)}")
        except UnicodeDecodeError:
            # Not allowed by the standard, but some tools write UTF-8.
            return np.char.decode(text, "utf-8", "replace")
    values, where = np.unique(text, return_inverse=True)
    decoded = [unquote(value.decode("ascii"), errors="surrogatepass") for value in values]
    return np.array(decoded, dtype=f"U{width}")[where]


def _meta(header: fits.Header) -> dict[str, Any]:
    """Provenance out of a header, without what belongs to the file's structure."""
    from astropy.io.fits.card import Undefined

    meta = {card.keyword: card.value for card in header.cards if not _RESERVED.fullmatch(card.keyword)}
    # a card without a value, as observatories write them, has an object that no other file could hold
    meta = {key: None if isinstance(value, Undefined) else value for key, value in meta.items()}
    return meta | from_json(header.get(META_JSON, "{}"))
