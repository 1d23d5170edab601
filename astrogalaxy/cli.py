"""The command line: one thin function per verb; the work is done elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from astrogalaxy.errors import AstrogalaxyError, ConfigError

if TYPE_CHECKING:
    from astrogalaxy.config import RecipeConfig
    from astrogalaxy.evaluation.recipes import RecipeScore
    from astrogalaxy.survey.run import Progress, RunSummary

__all__ = ["app", "main"]

app = typer.Typer(
    name="astrogalaxy",
    help="From a survey's FITS images to one catalogue of stars and galaxies.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(help="Weight files: what there is, and what they are good for.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")

# Exit codes: 0 done, 1 nothing could be done, 2 the command or configuration is wrong, 3 partly done.
_FAILED, _WRONG, _PARTLY, _INTERRUPTED = 1, 2, 3, 130


def main() -> None:
    """Run the command line; errors meant for the user are one line, not a traceback."""
    try:
        app()
    except ConfigError as error:
        _stop(str(error), _WRONG)
    except AstrogalaxyError as error:
        _stop(str(error), _FAILED)
    except KeyboardInterrupt:
        _stop("stopped; the same command goes on where this one was", _INTERRUPTED)


def _stop(message: str, code: int) -> None:
    typer.secho("\n".join(f"error: {line}" for line in message.splitlines()), fg="red", err=True)
    raise SystemExit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"astrogalaxy {version('astrogalaxy')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to the terminal too.")] = False,
) -> None:
    """Options of every verb."""
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


@app.command(epilog="Example: astrogalaxy run pipelines/quickstart.yml")
def run(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.yml", help="What to run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output directory instead of the file's.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-j", min=1, help="Worker processes.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Turn a survey's images into one catalogue, with a report."""
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.survey.run import execute

    config = SurveyConfig.read(survey)
    compute = {k: v for k, v in {"workers": workers, "scheduler": scheduler}.items() if v is not None}
    if compute:
        config = config.model_copy(update={"compute": config.compute.model_copy(update=compute)})
    if output is not None:
        moved = config.output.model_copy(update={"directory": str(output.resolve())})
        config = config.model_copy(update={"output": moved})
    with _progress(quiet=quiet) as progress:
        summary = execute(config, progress=progress)
    _print_summary(summary)
    raise typer.Exit(summary.exit_code)


def _print_summary(summary: RunSummary) -> None:
    for failure in summary.failures:
        typer.secho(f"failed: {failure}", fg="red", err=True)
    if summary.catalog is None:
        typer.secho(f"error: nothing could be done; see {summary.directory / 'run.log'}", fg="red", err=True)
        return
    counts, tiles = summary.counts, summary.tiles
    typer.echo(
        f"{counts['sources']} sources: {counts['stars']} stars, {counts['galaxies']} galaxies, "
        f"{counts['unsure']} unsure"
    )
    kept = f", {tiles['kept']} kept from before" if tiles.get("kept") else ""
    typer.echo(f"{tiles['done']} tiles done{kept}, {tiles['failed']} failed, in {summary.seconds:.1f} s")
    for path in (*summary.files, summary.directory / "report.html"):
        typer.echo(f"  {_short(path)}")
    if summary.failures:
        typer.echo(f"  {_short(summary.directory / 'failures.ecsv')}")


