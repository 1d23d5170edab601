"""Injection and recovery on a whole survey: its own fields, settings and weights, on its own workers."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.catalog import SourceCatalog, provenance
from astrogalaxy.config import SurveyConfig
from astrogalaxy.config.file import sha256
from astrogalaxy.errors import ConfigError
from astrogalaxy.evaluation.injection import Baseline, Injection, Recovery, Round, join, look, recover_round
from astrogalaxy.files import atomic_path, write_text
from astrogalaxy.images import Image
from astrogalaxy.images.fields import Field, closed_folders, find_fields
from astrogalaxy.models import load_weights
from astrogalaxy.progress import Progress, silent
from astrogalaxy.survey.cluster import check_client, hired, worker_memory
from astrogalaxy.survey.contents import hashes, hashing
from astrogalaxy.survey.failures import Failure, reason_of
from astrogalaxy.survey.leftovers import Earlier
from astrogalaxy.survey.merge import TileCatalog, merge_tiles
from astrogalaxy.survey.opening import open_inputs
from astrogalaxy.survey.plan import tiles_of
from astrogalaxy.survey.reading import forget_fields, keep_open, read_field
from astrogalaxy.survey.report.injection import write_injection_report
from astrogalaxy.survey.rounds import read_round, write_round
from astrogalaxy.survey.scheduling import in_turn, loss
from astrogalaxy.survey.stages import classify
from astrogalaxy.survey.store import RunDirectory, safe_name
from astrogalaxy.survey.tasks import find_in_tile

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["InjectionSummary", "inject_survey"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InjectionSummary:
    """What an evaluation by injections did.

    Attributes
    ----------
    directory : Path
        Where its results are.
    files : list of Path
        Files written.
    recovery : Recovery or None
        What came of it; None if nothing could be done.
    failures : list of Failure
        What could not be done.
    seconds : float
        Wall time.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.survey.injection import InjectionSummary
    >>> InjectionSummary(Path("out/injection")).exit_code  # nothing could be done
    1
    """

    directory: Path
    files: list[Path] = field(default_factory=list)
    recovery: Recovery | None = None
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0: all done; 1: nothing could be done; 3: results, but something failed."""
        if self.recovery is None:
            return 1
        return 3 if self.failures else 0


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know of a field: its files, and how to inject and search."""

    field: Field
    config: SurveyConfig
    threads: int
    injected: Injection
    # Where the field's rounds are kept, and the key of all that they depend on but their number.
    folder: Path
    key: str

    @property
    def name(self) -> str:
        """Name of the field."""
        return self.field.label


def inject_survey(
    config: str | Path | SurveyConfig,
    *,
    rounds: int = 10,
    density: float | None = None,
    magnitudes: tuple[float, float] | None = None,
    like: Mapping[str, str] | None = None,
    seeing: float | None = None,
    seed: int = 0,
    field_name: str | None = None,
    n_fields: int | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
) -> InjectionSummary:
    """Inject simulated sources into a survey's own fields, and find them as a run would.

    Parameters
    ----------
    config : path or SurveyConfig
        The survey.yml; its weights, settings, tiles and workers are used.
    rounds : int
        How often in each field; see `~astrogalaxy.evaluation.injection.inject_and_recover` also for what follows.
    density : float, optional
        Injected sources per square arcmin.
    magnitudes : (float, float), optional
        Brightest and faintest in the reference band.
    like : mapping of str to str, optional
        Which band a band of another name is like.
    seeing : float, optional
        Full width of stars at half maximum, arcsec, where a field has too few to measure it.
    seed : int
        The same seed injects the same sources.
    field_name : str, optional
        Only this field.
    n_fields : int, optional
        Only so many fields, drawn by the seed.
    client : distributed.Client, optional
        Any Dask client; by default workers are started here, one per core.
    progress : callable, optional
        Called with (rounds done, rounds in all, what happens now).

    Returns
    -------
    InjectionSummary
        The directory ``injection`` in the survey's output directory holds the results:
        ``report.html``, ``injection.json``, ``injected.ecsv``, ``completeness.ecsv``,
        ``classification.ecsv``, ``photometry.ecsv``, ``positions.ecsv`` and ``purity.ecsv``. Every
        round is kept in ``rounds`` there as soon as it is done: the same call after an interruption does
        the others only, and one with more rounds adds to them.

    Raises
    ------
    ConfigError
        If the configuration or an option is wrong.
    ImageError
        If no file matches.
    RunError
        If the directory cannot be written to, or a run is at work in it.

    Examples
    --------
    >>> from astrogalaxy.survey.injection import inject_survey
    >>> summary = inject_survey("pipelines/quickstart.yml", rounds=3)  # doctest: +SKIP
    """
    begin, started = perf_counter(), datetime.now(UTC)
    if not isinstance(config, SurveyConfig):
        config = SurveyConfig.read(config)
    injected = Injection(density, magnitudes, like, seeing, seed)
    injected.check(config.images.bands)
    if rounds < 1:
        msg = f"rounds must be 1 or more, not {rounds}"
        raise ConfigError(msg)
    check_client(client)
    open_inputs(config, here=client is None)
    directory = RunDirectory.of(config)
    found = find_fields(config.images, without=Earlier.of(directory).files)
    fields = _chosen(found, field_name, n_fields, seed)
    with directory.locked():
        tell = progress or silent
        folder = directory.path / "injection"
        jobs = _jobs(fields, config, injected, folder / "rounds")
        results, failures = _work(jobs, rounds, client, tell)
        closed = [] if field_name else closed_folders(config.images)
        failures = list(dict.fromkeys([*(Failure("(images)", "open", why) for why in closed), *failures]))
        for failure in failures:
            logger.warning("%s", failure)
        if not any(made for _, made in results):
            return InjectionSummary(folder, failures=failures, seconds=perf_counter() - begin)
        tell(1, 1, "writing the report")
        recovery = join(results)
        settings = {"rounds": rounds, **asdict(injected)}
        record = _record(config, recovery, settings, failures, started, perf_counter() - begin)
        files = _write(folder, recovery, record)
        if not (failures or config.output.keep_tiles):
            shutil.rmtree(folder / "rounds", ignore_errors=True)
    return InjectionSummary(folder, files, recovery, failures, perf_counter() - begin)


def _chosen(fields: Sequence[Field], name: str | None, n: int | None, seed: int) -> list[Field]:
    """The fields that are wanted, in their order."""
    if name is not None:
        chosen = [field for field in fields if field.label == name]
        if not chosen:
            some = ", ".join(field.label for field in fields[:6]) + (" ..." if len(fields) > 6 else "")
            msg = f"no field {name!r}; there are {some}"
            raise ConfigError(msg)
        return chosen
    if n is None or n >= len(fields):
        return list(fields)
    drawn = np.random.default_rng(seed).choice(len(fields), max(n, 1), replace=False)
    return [fields[i] for i in np.sort(drawn)]


def _jobs(fields: Sequence[Field], config: SurveyConfig, injected: Injection, folder: Path) -> list[_Job]:
    """A job for each field, with the key of its content: a round is kept as long as nothing of it changes."""
    with hashing([path for one in fields for path in one.files], {}) as digest:
        contents = {path: content for one in fields for path in one.files if (content := digest(path))}
    settings = {
        "code": version("astrogalaxy"), "config": config.science_digest(),
        "weights": load_weights(config.detection.model).card.sha256,
        **asdict(injected), "like": dict(injected.like or {}), "field_prior": config.detection.field_prior,
    }  # fmt: skip
    jobs = []
    for one in fields:
        content = {**settings, "inputs": hashes(one, contents), "field": one.label}
        jobs.append(_Job(one, config, 1, injected, folder / safe_name(one.label), sha256(content)))
    return jobs


# -- on the workers --------------------------------------------------------------------------------


def _look(job: _Job) -> tuple[Baseline | None, list[Failure]]:
    """Search the untouched field and its mirror image."""
    with warnings.catch_warnings(action="ignore"):
        try:
            image, known = _opened(job)
            if image is None:
                return None, known
            return look(image, _detector(job, image), job.injected), known
        except Exception as error:  # noqa: BLE001 (one bad field must never end an evaluation)
            return None, [_failure(job, error)]


def _round(job: _Job, base: Baseline, number: int) -> Round | Failure:
    """Inject once."""
    with warnings.catch_warnings(action="ignore"):
        try:
            kept = read_round(job.folder, job.key, number)
            if kept is not None:
                return kept
            image, known = _opened(job)
            if image is None:
                return known[-1]
            made = recover_round(image, base, _detector(job, image), job.injected, number=number)
            write_round(job.folder, job.key, made)
            return made  # noqa: TRY300 (what is raised above is a failure)
        except Exception as error:  # noqa: BLE001
            return _failure(job, error)


def _failure(job: _Job, error: Exception) -> Failure:
    return Failure(job.name, "inject", reason_of(error, f"field {job.name}"))


def _opened(job: _Job) -> tuple[Image | None, list[Failure]]:
    # workers of a cluster outlive a call: by then the files may hold something else
    return keep_open((job.key, *map(str, job.field.files)), lambda: read_field(job.field, job.config))


def _detector(job: _Job, image: Image) -> Callable[[Image], SourceCatalog]:
    """The road of a run, tile by tile, for whatever the field's pixels have become."""
    config, card = job.config, load_weights(job.config.detection.model).card
    tiles = tiles_of(image.shape, image.pixel_scale, config, memory=worker_memory(config.compute))

    def detect(changed: Image) -> SourceCatalog:
        """Find, measure and classify the sources of the changed field."""
        parts = [TileCatalog(tile, find_in_tile(changed, tile, config, threads=job.threads).catalog) for tile in tiles]
        return classify(
            merge_tiles(parts), card, field_prior=config.detection.field_prior, min_snr=config.morphology.min_snr
        )

    return detect


