"""The Dask cluster of a run: the user's own, or workers started here for its duration."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from astrogalaxy.config.survey import ComputeSection
from astrogalaxy.devices import Placement, choose_placement
from astrogalaxy.errors import RunError, WeightsError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Crew", "hired", "worker_memory"]

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 20
# Tasks in flight per worker: one at work, one waiting so that none idles.
_IN_FLIGHT = 2
# Share of the machine's memory that workers may use between them.
_MEMORY_SHARE = 0.8


@dataclass(frozen=True)
class Crew:
    """Who does the work.

    Attributes
    ----------
    client : Client
        Where tasks are sent.
    workers : int
        Tasks at a time, to begin with.
    threads : int
        Threads of each.
    networks : str
        Where networks run on them.
    """

    client: Client
    workers: int
    threads: int
    networks: str = ""

    def in_flight(self) -> int:
        """Tasks to have under way now: workers of a cluster come and go."""
        workers = self.workers
        with suppress(OSError):  # a scheduler that is gone is told of where its answers are missed
            workers = sum(self.client.nthreads().values())
        return _IN_FLIGHT * max(workers, 1)


def worker_memory(compute: ComputeSection) -> float:
    """Bytes that a worker may use."""
    if isinstance(compute.memory, int):
        return float(compute.memory)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    workers = compute.workers if isinstance(compute.workers, int) else os.cpu_count() or 1
    return _MEMORY_SHARE * total / workers


@contextmanager
def hired(compute: ComputeSection, *, tasks: int, client: Client | None = None) -> Iterator[Crew]:
    """Provide workers: the given client's, those of ``compute.scheduler``, or new ones.

    Workers times threads is the number of cores.

    Raises
    ------
    RunError
        If the scheduler does not answer, or has no workers.
    WeightsError
        If networks cannot run on a worker as ``compute`` says.
    """
    with ExitStack() as stack:
        if client is not None:
            crew = _crew_of(client)
        elif compute.scheduler is not None:
            crew = _crew_of(stack.enter_context(_connected(compute.scheduler)))
        else:
            crew = stack.enter_context(_local(compute, tasks))
        networks = _networks(crew.client, compute)
        logger.info("networks run on %s", networks)
        yield replace(crew, networks=networks)


def _networks(client: Client, compute: ComputeSection) -> str:
    """Where networks run: each worker says it, since they may differ."""
    answers = client.run(choose_placement, compute.device, compute.precision, on_error="return").values()
    for answer in answers:
        if isinstance(answer, WeightsError):
            raise answer
    # a worker that has died meanwhile says nothing
    return " and ".join(sorted({str(answer) for answer in answers if isinstance(answer, Placement)}))


def _crew_of(client: Client) -> Crew:
    threads = client.nthreads()
    if not threads:
        msg = "the Dask scheduler has no workers yet; start some, or leave out compute.scheduler"
        raise RunError(msg)
    return Crew(client, sum(threads.values()), 1)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        msg = f"compute.scheduler: no Dask scheduler answers at {address} ({error})"
        raise RunError(msg) from None
    log = logging.getLogger("distributed.client")
    level = log.level
    # a scheduler that goes away is told in one line, not in its tracebacks
    log.setLevel(logging.CRITICAL)
    try:
        yield client
    finally:
        client.close()
        log.setLevel(level)


@contextmanager
def _local(compute: ComputeSection, tasks: int) -> Iterator[Crew]:
    import dask
    from distributed import Client, LocalCluster

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = compute.workers if isinstance(compute.workers, int) else cores
    workers = max(1, min(wanted, tasks))
    threads = max(1, cores // workers)
    # one worker lives in this process: nothing to start, nothing to send
    settings = {"processes": workers > 1, "n_workers": workers, "threads_per_worker": 1}
    quiet = {"distributed.comm.timeouts.connect": "60s", "distributed.worker.daemon": True}
    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")}
    nanny = {**dask.config.get("distributed.nanny.pre-spawn-environ", {}), **limits}
    # with it every array beyond 128 kB is mapped when it is made and unmapped when freed: twice the processor time
    nanny.pop("MALLOC_TRIM_THRESHOLD_", None)
    with ExitStack() as stack:
        callbacks = logging.getLogger("tornado.application")
        stack.callback(callbacks.setLevel, callbacks.level)
        complaints = logging.getLogger("distributed.worker")
        stack.callback(complaints.removeFilter, _aside)
        stack.enter_context(dask.config.set({**quiet, "distributed.nanny.pre-spawn-environ": nanny}))
        stack.enter_context(_scripts_not_rerun())
        with warnings.catch_warnings():
            # without a network the loopback is all there is, and all that is needed
            warnings.filterwarnings("ignore", "Couldn't detect a suitable IP address")
            with _deaf_to_interrupts():
                cluster = LocalCluster(
                    **settings,
                    memory_limit=int(worker_memory(compute)),
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.ERROR,
                )
            client = stack.enter_context(Client(stack.enter_context(cluster)))
        # a heartbeat may be under way while the scheduler is closed: no more than a line of the log
        stack.callback(complaints.addFilter, _aside)
        logger.info("%d worker%s with %d thread%s", workers, "s"[: workers > 1], threads, "s"[: threads > 1])
        logger.info("dashboard of the workers, if bokeh is installed: %s", client.dashboard_link)
        try:
            yield Crew(client, workers, threads)
            if workers > 1:
                # these are processes, each with a log of its own
                with suppress(OSError):
                    client.run(complaints.setLevel, logging.CRITICAL, on_error="ignore")
        except KeyboardInterrupt:
            # what is cut off as the workers end would be told of at length
            callbacks.setLevel(logging.CRITICAL)
            raise


def _aside(record: logging.LogRecord) -> bool:
    """Filter that sends what went wrong to our log alone, without its traceback."""
    if record.levelno >= logging.WARNING:
        logger.info("while the workers were closed: %s", record.getMessage())
    return False


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C: a terminal sends it to all, and this one ends the others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@contextmanager
def _scripts_not_rerun() -> Iterator[None]:
    """Keep new processes from running the user's script again.

    A spawned process imports the main module to find functions there. No task of a run lives in
    it, and a script that calls `run` without a ``__main__`` guard would start itself for ever.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    try:
        main.__spec__ = None
        if "__file__" in hidden:
            del main.__file__
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
