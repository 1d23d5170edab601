"""What every training with Lightning needs: checkpoints that are read with clear errors, silence, and interruptions."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn

from astrogalaxy.errors import AstrogalaxyError, ConfigError, RunError

__all__ = ["another_network", "interruptions", "loggers", "plain_errors", "quiet", "read_checkpoint", "restore"]

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
    """Raise errors of the processes that prepare batches as they were: torch writes their traceback before them."""
    try:
        yield
    except AstrogalaxyError as error:
        _, name, said = str(error).rpartition(f"{type(error).__module__}.{type(error).__name__}: ")
        if name:
            raise type(error)(said.strip()) from error
        raise


@contextlib.contextmanager
def interruptions() -> Iterator[None]:
    """Raise an interruption as it was: Lightning makes it an exit with code 1, and lets Ctrl-C have no effect after."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (SystemExit, RuntimeError) as error:
        # a RuntimeError: torch's, of processes that got the same signal
        stopped = _interruption(error)
        if stopped is None:
            raise
        raise stopped from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interruption during whose handling an error was raised, if it was."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this package's own trainings; nothing in it is executed.

    Raises
    ------
    RunError
        If the file is damaged, or holds more than numbers and words.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file raises whatever its bytes make of it
        what = "it is damaged, or holds more than numbers and words"
        msg = f"{path}: cannot be read as a checkpoint: {what}; remove it to train from the start"
        raise RunError(msg) from error


def restore(module: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Give a module the weights of a checkpoint.

    Raises
    ------
    ConfigError
        If they are those of another network; ``path`` is named in it.
    """
    try:
        module.load_state_dict(state["state_dict"])
    except (RuntimeError, KeyError) as error:
        raise another_network(path) from error


def another_network(path: Path) -> ConfigError:
    """What to raise where a checkpoint is of another network than the recipe's."""
    return ConfigError(f"{path}: is of another network than the recipe's; give the recipe another name")


def loggers(folder: Path, start: int) -> list[Logger]:
    """Logs of a training that begins at a step or an epoch: one that goes on must not overwrite the first one's."""
    part = f"from-{start}" if start else ""
    for kind in ("log", "tensorboard"):
        shutil.rmtree(folder / kind / part, ignore_errors=True)  # of an attempt that is repeated
    return [CSVLogger(folder, name="log", version=part), TensorBoardLogger(folder, name="tensorboard", version=part)]
