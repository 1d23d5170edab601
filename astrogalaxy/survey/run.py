"""Run a survey: plan, send tiles to Dask, merge, write, report."""

from __future__ import annotations

import json
import logging
import math
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from astrogalaxy.catalog import SourceCatalog, count_flags, provenance
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ArchiveError, AstrogalaxyError, ImageError, RunError
from astrogalaxy.images.fields import find_fields
from astrogalaxy.models import WeightCard, Weights, load_classifier, load_weights
from astrogalaxy.progress import Progress, in_notebook, progress_bar
from astrogalaxy.survey.cluster import Crew, hired, worker_memory
from astrogalaxy.survey.failures import Failure, write_failures
from astrogalaxy.survey.merge import TileCatalog, merge_fields, merge_tiles
from astrogalaxy.survey.notebook import summary_html
from astrogalaxy.survey.plan import FieldPlan, Plan, make_plan
from astrogalaxy.survey.positions import given_rows
from astrogalaxy.survey.products import write_products
from astrogalaxy.survey.scheduling import work_through
from astrogalaxy.survey.stages import QUALITY, Stopwatch, check_field, classify
from astrogalaxy.survey.store import RunDirectory
from astrogalaxy.survey.tasks import TileOutcome, TileTask, forget_fields, read_shard, shard_failures

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["RunSummary", "execute", "run"]

logger = logging.getLogger(__name__)

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes
    ----------
    directory : Path
        The run directory.
    files : list of Path
        Catalogues written.
    counts : dict
        Sources, stars, galaxies, unsure, duplicates.
    failures : list of Failure
        What could not be done.
    tiles : dict of str to int
        Tiles by status: done, kept, failed.
    seconds : float
        Wall time.
    catalog : SourceCatalog or None
        The catalogue; None if nothing could be done.
    """

    directory: Path
    files: list[Path] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    tiles: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    catalog: SourceCatalog | None = None

    @property
    def exit_code(self) -> int:
        """0: all done; 1: nothing could be done; 3: a catalogue, but something failed."""
        if self.catalog is None:
            return 1
        return 3 if self.failures else 0

    def _repr_html_(self) -> str:
        """What was done, with links to the files, for notebooks."""
        return summary_html(self)


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
        If the configuration is wrong.
    RunError
        If nothing could be done. What failed in part is logged as warnings and listed in
        ``failures.ecsv``.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> catalog = ag.run("pipelines/quickstart.yml")  # doctest: +SKIP
    """
    summary = execute(config, client=client, progress=progress)
    if summary.catalog is None:
        first = summary.failures[0] if summary.failures else "no tile was done"
        msg = f"nothing could be done: {first}; see {summary.directory / 'run.log'}"
        raise RunError(msg)
    return summary.catalog


def execute(
    config: str | Path | SurveyConfig,
    *,
    client: Client | None = None,
    progress: Progress | bool | None = None,
) -> RunSummary:
    """Run a survey and say how it went; see `run`."""
    if progress is None or isinstance(progress, bool):
        with progress_bar(quiet=not (in_notebook() if progress is None else progress)) as bar:
            return execute(config, client=client, progress=bar or _silent)
    started = datetime.now(UTC)
    if not isinstance(config, SurveyConfig):
        config = SurveyConfig.read(config)
    weights = load_weights(config.detection.model)
    directory = RunDirectory(Path(config.output.directory), config.name)
    with directory.locked(), _logged(directory.log):
        logger.info("run %s in %s", config.name, directory.path)
        return _execute(config, weights, directory, client, progress, started)


