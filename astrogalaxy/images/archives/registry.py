"""The archives, by name."""

from __future__ import annotations

from collections.abc import Mapping

from astrogalaxy.errors import ConfigError
from astrogalaxy.images.archives.archive import Archive
from astrogalaxy.images.archives.hips import Hips2fits
from astrogalaxy.images.archives.panstarrs import PanStarrs
from astrogalaxy.images.archives.sdss import Sdss
from astrogalaxy.images.archives.skyview import SkyView

__all__ = ["ARCHIVES", "get_archive"]

#: Every archive that images can be fetched from.
ARCHIVES: Mapping[str, Archive] = {one.name: one for one in (Sdss(), PanStarrs(), SkyView(), Hips2fits())}


def get_archive(name: str) -> Archive:
    """The archive of a name.

    Parameters
    ----------
    name : str
        One of `ARCHIVES`.

    Returns
    -------
    Archive
        Nothing is asked of it yet.

    Raises
    ------
    ConfigError
        There is none.

    Examples
    --------
    >>> get_archive("sdss").bands["r"]
    'r'
    """
    if name not in ARCHIVES:
        msg = f"no archive {name!r}; choose from {', '.join(ARCHIVES)}"
        raise ConfigError(msg)
    return ARCHIVES[name]
