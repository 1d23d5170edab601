"""Verbs of training: train."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrogalaxy.cli.common import (
    LogFile,
    Quiet,
    Verbose,
    echo,
    explained_by,
    interruptible,
    progress_bar,
    short,
)
from astrogalaxy.errors import OptionError, need

if TYPE_CHECKING:
    from astrogalaxy.config import ClassifierRecipe, RecipeConfig
    from astrogalaxy.progress import Progress

__all__ = ["train"]

_STEPS = 1500
# What the options of --truth are called in a recipe.
_SAID_BY_RECIPES = {"--field": "data.labels[].field", "--name": "name", "--steps": "training.steps"}


def _file_name(value: str | None) -> str | None:
    """Refuse a name that cannot name files."""
    from astrogalaxy.config.values import checked_name

    try:
        return None if value is None else checked_name(value)
    except ValueError as error:
        msg = f"--name: {error}"
        raise OptionError(msg) from error


def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE.yml", help="Recipe to train; with --truth, the survey.yml of your images.")
    ],
    truth: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Tune the survey's weights to these labels: x, y or ra, dec; and class."),
    ] = None,
    field: Annotated[str | None, typer.Option(help="With --truth: the labelled field, if there are several.")] = None,
    name: Annotated[
        str | None, typer.Option(callback=_file_name, help="With --truth: name of the new weights.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help=f"With --truth: largest number of training steps. Default: {_STEPS}.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the last checkpoint, if there is one.")] = True,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Train a recipe and write a calibrated weight file.

    After an interruption, the same command continues the training. With --truth, weights are tuned
    to labelled images of your own: the recipe is made from the survey.yml, and written to
    runs/NAME/recipe.yml, where you can change it and train it again.
    """
    need("lightning", "train")
    from astrogalaxy.config import ClassifierRecipe, read_recipe

    options = {"--truth": truth, "--field": field, "--name": name, "--steps": steps}
    given = {option: str(value) for option, value in options.items() if value is not None}
    command = shlex.join(["astrogalaxy", "train", str(recipe), *(word for pair in given.items() for word in pair)])
    if truth is not None:
        tuned = _tuning(recipe, truth, field=field, name=name, steps=steps or _STEPS, quiet=quiet)
        _train_detector(tuned, command, resume=resume, quiet=quiet)
        return
    if given:
        keys = ", ".join(_SAID_BY_RECIPES[option] for option in given)
        msg = f"{', '.join(given)}: only with --truth; a recipe has keys for this ({keys})"
        raise OptionError(msg)
    with explained_by("reference/recipe"):
        config = read_recipe(recipe)
        if isinstance(config, ClassifierRecipe):
            _train_classifier(config, command, resume=resume, quiet=quiet)
        else:
            _train_detector(config, command, resume=resume, quiet=quiet)


def _tuning(survey: Path, truth: Path, *, field: str | None, name: str | None, steps: int, quiet: bool) -> RecipeConfig:
    """Make the recipe that tunes a survey's weights to labels, and say what these are."""
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.training.finetune import fine_tune_recipe

    tell = partial(echo, quiet=quiet)
    return fine_tune_recipe(SurveyConfig.read(survey), truth, name=name, field=field, steps=steps, tell=tell)


def _train_detector(recipe: RecipeConfig, command: str, *, resume: bool, quiet: bool) -> None:
    """Train a recipe of ``task: detection``."""
    from astrogalaxy.training.train import train as train_recipe

    going_on = interruptible(f"the last checkpoint is kept, and {_again(resume=resume)} continues from it")
    with going_on, progress_bar(quiet=quiet, unit="steps") as progress:
        made = None if progress is None else lambda done, total: progress(done, total, "making examples")
        trained = train_recipe(recipe, command=command, resume=resume, progress=made, callbacks=_bar(progress))
    for metric, value in trained.metrics.items():
        before = f"{trained.start[metric]:.4f} -> " if metric in trained.start else ""
        echo(f"{metric:28} {before}{value:.4f}", quiet=quiet)
    typer.echo(f"wrote {short(trained.weights.path)}; use it with detection: {{model: {short(trained.weights.path)}}}")


def _train_classifier(recipe: ClassifierRecipe, command: str, *, resume: bool, quiet: bool) -> None:
    """Train a recipe of ``task: morphology``."""
    need("timm", "train")
    from astrogalaxy.training.classifier.train import train_classifier

    going_on = interruptible(f"the last epoch is kept, and {_again(resume=resume)} continues from it")
    with going_on, progress_bar(quiet=quiet, unit="steps") as progress:
        made = None if progress is None else lambda done, total: progress(done, total, "making pictures")
        trained = train_classifier(recipe, command=command, resume=resume, progress=made, callbacks=_bar(progress))
    for metric, value in trained.metrics.items():
        echo(f"{metric:28} {value:.4f}", quiet=quiet)
    path = short(trained.weights.path)
    served = f"; use it with morphology: {{model: {path}}}" if recipe.output.graph else ""
    typer.echo(f"wrote {path}, started from {trained.weights.card.start}{served}")


def _again(*, resume: bool) -> str:
    """What goes on: a command that begins anew does so each time."""
    return "the same command" if resume else "the same command without --no-resume"


def _bar(progress: Progress | None) -> list[Any]:
    """Show optimiser steps on the same bar."""
    if progress is None:
        return []
    from lightning.pytorch.callbacks import Callback

    class Steps(Callback):  # type: ignore[misc]
        """Tell the bar of each step."""

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            """Move the bar, with the loss beside it."""
            known = trainer.callback_metrics
            loss = float(known.get("train_total", known.get("train_loss", float("nan"))))
            steps = trainer.max_steps if trainer.max_steps > 0 else trainer.estimated_stepping_batches
            progress(trainer.global_step, int(steps), f"step, loss {loss:.3f}")

    return [Steps()]
