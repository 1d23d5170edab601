"""What every training with Lightning needs: a locked folder, logs, quiet, and interruptions that are passed on."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from astrogalaxy.config import ClassifierRecipe, RecipeConfig
from astrogalaxy.errors import AstrogalaxyError
from astrogalaxy.files import remove_unfinished, write_text
from astrogalaxy.folders import locked
from astrogalaxy.training.checkpoints import WholeCheckpoints

__all__ = ["Run", "held", "interruptions", "plain_errors", "quiet"]

# Warnings of Lightning about its own code, about data made in this process (`workers: 0`), and about small ones.
_NOT_OURS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "The '.*_dataloader' does not have many workers",
    "The number of training batches",
    "This DataLoader will create .* worker processes",
    "Checkpoint directory .* exists and is not empty",
    # where Slurm is installed it is the user's choice not to train through it
    "The `srun` command is available",
)


@dataclass(frozen=True)
class Run:
    """A call of a training.

    Attributes
    ----------
    folder : Path
        Where it works.
    command : str
        How it was called, for the weight card.
    resume : bool
        Go on from the last checkpoint if there is one.
    callbacks : sequence of Callback
        Of the caller.
    """

    folder: Path
    command: str = ""
    resume: bool = True
    callbacks: Sequence[Callback] = ()

    def keep(self, recipe: RecipeConfig | ClassifierRecipe) -> None:
        """Write the recipe into the folder."""
        write_text(self.folder / "recipe.yml", recipe.to_yaml())

    def trainer(
        self, recipe: RecipeConfig | ClassifierRecipe, start: int, callbacks: Sequence[Callback], **settings: Any
    ) -> lightning.Trainer:
        """A trainer with what all trainings have in common: precision, logs, whole checkpoints, no chatter.

        Parameters
        ----------
        recipe : RecipeConfig or ClassifierRecipe
            What is trained.
        start : int
            Step or epoch at which it begins.
        callbacks : sequence of Callback
            All of them.
        **settings
            What this training has besides.

        Returns
        -------
        lightning.Trainer
            Ready to fit.
        """
        return lightning.Trainer(
            precision="bf16-mixed" if recipe.training.precision == "bf16" else "32-true",
            accelerator="auto",
            default_root_dir=self.folder,
            logger=_loggers(self.folder, start),
            callbacks=list(callbacks),
            plugins=[WholeCheckpoints(recipe)],
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(one, ProgressBar) for one in callbacks),
            **settings,
        )


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder of a training; processes that Lightning starts for further devices share it with the first.

    Raises
    ------
    RunError
        If another training holds it, or it cannot be written to.
    """
    if rank_zero_only.rank:
        yield
        return
    with locked(folder):
        for part in (folder, *folder.glob("*/")):
            remove_unfinished(part)
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings that no user can do anything about."""
    # Lightning greets and advertises at the level of information
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in _NOT_OURS:
            warnings.filterwarnings("ignore", message)
        yield


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raise errors of the processes that prepare batches with their own message: torch puts a traceback before it."""
    try:
        yield
    except AstrogalaxyError as error:
        _, name, message = str(error).rpartition(f"{type(error).__module__}.{type(error).__name__}: ")
        if name:
            raise type(error)(message.strip()) from error
        raise


@contextlib.contextmanager
def interruptions() -> Iterator[None]:
    """Raise Ctrl-C as KeyboardInterrupt: Lightning turns it into an exit with code 1, and ignores further ones."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (SystemExit, RuntimeError) as error:
        # torch raises a RuntimeError if its worker processes got the signal, too
        stopped = _interruption(error)
        if stopped is None:
            raise
        raise stopped from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interruption that was being handled when an error was raised, if there was one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _loggers(folder: Path, start: int) -> list[Logger]:
    """Logs of a training that begins at a step or epoch; one that goes on must not overwrite those before it."""
    part = f"from-{start}" if start else ""
    for kind in ("log", "tensorboard"):
        shutil.rmtree(folder / kind / part, ignore_errors=True)  # of an attempt that is repeated
    return [CSVLogger(folder, name="log", version=part), TensorBoardLogger(folder, name="tensorboard", version=part)]
