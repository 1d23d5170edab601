"""Formats whose modules do not come with the package itself."""

from __future__ import annotations

from astrogalaxy.catalog.errors import CatalogError
from astrogalaxy.formats import missing_extra

__all__ = ["need"]


def need(name: str) -> None:
    """Refuse a format whose modules are not installed, and name the extra that brings them."""
    problem = missing_extra(name)
    if problem is not None:
        raise CatalogError(problem)