def _short(path: Path) -> Path:
    """The path from here where it lies below, else the whole."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


@contextmanager
def _progress(*, quiet: bool = False, unit: str = "tiles") -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere; the log file tells the rest."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(unit),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total or None, description=what)

        yield progress


@app.command(epilog="Example: astrogalaxy check pipelines/quickstart.yml")
def check(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.yml", help="What would be run.")],
) -> None:
    """Open every input and print the plan; run nothing."""
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.models import load_weights
    from astrogalaxy.survey.cluster import worker_memory
    from astrogalaxy.survey.plan import make_plan

    config = SurveyConfig.read(survey)
    weights = load_weights(config.detection.model)
    plan = make_plan(config, weights, memory=worker_memory(config.compute))
    for field in plan.fields:
        ny, nx = field.shape
        what = (
            f"{nx} x {ny} pixels, {len(field.tiles)} tile{'s'[: len(field.tiles) != 1]}"
            if field.tiles
            else "cannot be done"
        )
        typer.echo(f"{field.name}: {' '.join(field.bands) or 'no band'}: {what}")
    typer.echo(f"{len(plan.fields)} fields, {plan.n_tiles} tiles, weights {weights.card.name} {weights.card.version}")
    typer.echo(f"output: {config.output.directory}")
    for failure in plan.failures:
        typer.secho(f"problem: {failure}", fg="red", err=True)
    if plan.failures:
        raise typer.Exit(3 if plan.n_tiles else _FAILED)


@app.command(epilog="Example: astrogalaxy init sdss -o survey.yml")
def init(
    pipeline: Annotated[str | None, typer.Argument(help="A ready pipeline to start from, such as sdss.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("survey.yml"),
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented survey.yml."""
    from astrogalaxy.config import commented_yaml, presets
    from astrogalaxy.files import atomic_path

    text = commented_yaml(pipeline)
    if output.exists() and not force:
        msg = f"{output} exists; give another name with --output, or --force"
        raise ConfigError(msg)
    with atomic_path(output) as path:
        path.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {output}; edit it, then: astrogalaxy check {output}")
    if pipeline is None:
        typer.echo(f"ready pipelines to start from: {', '.join(presets())}")