def _execute(
    config: SurveyConfig,
    weights: Weights,
    directory: RunDirectory,
    client: Client | None,
    progress: Progress,
    started: datetime,
) -> RunSummary:
    watch, begin = Stopwatch(), perf_counter()
    not_fetched = _fetch(config, progress)
    progress(0, 0, "reading headers")
    plan = make_plan(config, weights, memory=worker_memory(config.compute), known_hashes=_known_hashes(directory))
    for failure in plan.failures:
        logger.warning("%s", failure)
    if plan.n_positions is not None:
        off = plan.n_positions - plan.n_placed
        logger.info("%d positions given, %d of them off every image", plan.n_positions, off)
    directory.write_text(directory.path / "survey.yml", config.to_yaml())
    outcomes, crew = _work(plan, config, directory, client, progress)
    failures = [*not_fetched, *plan.failures, *(f for o in outcomes for f in o.failures)]
    failures = list(dict.fromkeys(failures))
    progress(plan.n_tiles, plan.n_tiles, "merging")
    with watch("merge"):
        catalog, duplicates, measured = _merge(plan, outcomes, directory, weights.card, config)
    summary = RunSummary(directory.path, failures=failures, tiles=_by_status(outcomes), seconds=perf_counter() - begin)
    record = _record(config, weights, plan, outcomes, failures, crew, started)
    if config.morphology.model is not None:
        classifier = load_classifier(config.morphology.model).card
        record["classifier"] = {n: getattr(classifier, n) for n in ("name", "version", "sha256", "classes", "metrics")}
    for entry in record["fields"]:
        entry["measured"] = measured.get(entry["name"])
    if catalog is not None:
        progress(plan.n_tiles, plan.n_tiles, "writing the catalogue")
        with watch("catalog"):
            catalog.meta = _meta(config, weights, record)
            files, unwritten = write_products(catalog, config, directory, plan, outcomes)
        failures += unwritten
        record["failures"] += [asdict(f) for f in unwritten]
        counts = _counts(catalog, duplicates)
        if plan.n_positions is not None:
            counts["positions"] = plan.n_positions
            counts["positions_off_images"] = plan.n_positions - plan.n_placed
        record["counts"] = counts
        summary = RunSummary(directory.path, files, counts, failures, summary.tiles, perf_counter() - begin, catalog)
    _finish(directory, record, summary, plan, watch, progress)
    if catalog is not None and not config.output.keep_tiles:
        shutil.rmtree(directory.path / "tiles", ignore_errors=True)
    logger.info("finished in %.1f s, exit code %d", summary.seconds, summary.exit_code)
    return summary


def _fetch(config: SurveyConfig, progress: Progress) -> list[Failure]:
    """Bring the images that ``images.archive`` names; what did not come."""
    if config.images.archive is None:
        return []
    from astrogalaxy.images.archives import fetch_survey

    try:
        summary = fetch_survey(config.images, progress=progress)
    except ArchiveError as error:
        try:
            find_fields(config.images)
        except ImageError:
            raise error from None  # there is nothing from before either
        logger.warning("%s", error)
        return [Failure("(archive)", "fetch", f"{error}; images of an earlier fetch are used")]
    losses = summary.losses if summary else []
    for loss in losses:
        logger.warning("%s", loss)
    return [Failure("(archive)", "fetch", str(loss), band=loss.band) for loss in losses]


def _work(
    plan: Plan, config: SurveyConfig, directory: RunDirectory, client: Client | None, progress: Progress
) -> tuple[list[TileOutcome], Crew | None]:
    """Do the tiles that no earlier run has done."""
    kept, todo = [], []
    for field_plan in plan.fields:
        folder = directory.shards(field_plan.name)
        for tile in field_plan.tiles:
            key = field_plan.keys[tile.name]
            shard = read_shard(folder / f"{tile.name}.fits", key)
            if shard is not None:
                ny, nx = tile.core.shape
                kept.append(
                    TileOutcome(
                        field_plan.name, tile.name, key, "kept", len(shard), ny * nx,
                        failures=shard_failures(shard),
                    )
                )  # fmt: skip
            else:
                todo.append((field_plan, tile))
    logger.info("%d tiles, %d of them done by an earlier run", plan.n_tiles, len(kept))
    progress(len(kept), plan.n_tiles, "")
    if not todo:
        return kept, None
    with hired(config.compute, tasks=len(todo), client=client) as crew:
        tasks = [
            TileTask(
                field_plan.field, tile, field_plan.keys[tile.name], field_plan.key, config,
                directory.shards(field_plan.name), crew.threads, len(field_plan.tiles) == 1,
                None if field_plan.positions is None else field_plan.positions.within(tile.outer),
            )
            for field_plan, tile in todo
        ]  # fmt: skip
        outcomes = list(kept)
        for outcome in work_through(crew, tasks):
            outcomes.append(outcome)
            _log_outcome(outcome)
            progress(len(outcomes), plan.n_tiles, outcome.field)
    forget_fields()
    return outcomes, crew


