"""The error of this room."""

from __future__ import annotations

from astrogalaxy.errors import AstrogalaxyError

__all__ = ["CatalogError"]


class CatalogError(AstrogalaxyError, ValueError):
    """A catalogue, or a file of one, is damaged, lacks a column, or has one that cannot be written.

    Examples
    --------
    >>> from astrogalaxy.catalog import CatalogError, flag_bits
    >>> try:
    ...     flag_bits("edges")
    ... except CatalogError as error:
    ...     print(error)
    unknown flag 'edges'; did you mean 'edge'?
    """
