"""Verbs of a survey: run, check, init."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrogalaxy.cli.common import (
    FAILED,
    PARTLY,
    LogFile,
    Quiet,
    Verbose,
    check_target,
    interruptible,
    progress_bar,
    short,
    warn,
)

if TYPE_CHECKING:
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.models import WeightCard
    from astrogalaxy.survey.plan import Plan
    from astrogalaxy.survey.summary import RunSummary

__all__ = ["check", "init", "run"]

_BELIEVE_LESS = "scores and classes are less reliable (flag outside_weight)"
# `check` prints a line for each of so many fields.
_MOST_FIELDS = 100


def run(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.yml", help="The survey to run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output directory, instead of the one in the file.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-j", min=1, help="Number of worker processes.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Turn a survey's images into one catalogue, with a report."""
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.survey.opening import remarks
    from astrogalaxy.survey.run import execute

    config = SurveyConfig.read(survey)
    changes: dict[str, dict[str, object]] = {
        "compute": {"workers": workers, "scheduler": scheduler},
        "output": {"directory": None if output is None else str(output.resolve())},
    }
    given = {name: {k: v for k, v in keys.items() if v is not None} for name, keys in changes.items()}
    config = config.replaced(source="command line", **{name: keys for name, keys in given.items() if keys})
    for remark in () if quiet else remarks(config):
        warn(remark)
    with interruptible("finished tiles are kept, and the same command does the rest"), progress_bar(quiet=quiet) as bar:
        summary = execute(config, progress=bar)
    _print_summary(summary, quiet=quiet)
    raise typer.Exit(summary.exit_code)


def _print_summary(summary: RunSummary, *, quiet: bool) -> None:
    for remark in () if quiet else summary.remarks:
        warn(remark)
    for failure in summary.failures:
        typer.secho(f"failed: {failure}", fg="red", err=True)
    if not summary.counts:
        first = f" (first: {summary.failures[0]})" if summary.failures else ""
        typer.secho(f"error: nothing could be done{first}; see {summary.directory / 'run.log'}", fg="red", err=True)
        return
    if quiet:
        return
    counts, tiles = summary.counts, summary.tiles
    typer.echo(
        f"{counts['sources']} sources: {counts['stars']} stars, {counts['galaxies']} galaxies, "
        f"{counts['unsure']} unsure"
    )
    outside = counts["flags"].get("outside_weight", 0)
    if outside:
        which = "all" if outside == counts["sources"] else str(outside)
        warn(f"{which} of them are on images unlike those that the weights were trained on: {_BELIEVE_LESS}")
    kept = f", {tiles['kept']} kept from before" if tiles.get("kept") else ""
    done = f"{tiles['done']} tile{'s'[: tiles['done'] != 1]} done"
    typer.echo(f"{done}{kept}, {tiles['failed']} failed, in {summary.seconds:.1f} s")
    for path in summary.written:
        typer.echo(f"  {short(path)}")
    if summary.failures:
        typer.echo(f"  {short(summary.directory / 'failures.ecsv')}")


def check(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.yml", help="The survey to check.")],
) -> None:
    """Open every input and print the plan, without running it."""
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.survey.cluster import worker_memory
    from astrogalaxy.survey.leftovers import Earlier
    from astrogalaxy.survey.opening import check_targets, open_inputs, remarks
    from astrogalaxy.survey.plan import make_plan
    from astrogalaxy.survey.scales import odd_scales
    from astrogalaxy.survey.store import RunDirectory

    config = SurveyConfig.read(survey)
    weights = open_inputs(config)
    for remark in remarks(config):
        warn(remark)
    check_targets(config)
    directory = RunDirectory.of(config)
    directory.check()
    earlier = Earlier.of(directory)
    plan = make_plan(config, weights, memory=worker_memory(config.compute), own=earlier.files, contents=False)
    _print_plan(plan, config, weights.card)
    for remark in (*plan.remarks, *earlier.remarks(config.name, plan), *odd_scales(plan)):
        warn(remark)
    for failure in plan.failures:
        typer.secho(f"problem: {failure}", fg="red", err=True)
    if plan.failures:
        raise typer.Exit(PARTLY if plan.n_tiles else FAILED)


