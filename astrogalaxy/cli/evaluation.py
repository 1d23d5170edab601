"""Verbs that measure: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from astrogalaxy.cli.common import (
    FAILED,
    PARTLY,
    LogFile,
    Verbose,
    argument,
    explained_by,
    interruptible,
    progress_bar,
    short,
    warn,
)
from astrogalaxy.errors import OptionError, RunError, WeightsError, need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astrogalaxy.config import ClassifierRecipe, RecipeConfig
    from astrogalaxy.training.scores.recipes import RecipeScore

__all__ = ["evaluate"]

Recipe = TypeVar("Recipe", bound="RecipeConfig | ClassifierRecipe")
Score = TypeVar("Score")

# What evaluate may be given, and the options that it reads then.
_CATALOG, _RECIPES, _SURVEY = "CATALOG and TRUTH", "RECIPE.yml", "--inject SURVEY.yml"
_READS = {
    _CATALOG: {"radius", "split", "part", "field", "magnitudes"},
    _RECIPES: set[str](),
    _SURVEY: {"field", "rounds", "density", "magnitudes", "like", "seeing", "fields", "seed"},
}


def evaluate(
    context: typer.Context,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CATALOG TRUTH | RECIPE.yml ...]",
            help="A catalogue or the directory of a run, and a truth table with x, y or ra, dec, and class. Or recipes "
            "that have been trained.",
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            help="Largest distance of a match: in pixels of the reference image (default 3), or in arcsec (default 1) "
            "if one of the tables has no x and y."
        ),
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Table that assigns the rows of the truth table to parts.")] = None,
    part: Annotated[str, typer.Option(help="Part of the split to use.")] = "test",
    field: Annotated[str | None, typer.Option(help="Use only this field of the catalogue, or of the survey.")] = None,
    inject: Annotated[
        Path | None,
        typer.Option(
            metavar="SURVEY.yml", help="Inject simulated sources into this survey's images, and recover them."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="With --inject: number of rounds for each field.")] = 10,
    density: Annotated[
        float | None, typer.Option(help="With --inject: sources per square arcmin and round. Default: chosen by field.")
    ] = None,
    magnitudes: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Brightest and faintest magnitude: of the true sources that are asked for (default: all), or with "
            "--inject of those that are injected (default: chosen by depth)."
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BAND=KNOWN", help="With --inject: the known band (r, ...) that a band of another name resembles."
        ),
    ] = None,
    seeing: Annotated[
        float | None, typer.Option(help="With --inject: FWHM of stars in arcsec, for fields with too few stars.")
    ] = None,
    fields: Annotated[int | None, typer.Option(min=1, help="With --inject: number of fields, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="With --inject: the same seed injects the same sources.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Score a catalogue against a truth table, recipes on their test sets, or (--inject) a survey by injected sources.

    A catalogue and a truth table are compared within the area that the truth table covers: its bounding rectangle in x
    and y, or in ra and dec, if the true sources fill it; otherwise the area between neighbouring true sources, whatever
    its shape. Recipes that follow a paper are shown beside its numbers. Injections give completeness and purity as
    functions of magnitude and size, in the folder injection of the survey's output directory.
    """
    inputs = inputs or []
    if inject is not None:
        if inputs:
            msg = f"evaluate takes {_CATALOG}, or {_SURVEY}, but not both: {inputs[0]}"
            raise OptionError(msg)
        _check_read(context, _SURVEY)
        _inject(
            inject, quiet=quiet, rounds=rounds, density=density, magnitudes=magnitudes, like=_pairs(like),
            seeing=seeing, seed=seed, field_name=field, n_fields=fields,
        )  # fmt: skip
    if inputs and all(path.suffix.lower() in {".yml", ".yaml"} for path in inputs):
        _check_read(context, _RECIPES)
        _evaluate_recipes(inputs, quiet=quiet)
    if len(inputs) != 2:
        msg = f"evaluate needs {', or '.join(_READS)}"
        raise OptionError(msg)
    _check_read(context, _CATALOG)
    _compare(*inputs, radius=radius, split=split, part=part, field=field, magnitudes=magnitudes)


