"""The Dask cluster of a run: the user's own, or workers started here for its duration."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrogalaxy.catalog import provenance
from astrogalaxy.config.survey import ComputeSection
from astrogalaxy.devices import Device, Precision, choose_placement, usable_cores
from astrogalaxy.errors import ConfigError, RunError, WeightsError
from astrogalaxy.files import DISK_ERRORS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from distributed import Client, LocalCluster

__all__ = ["Crew", "check_client", "hired", "local_workers", "usable_memory", "worker_memory"]

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 20
# Tasks in flight per worker: one at work, and one waiting so that the worker never idles.
_IN_FLIGHT = 2
# Share of the machine's memory that workers may use between them.
_MEMORY_SHARE = 0.8
# Bytes below which a worker could do small tiles only, which cost much for their overlap.
_LEAST_MEMORY = 0.8e9


@dataclass(frozen=True)
class Crew:
    """The workers of a run.

    Attributes
    ----------
    client : Client
        Where tasks are sent.
    workers : int
        How many tasks they did at a time when the run began.
    threads : int
        Threads of the networks on each.
    networks : str
        Where networks run on them, in words.
    compute : ComputeSection, optional
        Device and precision that the survey asks for.
    """

    client: Client
    workers: int
    threads: int
    networks: str = ""
    compute: ComputeSection = field(default_factory=ComputeSection)
    _met: set[str] = field(default_factory=set)

    def in_flight(self) -> int:
        """Number of tasks to have in flight now; workers of a cluster come and go.

        Raises
        ------
        RunError
            If a worker that joined does not have the astrogalaxy of this process.
        WeightsError
            If networks cannot run on it.
        """
        connected = self.connected()
        if connected is None:
            return _IN_FLIGHT * self.workers
        self.meet(connected.keys() - self._met)
        return _IN_FLIGHT * max(sum(connected.values()), 1)

    def connected(self) -> dict[str, int] | None:
        """Threads of the connected workers by address; None if the scheduler does not answer."""
        with suppress(OSError):  # if it is gone, whoever waits for answers says so
            return dict(self.client.nthreads())
        return None

    def shortage(self) -> str | None:
        """Why no worker can begin a task; None if one can, or if the scheduler does not answer."""
        connected = self.connected()
        if connected == {}:
            return "no Dask worker has been connected"
        with suppress(OSError, ValueError):
            # a lambda is sent by value: the scheduler need not have astrogalaxy
            paused = self.client.run_on_scheduler(
                lambda dask_scheduler: all(
                    worker.status.name == "paused" and not worker.executing
                    for worker in dask_scheduler.workers.values()
                )
            )
            if connected and paused:
                return "all Dask workers have been paused for want of memory"
        return None

    def memory(self) -> float:
        """Bytes that the smallest of the connected workers has for each of its tasks.

        Infinite without any limit, or if the scheduler does not answer.
        """
        limits: list[float] = []
        with suppress(OSError, ValueError):
            limits = self.client.run_on_scheduler(
                lambda dask_scheduler: [
                    worker.memory_limit / worker.nthreads
                    for worker in dask_scheduler.workers.values()
                    if worker.memory_limit
                ]
            )
        return min(limits, default=float("inf"))

    def meet(self, workers: Collection[str]) -> set[str]:
        """Check that workers are fit, as `in_flight` does, and return where networks run on them, which may differ."""
        if not workers:
            return set()
        ask = self.compute.device, self.compute.precision
        answers = self.client.run(_introduce, *ask, workers=list(workers), on_error="return")
        self._met.update(answers)
        return {network for address, answer in answers.items() if (network := _network(address, answer))}


def usable_memory() -> float:
    """Bytes that all workers together may use.

    A process that may use a part of the machine's cores counts on the same part of its memory, and never on more than
    the limit of its container or batch job.
    """
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * min(usable_cores(), cores) / cores
    with suppress(OSError):
        group = Path("/sys/fs/cgroup", Path("/proc/self/cgroup").read_text().rpartition("::/")[2].strip())
        files = [folder / "memory.max" for folder in (group, *group.parents)]
        for file in (*files, Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
            with suppress(OSError, ValueError):  # no number: no limit
                memory = min(memory, int(file.read_text()))
    return _MEMORY_SHARE * memory


def worker_memory(compute: ComputeSection, workers: int | None = None) -> float:
    """Bytes that each of several workers may use; by default of ``compute.workers``, or of as many as there will be."""
    if isinstance(compute.memory, int):
        return float(compute.memory)
    memory = usable_memory()
    if workers is None and not isinstance(compute.workers, int):
        # if that is little for one worker per core, `local_workers` starts fewer
        return max(memory / usable_cores(), min(memory, _LEAST_MEMORY))
    return memory / (workers or compute.workers)


def local_workers(compute: ComputeSection, *, tasks: int, need: float) -> int:
    """Number of workers to start on this machine: ``compute.workers``, or as many as cores and memory allow.

    Parameters
    ----------
    compute : ComputeSection
        What the survey asks for.
    tasks : int
        Number of tasks; more workers would have nothing to do.
    need : float
        Bytes that a task needs at most.

    Returns
    -------
    int
        At least 1.
    """
    wanted = compute.workers
    if not isinstance(wanted, int):
        # equal shares of the memory add up to all of it, whatever the rounding
        wanted = min(usable_cores(), int(usable_memory() / max(need, 1.0) + 1e-6))
    return max(1, min(wanted, tasks))


@contextmanager
def hired(compute: ComputeSection, *, tasks: int, need: float = 0.0, client: Client | None = None) -> Iterator[Crew]:
    """Provide workers: the given client's, those of ``compute.scheduler``, or new ones.

    Workers times threads is the number of cores, unless the memory that each needs allows fewer workers.

    Parameters
    ----------
    compute : ComputeSection
        What is asked for.
    tasks, need
        See `local_workers`.
    client : Client, optional
        Use its workers.

    Yields
    ------
    Crew

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
            crew = stack.enter_context(_local(compute, local_workers(compute, tasks=tasks, need=need)))
        crew = replace(crew, compute=compute)
        networks = " and ".join(sorted(crew.meet(crew.connected() or {})))
        if not networks:
            msg = "none of the Dask workers says where networks run on it: they died, or do not answer; see their logs"
            raise RunError(msg)
        logger.info("networks run on %s", networks)
        yield replace(crew, networks=networks)


