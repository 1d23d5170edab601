"""Send tasks to workers, a bounded number at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from astrogalaxy.errors import RunError
from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.tasks import TileOutcome, TileTask, measure_sky, process_tile

if TYPE_CHECKING:
    from distributed import Future

    from astrogalaxy.survey.cluster import Crew

__all__ = ["work_through"]

logger = logging.getLogger(__name__)

# A tile, or a field's tiles whose sky has to be measured before.
Job = TileTask | list[TileTask]

# How often a task whose worker died is tried on another.
_RETRIES = 2


def work_through(crew: Crew, tasks: Sequence[TileTask]) -> Iterator[TileOutcome]:
    """Do tasks on the crew's workers and yield outcomes as they come.

    A field of several tiles has its sky measured first, once for all of them. No more than two
    tasks per worker are in flight, so that thousands of fields never make one giant graph.

    Parameters
    ----------
    crew : Crew
        The workers.
    tasks : sequence of TileTask
        Tiles of one field next to each other.

    Yields
    ------
    TileOutcome
        One per task. A task whose worker died three times over comes out as failed.

    Raises
    ------
    RunError
        If the scheduler vanishes.
    """
    from distributed import as_completed

    waiting: deque[Job] = deque(_jobs(tasks))
    running: dict[Future, Job] = {}
    stream = as_completed()

    def fill() -> None:
        """Send work as long as there is room for it."""
        room = crew.in_flight() if waiting else 0
        while waiting and len(running) < room:
            job = waiting.popleft()
            function = process_tile if isinstance(job, TileTask) else measure_sky
            first = job if isinstance(job, TileTask) else job[0]
            future = crew.client.submit(function, first, pure=False, retries=_RETRIES)
            running[future] = job
            stream.add(future)

    fill()
    for future in stream:
        if crew.client.status != "running":
            msg = "the Dask scheduler is gone; finished tiles are kept, and the same command does the rest"
            raise RunError(msg)
        job = running.pop(future)
        if isinstance(job, TileTask):
            yield _outcome(future, job)
        else:
            if future.status != "finished":
                logger.warning("%s: sky not measured ahead: %s", job[0].folder, future.exception())
            # the field's tiles go first: its pixels are still at hand
            waiting.extendleft(reversed(job))
        future.release()
        fill()


def _jobs(tasks: Sequence[TileTask]) -> Iterator[Job]:
    """A tile that is alone in its field, or all tiles of a field, whose sky comes first."""
    for _, group in groupby(tasks, key=lambda task: task.field_key):
        tiles = list(group)
        yield tiles[0] if tiles[0].alone else tiles


def _outcome(future: Future, task: TileTask) -> TileOutcome:
    if future.status == "finished":
        return future.result()  # type: ignore[no-any-return]
    reason = f"its worker was lost ({type(future.exception()).__name__}); run again to do just this tile"
    failure = Failure(task.field.name or "field", "tile", reason, tile=task.tile.name)
    return TileOutcome(failure.field, task.tile.name, task.key, "failed", failures=[failure])
