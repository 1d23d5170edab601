"""The catalogue: its columns and flags, the table itself, and (in ``io``) the files that hold it."""

from __future__ import annotations

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.columns import (
    CLASSES,
    COLUMNS,
    MORPHOLOGIES,
    Column,
    aperture_prefix,
    check_classes,
    check_served,
    class_column,
    column_rows,
    columns_for,
    ucd_of_band,
)
from astrogalaxy.catalog.crossmatch import CrossMatch
from astrogalaxy.catalog.flags import (
    FLAGS,
    Flag,
    count_flags,
    decode_flags,
    flag_bits,
    flag_rows,
    has_flags,
)
from astrogalaxy.catalog.ids import source_ids
from astrogalaxy.catalog.io.moc import covered_area, write_moc
from astrogalaxy.catalog.io.registry import register
from astrogalaxy.catalog.provenance import provenance
from astrogalaxy.catalog.writer import CatalogWriter
from astrogalaxy.errors import CatalogError

__all__ = [
    "CLASSES",
    "COLUMNS",
    "FLAGS",
    "MORPHOLOGIES",
    "CatalogError",
    "CatalogWriter",
    "Column",
    "CrossMatch",
    "Flag",
    "SourceCatalog",
    "aperture_prefix",
    "check_classes",
    "check_served",
    "class_column",
    "column_rows",
    "columns_for",
    "count_flags",
    "covered_area",
    "decode_flags",
    "flag_bits",
    "flag_rows",
    "has_flags",
    "provenance",
    "source_ids",
    "ucd_of_band",
    "write_moc",
]

register()
