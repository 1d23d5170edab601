"""Send tasks to workers, a bounded number at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from astrogalaxy.errors import RunError
from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.tasks import TileOutcome, TileTask, measure_sky, process_tile

if TYPE_CHECKING:
    from distributed import Future

    from astrogalaxy.survey.cluster import Crew

__all__ = ["in_turn", "loss", "work_through"]

logger = logging.getLogger(__name__)

# A tile that is alone in its field, or the tiles of a field, whose sky has to be measured before them.
Job = TileTask | list[TileTask]
J = TypeVar("J")
T = TypeVar("T")

# How often a task that raised an error is sent again. If its worker died, Dask itself sends it to another one, as often
# as its key distributed.scheduler.allowed-failures says.
_RETRIES = 2
# Seconds to wait for an answer before looking whether there are workers at all.
_LOOK = 5.0
# Seconds without any worker after which the log says so, for the first time; then after twice as many, and so on.
_SAY = 10.0
# How long to wait for a worker where Dask's own key does not say it: workers may be jobs in a queue.
_PATIENCE = "1 hour"
_PATIENCE_KEY = "distributed.scheduler.no-workers-timeout"
# After so many tiles in a row that found no room on the disk, no more are sent: each would be worked on in vain.
_MOST_FULL = 3
_GO_ON = "what is finished is kept, and the same command does the rest"


def in_turn(
    crew: Crew, waiting: deque[J], send: Callable[[J], Future], tell: Callable[[str], None]
) -> Iterator[tuple[J, Any]]:
    """Do jobs on the crew's workers, and yield each with its answer as soon as that is there.

    No more than two tasks per worker are in flight, so that thousands of fields never make one giant graph.

    Parameters
    ----------
    crew : Crew
        The workers.
    waiting : deque
        The jobs; more may be added between two answers.
    send : callable
        Submits a job to the crew's client and returns its future.
    tell : callable
        Called with what happens while no worker is connected.

    Yields
    ------
    job, answer
        The answer is an exception where the task raised it, or where one worker after another died of the task.

    Raises
    ------
    RunError
        If the scheduler vanishes, if for long no worker has been connected or all have been paused, or if a worker that
        joined has another astrogalaxy.
    """
    running: dict[Future, J] = {}
    done: SimpleQueue[Future] = SimpleQueue()
    watch = _Watch(crew, tell)

    def fill() -> None:
        """Send jobs as long as there is room for them."""
        room = crew.in_flight() if waiting else 0
        while waiting and len(running) < room:
            job = waiting.popleft()
            future = send(job)
            running[future] = job
            future.add_done_callback(done.put)

    fill()
    while running:
        future = watch.until(lambda: done.get(timeout=_LOOK))
        # until an answer is fetched, it is lost if its worker dies, and Dask computes it again
        answer = watch.until(lambda future=future: _fetched(future))
        yield running.pop(future), answer
        future.release()
        fill()


def _fetched(future: Future) -> Any:
    """What a task that has ended returned, or the error that it ended with; `queue.Empty` if it is computed again."""
    if future.status == "error":
        return future.exception()  # a TimeoutError of the task's own is no reason to wait
    try:
        return future.result(timeout=_LOOK)
    except TimeoutError:
        raise Empty from None
    except Exception as error:  # noqa: BLE001 (such as that it was cancelled, by a restart of the cluster)
        return error


class _Watch:
    """Waits for answers, and meanwhile watches the scheduler and the workers."""

    def __init__(self, crew: Crew, tell: Callable[[str], None]) -> None:
        self._crew, self._tell = crew, tell
        self._alone_since: float | None = None
        self._silent = _SAY

    def until(self, get: Callable[[], T]) -> T:
        """Call ``get`` until it returns something; it raises `queue.Empty` if there is nothing for a while."""
        while True:
            try:
                answer = get()
            except Empty:
                self._check_scheduler()
                self._look_for_workers()
            else:
                self._check_scheduler()
                self._alone_since = None
                return answer

    def _check_scheduler(self) -> None:
        if self._crew.client.status != "running":
            msg = f"the Dask scheduler is gone; {_GO_ON}"
            raise RunError(msg)

    def _look_for_workers(self) -> None:
        shortage = self._crew.shortage()
        if shortage is None:
            self._alone_since = None
            return
        now = monotonic()
        if self._alone_since is None:
            self._alone_since, self._silent = now, _SAY
        seconds = now - self._alone_since
        self._tell(f"waiting for a worker ({seconds:.0f} s)")
        if seconds >= self._silent:
            self._silent *= 2
            logger.warning("%s for %.0f s; waiting for one", shortage, seconds)
        if seconds >= _patience():
            msg = f"{shortage} for {seconds:.0f} s, see the workers' logs; {_GO_ON}"
            raise RunError(msg)


def _patience() -> float:
    import dask
    from dask.utils import parse_timedelta

    return float(parse_timedelta(dask.config.get(_PATIENCE_KEY, None) or _PATIENCE))


def work_through(crew: Crew, tasks: Sequence[TileTask], tell: Callable[[str], None]) -> Iterator[TileOutcome]:
    """Do tiles on the crew's workers, and yield their outcomes as they come; see `in_turn`.

    The sky of a field with several tiles is measured first, once for all of them.

    Parameters
    ----------
    crew : Crew
        The workers.
    tasks : sequence of TileTask
        The tiles; those of one field must follow each other.
    tell : callable
        Called with what happens while no worker is connected.

    Yields
    ------
    TileOutcome
        One per task; failed where one worker after another died of it, and where it was not sent any more since the
        disk is full.
    """
    full = 0
    waiting: deque[Job] = deque(_jobs(tasks))

    def send(job: Job) -> Future:
        """Submit a tile, or the sky of a field."""
        function, first = (process_tile, job) if isinstance(job, TileTask) else (measure_sky, job[0])
        return crew.client.submit(function, first, pure=False, retries=_RETRIES)

    for job, answer in in_turn(crew, waiting, send, tell):
        if isinstance(job, TileTask):
            outcome = answer if isinstance(answer, TileOutcome) else _lost(answer, job)
            full = full + 1 if any(failure.is_full_disk for failure in outcome.failures) else 0
            yield outcome
        else:
            if answer is not None:
                logger.warning("%s: sky not measured ahead: %s", job[0].folder, answer)
            # the field's tiles go next, while a worker still has its pixels at hand
            waiting.extendleft(reversed(job))
        if full >= _MOST_FULL and waiting:
            left = [task for job in waiting for task in ([job] if isinstance(job, TileTask) else job)]
            waiting.clear()
            yield from _not_sent(left)


def _jobs(tasks: Sequence[TileTask]) -> Iterator[Job]:
    """Tiles that are alone in their field one by one, and the tiles of other fields together: their sky comes first."""
    for _, group in groupby(tasks, key=lambda task: task.field_key):
        tiles = list(group)
        yield tiles[0] if tiles[0].alone else tiles


def loss(error: Exception) -> str:
    """Why a task has no answer."""
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        settings = "compute.memory, compute.workers and tiles.size"
        return f"its worker died again and again, most likely for want of memory; see {settings}"
    return f"its worker was lost ({type(error).__name__})"


def _not_sent(tasks: Sequence[TileTask]) -> Iterator[TileOutcome]:
    """Outcomes of tiles that are left alone since the disk is full; one failure tells of all of them."""
    which = f"{len(tasks)} tile{'s were' if len(tasks) > 1 else ' was'} not tried, this is the first"
    reason = f"the disk is full: {which}; make room and run again, finished tiles are kept"
    for number, task in enumerate(tasks):
        name, tile = task.field.label, task.tile.name
        failures = [] if number else [Failure(name, "tile", reason, tile=tile)]
        yield TileOutcome(name, tile, task.key, "failed", failures=failures)


def _lost(error: Exception, task: TileTask) -> TileOutcome:
    reason = f"{loss(error)}; run again to do just this tile"
    failure = Failure(task.field.label, "tile", reason, tile=task.tile.name)
    return TileOutcome(failure.field, task.tile.name, task.key, "failed", failures=[failure])