def _introduce(device: Device, precision: Precision) -> tuple[str, str, str]:
    """Run on a worker: where networks run there, and which astrogalaxy it has."""
    return (str(choose_placement(device, precision)), *_astrogalaxy())


@cache
def _astrogalaxy() -> tuple[str, str]:
    """Name with version, and a digest of the sources, since a version under development has many; empty without any."""
    modules = [f"{name} {len(source)}\n".encode() + source for name, source in _modules(files("astrogalaxy"))]
    return str(provenance()["CREATOR"]), hashlib.sha256(b"".join(modules)).hexdigest() if modules else ""


def _modules(folder: Traversable, within: str = "") -> Iterator[tuple[str, bytes]]:
    """Names and sources of the modules below a folder, which may be in a zip; a frozen program has none."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{within}{entry.name}"
        if entry.is_dir():
            yield from _modules(entry, f"{name}/")
        elif name.endswith(".py"):
            yield name, entry.read_bytes()


def _network(address: str, answer: Any) -> str | None:
    """Where networks run, from a worker's answer; None if it has died meanwhile."""
    if isinstance(answer, WeightsError):
        raise answer
    if isinstance(answer, OSError):
        return None
    here, sources = _astrogalaxy()
    if isinstance(answer, Exception):
        why = f"{type(answer).__name__}: {answer}"
        msg = f"the Dask worker {address} cannot work with {here} of this process ({why}); install the same there"
        raise RunError(msg)
    network, theirs, their_sources = answer
    # frozen programs have no sources, and are compared by version
    same = sources == their_sources if sources and their_sources else here == theirs
    if not same:
        both = f"{theirs}, and this process {here}" if here != theirs else f"other sources of {here} than this process"
        msg = f"the Dask worker {address} has {both}; install the same on both"
        raise RunError(msg)
    return str(network)


def check_client(client: Client | None) -> None:
    """Refuse a client that has no workers to give, before anything is done.

    Raises
    ------
    ConfigError
        If it is not a client of Dask, is closed, or is asynchronous.
    """
    if client is None:
        return
    from distributed import Client

    if not isinstance(client, Client):
        problem = f"is {type(client).__name__}, not a distributed.Client; compute.scheduler takes an address"
    elif client.asynchronous:
        problem = "is asynchronous, and a run waits for its answers; make it without asynchronous=True"
    elif client.status != "running":
        problem = f"is {client.status}; give one that is connected"
    else:
        return
    msg = f"client: {problem}"
    raise ConfigError(msg)


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
    # if the scheduler goes away, our one line says so rather than Dask's tracebacks
    log.setLevel(logging.CRITICAL)
    try:
        yield client
    finally:
        client.close()
        log.setLevel(level)