@app.command(epilog="Example: astrogalaxy simulate sdss --size 256 --seed 3 -o scene")
def simulate(
    survey: Annotated[str, typer.Argument(help="Survey to imitate: sdss, decam, hsc or panstarrs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("scene"),
    size: Annotated[int, typer.Option(min=32, help="Side in pixels.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same scene.")] = 0,
    artefacts: Annotated[bool, typer.Option(help="Cosmic rays, trails and bad columns now and then.")] = True,
    compress: Annotated[bool, typer.Option("--compress", help="Rice-compress the images.")] = False,
    name: Annotated[str | None, typer.Option(help="Start of the files' names.")] = None,
) -> None:
    """Simulate a field: FITS images of each band, the truth, and a survey.yml to run."""
    from astrogalaxy.simulation import PROFILES, simulate_scene
    from astrogalaxy.simulation.write import write_scene

    if survey not in PROFILES:
        msg = f"no survey {survey!r} to imitate; choose from {', '.join(PROFILES)}"
        raise ConfigError(msg)
    scene = simulate_scene(PROFILES[survey], size=size, seed=seed, artefacts=artefacts, accurate=True)
    for path in write_scene(scene, output, name=name or f"{survey}-{seed}", compress=compress):
        typer.echo(str(path))


@app.command(epilog="Example: astrogalaxy train pipelines/recipes/astroyolo-nano-simulated.yml")
def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE.yml", help="What to train; with --truth the survey.yml of your images.")
    ],
    truth: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Go on from the survey's weights on these labels: x, y or ra, dec; class."),
    ] = None,
    field: Annotated[str | None, typer.Option(help="With --truth: the labelled field, if there are several.")] = None,
    name: Annotated[str | None, typer.Option(help="With --truth: name of the new weights.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="With --truth: longest training.")] = 1500,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint, if there is one.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Train a recipe to a calibrated weight file; interrupted, the same command goes on.

    With --truth, weights are tuned to labelled images of your own: the recipe is made from the
    survey.yml, and left in runs/NAME/recipe.yml to be changed and trained again.
    """
    _need("lightning", "train")
    from astrogalaxy.config import RecipeConfig, SurveyConfig
    from astrogalaxy.training.train import train as train_recipe

    command = f"astrogalaxy train {recipe}"
    if truth is None:
        config = RecipeConfig.read(recipe)
    else:
        from astrogalaxy.training.finetune import fine_tune_recipe

        config = fine_tune_recipe(SurveyConfig.read(recipe), truth, name=name, field=field, steps=steps)
        command += f" --truth {truth}"
    with _progress(quiet=quiet) as progress:
        made = None if progress is None else lambda done, total: progress(done, total, "making examples")
        trained = train_recipe(config, command=command, resume=resume, progress=made, callbacks=_bar(progress))
    for metric, value in trained.metrics.items():
        typer.echo(f"{metric:28} {value:.4f}")
    typer.echo(
        f"wrote {_short(trained.weights.path)}; use it with detection: {{model: {_short(trained.weights.path)}}}"
    )


def _bar(progress: Progress | None) -> list[Any]:
    """Show optimiser steps on the same bar."""
    if progress is None:
        return []
    from lightning.pytorch.callbacks import Callback

    class Steps(Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            loss = float(trainer.callback_metrics.get("train_total", float("nan")))
            progress(trainer.global_step, trainer.max_steps, f"step, loss {loss:.3f}")

    return [Steps()]


def _need(module: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        msg = f"this needs {module}, which is not installed: pip install 'astrogalaxy[{extra}]'"
        raise AstrogalaxyError(msg)


@app.command(epilog="Example: astrogalaxy evaluate out/survey.fits truth.csv --radius 3")
def evaluate(
    what: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CATALOG TRUTH | RECIPE.yml ...]",
            help="A catalogue, and a table with x, y or ra, dec, and class; or recipes that are trained.",
        ),
    ] = None,
    radius: Annotated[float, typer.Option(help="Largest distance in pixels of the reference image.")] = 3.0,
    split: Annotated[Path | None, typer.Option(help="Table that assigns the truth's rows to parts.")] = None,
    part: Annotated[str, typer.Option(help="Part of the split.")] = "test",
    field: Annotated[str | None, typer.Option(help="Only this field of the catalogue, or of the survey.")] = None,
    inject: Annotated[
        Path | None,
        typer.Option(metavar="SURVEY.yml", help="Inject known sources into this survey's images, and find them again."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="With --inject: how often, for each field.")] = 10,
    density: Annotated[
        float | None, typer.Option(help="With --inject: sources per square arcmin and round. Default: by field.")
    ] = None,
    magnitudes: Annotated[
        tuple[float, float] | None, typer.Option(help="With --inject: brightest and faintest. Default: by depth.")
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BAND=KNOWN", help="With --inject: a known band (r, ...) that one of another name is like."
        ),
    ] = None,
    seeing: Annotated[
        float | None, typer.Option(help="With --inject: FWHM of stars, arcsec, for fields with too few of them.")
    ] = None,
    fields: Annotated[int | None, typer.Option(min=1, help="With --inject: so many fields, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="With --inject: the same seed injects the same sources.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Score a catalogue against a truth table, recipes on their test sets, or (--inject) a survey by injected sources.

    A truth table is compared within the area that it covers. Recipes that follow a paper are
    shown beside its numbers. Injections give completeness and purity by magnitude and size, in
    the folder injection of the survey's output directory.
    """
    what = what or []
    if inject is not None:
        if what:
            msg = f"evaluate takes CATALOG and TRUTH, or --inject SURVEY.yml, but not both: {what[0]}"
            raise ConfigError(msg)
        _inject(
            inject, quiet=quiet, rounds=rounds, density=density, magnitudes=magnitudes, like=_pairs(like),
            seeing=seeing, seed=seed, field_name=field, n_fields=fields,
        )  # fmt: skip
    if what and all(path.suffix.lower() in {".yml", ".yaml"} for path in what):
        _evaluate_recipes(what, quiet=quiet)
    if len(what) != 2:
        msg = "evaluate needs CATALOG and TRUTH, or RECIPE.yml, or --inject SURVEY.yml"
        raise ConfigError(msg)
    catalog, truth = what
    from astrogalaxy.catalog import SourceCatalog
    from astrogalaxy.evaluation.catalogs import evaluate_catalog, read_truth

    labels = read_truth(truth, split=split, part=part)
    score = evaluate_catalog(SourceCatalog.read(catalog), labels, radius=radius, region="truth", field=field)
    typer.echo("\n".join(score.table().pformat(show_unit=False, max_lines=-1, max_width=-1)))


def _evaluate_recipes(paths: list[Path], *, quiet: bool) -> NoReturn:
    """Measure what recipes have trained, print it beside the papers' numbers, and end."""
    _need("faster_coco_eval", "train")
    from astrogalaxy.config import RecipeConfig
    from astrogalaxy.errors import RunError
    from astrogalaxy.evaluation.comparison import comparison, printed, write_scores

    scores, files, missing = [], [], 0
    for recipe in [RecipeConfig.read(path) for path in paths]:
        try:
            scores.append(_recipe_score(recipe, quiet=quiet))
        except RunError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            missing += 1
            continue
        files += write_scores(scores[-1:], Path(recipe.output.directory) / recipe.name)
    if not scores:
        raise typer.Exit(_FAILED)
    if len(scores) > 1:
        files = write_scores(scores, Path(recipe.output.directory))
    typer.echo("\n".join(printed(comparison(scores))))
    for path in files:
        typer.echo(f"  {_short(path)}")
    raise typer.Exit(_PARTLY if missing else 0)


def _recipe_score(recipe: RecipeConfig, *, quiet: bool) -> RecipeScore:
    from astrogalaxy.evaluation.recipes import evaluate_recipe

    with _progress(quiet=quiet, unit="test fields") as progress:
        made = None if progress is None else lambda done, total: progress(done, total, recipe.name)
        return evaluate_recipe(recipe, workers=os.cpu_count() or 1, progress=made)


def _inject(survey: Path, *, quiet: bool, **options: Any) -> NoReturn:
    """Inject sources into a survey, say what came of it, and end."""
    _need("galsim", "train")
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.survey.injection import inject_survey

    config = SurveyConfig.read(survey)
    with _progress(quiet=quiet, unit="rounds") as progress:
        summary = inject_survey(config, **options, progress=progress)
    for failure in summary.failures:
        typer.secho(f"failed: {failure}", fg="red", err=True)
    if summary.recovery is None:
        typer.secho("error: nothing could be done", fg="red", err=True)
    else:
        typer.echo("\n".join(summary.recovery.lines()))
    for path in summary.files:
        typer.echo(f"  {_short(path)}")
    raise typer.Exit(summary.exit_code)


def _pairs(given: list[str] | None) -> dict[str, str]:
    """Bands and what they are like, as BAND=KNOWN."""
    pairs = [one.partition("=") for one in given or ()]
    wrong = next((name + sign + known for name, sign, known in pairs if not (name and known)), None)
    if wrong is not None:
        msg = f"--like {wrong}: give BAND=KNOWN, such as F606W=r"
        raise ConfigError(msg)
    return {name: known for name, _, known in pairs}


@weights_app.command("list")
def weights_list() -> None:
    """List the weights that come with astrogalaxy."""
    from astrogalaxy.models import bundled, load_weights

    for name in bundled():
        card = load_weights(name).card
        typer.echo(f"{name}  {card.version}  {card.task}, {card.size}, {card.licence}")


@weights_app.command("show", epilog="Example: astrogalaxy weights show default")
def weights_show(name: Annotated[str, typer.Argument(help="Name or path.")] = "default") -> None:
    """Print a weight card."""
    from astrogalaxy.models import load_weights

    for key, value in load_weights(name).card.rows():
        typer.echo(f"{key:16} {value}")


@weights_app.command("verify", epilog="Example: astrogalaxy weights verify default")
def weights_verify(name: Annotated[str, typer.Argument(help="Name or path.")] = "default") -> None:
    """Check a weight file against the hash in its card."""
    from astrogalaxy.models import load_weights

    weights = load_weights(name)
    typer.echo(f"{weights.path}: {len(weights.tensors)} tensors match SHA-256 {weights.card.sha256}")
