"""Freed memory that the process keeps, so that training steps on a CPU need not ask for it again."""

from __future__ import annotations

import ctypes
import logging

__all__ = ["keep_freed_memory"]

logger = logging.getLogger(__name__)

# mallopt(3) of the GNU C library: the parameters and the largest values that it takes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER_TRIMMED, _NEVER_MAPPED = 2**31 - 1, 2**30


def keep_freed_memory() -> bool:
    """Tell the C library's allocator not to hand large blocks back to the system.

    By default every large array is mapped when it is made and unmapped when it is freed, and the system has to clear
    its pages each time. A training step on a CPU makes and frees the same hundreds of arrays over and over, and gains a
    tenth to a fifth (``tests/benchmarks/bench_training_step.py``). The process stays as large as it once was.

    Returns
    -------
    bool
        Whether the allocator does so; False where there is no GNU C library.

    Examples
    --------
    >>> keep_freed_memory() in (True, False)
    True
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = bool(mallopt(_MMAP_THRESHOLD, _NEVER_MAPPED)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER_TRIMMED))
    logger.debug("freed memory is %s", "kept" if kept else "handed back as usual")
    return kept
