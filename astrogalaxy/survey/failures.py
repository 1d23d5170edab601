"""What went wrong in a run, and where."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from astropy.table import Table

from astrogalaxy.errors import AstrogalaxyError
from astrogalaxy.files import atomic_path
from astrogalaxy.folders import FULL

__all__ = ["Failure", "reason_of", "write_failures"]

logger = logging.getLogger(__name__)

_NO_ROOM = "the disk takes nothing more"


@dataclass(frozen=True)
class Failure:
    """One thing that could not be done.

    Attributes
    ----------
    field : str
        The field.
    stage : str
        ``fetch``, ``open``, ``read``, ``tile``, ``merge``, ``astrometry``, ``write``, ``fields`` (their table),
        ``report`` or ``inject``.
    reason : str
        One sentence that names the file and what is wrong.
    band, tile : str
        Where it concerns only one; else empty.

    Examples
    --------
    >>> from astrogalaxy.survey import Failure
    >>> print(Failure("field-3", "read", "field-3-r.fits: the file is truncated", band="r", tile="x00000y01024"))
    field field-3, band r, tile x00000y01024: field-3-r.fits: the file is truncated
    """

    field: str
    stage: str
    reason: str
    band: str = ""
    tile: str = ""

    @property
    def is_full_disk(self) -> bool:
        """Whether what was to be written found no room: whatever comes next finds none either."""
        return self.reason.startswith(_NO_ROOM)

    def __str__(self) -> str:
        where = [f"field {self.field}"]
        where += [f"band {self.band}"] if self.band else []
        where += [f"tile {self.tile}"] if self.tile else []
        return f"{', '.join(where)}: {self.reason}"


def reason_of(error: Exception, what: str) -> str:
    """Say what went wrong; an error that nobody has foreseen goes into the log with its traceback, under ``what``."""
    if isinstance(error, AstrogalaxyError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory; give smaller tiles.size or fewer compute.workers"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{_NO_ROOM} ({error.strerror}); free some space, then run again"
    logger.error("%s", what, exc_info=error)
    return f"unexpected {type(error).__name__}: {error}; please report this with the log"


def write_failures(path: Path, failures: Iterable[Failure]) -> None:
    """Write failures as ECSV, atomically; an empty table where there are none."""
    names = list(Failure.__dataclass_fields__)
    rows = [asdict(failure) for failure in failures]
    table = Table({name: [row[name] for row in rows] for name in names}, dtype=["str"] * len(names))
    with atomic_path(path) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)
