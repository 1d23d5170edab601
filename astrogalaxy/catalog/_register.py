"""Tell astropy's unified interface how a SourceCatalog is read and written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from astropy.io import registry
from astropy.table import Table

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.ecsv import read_ecsv, write_ecsv
from astrogalaxy.catalog.fits import read_fits, write_fits
from astrogalaxy.catalog.hats import read_hats, write_hats
from astrogalaxy.catalog.moc import no_area
from astrogalaxy.catalog.parquet import read_parquet, write_parquet
from astrogalaxy.catalog.regions import write_regions
from astrogalaxy.catalog.votable import read_votable, write_votable

__all__ = ["READERS", "WRITERS", "register"]

READERS: dict[str, Callable[..., SourceCatalog]] = {
    "fits": read_fits,
    "votable": read_votable,
    "parquet": read_parquet,
    "hats": read_hats,
    "ecsv": read_ecsv,
}
"""Reader of each format that gives a catalogue back."""

WRITERS: dict[str, Callable[..., None]] = {
    "fits": write_fits,
    "votable": write_votable,
    "parquet": write_parquet,
    "hats": write_hats,
    "ecsv": write_ecsv,
    "regions": write_regions,
    "moc": no_area,
}
"""Writer of each format."""


def register() -> None:
    """Register every format for the class; a plain Table keeps astropy's own, and learns HATS, which it lacks.

    No identifier is registered: one for the class would hide those of Table for every other
    format (astropy looks for the nearest class over all formats).
    """
    for form, reader in READERS.items():
        registry.register_reader(form, SourceCatalog, reader, force=True)
    for form, writer in WRITERS.items():
        registry.register_writer(form, SourceCatalog, writer, force=True)
    registry.register_reader("hats", Table, _plain_hats, force=True)
    registry.register_writer("hats", Table, write_hats, force=True)
    registry.register_writer("regions", Table, write_regions, force=True)


def _plain_hats(*args: Any, **options: Any) -> Table:
    """Read a HATS folder as a plain table."""
    return Table(read_hats(*args, **options))
