"""Workers and schedulers as processes of their own, which die when it suits them."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import dask
import numpy as np
import pytest
from astropy.io import fits
from distributed import Client, Event, Future, LocalCluster
from distributed.scheduler import KilledWorker

import astrogalaxy
from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.config.survey import ComputeSection
from astrogalaxy.errors import ConfigError, RunError, WeightsError
from astrogalaxy.simulation import PROFILES, simulate_scene
from astrogalaxy.survey import cluster as cluster_module
from astrogalaxy.survey import execute
from astrogalaxy.survey.cluster import (
    Crew,
    _interrupts_wait,
    _network,
    hired,
    local_workers,
    usable_memory,
    worker_memory,
)
from astrogalaxy.survey.scheduling import in_turn, loss

PATIENCE = 120.0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fields of four tiles each."""
    folder = tmp_path_factory.mktemp("images")
    for name, seed in (("north", 1), ("south", 2)):
        scene = simulate_scene(PROFILES["sdss"], size=(256, 256), seed=seed, centre=(10.0 * seed, 5.0), artefacts=False)
        for band, pixels in scene.images.items():
            fits.PrimaryHDU(pixels, scene.wcs[band].to_header()).writeto(folder / f"{name}-{band}.fits")
    return folder


def survey_in(folder: Path, images: Path, compute: str) -> Path:
    path = folder / "survey.yml"
    path.write_text(
        f'name: pair\nimages: {{path: "{images}/{{field}}-{{band}}.fits", bands: [g, r, i], zeropoint: 22.5}}\n'
        f"tiles: {{size: 128, overlap: 64}}\ncompute: {compute}\n"
    )
    return path


@pytest.fixture(scope="module")
def undisturbed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> SourceCatalog:
    summary = execute(survey_in(tmp_path_factory.mktemp("quiet"), images, "{workers: 1}"))
    assert summary.tiles == {"done": 8, "kept": 0, "failed": 0}
    assert len(summary.catalog) > 20
    return summary.catalog


def assert_same(catalog: SourceCatalog, expected: SourceCatalog) -> None:
    assert catalog.colnames == expected.colnames
    for name in expected.colnames:
        np.testing.assert_array_equal(np.asarray(catalog[name]), np.asarray(expected[name]), err_msg=name)


