"""The catalogue: its columns and flags, the table itself, and the files that hold it."""

from __future__ import annotations

from astrogalaxy.catalog._register import register
from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.columns import (
    CLASSES,
    COLUMNS,
    MORPHOLOGIES,
    Column,
    class_column,
    column_rows,
    columns_for,
    columns_rst,
    ucd_of_band,
)
from astrogalaxy.catalog.errors import CatalogError
from astrogalaxy.catalog.fits import read_fits, write_fits
from astrogalaxy.catalog.flags import (
    FLAGS,
    Flag,
    count_flags,
    decode_flags,
    flag_bits,
    flag_rows,
    flags_rst,
    has_flags,
)
from astrogalaxy.catalog.ids import source_ids
from astrogalaxy.catalog.provenance import provenance
from astrogalaxy.catalog.votable import read_votable, write_votable

__all__ = [
    "CLASSES",
    "COLUMNS",
    "FLAGS",
    "MORPHOLOGIES",
    "CatalogError",
    "Column",
    "Flag",
    "SourceCatalog",
    "class_column",
    "column_rows",
    "columns_for",
    "columns_rst",
    "count_flags",
    "decode_flags",
    "flag_bits",
    "flag_rows",
    "flags_rst",
    "has_flags",
    "provenance",
    "read_fits",
    "read_votable",
    "source_ids",
    "ucd_of_band",
    "write_fits",
    "write_votable",
]

register()
