"""Catalogues as Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from astropy.table import Table

from astrogalaxy.catalog._arrow import catalog_of, schema_of, table_of
from astrogalaxy.catalog._extras import need
from astrogalaxy.catalog._rows import Block, Rows, TableRows
from astrogalaxy.catalog._target import name_of, open_target, reading
from astrogalaxy.catalog.catalog import SourceCatalog

__all__ = ["read_parquet", "write_parquet", "write_rows"]

# Blocks in a row group: readers skip whole groups, and compression wants many rows.
_GROUP = 4


def write_parquet(catalog: Table, target: str | os.PathLike[str] | IO[bytes], *, overwrite: bool = False) -> None:
    """Write a catalogue as a Parquet file; called by ``catalog.write("x.parquet")``.

    Parameters
    ----------
    catalog : SourceCatalog
        Columns beyond the contract are written too, as long as they are plain.
    target : path-like or binary file
        The file appears whole or not at all.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    CatalogError
        If pyarrow is not installed, or a column, its unit or a meta value cannot be held by the format.
    FileExistsError
        If the file exists and ``overwrite`` is false.
    RunError
        If the folder or the disk does not take the file.

    Notes
    -----
    Compressed with Zstandard, in row groups of about 130,000 rows. Units, UCDs, descriptions and
    provenance are a VOTable without data in the file's metadata (``IVOA.VOTable-Parquet.content``,
    VOParquet 1.0); astropy's own reader finds them too.

    Examples
    --------
    >>> from astrogalaxy.catalog import SourceCatalog, read_parquet, write_parquet
    >>> catalog = SourceCatalog.from_columns({"ra": [10.0], "dec": [0.5]}, bands=["r"])
    >>> write_parquet(catalog, "written.parquet")
    >>> read_parquet("written.parquet")["ra"].tolist()
    [10.0]
    """
    write_rows(TableRows(catalog), target, overwrite=overwrite)


def write_rows(rows: Rows, target: str | os.PathLike[str] | IO[bytes], *, overwrite: bool = False) -> None:
    """Write rows as `write_parquet` does, with no more than a row group of them in memory."""
    need("parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = schema_of(rows.head)
    with (
        open_target(target, overwrite=overwrite) as stream,
        pq.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        for group in _grouped(rows.blocks()):
            writer.write_table(pa.concat_tables([table_of(block, rows.head, schema) for block in group]))


def _grouped(blocks: Iterator[Block]) -> Iterator[list[Block]]:
    group: list[Block] = []
    for block in blocks:
        group.append(block)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


def read_parquet(source: str | os.PathLike[str] | IO[bytes]) -> SourceCatalog:
    """Read a catalogue from a Parquet file; called by ``SourceCatalog.read("x.parquet")``.

    Parameters
    ----------
    source : path-like or binary file
        A file that `write_parquet` made, or any other with plain columns; those have no units then.

    Returns
    -------
    SourceCatalog
        With units and ``meta`` where the file has them.

    Raises
    ------
    CatalogError
        If pyarrow is not installed or the file is damaged.

    Examples
    --------
    >>> from astrogalaxy.catalog import SourceCatalog, read_parquet
    >>> SourceCatalog.from_columns({"ra": [10.0], "dec": [0.5]}, bands=["r"]).write("read.parquet")
    >>> catalog = read_parquet("read.parquet")
    >>> catalog.bands, catalog["ra"].unit.to_string()
    (('r',), 'deg')
    """
    need("parquet")
    import pyarrow.parquet as pq

    with reading(name_of(source), "Parquet"):
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as stream:
                return catalog_of(pq.ParquetFile(stream).read())
        return catalog_of(pq.ParquetFile(source).read())
