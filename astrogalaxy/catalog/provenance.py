"""What a catalogue says about its own making."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from functools import cache
from importlib import metadata

__all__ = ["provenance"]

# Packages whose version can change a catalogue's numbers.
_PACKAGES = (
    "numpy",
    "scipy",
    "astropy",
    "photutils",
    "reproject",
    "astropy-healpix",
    "torch",
    "timm",
    "onnxruntime",
)


def provenance(**entries: str | int | float | bool) -> dict[str, str | int | float | bool]:
    """Collect who made the catalogue, when, and with which versions.

    Parameters
    ----------
    **entries : str, int, float or bool
        More entries, such as ``CFGHASH`` and ``WTSHASH``; one of the names below replaces it.
        Up to eight capital letters and digits make a FITS card of their own.

    Returns
    -------
    dict
        ``CREATOR`` (astrogalaxy and its version), ``DATE`` (UTC, ISO 8601, whole seconds),
        ``SOFTWARE`` (versions of Python and of the installed packages that the numbers depend
        on), and ``entries``.

    Examples
    --------
    >>> from astrogalaxy.catalog import provenance
    >>> sorted(provenance(CFGHASH="3f2a"))
    ['CFGHASH', 'CREATOR', 'DATE', 'SOFTWARE']
    """
    versions = [f"python {platform.python_version()}"]
    versions += [f"{name} {version}" for name in _PACKAGES if (version := _version(name))]
    return {
        "CREATOR": f"astrogalaxy {_version('astrogalaxy') or 'unknown'}",
        "DATE": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "SOFTWARE": ", ".join(versions),
        **entries,
    }


@cache
def _version(package: str) -> str | None:
    # Looked up without importing: torch alone takes seconds.
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