# -- sending the work ------------------------------------------------------------------------------


def _work(
    jobs: Sequence[_Job], rounds: int, client: Client | None, progress: Progress
) -> tuple[list[tuple[Baseline, list[Round]]], list[Failure]]:
    """Look at every field, then inject into it, on the survey's workers."""
    total, done = len(jobs) * (rounds + 1), 0
    bases: dict[str, Baseline] = {}
    made: dict[str, list[Round]] = {job.name: [] for job in jobs}
    failures: list[Failure] = []

    def tell(what: str) -> None:
        """Say what happens while no answer comes."""
        progress(done, total, what)

    tell("starting")
    compute = jobs[0].config.compute
    # tiles are cut for as much memory as a worker may use, see `_detector`
    with hired(compute, tasks=len(jobs) * rounds, need=worker_memory(compute), client=client) as crew:
        # of each field first the look, which has no number, then its rounds
        waiting: deque[tuple[_Job, int | None]] = deque((replace(job, threads=crew.threads), None) for job in jobs)

        def send(task: tuple[_Job, int | None]) -> Future:
            """Submit a look or a round."""
            job, number = task
            work = (_look, job) if number is None else (_round, job, bases[job.name], number)
            return crew.client.submit(*work, pure=False, retries=1)

        for (job, number), answer in in_turn(crew, waiting, send, tell):
            done += 1
            if isinstance(answer, Exception):
                failures.append(Failure(job.name, "inject", loss(answer)))
            elif isinstance(answer, Failure):
                failures.append(answer)
            elif number is not None:
                made[job.name].append(answer)
            else:
                base, known = answer
                failures += known
                if base is not None:
                    bases[job.name] = base
                    # the field's rounds go next, while a worker still has its pixels at hand
                    waiting.extendleft((job, i) for i in reversed(range(rounds)))
            if number is None and job.name not in bases:
                done += rounds  # which are not done
            tell(job.name)
    forget_fields()
    results = [
        (bases[job.name], sorted(made[job.name], key=lambda one: one.number)) for job in jobs if job.name in bases
    ]
    return results, failures


