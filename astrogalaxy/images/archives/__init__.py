"""Images of positions from archives, through astroquery: one module per archive, behind one registry.

They are ``sdss``, ``panstarrs``, ``skyview`` and ``hips2fits``; see `ARCHIVES`. astroquery is imported when an
archive is asked, and comes with the extra ``archives``.
"""

from __future__ import annotations

from astrogalaxy.images.archives.archive import Archive, Remote
from astrogalaxy.images.archives.fetch import FetchSummary, Loss, fetch, fetch_survey
from astrogalaxy.images.archives.registry import ARCHIVES, get_archive
from astrogalaxy.images.archives.targets import Target, parse_position, read_positions

__all__ = [
    "ARCHIVES",
    "Archive",
    "FetchSummary",
    "Loss",
    "Remote",
    "Target",
    "fetch",
    "fetch_survey",
    "get_archive",
    "parse_position",
    "read_positions",
]
