"""Tell astropy's unified interface how a SourceCatalog is read and written."""

from __future__ import annotations

from astropy.io import registry

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.fits import read_fits, write_fits
from astrogalaxy.catalog.votable import read_votable, write_votable

__all__ = ["register"]


def register() -> None:
    """Register ``fits`` and ``votable`` for the class; a plain Table keeps astropy's own.

    No identifier is registered: one for the class would hide those of Table for every other
    format (astropy looks for the nearest class over all formats).
    """
    for form, reader, writer in (("fits", read_fits, write_fits), ("votable", read_votable, write_votable)):
        registry.register_reader(form, SourceCatalog, reader, force=True)
        registry.register_writer(form, SourceCatalog, writer, force=True)