def wait_for(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


@contextmanager
def process(*command: str, path: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=None if path is None else {**os.environ, "PYTHONPATH": str(path)},
    )
    try:
        yield started
    finally:
        os.killpg(started.pid, signal.SIGKILL) if started.poll() is None else None
        started.wait()


def worker(address: str, *, path: Path | None = None) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker process, with another folder of packages if one is given."""
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60")
    return process("distributed.cli.dask_worker", address, *options, path=path)


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """Scheduler and workers on the loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        boss = stack.enter_context(
            process("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        )
        hands = [stack.enter_context(worker(address)) for _ in range(workers)]
        wait_for(lambda: answers(port), "the scheduler")
        if workers:
            with Client(address, timeout=PATIENCE) as client:
                client.wait_for_workers(workers, timeout=PATIENCE)
        yield address, boss, hands


def answers(port: int) -> bool:
    with socket.socket() as door:
        return door.connect_ex(("127.0.0.1", port)) == 0


def test_a_worker_of_a_cluster_is_killed(images: Path, undisturbed: SourceCatalog, tmp_path: Path) -> None:
    with cluster(2) as (address, _, hands):

        def kill(done: int, total: int, what: str) -> None:
            if done >= 1 and hands[0].poll() is None:
                hands[0].kill()

        summary = execute(survey_in(tmp_path, images, f"{{scheduler: '{address}'}}"), progress=kill)
    assert hands[0].returncode == -signal.SIGKILL
    assert summary.exit_code == 0, summary.failures
    assert summary.tiles["done"] == 8
    assert_same(summary.catalog, undisturbed)


def test_a_scheduler_that_vanishes_leaves_what_was_done(
    images: Path, undisturbed: SourceCatalog, tmp_path: Path
) -> None:
    with cluster(1) as (address, boss, _):

        def kill(done: int, total: int, what: str) -> None:
            if done >= 2 and boss.poll() is None:
                boss.kill()

        with pytest.raises(RunError, match="the Dask scheduler is gone; what is finished is kept"):
            execute(survey_in(tmp_path, images, f"{{scheduler: '{address}'}}"), progress=kill)
    summary = execute(survey_in(tmp_path, images, "{workers: 1}"))
    assert summary.tiles["kept"] >= 2
    assert summary.exit_code == 0
    assert_same(summary.catalog, undisturbed)


def test_workers_that_join_later_get_work() -> None:
    from distributed import Client, LocalCluster

    settings = {"threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, **settings) as here, Client(here) as client:
        crew = Crew(client, 1, 1)
        assert crew.in_flight() == 2
        here.scale(3)
        client.wait_for_workers(3, timeout=PATIENCE)
        assert crew.in_flight() == 6


def test_a_device_that_is_not_there_is_known_before_anything_is_done(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrogalaxy.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"compute.device: .*openvino needs .* pip install 'astrogalaxy\[accel\]'"):
        execute(survey_in(tmp_path, images, "{workers: 1, device: openvino}"))
    assert not (tmp_path / "out").exists()


def test_workers_that_cannot_run_the_network_end_the_run(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrogalaxy.extras.find_spec", lambda name: None)
    settings = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with Client(**settings) as client, pytest.raises(WeightsError, match="openvino needs"):
        execute(survey_in(tmp_path, images, "{device: openvino}"), client=client)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".fits", ".vot", ".npz"}]


@pytest.mark.parametrize(
    ("compute", "tasks", "need", "workers"),
    [
        ({}, 100, 0.5e9, 8),
        ({}, 3, 0.5e9, 3),
        ({}, 100, 1.2e9, 5),
        ({}, 100, 9e9, 1),
        ({}, 100, 6.4e9 / 7, 7),
        ({}, 0, 1.2e9, 1),
        ({"memory": 2 * 10**9}, 100, 1.2e9, 5),
        ({"workers": 12}, 100, 1.2e9, 12),
    ],
)
def test_auto_is_as_many_workers_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, compute: dict[str, int], tasks: int, need: float, workers: int
) -> None:
    monkeypatch.setattr(cluster_module, "usable_cores", lambda: 8)
    monkeypatch.setattr(cluster_module, "usable_memory", lambda: 6.4e9)
    asked = ComputeSection.model_construct(**{"workers": "auto", "memory": "auto", **compute})
    assert local_workers(asked, tasks=tasks, need=need) == workers
    if not compute:
        assert worker_memory(asked) == 0.8e9
        assert worker_memory(asked, workers) == 6.4e9 / workers
        monkeypatch.setattr(cluster_module, "usable_memory", lambda: 2e9)
        assert worker_memory(asked) == 0.8e9, "tiles are not cut for eight workers, which there will not be"
        assert local_workers(asked, tasks=100, need=0.75e9) == 2
        monkeypatch.setattr(cluster_module, "usable_memory", lambda: 0.5e9)
        assert worker_memory(asked) == 0.5e9


def test_memory_is_that_of_the_cores_and_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16 * 2**20}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(cluster_module, "usable_cores", lambda: 4)
    limits = {"/proc/self/cgroup": "0::/job_7/step_0\n"}

    def read_text(path: Path) -> str:
        if str(path) not in limits:
            raise FileNotFoundError(path)
        return limits[str(path)]

    monkeypatch.setattr(Path, "read_text", read_text)
    assert usable_memory() == 0.8 * 16 * 2**30
    limits["/sys/fs/cgroup/job_7/step_0/memory.max"] = "max\n"
    assert usable_memory() == 0.8 * 16 * 2**30
    limits["/sys/fs/cgroup/job_7/memory.max"] = f"{4 * 2**30}\n"
    assert usable_memory() == 0.8 * 4 * 2**30
    del limits["/proc/self/cgroup"]
    assert usable_memory() == 0.8 * 16 * 2**30


def test_no_scheduler_there(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.survey.cluster._CONNECT_SECONDS", 1)
    with pytest.raises(RunError, match="compute.scheduler: no Dask scheduler answers at tcp://127.0.0.1:1"):
        execute(survey_in(tmp_path, images, "{scheduler: 'tcp://127.0.0.1:1'}"))


def children(pid: int) -> list[int]:
    """Processes that a process has started, and theirs."""
    try:
        own = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return own + [p for child in own for p in children(child)]


def kill_at_random(running: subprocess.Popen[bytes], chance: random.Random) -> bool:
    """Kill the run, or one of its workers, at a moment within the first seconds; False if it had ended before."""
    time.sleep(chance.uniform(0.5, 5.0))
    if running.poll() is not None:
        return False
    workers = [p for p in children(running.pid) if b"spawn_main" in command_of(p)]
    victim = chance.choice([running.pid, *workers])
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_chaos(images: Path, undisturbed: SourceCatalog, tmp_path: Path) -> None:
    """Workers and the run itself are killed twenty times, and each run ends with the same catalogue."""
    chance, kills, whole = random.Random(4), 0, 0
    path = survey_in(tmp_path, images, "{workers: 2}")
    while kills < 20 or not whole:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        for attempt in range(6):
            with process("astrogalaxy", "run", str(path), "-q") as running:
                # the last attempt is left alone
                kills += attempt < 5 and kill_at_random(running, chance)
                code = running.wait(PATIENCE)
            if code == 0:
                break
            assert code == -signal.SIGKILL, (tmp_path / "out" / "run.log").read_text()
        else:
            pytest.fail("the run never came to its end")
        whole += 1
        assert_same(SourceCatalog.read(tmp_path / "out" / "pair.fits"), undisturbed)
        assert {entry.name for entry in (tmp_path / "out").iterdir()} >= {"report.html", "run.json", "pair.vot"}
        assert not list((tmp_path / "out").rglob(".*.part"))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_closing_workers_complain_of_is_a_line_of_the_log(
    workers: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("distributed.worker")
    told: list[str] = []
    seen = logging.Handler(logging.ERROR)
    monkeypatch.setattr(seen, "emit", lambda record: told.append(record.getMessage()))
    levels: set[int] = set()
    leave = Client.__exit__

    def complain_and_leave(client: Client, *reason: object) -> None:
        if workers > 1:
            levels.update(client.run(log.getEffectiveLevel).values())
        log.error("Failed to communicate with scheduler during heartbeat.")
        leave(client, *reason)

    monkeypatch.setattr(Client, "__exit__", complain_and_leave)
    log.addHandler(seen)
    try:
        with (
            caplog.at_level(logging.INFO, "astrogalaxy"),
            hired(ComputeSection(workers=workers, device="cpu"), tasks=workers),
        ):
            log.error("before")
        log.error("after")
    finally:
        log.removeHandler(seen)
    assert told == ["before", "after"]
    assert "while the workers were closed: Failed to communicate with scheduler during heartbeat." in caplog.text
    assert levels == ({logging.CRITICAL} if workers > 1 else set())


def package_in(folder: Path, **changed: str) -> Path:
    """A copy of the package's sources for a worker, with text put at the end of some of its modules."""
    here = Path(astrogalaxy.__file__).parent
    shutil.copytree(here, folder / "astrogalaxy", ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    for name, text in changed.items():
        path = folder / "astrogalaxy" / f"{name}.py"
        path.write_text(path.read_text() + text)
    return folder


def test_workers_have_the_astrogalaxy_of_this_process(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker has is known by its sources: none, others of the same version, or the same in another place."""
    none, others, same = (tmp_path / name for name in ("none", "others", "same"))
    (none / "astrogalaxy").mkdir(parents=True)
    (none / "astrogalaxy" / "__init__.py").write_text("raise ModuleNotFoundError('no astrogalaxy here')")
    package_in(others, formats="\n")
    package_in(same)
    said = {
        none: r"the Dask worker tcp://\S+ cannot work with astrogalaxy \S+ of this process .*no astrogalaxy here",
        others: r"the Dask worker tcp://\S+ has other sources of astrogalaxy \S+ than this process",
    }
    monkeypatch.chdir(tmp_path)
    with cluster(0) as (address, _, _), Client(address, timeout=PATIENCE) as client:
        compute = ComputeSection(scheduler=address, device="cpu")
        for folder, message in said.items():
            with worker(address, path=folder):
                client.wait_for_workers(1, timeout=PATIENCE)
                with pytest.raises(RunError, match=message), hired(compute, tasks=1):
                    pass
            wait_for(lambda: not client.nthreads(), "the worker to be gone")
        with worker(address, path=same):
            client.wait_for_workers(1, timeout=PATIENCE)
            with hired(compute, tasks=1) as crew:
                assert crew.networks == "cpu (onnxruntime, float32)"
                # one that comes while the crew is at work is asked, too
                with worker(address, path=others):
                    client.wait_for_workers(2, timeout=PATIENCE)
                    with pytest.raises(RunError, match="has other sources of"):
                        crew.in_flight()


def test_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.survey.cluster._astrogalaxy", lambda: ("astrogalaxy 2", "ab"))
    assert _network("tcp://a:1", ("cpu", "astrogalaxy 1", "ab")) == "cpu", "the sources tell, whatever is installed"
    with pytest.raises(RunError, match="tcp://a:1 has astrogalaxy 1, and this process astrogalaxy 2; install the same"):
        _network("tcp://a:1", ("cpu", "astrogalaxy 1", "cd"))
    with pytest.raises(RunError, match="has astrogalaxy 1"):
        _network("tcp://a:1", ("cpu", "astrogalaxy 1", ""))
    assert _network("tcp://a:1", ("cpu", "astrogalaxy 2", "")) == "cpu", "a frozen program has no sources"
    assert _network("tcp://a:1", OSError("gone")) is None


@pytest.fixture
def in_process() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as here:
        yield here


def test_without_any_worker_the_run_says_so_and_ends(
    in_process: LocalCluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    for name, seconds in (("_LOOK", 0.05), ("_SAY", 0.1)):
        monkeypatch.setattr(f"astrogalaxy.survey.scheduling.{name}", seconds)
    with Client(in_process) as client, dask.config.set({"distributed.scheduler.no-workers-timeout": "1.5 s"}):
        answers = in_turn(Crew(client, 1, 1), deque([1, 2, 3]), lambda n: client.submit(abs, -n), told.append)
        assert next(answers) == (1, 1)
        assert not told
        in_process.scale(0)
        wait_for(lambda: not client.nthreads(), "the worker to be gone")
        with pytest.raises(RunError, match=r"no Dask worker has been connected for \d+ s.*what is finished is kept"):
            list(answers)
    assert told[0] == "waiting for a worker (0 s)"
    assert len(told) > 5
    lines = [r for r in caplog.records if "no Dask worker has been connected" in r.getMessage()]
    assert 2 <= len(lines) <= 5, "now and then"


def _only(workers: Mapping[Any, Any]) -> Any:
    (worker,) = workers.values()
    return worker


def test_workers_that_pause_for_good_are_told_of(
    in_process: LocalCluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On somebody else's cluster: Dask lets a worker begin nothing as long as it holds much memory, whoever holds it."""
    for name, seconds in (("_LOOK", 0.05), ("_SAY", 0.1)):
        monkeypatch.setattr(f"astrogalaxy.survey.scheduling.{name}", seconds)
    with Client(in_process) as client, dask.config.set({"distributed.scheduler.no-workers-timeout": "1.5 s"}):
        crew = Crew(client, 1, 1)
        over = Event("over", client=client)
        busy = client.submit(lambda: Event("over").wait())
        at_work = partial(client.run_on_scheduler, lambda dask_scheduler: _only(dask_scheduler.workers).executing)
        wait_for(at_work, "the scheduler to hear of the work")
        _only(in_process.workers).memory_manager.memory_pause_fraction = 1e-9
        wait_for(lambda: client.run_on_scheduler(lambda dask_scheduler: not dask_scheduler.running), "the pause")
        assert crew.shortage() is None, "what it has begun it does"
        over.set()
        busy.result()
        with pytest.raises(RunError, match=r"all Dask workers have been paused for want of memory for \d+ s"):
            list(in_turn(crew, deque([1, 2, 3]), lambda n: client.submit(abs, -n), lambda _: None))
        assert "paused for want of memory" in caplog.text


def test_workers_that_have_too_little_memory_for_the_tiles_are_told_of(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles are cut for what `compute.memory` says, so that they are the same whichever workers come and go."""
    limits = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "memory_limit": "250 MB"}
    # this process holds more, and the worker would pause for good
    never = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause", "terminate")}
    with dask.config.set(never), LocalCluster(dashboard_address=None, **limits) as cluster, Client(cluster) as client:
        assert Crew(client, 1, 1).memory() == 250e6
        with monkeypatch.context() as patched:
            patched.setattr(client, "run_on_scheduler", Mock(side_effect=OSError("gone")))
            assert Crew(client, 1, 1).memory() == np.inf
        execute(survey_in(tmp_path, images, "{memory: 2 GB}"), client=client)
    log = (tmp_path / "out" / "run.log").read_text()
    assert "a tile may need 0.4 GB, and a worker has 0.2 GB; set compute.memory to what each has" in log


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_of_ours_never_pause(workers: int) -> None:
    compute = ComputeSection(workers=workers, memory="250 MB")
    with hired(compute, tasks=workers) as crew:
        pauses = crew.client.run(lambda dask_worker: dask_worker.memory_manager.memory_pause_fraction)
    assert list(pauses.values()) == [False] * workers


def test_a_worker_that_died_is_told_with_what_may_help() -> None:
    died = KilledWorker("tile-1", SimpleNamespace(address="tcp://a:1"), 3)
    assert "want of memory; see compute.memory, compute.workers and tiles.size" in loss(died)
    assert loss(TimeoutError()) == "its worker was lost (TimeoutError)"


def test_a_worker_that_comes_back_in_time_does_the_rest(
    in_process: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrogalaxy.survey.scheduling._LOOK", 0.05)

    def restart(_what: str) -> None:
        in_process.scale(1)

    with Client(in_process) as client:
        answers = in_turn(Crew(client, 1, 1), deque([1, 2, 3]), lambda n: client.submit(abs, -n), restart)
        next(answers)
        in_process.scale(0)
        wait_for(lambda: not client.nthreads(), "the worker to be gone")
        assert [answer for _, answer in answers] == [2, 3]


def test_errors_are_answers(in_process: LocalCluster) -> None:
    def fail(error: Exception) -> None:
        raise error

    with Client(in_process) as client:
        jobs = deque([ValueError("a"), TimeoutError("b")])
        answers = list(in_turn(Crew(client, 1, 1), jobs, lambda error: client.submit(fail, error), lambda _: None))
    assert sorted((type(job), str(answer)) == (type(answer), str(job)) for job, answer in answers) == [True, True]


def test_a_cancelled_task_has_an_error_for_an_answer(in_process: LocalCluster) -> None:
    """Whoever shares the cluster may restart it, which cancels all tasks."""
    sent: list[Future] = []
    with Client(in_process) as client:

        def send(seconds: float) -> Future:
            sent.append(client.submit(time.sleep, seconds, pure=False))
            return sent[-1]

        answers = in_turn(Crew(client, 1, 1), deque([0.0, 3.0]), send, lambda _: None)
        assert next(answers) == (0.0, None)
        client.cancel(sent[1])
        ((_, answer),) = answers
    assert isinstance(answer, CancelledError)
    assert loss(answer).endswith("CancelledError)")


def test_what_is_no_client_is_refused(
    images: Path, tmp_path: Path, in_process: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(client: object, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            execute(survey_in(tmp_path, images, "{workers: 1}"), client=client)

    refused("tcp://127.0.0.1:8786", "client: is str, not a distributed.Client; compute.scheduler takes an address")
    with Client(in_process) as client, monkeypatch.context() as patch:
        patch.setattr(Client, "asynchronous", True)
        refused(client, "client: is asynchronous")
    refused(client, "client: is closed; give one that is connected")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_keep_no_profile_of_themselves(workers: int) -> None:
    """Dask samples what every thread does and keeps it for 1000 s: the memory of a worker would grow all that time."""
    with hired(ComputeSection(workers=workers), tasks=2) as crew:
        kept = crew.client.run(lambda dask_worker: sorted(dask_worker.periodic_callbacks))
        assert len(kept) == workers
        assert not [name for names in kept.values() for name in names if "profile" in name]


def test_no_worker_hears_ctrl_c_though_it_is_the_first_process() -> None:
    """The first starts a tracker of Python's own, after which signals would come through again."""
    code = (
        "import multiprocessing, signal\n"
        "from astrogalaxy.survey.cluster import _interrupts_wait\n"
        "with _interrupts_wait():\n"
        "    multiprocessing.get_context('spawn').Queue()\n"
        "    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_wait_until_workers_have_started(sign: signal.Signals) -> None:
    class Heard(Exception):
        pass

    def hear(*_: object) -> None:
        raise Heard

    before, steps = signal.signal(sign, hear), []
    try:
        with pytest.raises(Heard), _interrupts_wait():
            os.kill(os.getpid(), sign)
            steps.append("went on")
        assert steps == ["went on"]
        assert signal.getsignal(sign) is hear
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.signal(sign, before)


def test_processes_that_are_started_do_not_hear_ctrl_c() -> None:
    with _interrupts_wait():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child.send_signal(signal.SIGINT)
    child.communicate(b"\n", timeout=PATIENCE)
    assert child.returncode == 0


@pytest.mark.parametrize(
    ("workers", "cause", "remedy"),
    [
        (2, None, r"; was one killed, for want of memory\? compute.workers: 1 starts none"),
        (1, None, ""),
        (1, FileNotFoundError(errno.ENOENT, "No usable temporary directory found"), "; each needs .* set TMPDIR to .*"),
        (2, OSError(errno.ENOSPC, "No space left on device"), "; each needs .* set TMPDIR to .*"),
    ],
)
def test_workers_that_do_not_start(
    monkeypatch: pytest.MonkeyPatch, workers: int, cause: OSError | None, remedy: str
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("Cluster failed to start: no reason") from cause

    monkeypatch.setattr("distributed.LocalCluster", fail)
    with (
        pytest.raises(RunError, match=rf"the workers did not start \(Cluster failed to start: no reason\){remedy}$"),
        hired(ComputeSection(workers=workers, device="cpu"), tasks=2),
    ):
        pass
