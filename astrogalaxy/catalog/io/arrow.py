"""Rows as Arrow tables, with a VOTable header that says what the columns are.

The header follows the IVOA note VOParquet 1.0: a VOTable without data in the file's own metadata. For
astropy's reader of Parquet there is also the description in its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.io.cells import holes, settled_column, text_width
from astrogalaxy.catalog.io.meta import plain_meta
from astrogalaxy.catalog.io.rows import Block
from astrogalaxy.catalog.io.votable import table_head
from astrogalaxy.catalog.io.votable_reader import about_field, catalog_with_meta, parse_head
from astrogalaxy.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["catalog_of", "schema_of", "table_of"]

_VERSION, _CONTENT = b"IVOA.VOTable-Parquet.version", b"IVOA.VOTable-Parquet.content"


def schema_of(head: Table) -> pa.Schema:
    """Arrow's schema of a catalogue, with units, UCDs, descriptions and provenance.

    Parameters
    ----------
    head : astropy.table.Table
        Columns and meta; rows do not matter.

    Returns
    -------
    pyarrow.Schema
        A field for each column, in their order.

    Raises
    ------
    CatalogError
        If a column's type or unit has no place in the format.
    """
    import pyarrow as pa

    fields = [pa.field(name, _type(head[name])) for name in head.colnames]
    texts = {n: ("unicodeChar", f"{text_width(head[n])}*") for n in head.colnames if head[n].dtype.kind == "U"}
    # Without null values: Arrow marks missing cells by itself.
    document = "\n".join([*table_head(head, None, texts, {}), "</TABLE>", "</RESOURCE>", "</VOTABLE>", ""])
    metadata = {_VERSION: b"1.0", _CONTENT: document.encode("utf-8"), **_for_astropy(head)}
    return pa.schema(fields, metadata=metadata)


def _type(column: Column) -> pa.DataType:
    import pyarrow as pa

    if column.dtype.kind == "U":
        return pa.string()
    if column.dtype.kind == "c":
        msg = f"column {column.name!r} is complex, which Parquet cannot hold; split it into two columns"
        raise CatalogError(msg)
    kind = pa.from_numpy_dtype(column.dtype)
    for length in reversed(column.shape[1:]):
        kind = pa.list_(kind, length)
    return kind


def _for_astropy(head: Table) -> dict[bytes, bytes]:
    """What ``astropy.table.Table.read`` looks for in a Parquet file."""
    from astropy.table.meta import get_yaml_from_table

    # It flattens columns of columns, and then has no place for their description's shape.
    bare = Table([head[name] for name in head.colnames], names=head.colnames, meta=plain_meta(head.meta), copy=False)
    lines = "\n".join(get_yaml_from_table(bare))
    widths = {f"table::len::{n}": str(text_width(head[n])) for n in head.colnames if head[n].dtype.kind == "U"}
    return {key.encode(): value.encode() for key, value in {"table_meta_yaml": lines, **widths}.items()}


def table_of(block: Block, head: Table, schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table; holes of integers and booleans are nulls, NaN stays NaN."""
    import pyarrow as pa

    arrays = [_array(block[name], schema.field(name).type) for name in head.colnames]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    flat = values.reshape(-1)
    array = pa.array(np.ma.getdata(flat), type=kind if values.ndim == 1 else None, mask=holes(flat))
    for length in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, length)
    return array


def catalog_of(table: pa.Table) -> SourceCatalog:
    """The catalogue in an Arrow table, described by its VOTable header where it has one.

    Raises
    ------
    CatalogError
        If a column is of a type that a catalogue has no place for.
    """
    found = (table.schema.metadata or {}).get(_CONTENT)
    document, head = parse_head(found) if found else (None, None)
    fields = {field.name: field for field in head.fields} if head is not None else {}
    columns = []
    for name in table.column_names:
        field = fields.get(name)
        about = about_field(field) if field is not None else {"name": name}
        width = str(field.arraysize).rstrip("*") if field is not None and field.arraysize else ""
        columns.append(_column(table.column(name), about, int(width) if width.isdigit() else 1))
    catalog = SourceCatalog(columns, copy=False)
    return catalog if document is None else catalog_with_meta(catalog, document, head)


def _column(chunks: pa.ChunkedArray, about: dict[str, Any], width: int) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = chunks.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(chunks.chunks)
    shape: list[int] = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        text = pc.fill_null(array, "")
        longest = pc.max(pc.utf8_length(text)).as_py() or 1
        return Column(np.array(text.to_pylist(), dtype=f"U{max(width, longest)}").reshape(shape), **about)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        msg = f"column {about['name']!r} has the type {kind}, which a catalogue has no place for"
        raise CatalogError(msg)
    if not array.null_count or pa.types.is_floating(kind):
        return Column(np.array(array.to_numpy(zero_copy_only=False)).reshape(shape), **about)
    gone = array.is_null().to_numpy(zero_copy_only=False).reshape(shape)
    values = (
        pc.fill_null(array, False if pa.types.is_boolean(kind) else 0).to_numpy(zero_copy_only=False).reshape(shape)
    )
    return settled_column(MaskedColumn(values, mask=gone, **about))