def _check_read(context: typer.Context, given: str) -> None:
    """Refuse options of another use than that for what is given: nothing would come of them."""
    for option in sorted(set().union(*_READS.values()) - _READS[given]):
        if context.get_parameter_source(option).name == "COMMANDLINE":
            uses = " or ".join(use for use, options in _READS.items() if option in options)
            msg = f"--{option}: only with {uses}"
            raise OptionError(msg)


def _compare(
    catalog: Path,
    truth: Path,
    *,
    radius: float | None,
    split: Path | None,
    part: str,
    field: str | None,
    magnitudes: tuple[float, float] | None,
) -> None:
    """Score a catalogue against a truth table, and warn of what makes the score doubtful."""
    from astrogalaxy.errors import CatalogError
    from astrogalaxy.evaluation.catalogs import evaluate_catalog
    from astrogalaxy.evaluation.truth import read_truth
    from astrogalaxy.survey.view import read_catalog

    labels = read_truth(truth, split=split, part=part)
    with argument():
        found = read_catalog(catalog)
    try:
        score = evaluate_catalog(found, labels, radius=radius, region="truth", field=field, magnitudes=magnitudes)
    except CatalogError as error:
        msg = f"{catalog} against {truth}{f', part {part}' if split else ''}: {error}"
        raise OptionError(msg) from error
    if "class" in labels.colnames and not any(labels["class"]):
        warn(f"{truth}: its column 'class' has neither star nor galaxy in any row, so there is no accuracy")
    if score.n_truth_twice:
        warn(
            f"{truth}: {score.n_truth_twice} of the {score.n_truth} true sources are at the position of another; if a "
            "source is listed twice, one of the two counts as missed: leave out duplicates"
        )
    if score.n_truth_afar:
        warn(
            f"{truth}: {score.n_truth_afar} of the {score.n_truth} true sources are far from any source of the "
            "catalogue, as if outside its images; they count as missed: leave them out"
        )
    if score.n_found_afar:
        warn(
            f"{catalog}: {score.n_found_afar} of the {score.n_found} sources that count are far from any true source, "
            "as if outside the area of the truth table; they count as false: leave them out, or give --field"
        )
    typer.echo("\n".join(score.table().pformat(show_unit=False, max_lines=-1, max_width=-1)))
    if score.bins is not None and len(score.bins):
        typer.echo(f"\ncompleteness by {score.bins.meta['magnitude']}")
        typer.echo("\n".join(score.bins.pformat(show_unit=False, max_lines=-1, max_width=-1)))


def _evaluate_recipes(paths: list[Path], *, quiet: bool) -> NoReturn:
    """Measure what recipes have trained, print it beside the papers' numbers, and end."""
    from astrogalaxy.config import ClassifierRecipe, read_recipe

    with explained_by("reference/recipe"):
        recipes = [read_recipe(path) for path in paths]
    classifiers = [recipe for recipe in recipes if isinstance(recipe, ClassifierRecipe)]
    detectors = [recipe for recipe in recipes if not isinstance(recipe, ClassifierRecipe)]
    if classifiers and detectors:
        detector, classifier = detectors[0].name, classifiers[0].name
        msg = f"evaluate takes recipes of one task: {detector} is a detector's, {classifier} a classifier's"
        raise OptionError(msg)
    if classifiers:
        _evaluate_classifiers(classifiers, quiet=quiet)
    need("faster_coco_eval", "train")
    from astrogalaxy.devices import usable_cores
    from astrogalaxy.training.scores.comparison import comparison, printed, write_scores
    from astrogalaxy.training.scores.recipes import evaluate_recipe

    def score(recipe: RecipeConfig) -> RecipeScore:
        """Measure one recipe."""
        with progress_bar(quiet=quiet, unit="test fields") as progress:
            made = None if progress is None else lambda done, total: progress(done, total, recipe.name)
            return evaluate_recipe(recipe, workers=usable_cores(), progress=made)

    scores, files, missing = _scored(detectors, score, write_scores)
    typer.echo("\n".join(printed(comparison(scores))))
    _end(files, missing)