def _print_plan(plan: Plan, config: SurveyConfig, card: WeightCard) -> None:
    """Fields, and what the run will need."""
    from astrogalaxy.devices import choose_placement
    from astrogalaxy.survey.estimate import estimate
    from astrogalaxy.survey.scales import zeropoint_ranges

    for field in plan.fields[:_MOST_FIELDS]:
        (ny, nx), side = field.headers.shape, field.headers.pixel_scale
        scale = f", {side:.3g} arcsec per pixel" if side > 0 else ""
        tiles = f"{len(field.tiles)} tile{'s'[: len(field.tiles) != 1]}"
        what = f"{nx} x {ny} pixels, {tiles}{scale}" if field.tiles else "cannot be done"
        typer.echo(f"{field.name}: {' '.join(field.bands) or 'no band'}: {what}")
    if len(plan.fields) > _MOST_FIELDS:
        typer.echo(f"and {len(plan.fields) - _MOST_FIELDS} more fields")
    need = estimate(plan, config)
    left = f", {need.todo / 1e6:.1f} of them to do" if need.todo != need.pixels else ""
    fields = f"{len(plan.fields)} field{'s'[: len(plan.fields) != 1]}"
    tiles = f"{plan.n_tiles} tile{'s'[: plan.n_tiles != 1]}"
    typer.echo(f"{fields}, {tiles}, {need.pixels / 1e6:.1f} million pixels{left}")
    typer.echo(f"weights:  {card.name} {card.version}")
    outside = sum(card.is_outside(field.headers.pixel_scale) for field in plan.fields)
    if outside:
        low, high = card.pixel_scale
        which = "every field" if outside == len(plan.fields) else f"{outside} of the fields"
        trained = f"the range of {low:g} to {high:g} arcsec that these weights were trained on"
        warn(f"the pixel scale of {which} is outside {trained}: {_BELIEVE_LESS}")
    zero = config.images.zeropoint
    typer.echo(
        f"fluxes:   {'in image units (images.zeropoint is not set)' if zero is None else 'in nJy, magnitudes AB'}"
    )
    if zero is None and (told := _told_zeropoint(plan, config)):
        warn(told)
    for band, (low, high) in zeropoint_ranges(plan).items():
        typer.echo(f"          zero points in {band}: {low:.2f} to {high:.2f}")
    where = config.compute.scheduler or f"{need.workers} worker{'s'[: need.workers != 1]} here"
    more = " (more around large galaxies)" if any(len(field.tiles) > 1 for field in plan.fields) else ""
    memory = f"{need.memory / 1e9:.1f} GB{more} and may have {need.allowed / 1e9:.1f} GB"
    typer.echo(f"workers:  {where}, each needs {memory}")
    if need.memory > need.allowed:
        warn("a worker may need more memory than it may have, and be killed: see compute.memory and compute.workers")
    if config.compute.scheduler is None:
        typer.echo(f"networks: {choose_placement(config.compute.device, config.compute.precision)}")
    if need.seconds > 0:
        basis = "at the speed of the last run here" if need.measured else "a rough guess"
        typer.echo(f"time:     about {_duration(need.seconds)} ({basis})")
    typer.echo(f"output:   {short(Path(config.output.directory))}")


def _told_zeropoint(plan: Plan, config: SurveyConfig) -> str:
    """What the unit of the first field's reference image says of its zero point, if nobody has asked for one."""
    from astrogalaxy.images.fields import open_field

    reference = str(config.images.reference)
    first = next((field.field for field in plan.fields if reference in field.bands), None)
    if first is None:
        return ""
    return open_field(first, config.images, bands=[reference]).bands[reference].zeropoint_remark


def _duration(seconds: float) -> str:
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def init(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="PIPELINE", help="Ready-made pipeline to start from, such as sdss.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("survey.yml"),
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
) -> None:
    """Write a survey.yml in which every key is explained."""
    from astrogalaxy.config import commented_yaml, presets
    from astrogalaxy.files import write_text

    text = commented_yaml(pipeline)
    check_target(output, force=force)
    write_text(output, text)
    typer.echo(f"wrote {output}; edit it, then: astrogalaxy check {output}")
    if pipeline is None:
        typer.echo(f"ready-made pipelines to start from: {', '.join(presets())}")
