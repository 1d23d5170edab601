"""Checkpoints of trainings: whole or not there, read with clear errors; and what a recipe has changed since."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from astrogalaxy.config import ClassifierRecipe, RecipeConfig
from astrogalaxy.errors import ConfigError, RunError
from astrogalaxy.files import atomic_path

__all__ = [
    "FREE_KEYS",
    "FiniteEpochs",
    "LastCheckpoint",
    "WholeCheckpoints",
    "another_network",
    "last_checkpoint",
    "learn_as_now",
    "learned_with",
    "read_checkpoint",
    "restore",
    "warn_of_changes",
]

logger = logging.getLogger(__name__)

#: Keys of recipes that may change before a training goes on: how long and where it works, and what follows it.
FREE_KEYS = {
    "evaluation.bootstrap", "evaluation.timing", "evaluation.views",
    "output.directory", "output.graph", "output.half", "output.licence", "output.terms",
    "published", "seeds",
    "training.devices", "training.epochs", "training.monitor", "training.patience", "training.patience_from",
    "training.precision", "training.restore_best", "training.start_share", "training.steps",
    "training.validate_every", "training.warmup", "training.workers",
}  # fmt: skip


def last_checkpoint(folder: Path) -> Path:
    """The checkpoint that a training in a folder goes on from."""
    return folder / "checkpoints" / "last.ckpt"


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc]
    """Write checkpoints that are whole or not there: Lightning's come from /tmp, copied where that is another disk.

    Parameters
    ----------
    recipe : RecipeConfig or ClassifierRecipe
        Noted in each: the one in the folder may be changed by hand before a training goes on.
    """

    def __init__(self, recipe: RecipeConfig | ClassifierRecipe) -> None:
        super().__init__()
        self.recipe = recipe.model_dump(mode="json")

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write a checkpoint beside the old one, then put it in its place."""
        # torch itself would report a full disk as a failed stream
        buffer = io.BytesIO()
        torch.save({**checkpoint, "recipe": self.recipe}, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint; the best one that it names lies beside it, wherever both were moved to."""
        state: dict[str, Any] = super().load_checkpoint(path, *args, **options)
        folder = os.path.realpath(Path(path).parent)

        def here(name: str) -> str:
            """Path of a file of that folder."""
            return name and str(Path(folder, Path(name).name))

        for known in state["callbacks"].values():
            if "dirpath" in known:
                paths = ("best_model_path", "kth_best_model_path", "last_model_path")
                best = {here(name): loss for name, loss in known["best_k_models"].items()}
                known |= {"dirpath": folder, "best_k_models": best, **{key: here(known[key]) for key in paths}}
        return state


class LastCheckpoint(Checkpoint):  # type: ignore[misc]
    """The checkpoint to go on from: written every few steps, at the end, and after each validation.

    Parameters
    ----------
    path : Path
        Where it is written.
    every : int
        Steps between two.
    """

    def __init__(self, path: Path, *, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Write it if it is time."""
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            self._write(trainer)

    def on_validation_end(self, trainer: Any, _module: Any) -> None:
        """Write it anew: a training that goes on must not forget that this step was the best."""
        if trainer.state.fn == "fit":
            self._write(trainer)

    def _write(self, trainer: Any) -> None:
        _check_finite(trainer, self.path)
        trainer.save_checkpoint(self.path)


class FiniteEpochs(Callback):  # type: ignore[misc]
    """End a training after an epoch whose loss is not finite, before its checkpoint is written.

    Parameters
    ----------
    path : Path
        Checkpoint of the epoch before, for the message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
        """Look at what was logged."""
        _check_finite(trainer, self.path)


def _check_finite(trainer: Any, last: Path) -> None:
    """Refuse to go on with a loss that is not finite: the weights are lost, and further steps would be wasted."""
    losses = {name: trainer.callback_metrics.get(name) for name in ("train_loss", "val_loss")}
    for name, loss in losses.items():
        if loss is not None and not torch.isfinite(loss):
            kept = "the same command goes on from the last checkpoint" if last.is_file() else "nothing is kept"
            msg = f"{last.parent.parent}: {name} is {float(loss)} after step {trainer.global_step}; lower"
            raise RunError(f"{msg} training.learning_rate, or look for extreme values in the data; {kept}")


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
        why = "it is damaged, or holds more than numbers and words"
        msg = f"{path}: cannot be read as a checkpoint: {why}; remove it to train from the start"
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


def learn_as_now(module: lightning.LightningModule, state: dict[str, Any]) -> None:
    """Put a module's learning rate and weight decay into a checkpoint that it goes on from: a recipe may change them.

    Parameters
    ----------
    module : LightningModule
        With one optimiser, whose rate has a schedule.
    state : dict
        The checkpoint; changed in place.
    """
    now = module.configure_optimizers()["optimizer"].param_groups
    for group, new in zip(state["optimizer_states"][0]["param_groups"], now, strict=True):
        group["lr"] *= new["initial_lr"] / group["initial_lr"]
        group |= {key: new[key] for key in ("initial_lr", "weight_decay")}
    state["lr_schedulers"][0]["base_lrs"] = [group["initial_lr"] for group in now]


def learned_with(folder: Path) -> dict[str, Any]:
    """The recipe, as plain values, that the checkpoint of a training learned with; empty where there is none.

    Raises
    ------
    RunError
        If the checkpoint cannot be read.
    """
    last = last_checkpoint(folder)
    return dict(read_checkpoint(last).get("recipe", {})) if last.is_file() else {}


def warn_of_changes(recipe: RecipeConfig | ClassifierRecipe, before: dict[str, Any]) -> bool:
    """Log a warning that names the keys in which a checkpoint's recipe differs; return whether there are any.

    Parameters
    ----------
    recipe : RecipeConfig or ClassifierRecipe
        The recipe that a training goes on with.
    before : dict
        The one that the checkpoint learned with.
    """
    keys = [key for key in _changed(before, recipe.model_dump(mode="json")) if key not in FREE_KEYS]
    if keys:
        logger.warning(
            "%s: its checkpoint learned with another %s; --no-resume trains anew", recipe.name, ", ".join(keys)
        )
    return bool(keys)


def _changed(before: dict[str, Any], now: dict[str, Any], key: str = "") -> Iterator[str]:
    """Keys behind which another value stands, such as ``training.batch``; not those of another version."""
    for name, old in before.items():
        new = now.get(name, old)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changed(old, new, f"{key}{name}.")
        elif old != new:
            yield f"{key}{name}"
