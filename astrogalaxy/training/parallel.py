"""Work on many items in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

__all__ = ["in_processes"]

T = TypeVar("T")


def in_processes(work: Callable[[T], object], items: Sequence[T], workers: int) -> Iterator[None]:
    """Do the work for each item, and yield after each that is done, in any order.

    Parameters
    ----------
    work : callable
        Must be importable, as its items must be picklable.
    items : sequence
        What to work on.
    workers : int
        Processes; none are started for 0 or 1, or for a single item.

    Examples
    --------
    >>> done = []
    >>> len(list(in_processes(done.append, ["a", "b"], 0))), done
    (2, ['a', 'b'])
    """
    if min(workers, len(items)) <= 1:
        for item in items:
            work(item)
            yield
        return
    # spawned, not forked: torch may already be at work in this process
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread)
    try:
        for future in as_completed([pool.submit(work, item) for item in items]):
            future.result()
            yield
    finally:
        # after an error or Ctrl-C what has not begun is not begun
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import galsim

    galsim.set_omp_threads(1)