@contextmanager
def _local(compute: ComputeSection, workers: int) -> Iterator[Crew]:
    import dask
    from distributed import Client

    threads = max(1, usable_cores() // workers)
    # a single worker is a thread of this process: nothing to start, nothing to send
    settings = {"processes": workers > 1, "n_workers": workers, "threads_per_worker": 1}
    with ExitStack() as stack:
        verbose = [logging.getLogger(name) for name in ("tornado.application", "distributed.scheduler")]
        for log in verbose:
            stack.callback(log.setLevel, log.level)
        worker_log = logging.getLogger("distributed.worker")
        stack.callback(worker_log.removeFilter, _to_our_log)
        stack.enter_context(dask.config.set(_for_workers(threads)))
        stack.enter_context(_scripts_not_rerun())
        with warnings.catch_warnings():
            # without a network the loopback is all there is, and all that is needed
            warnings.filterwarnings("ignore", "Couldn't detect a suitable IP address")
            with _interrupts_wait():
                cluster = stack.enter_context(
                    _started(
                        **settings,
                        memory_limit=int(worker_memory(compute, workers)),
                        dashboard_address="127.0.0.1:0",
                        silence_logs=logging.ERROR,
                    )
                )
            client = stack.enter_context(Client(cluster))
        # a heartbeat that is under way while the scheduler closes is worth a line of the log, not a traceback
        stack.callback(worker_log.addFilter, _to_our_log)
        logger.info("%d worker%s with %d thread%s", workers, "s"[: workers > 1], threads, "s"[: threads > 1])
        logger.info("dashboard of the workers, if bokeh is installed: %s", client.dashboard_link)
        try:
            yield Crew(client, workers, threads)
            if workers > 1:
                # these are processes, each with a log of its own
                with suppress(OSError):
                    client.run(worker_log.setLevel, logging.CRITICAL, on_error="ignore")
        except KeyboardInterrupt:
            # Dask would log a traceback for whatever the end of the workers cuts off
            for log in verbose:
                log.setLevel(logging.CRITICAL)
            raise


def _for_workers(threads: int) -> dict[str, Any]:
    """Settings of Dask for workers that are started here."""
    import dask

    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")}
    environment = {**dask.config.get("distributed.nanny.pre-spawn-environ", {}), **limits}
    # it has every array beyond 128 kB mapped when it is made and unmapped when freed: twice the processor time
    environment.pop("MALLOC_TRIM_THRESHOLD_", None)
    return {
        "distributed.comm.timeouts.connect": "60s",
        "distributed.worker.daemon": True,
        # memory that a worker holds between two tiles is not freed by waiting: a paused worker would stay paused
        "distributed.worker.memory.pause": False,
        # the profiler keeps samples of every thread for 1000 s: up to 0.4 GB in each worker
        "distributed.worker.profile.enabled": False,
        "distributed.nanny.pre-spawn-environ": environment,
    }


def _to_our_log(record: logging.LogRecord) -> bool:
    """Filter of logging that sends warnings to our log instead, without their tracebacks."""
    if record.levelno >= logging.WARNING:
        logger.info("while the workers were closed: %s", record.getMessage())
    return False


def _started(**settings: Any) -> LocalCluster:
    from distributed import LocalCluster

    try:
        return LocalCluster(**settings)
    except (OSError, RuntimeError) as error:
        msg = f"the workers did not start ({error}){_remedy(error, processes=settings['processes'])}"
        raise RunError(msg) from None


def _remedy(error: BaseException, *, processes: bool) -> str:
    """Advice about workers that did not start; empty if there is none."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno in {errno.ENOENT, *DISK_ERRORS}):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return "; each needs a folder for temporary files: set TMPDIR to one that can be written to and has room"
    # a single one is no process that could be killed
    return "; was one killed, for want of memory? compute.workers: 1 starts none" if processes else ""


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Block Ctrl-C in processes that are started meanwhile: a terminal sends it to all, but this one ends the others.

    Interrupts of this process, and SIGTERM if it has a handler, are delivered afterwards: a cluster that is only half
    started cannot be closed.
    """
    came: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {
            number: before for number in (signal.SIGINT, signal.SIGTERM) if callable(before := signal.getsignal(number))
        }
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    # Python would start this helper with the first of the processes, and unblock Ctrl-C in doing so
    resource_tracker.ensure_running()
    # processes inherit blocked signals, but not handlers
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, before in handlers.items():
            signal.signal(number, before)
        for number in came[:1]:
            signal.raise_signal(number)


@contextmanager
def _scripts_not_rerun() -> Iterator[None]:
    """Keep new processes from running the user's script again.

    A spawned process imports the main module to find functions there. No task of a run is defined in it, and a script
    that calls `run` without a ``__main__`` guard would start itself over and over.
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