def _evaluate_classifiers(recipes: Sequence[ClassifierRecipe], *, quiet: bool) -> NoReturn:
    """Measure what recipes of ``task: morphology`` have trained, print it beside the papers' numbers, and end."""
    need("timm", "train")
    from astrogalaxy.survey.report.classifiers import write_classifier_report
    from astrogalaxy.training.scores.classifier_tables import (
        classifier_comparison,
        printed_classes,
        printed_comparison,
        write_classifier_scores,
    )
    from astrogalaxy.training.scores.classifiers import ClassifierScore, evaluate_classifier
    from astrogalaxy.training.scores.findings import check_findings, printed_findings

    def score(recipe: ClassifierRecipe) -> ClassifierScore:
        """Measure one recipe."""
        with progress_bar(quiet=quiet, unit="pictures") as progress:
            made = None if progress is None else lambda done, total: progress(done, total, recipe.name)
            return evaluate_classifier(recipe, progress=made)

    def write(scores: Sequence[ClassifierScore], folder: Path) -> list[Path]:
        """Write tables and a report."""
        files = [*write_classifier_scores(scores, folder), folder / "evaluation.html"]
        write_classifier_report(files[-1], scores)
        return files

    scores, files, missing = _scored(recipes, score, write)
    if len(scores) == 1:
        typer.echo("\n".join(printed_classes(scores[0].test)) + "\n")
    typer.echo("\n".join(printed_comparison(classifier_comparison(scores))))
    findings = printed_findings(check_findings(scores))
    if findings:
        typer.echo(
            "\n".join(["", "The papers' findings, as differences of accuracy in percentage points", *findings, ""])
        )
    _end(files, missing)


def _scored(
    recipes: Sequence[Recipe], score: Callable[[Recipe], Score], write: Callable[[Sequence[Score], Path], list[Path]]
) -> tuple[list[Score], list[Path], int]:
    """Scores of the recipes that are trained, the files of them (of all together, if several), and how many are not."""
    scores: list[Score] = []
    files: list[Path] = []
    for recipe in recipes:
        try:
            scores.append(score(recipe))
        except (RunError, WeightsError) as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            continue
        files += write(scores[-1:], Path(recipe.output.directory) / recipe.name)
    if not scores:
        raise typer.Exit(FAILED)
    if len(scores) > 1:
        files = write(scores, Path(recipes[0].output.directory))
    return scores, files, len(recipes) - len(scores)


def _end(files: Sequence[Path], missing: int) -> NoReturn:
    """Say what was written, and end."""
    for path in files:
        typer.echo(f"  {short(path)}")
    raise typer.Exit(PARTLY if missing else 0)


def _inject(survey: Path, *, quiet: bool, **options: Any) -> NoReturn:
    """Inject sources into a survey, say what came of it, and end."""
    need("galsim", "train")
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.survey.injection import inject_survey

    config = SurveyConfig.read(survey)
    going_on = interruptible("finished rounds are kept, and the same command does the rest")
    with going_on, progress_bar(quiet=quiet, unit="rounds") as progress:
        summary = inject_survey(config, **options, progress=progress)
    for failure in summary.failures:
        typer.secho(f"failed: {failure}", fg="red", err=True)
    if summary.recovery is None:
        typer.secho("error: nothing could be done", fg="red", err=True)
    else:
        typer.echo("\n".join(summary.recovery.lines()))
    for path in summary.files:
        typer.echo(f"  {short(path)}")
    raise typer.Exit(summary.exit_code)


def _pairs(given: list[str] | None) -> dict[str, str]:
    """Bands and what they are like, as BAND=KNOWN."""
    pairs = [one.partition("=") for one in given or ()]
    wrong = next((name + sign + known for name, sign, known in pairs if not (name and known)), None)
    if wrong is not None:
        msg = f"--like {wrong}: give BAND=KNOWN, such as F606W=r"
        raise OptionError(msg)
    return {name: known for name, _, known in pairs}
