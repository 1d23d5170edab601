"""From a survey's FITS images to one catalogue of stars and galaxies.

The public names are loaded on first use, so that ``import astrogalaxy`` stays quick
and never pulls in torch or dask.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see
    from astrogalaxy.catalog import SourceCatalog
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.images import Image
    from astrogalaxy.survey import detect, run

    __version__: str

_EXPORTS = {
    "Image": "astrogalaxy.images",
    "SourceCatalog": "astrogalaxy.catalog",
    "SurveyConfig": "astrogalaxy.config",
    "detect": "astrogalaxy.survey",
    "run": "astrogalaxy.survey",
}

__all__ = ["Image", "SourceCatalog", "SurveyConfig", "__version__", "detect", "run"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("astrogalaxy")
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    msg = f"module 'astrogalaxy' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
