"""Which function reads and writes each format, and astropy's unified interface to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from astropy.io import registry
from astropy.table import Table

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.io import ecsv, fits, hats, moc, parquet, regions, votable, votable_reader
from astrogalaxy.catalog.io.rows import Rows, TableRows
from astrogalaxy.catalog.io.target import Source, Target, open_target
from astrogalaxy.errors import CatalogError
from astrogalaxy.formats import FORMATS

__all__ = ["READERS", "WRITERS", "register", "write_rows"]

READERS: dict[str, Callable[..., SourceCatalog]] = {
    "fits": fits.read,
    "votable": votable_reader.read,
    "parquet": parquet.read,
    "hats": hats.read,
    "ecsv": ecsv.read,
}
"""Reader of each format that gives a catalogue back."""

WRITERS: dict[str, Callable[..., None]] = {
    "fits": fits.write,
    "votable": votable.write,
    "parquet": parquet.write,
    "hats": hats.write,
    "ecsv": ecsv.write,
    "regions": regions.write,
}
"""Writer of each format that holds sources: of `Rows`, to an open file; that of HATS fills a folder."""


def write_rows(rows: Rows, target: Target, form: str, *, overwrite: bool = False, **options: Any) -> None:
    """Write rows as a file of a format, which appears whole or not at all.

    Raises
    ------
    CatalogError
        If a column, its unit or a meta value cannot be held by the format, or it holds fewer columns.
    FileExistsError
        If the file exists and ``overwrite`` is false.
    MissingExtraError
        If the format needs a module that is not installed.
    RunError
        If the folder or the disk does not take the file.
    """
    FORMATS[form].need()
    if problem := FORMATS[form].excess(len(rows.head.colnames)):
        raise CatalogError(problem)
    if form == "hats":
        WRITERS[form](rows, target, overwrite=overwrite, **options)
        return
    with open_target(target, overwrite=overwrite) as stream:
        WRITERS[form](rows, stream, **options)


def register() -> None:
    """Register every format for the class; a plain Table keeps astropy's own, and learns those that it lacks.

    No identifier is registered: one for the class would hide those of Table for every other
    format (astropy looks for the nearest class over all formats).
    """
    for form in READERS:
        registry.register_reader(form, SourceCatalog, _reader(form), force=True)
    for form in WRITERS:
        registry.register_writer(form, SourceCatalog, _writer(form), force=True)
    registry.register_writer("moc", SourceCatalog, moc.no_area, force=True)
    registry.register_reader("hats", Table, _plain_hats, force=True)
    for form in ("hats", "regions"):
        registry.register_writer(form, Table, _writer(form), force=True)


def _reader(form: str) -> Callable[..., SourceCatalog]:
    def read(source: Source, **options: Any) -> SourceCatalog:
        """Read a file, if what it needs is installed."""
        FORMATS[form].need()
        return READERS[form](source, **options)

    read.__doc__ = _summary(READERS[form])
    return read


def _plain_hats(source: Source) -> Table:
    """Read a HATS folder as a plain table."""
    return Table(_reader("hats")(source))


def _writer(form: str) -> Callable[..., None]:
    def write(catalog: Table, target: Target, *, overwrite: bool = False, **options: Any) -> None:
        """Write a table, which need not be a catalogue."""
        rows = TableRows(catalog, regions.COLUMNS if form == "regions" else None)
        write_rows(rows, target, form, overwrite=overwrite, **options)

    write.__doc__ = _summary(WRITERS[form])
    return write


def _summary(function: Callable[..., Any]) -> str:
    """What astropy's help says of a format: its parameters are those of files, not of `SourceCatalog`."""
    return (function.__doc__ or "").partition("\n\n    Parameters\n")[0]
