"""Work on many items in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from astrogalaxy.errors import RunError

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

    Raises
    ------
    RunError
        If a process was killed: as a rule the machine had no memory left.

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
    except BrokenProcessPool as error:
        kept = "what they made is kept: run again, a training with training.workers: 0, which starts none"
        msg = f"one of {workers} processes that make examples was killed, as a rule for want of memory; {kept}"
        raise RunError(msg) from error
    finally:
        # after an error or Ctrl-C what has not begun is not begun
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import galsim

    galsim.set_omp_threads(1)