def _log_outcome(outcome: TileOutcome) -> None:
    times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in outcome.seconds.items())
    what = f"field {outcome.field}, tile {outcome.tile}: {outcome.status}"
    logger.info("%s, %d sources (%s)", what, outcome.sources, times)
    for failure in outcome.failures:
        logger.warning("%s", failure)


def _merge(
    plan: Plan, outcomes: list[TileOutcome], directory: RunDirectory, card: WeightCard, config: SurveyConfig
) -> tuple[SourceCatalog | None, int, dict[str, Any]]:
    """Join each field's tiles, classify its sources, and join the fields; and what each field's stars say of it."""
    measured: dict[str, Any] = {}
    done = {(o.field, o.tile) for o in outcomes if o.status != "failed"}
    fields = []
    for field_plan in plan.fields:
        tiles = []
        for tile in field_plan.tiles:
            if (field_plan.name, tile.name) not in done:
                continue
            path = directory.shards(field_plan.name) / f"{tile.name}.fits"
            shard = read_shard(path, field_plan.keys[tile.name])
            if shard is None:
                msg = f"{path}: the shard vanished while the run went on; run again"
                raise RunError(msg)
            shard.meta.clear()
            tiles.append(TileCatalog(tile, shard))
        if tiles:
            catalog = classify(merge_tiles(tiles), card, min_snr=config.morphology.min_snr)
            measured[field_plan.name] = json.loads(catalog.meta.pop(QUALITY))
            measured[field_plan.name]["astrometry"] = check_field(catalog, config.astrometry)
            fields.append(catalog if field_plan.positions is None else given_rows(catalog))
    if not fields:
        return None, 0, measured
    return *merge_fields(fields), measured


def _finish(
    directory: RunDirectory,
    record: dict[str, Any],
    summary: RunSummary,
    plan: Plan,
    watch: Stopwatch,
    progress: Progress,
) -> None:
    """Failures, report and record; the record last, as the sign that all is written."""
    write_failures(directory.failures, summary.failures)
    record["seconds"].update(watch.seconds)
    record["wall_seconds"] = summary.seconds
    record["status"] = {0: "complete", 1: "failed", 3: "partial"}[summary.exit_code]
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    if summary.catalog is not None:
        progress(plan.n_tiles, plan.n_tiles, "writing the report")
        try:
            with watch("report"):
                _report(directory, record, summary.catalog, plan)
        except AstrogalaxyError as error:
            logger.warning("no report: %s", error)
        record["seconds"].update(watch.seconds)
    directory.write_json(record)


def _report(directory: RunDirectory, record: dict[str, Any], catalog: SourceCatalog, plan: Plan) -> None:
    from astrogalaxy.survey.gallery import Gallery
    from astrogalaxy.survey.preview import StoredPreviews
    from astrogalaxy.survey.report import write_report

    paths = {
        field_plan.name: [directory.shards(field_plan.name) / f"{tile.name}.preview.npz" for tile in field_plan.tiles]
        for field_plan in plan.fields
    }
    previews = StoredPreviews({name: [p for p in files if p.is_file()] for name, files in paths.items()})
    done = {(tile["field"], tile["tile"]) for tile in record["tiles"] if tile["status"] != "failed"}
    galleries = [
        gallery
        for field_plan in plan.fields
        for tile in field_plan.tiles
        # what a failed tile left behind is of an earlier run
        if (field_plan.name, tile.name) in done
        and (gallery := Gallery.load(directory.shards(field_plan.name) / f"{tile.name}.gallery.npz"))
    ]
    # of an earlier run with a classifier they may still be there
    gallery = Gallery.join(galleries) if "classifier" in record else None
    write_report(directory.report, run=record, catalog=catalog, previews=previews, gallery=gallery)


