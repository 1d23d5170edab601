"""Run a survey: plan, send tiles to Dask, merge, write, report."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ArchiveError, ConfigError, ImageError, RunError
from astrogalaxy.files import LogHandler, remove_unfinished
from astrogalaxy.formats import FORMATS
from astrogalaxy.images import Tile
from astrogalaxy.images.fields import find_fields
from astrogalaxy.models import Weights, load_classifier
from astrogalaxy.models.files import WeightFile, file_of
from astrogalaxy.progress import Progress, in_notebook, progress_bar, silent
from astrogalaxy.survey.cluster import Crew, check_client, hired, worker_memory
from astrogalaxy.survey.facts import FieldFacts, field_facts
from astrogalaxy.survey.failures import Failure, reason_of, write_failures
from astrogalaxy.survey.fieldtable import write_fields
from astrogalaxy.survey.finish import Finisher
from astrogalaxy.survey.leftovers import Earlier, forget_changed, forget_removed, listing
from astrogalaxy.survey.opening import check_targets, named_files, open_inputs, remarks
from astrogalaxy.survey.plan import FieldPlan, Plan, make_plan, tile_memory
from astrogalaxy.survey.products import searched_area, write_products
from astrogalaxy.survey.reading import can_be_read, forget_fields
from astrogalaxy.survey.record import RunRecord, known_fields, known_hashes
from astrogalaxy.survey.scales import odd_scales
from astrogalaxy.survey.scheduling import work_through
from astrogalaxy.survey.shelf import Shelf, Tally
from astrogalaxy.survey.stages import Stopwatch
from astrogalaxy.survey.store import RunDirectory, TileContent, tile_path
from astrogalaxy.survey.summary import RunSummary
from astrogalaxy.survey.tasks import TileOutcome, TileTask, kept_tile

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["execute", "run"]

logger = logging.getLogger(__name__)


def run(
    config: str | Path | SurveyConfig,
    *,
    client: Client | None = None,
    progress: Progress | bool | None = None,
) -> SourceCatalog:
    """Run a survey and return its catalogue.

    Parameters
    ----------
    config : path or SurveyConfig
        The survey.yml.
    client : distributed.Client, optional
        Any Dask client; by default workers are started here, one per core.
    progress : callable or bool, optional
        Called with (tiles done, tiles in all, what happens now). True shows a bar on a terminal or in a
        notebook, False none; by default there is one in notebooks only.

    Returns
    -------
    SourceCatalog
        One row per source. The run directory holds it as files, with a report.

    Raises
    ------
    ConfigError
        If the configuration is wrong, or asks for no format that can be read back.
    RunError
        If nothing could be done. What failed in part is logged as warnings and listed in
        ``failures.ecsv``.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> catalog = ag.run("pipelines/quickstart.yml")
    >>> catalog.bands, len(catalog) > 100
    (('g', 'r', 'i'), True)
    """
    if not isinstance(config, SurveyConfig):
        config = SurveyConfig.read(config)
    if not any(FORMATS[name].reads_back for name in config.output.formats):
        msg = "output.formats: none of them can be read back, and a catalogue is to be returned; add fits"
        raise ConfigError(msg)
    summary = execute(config, client=client, progress=progress)
    if summary.catalog is None:
        # what went wrong last, if tiles were done and then not joined or written
        late = [failure for failure in summary.failures if failure.stage in ("merge", "write")]
        why = next(iter([*late, *summary.failures]), "no tile was done")
        msg = f"nothing could be done: {why}; see {summary.directory / 'run.log'}"
        raise RunError(msg)
    return summary.catalog


def execute(
    config: str | Path | SurveyConfig,
    *,
    client: Client | None = None,
    progress: Progress | bool | None = None,
) -> RunSummary:
    """Run a survey and say how it went, even if nothing could be done; see `run`.

    Parameters
    ----------
    config : path-like or SurveyConfig
        The survey.
    client : dask.distributed.Client, optional
        Its workers do the tiles; by default those that ``compute`` of the survey asks for.
    progress : callable or bool, optional
        See `run`.

    Returns
    -------
    RunSummary
        With the catalogue, unless nothing could be done, and all failures.

    Raises
    ------
    AstrogalaxyError
        If the run cannot start: configuration, weights or run directory are wrong.

    Examples
    --------
    >>> from astrogalaxy.survey import execute
    >>> summary = execute("pipelines/quickstart.yml")
    >>> summary.exit_code, summary.counts["sources"] == len(summary.catalog)
    (0, True)
    """
    if progress is None or isinstance(progress, bool):
        with progress_bar(quiet=not (in_notebook() if progress is None else progress)) as bar:
            return execute(config, client=client, progress=bar or silent)
    started = datetime.now(UTC)
    if not isinstance(config, SurveyConfig):
        config = SurveyConfig.read(config)
    check_client(client)
    weights = open_inputs(config, here=client is None)
    check_targets(config)
    directory = RunDirectory.of(config)
    directory.check()
    with directory.locked(), _logged(directory.log):
        logger.info("run %s in %s", config.name, directory.path)
        for remark in remarks(config):
            logger.warning("%s", remark)
        for folder in (directory.path, *directory.path.glob("tiles/*/")):
            remove_unfinished(folder)
        return _execute(config, weights, directory, client, progress, started)


@dataclass(frozen=True)
class _Run:
    """What the steps of a run share."""

    config: SurveyConfig
    weights: Weights
    directory: RunDirectory
    plan: Plan
    progress: Progress
    watch: Stopwatch

    def tell(self, what: str) -> None:
        """Report what happens after the last tile."""
        self.progress(self.plan.n_tiles, self.plan.n_tiles, what)


def _execute(
    config: SurveyConfig,
    weights: Weights,
    directory: RunDirectory,
    client: Client | None,
    progress: Progress,
    started: datetime,
) -> RunSummary:
    watch, begin = Stopwatch(), perf_counter()
    models = [file_of(name) for name in (config.detection.model, config.morphology.model) if name]
    earlier = Earlier.of(directory)
    not_fetched = _fetch(config, progress)
    progress(0, 0, "reading headers")
    with watch("plan"):
        plan = _plan(config, weights, earlier)
        odd = [*plan.remarks, *earlier.remarks(config.name, plan), *odd_scales(plan)]
        classifier = load_classifier(config.morphology.model).card if config.morphology.model is not None else None
    for remark in odd:
        logger.warning("%s", remark)
    directory.write_settings(config.to_yaml())
    run = _Run(config, weights, directory, plan, progress, watch)
    with Shelf(directory.waiting, given=plan.n_positions is not None) as shelf:
        outcomes, finisher, crew = _do_tiles(run, client, shelf)
        changed = _changed(plan, models)
        of_tiles = (failure for outcome in outcomes for failure in outcome.failures)
        failures = dict.fromkeys([*not_fetched, *plan.failures, *of_tiles, *finisher.failures, *changed])
        record = RunRecord(
            config, weights.card, classifier, plan, started, outcomes, finisher.measured, crew, tuple(failures)
        )
        record, catalogs, tally = _write_catalogs(run, shelf, record)
    record = replace(
        record, seconds=dict(watch.seconds), wall_seconds=perf_counter() - begin, finished=datetime.now(UTC)
    )
    if tally is not None:
        record = _write_report(run, record, tally)
    _close(run, record, earlier)
    tiles = {status: sum(o.status == status for o in outcomes) for status in ("done", "kept", "failed")}
    summary = RunSummary(
        directory.path, catalogs, dict(record.counts), list(record.failures), tiles, record.wall_seconds, odd
    )
    _forget(run, earlier, changed, done=summary.exit_code == 0)
    if summary.exit_code == 0 and not config.output.keep_tiles:
        shutil.rmtree(directory.tiles, ignore_errors=True)
    logger.info("finished in %.1f s, exit code %d", summary.seconds, summary.exit_code)
    return summary


def _plan(config: SurveyConfig, weights: Weights, earlier: Earlier) -> Plan:
    """Plan the run, and log what cannot be done."""
    plan = make_plan(
        config, weights, memory=worker_memory(config.compute),
        known_hashes=known_hashes(earlier.record), known_fields=known_fields(earlier.record, config),
        own=earlier.files,
    )  # fmt: skip
    for failure in plan.failures:
        logger.warning("%s", failure)
    if plan.n_positions is not None:
        logger.info("%d positions given", plan.n_positions)
    return plan


def _forget(run: _Run, earlier: Earlier, changed: Sequence[Failure], *, done: bool) -> None:
    """Remove tiles of what has changed, and of fields that are no longer there."""
    forget_changed(run.directory, run.plan, changed)
    # tiles may belong to another survey, and fields of this one may be missing only for the moment: what the last run
    # still had stays until the next
    if done and earlier.record.get("name") == run.config.name:
        forget_removed(run.directory, run.plan, earlier.vanished(run.config.name, run.plan))


def _changed(plan: Plan, models: Sequence[WeightFile]) -> list[Failure]:
    """What has changed since the plan was made: inputs of fields, and weights, which every field depends on."""
    changed = [failure for field_plan in plan.fields for failure in field_plan.changed()]
    changed += [
        Failure(field_plan.name, "read", f"{file.path}: changed while the run was at work; run again")
        for file in models
        if not file.is_still_there()
        for field_plan in plan.fields
    ]
    for failure in changed:
        logger.warning("%s", failure)
    return changed


def _position_counts(plan: Plan) -> dict[str, int]:
    if plan.n_positions is None:
        return {}
    return {"positions": plan.n_positions, "positions_off_images": plan.n_off}


def _fetch(config: SurveyConfig, progress: Progress) -> list[Failure]:
    """Fetch the images that ``images.archive`` names, and return what could not be fetched."""
    if config.images.archive is None:
        return []
    from astrogalaxy.images.archives import fetch_survey

    try:
        summary = fetch_survey(config.images, progress=progress)
    except ArchiveError as error:
        try:
            find_fields(config.images)
        except ImageError:
            raise error from None  # nor are there images of an earlier fetch
        logger.warning("%s", error)
        return [Failure("(archive)", "fetch", f"{error}; images of an earlier fetch are used")]
    losses = summary.losses if summary else []
    for loss in losses:
        logger.warning("%s", loss)
    return [Failure("(archive)", "fetch", str(loss), band=loss.band) for loss in losses]


def _do_tiles(run: _Run, client: Client | None, shelf: Shelf) -> tuple[list[TileOutcome], Finisher, Crew | None]:
    """Do the tiles that no earlier run has done, and put each field on the shelf as soon as its last tile is done."""
    finisher = Finisher(shelf, run.plan, run.directory, run.weights.card, run.config)
    outcomes: list[TileOutcome] = []
    total = run.plan.n_tiles

    def take(outcome: TileOutcome) -> None:
        """Note what became of a tile, and finish its field if that was the last."""
        outcomes.append(outcome)
        tell(outcome.field)
        with run.watch("merge"):
            finisher.take(outcome)

    def tell(what: str) -> None:
        """Report what happens; workers are waited for here, too."""
        run.progress(len(outcomes), total, what)

    todo = []
    for field_plan, tile, kept in _tiles(run):
        if kept is None:
            todo.append((field_plan, tile))
        else:
            take(kept)
    logger.info("%d tiles, %d of them done by an earlier run", total, total - len(todo))
    return outcomes, finisher, _send(run, todo, client, take, tell) if todo else None


def _tiles(run: _Run) -> Iterator[tuple[FieldPlan, Tile, TileOutcome | None]]:
    """Every tile, with its outcome where an earlier run has done it."""
    for field_plan in run.plan.fields:
        # a damaged file is tried once for all tiles of the field
        readable = cache(partial(can_be_read, field_plan.field, run.config))
        folder = run.directory.shards(field_plan.name)
        for tile in field_plan.tiles:
            key = field_plan.keys[tile.name]
            yield field_plan, tile, kept_tile(field_plan.name, tile, key, folder, field_plan.bands, readable)


def _send(
    run: _Run,
    todo: Sequence[tuple[FieldPlan, Tile]],
    client: Client | None,
    take: Callable[[TileOutcome], None],
    tell: Callable[[str], None],
) -> Crew:
    """Have tiles done by workers; ``take`` is called with each outcome as it comes."""
    name = uuid4().hex
    shapes = {(tile.outer.shape, len(field_plan.bands)) for field_plan, tile in todo}
    need = max(tile_memory(shape, bands, run.config) for shape, bands in shapes)
    for field in {field_plan.name for field_plan, _ in todo}:
        run.directory.shards(field).mkdir(parents=True, exist_ok=True)
    with hired(run.config.compute, tasks=len(todo), need=need, client=client) as crew:
        tasks = [
            TileTask(
                field_plan.field, tile, field_plan.keys[tile.name], field_plan.key, run.config,
                run.directory.shards(field_plan.name), crew.threads, len(field_plan.tiles) == 1,
                None if field_plan.positions is None else field_plan.positions.within(tile.outer),
                name,
            )
            for field_plan, tile in todo
        ]  # fmt: skip
        # those that are started here have what the tiles were cut for, or what the settings say
        have = float("inf") if client is None and run.config.compute.scheduler is None else crew.memory()
        if have < need:
            logger.warning(
                "a tile may need %.1f GB, and a worker has %.1f GB; set compute.memory to what each has",
                need / 1e9, have / 1e9,
            )  # fmt: skip
        for outcome in work_through(crew, tasks, tell):
            _log_outcome(outcome)
            take(outcome)
    forget_fields()
    if not run.directory.log.exists():
        msg = f"{run.directory.path}: was removed while the run was at work; run again"
        raise RunError(msg)
    return crew


def _log_outcome(outcome: TileOutcome) -> None:
    times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in outcome.seconds.items())
    what = f"field {outcome.field}, tile {outcome.tile}: {outcome.status}"
    logger.info("%s, %d sources (%s)", what, outcome.sources, times)
    for failure in outcome.failures:
        logger.warning("%s", failure)


def _write_catalogs(run: _Run, shelf: Shelf, record: RunRecord) -> tuple[RunRecord, list[Path], Tally | None]:
    """Join the fields and write the catalogue; record its counts and what could not be written."""
    if not len(shelf):
        return record, [], None
    run.tell("merging")
    try:
        with run.watch("catalog"):
            n, duplicates, chunks = shelf.join()
            tally = Tally(n)
            # a field that could not be joined is not in the catalogue, whatever its tiles
            outcomes = [outcome for outcome in record.outcomes if outcome.field in record.measured]
            files, unwritten = write_products(
                tally.watch(chunks), record.provenance(), run.config, run.directory, run.plan, outcomes
            )
    except Exception as error:  # noqa: BLE001 (what was done must still be recorded)
        files, unwritten = [], [Failure("(catalogue)", "write", reason_of(error, "the catalogue"))]
    record = record.failed(*unwritten)
    if not files:
        return record, [], None
    counts = {**tally.counts, "duplicates": duplicates, **_position_counts(run.plan)}
    with run.watch("catalog"):
        area = searched_area(run.plan, outcomes, run.config)
    record = replace(record, counts=counts, sources=tally.fields, area=area, files=listing(files))
    return record, files, tally


def _write_report(run: _Run, record: RunRecord, tally: Tally) -> RunRecord:
    """Write the table of fields and the report, or record why there is none."""
    run.tell("writing the report")

    @cache
    def facts() -> tuple[SourceCatalog, list[FieldFacts]]:
        """Sample of the catalogue, and facts of the fields: made once for both, where either may fail."""
        sample = tally.sample
        return sample, field_facts(record.to_dict(), sample)

    def table() -> None:
        """Write the table."""
        write_fields(run.directory.fields, facts()[1], run.config.images.bands)

    def page() -> None:
        """Write the report, which shows that the table could not be written, too."""
        _report(run.directory, record, *facts(), step=tally.step)

    for stage, what, path, write in (
        ("fields", "table of fields", run.directory.fields, table), ("report", "report", run.directory.report, page)
    ):  # fmt: skip
        try:
            with run.watch("report"):
                write()
        except Exception as error:  # noqa: BLE001 (the catalogue is there, and what was done must still be recorded)
            record = record.failed(Failure("(report)", stage, f"no {what}: {reason_of(error, f'the {what}')}"))
        else:
            record = replace(record, files=[*record.files, *listing([path])])
    return replace(record, seconds=dict(run.watch.seconds))


def _close(run: _Run, record: RunRecord, earlier: Earlier) -> None:
    """Write the failures, remove what an earlier run wrote and this one did not, and write the record last of all."""
    directory, config = run.directory, run.config
    try:
        write_failures(directory.failures, record.failures)
        record = replace(record, files=[*record.files, *listing([directory.settings, directory.failures])])
        keep = [*named_files(config), *directory.targets(config.output.formats)]
        left = earlier.remove(config.name, record.files, keep, made=bool(record.counts))
        record = replace(record, earlier_files=listing(left))
    finally:
        directory.write_json(record.to_dict())


def _report(
    directory: RunDirectory, record: RunRecord, sample: SourceCatalog, facts: Sequence[FieldFacts], *, step: int
) -> None:
    from astrogalaxy.survey.gallery import Gallery
    from astrogalaxy.survey.preview import StoredPreviews
    from astrogalaxy.survey.report import write_report

    fields = record.plan.fields
    done = {(o.field, o.tile) for o in record.outcomes if o.status != "failed"}

    def files(field_plan: FieldPlan, content: TileContent) -> list[Path]:
        """Those of tiles that are done; of a tile that failed they are of an earlier run."""
        folder = directory.shards(field_plan.name)
        names = [tile.name for tile in field_plan.tiles if (field_plan.name, tile.name) in done]
        return [tile_path(folder, name, content) for name in names]

    previews = StoredPreviews({f.name: [path for path in files(f, "preview") if path.is_file()] for f in fields})
    galleries = filter(None, (Gallery.load(path) for f in fields for path in files(f, "gallery")))
    # those of an earlier run with a classifier may still be there
    gallery = Gallery.join(galleries) if record.classifier is not None else None
    write_report(
        directory.report, run=record.to_dict(), catalog=sample, facts=facts, previews=previews, gallery=gallery,
        step=step,
    )  # fmt: skip


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write what the package logs to the run's log file, without other handlers getting more of it than before."""
    handler = LogHandler(path)
    package = logging.getLogger("astrogalaxy")
    level, wanted = package.level, package.getEffectiveLevel()

    def asked_for(record: logging.LogRecord) -> bool:
        """Whether other handlers would have got the record without the log file."""
        return record.levelno >= wanted or not record.name.startswith("astrogalaxy")

    others = [*package.handlers, *logging.getLogger().handlers]
    for other in others:
        other.addFilter(asked_for)
    package.addHandler(handler)
    package.setLevel(min(wanted, logging.INFO))
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
        for other in others:
            other.removeFilter(asked_for)
        handler.close()