# -- results ---------------------------------------------------------------------------------------


def _record(
    config: SurveyConfig,
    recovery: Recovery,
    settings: Mapping[str, Any],
    failures: Sequence[Failure],
    started: datetime,
    seconds: float,
) -> dict[str, Any]:
    """Everything that ``injection.json`` holds."""
    card = load_weights(config.detection.model).card
    return {
        "format": 1,
        "name": config.name,
        "status": "partial" if failures else "complete",
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(seconds, 2),
        "software": provenance()["SOFTWARE"],
        "creator": provenance()["CREATOR"],
        "weights": {name: getattr(card, name) for name in ("name", "version", "sha256")},
        "config_sha256": config.digest(),
        "settings": dict(settings),
        **recovery.summary(),
        "failures": [asdict(failure) for failure in failures],
    }


def _write(folder: Path, recovery: Recovery, record: Mapping[str, Any]) -> list[Path]:
    """Write tables, record and report, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "completeness": recovery.completeness(),
        "classification": recovery.classification(),
        "photometry": recovery.photometry(),
        "positions": recovery.positions(),
        "purity": recovery.purity(),
        "injected": recovery.injected,
    }
    files = [folder / "report.html", folder / "injection.json"]
    for name, table in made.items():
        table = table.copy(copy_data=False)
        table.meta = {key: record[key] for key in ("name", "creator", "config_sha256", "reference", "magnitudes")}
        files.append(folder / f"{name}.ecsv")
        with atomic_path(files[-1]) as path:
            table.write(path, format="ascii.ecsv", overwrite=True)
    write_text(files[1], json.dumps(record, indent=1, allow_nan=False) + "\n")
    write_injection_report(files[0], record=record, recovery=recovery)
    return files
