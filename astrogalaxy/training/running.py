"""What every training with Lightning needs: a locked folder, logs, quiet, and interruptions that are passed on."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from astrogalaxy.errors import AstrogalaxyError
from astrogalaxy.files import remove_unfinished
from astrogalaxy.folders import locked

__all__ = ["held", "interruptions", "loggers", "plain_errors", "quiet"]

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


def loggers(folder: Path, start: int) -> list[Logger]:
    """Logs of a training that begins at a step or epoch; one that goes on must not overwrite those before it."""
    part = f"from-{start}" if start else ""
    for kind in ("log", "tensorboard"):
        shutil.rmtree(folder / kind / part, ignore_errors=True)  # of an attempt that is repeated
    return [CSVLogger(folder, name="log", version=part), TensorBoardLogger(folder, name="tensorboard", version=part)]