def _record(
    config: SurveyConfig,
    weights: Weights,
    plan: Plan,
    outcomes: list[TileOutcome],
    failures: list[Failure],
    crew: Crew | None,
    started: datetime,
) -> dict[str, Any]:
    """Everything that ``run.json`` holds but counts and the times of the end."""
    seconds: dict[str, float] = {}
    for outcome in outcomes:
        for stage, value in outcome.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return {
        "format": 1,
        "name": config.name,
        "status": "running",
        "started": started.isoformat(timespec="seconds"),
        "versions": _versions(),
        "weights": {n: getattr(weights.card, n) for n in ("name", "version", "sha256", "metrics", "reliability")},
        "config_sha256": config.digest(),
        "bands": list(config.images.bands),
        "reference": config.images.reference,
        "workers": crew.workers if crew else 0,
        "threads": crew.threads if crew else 0,
        "device": config.compute.device,
        "fields": [_field_record(f, failures, outcomes) for f in plan.fields],
        "tiles": [_tile_record(o) for o in outcomes],
        "failures": [asdict(f) for f in failures],
        "seconds": seconds,
        "counts": {},
    }


def _field_record(plan: FieldPlan, failures: list[Failure], outcomes: list[TileOutcome]) -> dict[str, Any]:
    done = [o for o in outcomes if o.field == plan.name and o.status != "failed"]
    flawed = any(f.field == plan.name for f in failures)
    status = "failed" if not done else "partial" if flawed or len(done) < len(plan.tiles) else "done"
    lost = {f.band for f in failures if f.field == plan.name and f.band}
    return {
        "name": plan.name,
        "status": status,
        "bands": [b for b in plan.bands if b not in lost],
        "shape": list(plan.shape) if plan.tiles else None,
        "pixel_scale": plan.pixel_scale if math.isfinite(plan.pixel_scale) else None,
        "inputs": {band: _input_record(path, plan) for band, path in plan.field.paths.items()},
    }


def _input_record(path: Path, plan: FieldPlan) -> dict[str, Any]:
    status = path.stat()
    return {
        "path": str(path),
        "sha256": plan.inputs.get(path, ""),
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def _tile_record(outcome: TileOutcome) -> dict[str, Any]:
    record = asdict(outcome)
    del record["failures"]
    record["seconds"] = {stage: round(value, 4) for stage, value in outcome.seconds.items()}
    return record


def _known_hashes(directory: RunDirectory) -> dict[str, tuple[int, int, str]]:
    """Hashes of inputs from an earlier run, with what tells that a file is still the same."""
    known = {}
    for field_record in directory.read_json().get("fields", []):
        for entry in field_record.get("inputs", {}).values():
            if entry.get("sha256") and "mtime_ns" in entry:
                known[entry["path"]] = (entry["bytes"], entry["mtime_ns"], entry["sha256"])
    return known


def _meta(config: SurveyConfig, weights: Weights, record: dict[str, Any]) -> dict[str, Any]:
    hashes = [entry["sha256"][:16] for f in record["fields"] for entry in f["inputs"].values()]
    return provenance(
        SURVEY=config.name, CFGHASH=config.digest(), WTSHASH=weights.card.sha256,
        WEIGHTS=f"{weights.card.name} {weights.card.version}", NFIELDS=len(record["fields"]),
        NFAILED=len(record["failures"]), INHASHES=",".join(hashes),
    )  # fmt: skip


def _counts(catalog: SourceCatalog, duplicates: int) -> dict[str, Any]:
    kinds = {name: int((catalog["class"] == name).sum()) for name in ("star", "galaxy", "unsure")}
    return {
        "sources": len(catalog),
        "stars": kinds["star"],
        "galaxies": kinds["galaxy"],
        "unsure": kinds["unsure"],
        "duplicates": duplicates,
        "flags": {name: int(n) for name, n in count_flags(catalog["flags"]).items()},
    }


def _by_status(outcomes: list[TileOutcome]) -> dict[str, int]:
    return {s: sum(o.status == s for o in outcomes) for s in ("done", "kept", "failed")}


def _versions() -> dict[str, str]:
    entries = str(provenance()["SOFTWARE"]).split(", ")
    versions = dict(entry.split(" ", 1) for entry in entries)
    return {"astrogalaxy": str(provenance()["CREATOR"]).split()[-1], **versions, "system": platform.platform()}


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write what the package logs to the run's own log file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    package = logging.getLogger("astrogalaxy")
    level = package.level
    package.addHandler(handler)
    package.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
        handler.close()


def _silent(_done: int, _total: int, _what: str) -> None:
    """No progress wanted."""
