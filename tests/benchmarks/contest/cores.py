"""How many cores and threads the programs that are compared may have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ONE_THREAD", "limited_to"]

#: Environment in which numerical libraries use one thread.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@contextmanager
def limited_to(number: int) -> Iterator[None]:
    """Programs that are started meanwhile have so many cores at most, and one thread in each of their processes."""
    environment, cores = dict(os.environ), os.sched_getaffinity(0)
    os.environ.update(ONE_THREAD)
    os.sched_setaffinity(0, sorted(cores)[-number:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        os.environ.clear()
        os.environ.update(environment)
