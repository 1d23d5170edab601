"""Catalogues as Parquet files."""

from __future__ import annotations

import os
from typing import IO

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.io.arrow import catalog_of, schema_of, table_of
from astrogalaxy.catalog.io.rows import Rows, grouped
from astrogalaxy.catalog.io.target import Source, name_of, reading

__all__ = ["read", "write"]

# Blocks in a row group: readers skip whole groups, and compression wants many rows.
_GROUP = 4


def write(rows: Rows, stream: IO[bytes]) -> None:
    """Write rows as Parquet, with no more than a row group of them in memory.

    Compressed with Zstandard, in row groups of about 130,000 rows. Units, UCDs, descriptions and
    provenance are a VOTable without data in the file's metadata (``IVOA.VOTable-Parquet.content``,
    VOParquet 1.0); astropy's own reader finds them too.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = schema_of(rows.head)
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for group in grouped(rows.blocks(), _GROUP):
            writer.write_table(pa.concat_tables([table_of(block, rows.head, schema) for block in group]))


def read(source: Source) -> SourceCatalog:
    """Read a file that `SourceCatalog.write` made, or any other with plain columns; those have no units then."""
    import pyarrow.parquet as pq

    with reading(name_of(source), "Parquet"):
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as stream:
                return catalog_of(pq.ParquetFile(stream).read())
        return catalog_of(pq.ParquetFile(source).read())
