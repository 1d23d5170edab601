"""Keeping the warnings of FITS and WCS readers out of the user's sight, but not out of the log."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]

logger = logging.getLogger(__name__)

# `warnings.catch_warnings` swaps state of the whole interpreter: two threads inside it at
# once could leave it swapped for good.
_LOCK = threading.RLock()
# What the enclosing blocks have held back so far, outermost first; guarded by the lock.
_OPEN: list[list[str]] = []


@contextmanager
def quiet(origin: str = "") -> Iterator[list[str]]:
    """Hold back the warnings and astropy's log lines of a block; log them as one line.

    Blocks nest: an inner block hands what it held back to the one around it. Other threads wait for the end of a block
    before they begin theirs, so that it should be short: headers are read in it, but pixels are not.

    Parameters
    ----------
    origin : str, optional
        What is being read; begins the log line (level DEBUG), one for the outermost block.
        Without it nothing is logged.

    Yields
    ------
    list of str
        What was held back, when the block has ended.
    """
    records: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        """Keep the message of a record, and let nobody else have it."""
        records.append(record.getMessage())
        return False

    astropy_log = logging.getLogger("astropy")
    held: list[str] = []
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        astropy_log.addFilter(keep)
        _OPEN.append(held)
        try:
            yield held
        finally:
            _OPEN.pop()
            astropy_log.removeFilter(keep)
            held += [str(warning.message) for warning in caught] + records
            if _OPEN:
                _OPEN[-1].extend(held)
                held = []
    if origin and held:
        lines = dict.fromkeys(" ".join(message.split()) for message in held)
        logger.debug("%s: %s", origin, "; ".join(lines))
