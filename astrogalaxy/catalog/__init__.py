"""The catalogue: its columns and flags, the table itself, and the files that hold it."""

from __future__ import annotations

from astrogalaxy.catalog._register import register
from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.columns import (
    CLASSES,
    COLUMNS,
    MORPHOLOGIES,
    Column,
    aperture_prefix,
    check_classes,
    class_column,
    column_rows,
    columns_for,
    columns_rst,
    ucd_of_band,
)
from astrogalaxy.catalog.crossmatch import CrossMatch
from astrogalaxy.catalog.ecsv import read_ecsv, write_ecsv
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
from astrogalaxy.catalog.hats import read_hats, write_hats
from astrogalaxy.catalog.ids import source_ids
from astrogalaxy.catalog.moc import covered_area, write_moc
from astrogalaxy.catalog.parquet import read_parquet, write_parquet
from astrogalaxy.catalog.provenance import provenance
from astrogalaxy.catalog.regions import write_regions
from astrogalaxy.catalog.votable import read_votable, write_votable
from astrogalaxy.catalog.writer import CatalogWriter

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
    "class_column",
    "column_rows",
    "columns_for",
    "columns_rst",
    "count_flags",
    "covered_area",
    "decode_flags",
    "flag_bits",
    "flag_rows",
    "flags_rst",
    "has_flags",
    "provenance",
    "read_ecsv",
    "read_fits",
    "read_hats",
    "read_parquet",
    "read_votable",
    "source_ids",
    "ucd_of_band",
    "write_ecsv",
    "write_fits",
    "write_hats",
    "write_moc",
    "write_parquet",
    "write_regions",
    "write_votable",
]

register()
