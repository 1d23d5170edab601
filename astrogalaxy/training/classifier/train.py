"""Train a recipe of ``task: morphology``: pictures, network, calibration, weight file."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astrogalaxy.errors import brought_by

with brought_by("train"):
    import lightning

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from torch.utils.data import DataLoader

from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.errors import ConfigError, RunError
from astrogalaxy.files import write_text
from astrogalaxy.models import load_classifier
from astrogalaxy.morphology.export import network_of
from astrogalaxy.morphology.network import GalaxyNetwork, NetworkSpec
from astrogalaxy.morphology.pretrained import start_from
from astrogalaxy.morphology.tuning import tune
from astrogalaxy.training.allocator import keep_freed_memory
from astrogalaxy.training.checkpoints import (
    FiniteEpochs,
    another_network,
    last_checkpoint,
    learned_with,
    read_checkpoint,
    restore,
    warn_of_changes,
)
from astrogalaxy.training.classifier.clusters import cluster_network
from astrogalaxy.training.classifier.finish import History, TrainedClassifier, finish
from astrogalaxy.training.classifier.module import ClassifierTrainer, Teacher
from astrogalaxy.training.classifier.pictures import EpochSampler, PictureBank, PictureSet, open_bank
from astrogalaxy.training.running import Run, held, interruptions, quiet

__all__ = ["train_classifier"]

logger = logging.getLogger(__name__)


def train_classifier(
    recipe: ClassifierRecipe,
    *,
    command: str = "",
    resume: bool = True,
    progress: Callable[[int, int], None] | None = None,
    callbacks: list[Callback] | None = None,
) -> TrainedClassifier:
    """Train a recipe to a calibrated weight file, once for each of its seeds.

    Interrupted at any moment, the same call goes on from the last epoch; finished, it only calibrates again and writes
    the weight file anew.

    Parameters
    ----------
    recipe : ClassifierRecipe
        What to train, on what, and how long.
    command : str
        How it was called, for the weight card.
    resume : bool
        Go on from the last checkpoint if there is one.
    progress : callable, optional
        Called with (done, all) while pictures are made.
    callbacks : list of Callback, optional
        Further Lightning callbacks, for instance a progress bar.

    Returns
    -------
    TrainedClassifier
        With ``<output.directory>/<name>/<name>.safetensors``.

    Raises
    ------
    ConfigError
        If data or weights that the recipe names are missing, or the checkpoint is of another network, or learned other
        classes, or from pictures that were made in another way.
    RunError
        If the checkpoint cannot be read, the teacher is not trained, the folder is another training's or cannot be
        written to, or the loss is no number any more.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.config import ClassifierRecipe
    >>> from astrogalaxy.training.classifier.train import train_classifier
    >>> for colour in ("red", "blue"):
    ...     Path("galaxies", colour).mkdir(parents=True)
    ...     for number in range(8):
    ...         Picture.new("RGB", (32, 32), colour).save(f"galaxies/{colour}/{colour}{number}.png")
    >>> recipe = ClassifierRecipe.from_dict({
    ...     "name": "mine", "task": "morphology", "model": {"architecture": "average-pool-cnn"},
    ...     "data": [{"format": "folders", "path": "galaxies"}], "input": {"side": 32},
    ...     "training": {"epochs": 1, "batch": 8, "workers": 0},
    ... })
    >>> trained = train_classifier(recipe)
    >>> trained.weights.card.classes, trained.weights.path.name
    (('blue', 'red'), 'mine.safetensors')
    """
    keep_freed_memory()
    _check_model(recipe)
    bank = open_bank(recipe, progress=progress)
    results = []
    for seed in range(recipe.seed, recipe.seed + recipe.seeds):
        run = Run(Path(recipe.output.directory) / recipe.folder(seed), command, resume, callbacks or [])
        with held(run.folder):
            results.append(_train_seed(recipe, bank, seed, run))
    return results[0]


def _check_model(recipe: ClassifierRecipe) -> None:
    """Refuse a network that cannot be made, or not take its pictures, before any time is spent on them."""
    model, side, batch = recipe.model, recipe.input.side, recipe.training.batch
    if model.weights and not Path(model.weights).is_file():
        msg = f"model.weights: {model.weights}: no such file"
        raise ConfigError(msg)
    if recipe.training.distillation:
        _teacher_file(recipe.training.distillation.teacher, recipe)
    network = GalaxyNetwork(_spec(recipe, classes=2))
    try:
        with torch.no_grad():
            network(torch.zeros(min(batch, 2), 3, side, side))
    except (RuntimeError, ValueError, IndexError) as error:
        attention = "" if model.attention == "none" else f" with attention {model.attention}"
        why = f"{model.architecture}{attention} cannot learn from pictures of {side} pixels, {batch} in a step"
        msg = f"model.architecture: {why}; change it, input.side or training.batch ({error})"
        raise ConfigError(msg) from error


def _spec(recipe: ClassifierRecipe, *, classes: int) -> NetworkSpec:
    """What the recipe's network is."""
    model = recipe.model
    return NetworkSpec(
        model.architecture, classes, recipe.input.side, model.options, model.attention, model.hidden, model.dropout
    )


def _train_seed(recipe: ClassifierRecipe, bank: PictureBank, seed: int, run: Run) -> TrainedClassifier:
    if run.resume:
        learned = learned_with(run.folder)
        _check_inputs(recipe, learned, last_checkpoint(run.folder))
        warn_of_changes(recipe, learned)
    run.keep(recipe)
    started = time.perf_counter()
    lightning.seed_everything(seed, workers=True, verbose=False)
    network = GalaxyNetwork(_spec(recipe, classes=len(bank.classes)))
    start = start_from(network, pretrained=recipe.model.pretrained, weights=recipe.model.weights)
    first = 0
    if recipe.training.objective == "clusters":
        network, epochs = cluster_network(recipe, bank, network, seed)
    else:
        first, epochs = _fit(recipe, bank, network, seed, run)
    kept = run.folder / "seconds.txt"
    before = float(kept.read_text()) if first and kept.is_file() else 0.0
    # a call that only calibrates again does not add its time
    seconds = before + time.perf_counter() - started if first < epochs or not before else before
    write_text(kept, f"{seconds:.1f}")
    return finish(recipe, network, bank, run.folder, History(run.command, start, seed, epochs, seconds))


def _check_inputs(recipe: ClassifierRecipe, before: dict[str, Any], last: Path) -> None:
    """Refuse to go on with a network that learned from pictures made in another way."""
    now = recipe.model_dump(mode="json")
    if before and (before["input"], _centres(before)) != (now["input"], _centres(now)):
        msg = f"{last}: learned with another input or data.centre than the recipe's; train anew with --no-resume"
        raise ConfigError(msg)


def _centres(recipe: dict[str, Any]) -> set[float]:
    return {section["centre"] for section in recipe["data"]}


def _fit(recipe: ClassifierRecipe, bank: PictureBank, network: GalaxyNetwork, seed: int, run: Run) -> tuple[int, int]:
    """Train a network in place with its labels; return the epochs that were done before this call, and after it."""
    settings = recipe.training
    frozen = tune(network, recipe.model.tuning, frozen=recipe.model.frozen)
    rows, unseen = bank.rows("train"), bank.rows("val")
    labels = np.argmax(bank.shares[rows], axis=1)
    sampler = EpochSampler(labels, seed=seed, balanced=settings.balance == "sampling")
    changes = recipe.augmentation
    pictures = PictureSet(bank, rows, rand_augment=changes.rand_augment, magnitude=changes.rand_magnitude)
    loader = _loader(pictures, settings.batch, settings.workers, sampler)
    module = ClassifierTrainer(
        recipe, network, steps=settings.epochs * len(loader), seed=seed, frozen=frozen,
        counts=torch.from_numpy(bank.shares[rows].sum(0)) if settings.balance == "loss" else None,
        teacher=_teacher(recipe, bank), classes=bank.classes,
    )  # fmt: skip
    last = last_checkpoint(run.folder)
    checkpoints = last.parent
    known = read_checkpoint(last) if run.resume and last.is_file() else {}
    begin = done = _epoch(known)
    learned = known.get("classes", module.classes)
    if learned != module.classes:
        first, second = ", ".join(learned), ", ".join(module.classes)
        msg = f"{last}: learned to tell {first} apart, and the recipe's data have {second}; train anew with --no-resume"
        raise ConfigError(msg)
    if not begin:
        shutil.rmtree(checkpoints, ignore_errors=True)
    over = checkpoints / f"stopped-{settings.patience}"
    if begin < settings.epochs and not (begin and over.is_file()):
        logger.info("training %s, from epoch %d to %d", recipe.name, begin, settings.epochs)
        with quiet(), interruptions():
            trainer = _trainer(recipe, run, begin)
            check = _loader(PictureSet(bank, unseen), settings.batch, 0)
            with _of_this_network(last if begin else None):
                trainer.fit(module, loader, check, ckpt_path=last if begin else None, weights_only=True)
        if trainer.current_epoch < settings.epochs and not trainer.interrupted:
            over.touch()
        done = trainer.current_epoch
    best = checkpoints / "best.ckpt"
    chosen = best if settings.restore_best and best.is_file() else last
    if chosen.is_file():
        state = read_checkpoint(chosen)
        restore(module, state, chosen)
        logger.info("%s: weights of epoch %d", recipe.name, _epoch(state))
    return begin, done


@contextmanager
def _of_this_network(checkpoint: Path | None) -> Iterator[None]:
    """Say so where a training that goes on from a checkpoint finds another network in it."""
    try:
        yield
    except (RuntimeError, KeyError) as error:
        if checkpoint and ("state_dict" in str(error) or isinstance(error, KeyError)):
            raise another_network(checkpoint) from error
        raise


def _loader(pictures: PictureSet, batch: int, workers: int, sampler: EpochSampler | None = None) -> DataLoader[Any]:
    # a last batch of one picture has no statistics
    odd = sampler is not None and len(pictures) > batch and len(pictures) % batch == 1
    return DataLoader(
        pictures,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        drop_last=odd,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
    )


def _trainer(recipe: ClassifierRecipe, run: Run, begin: int) -> lightning.Trainer:
    settings = recipe.training
    watched, mode = f"val_{settings.monitor}", "min" if settings.monitor == "loss" else "max"
    before = last_checkpoint(run.folder)
    keep: dict[str, Any] = {"dirpath": before.parent, "enable_version_counter": False}
    best = ModelCheckpoint(**keep, filename="best", monitor=watched, mode=mode, save_weights_only=True)
    # save_last alone would keep nothing before the end
    last = ModelCheckpoint(**keep, filename=before.stem, every_n_epochs=1, save_on_train_epoch_end=True)
    chosen: list[Callback] = [best] if settings.restore_best else []
    if settings.patience:
        chosen.append(_Patience(watched, patience=settings.patience, mode=mode, begin=settings.patience_from))
    return run.trainer(
        recipe,
        begin,
        [*chosen, last, FiniteEpochs(before), LearningRateMonitor(), *run.callbacks],
        max_epochs=settings.epochs,
        devices=1,
        gradient_clip_val=settings.clip,
        log_every_n_steps=10,
    )


class _Patience(EarlyStopping):  # type: ignore[misc]
    """Early stopping that counts from an epoch on."""

    def __init__(self, *args: Any, begin: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin = begin

    def _run_early_stopping_check(self, trainer: lightning.Trainer) -> None:
        if trainer.current_epoch >= self.begin:
            super()._run_early_stopping_check(trainer)


def _epoch(state: dict[str, Any]) -> int:
    """Epochs that a checkpoint has behind it."""
    try:
        return int(state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except KeyError:
        return 0


def _teacher(recipe: ClassifierRecipe, bank: PictureBank) -> Teacher | None:
    settings = recipe.training.distillation
    if settings is None:
        return None
    path = _teacher_file(settings.teacher, recipe)
    weights = load_classifier(path)
    if set(weights.card.classes) != set(bank.classes):
        known, wanted = ", ".join(weights.card.classes), ", ".join(bank.classes)
        msg = f"training.distillation.teacher: {path} tells {known} apart; the recipe's data have {wanted}"
        raise ConfigError(msg)
    order = torch.tensor([weights.card.classes.index(name) for name in bank.classes])
    return Teacher(network_of(weights), weights.card.normalise, order)


def _teacher_file(teacher: str, recipe: ClassifierRecipe) -> Path:
    """Weight file of a teacher: of the recipe of that name, or the file itself."""
    trained = Path(recipe.output.directory) / teacher / f"{teacher}.safetensors"
    path = trained if trained.is_file() else Path(teacher)
    if not path.is_file():
        msg = f"{recipe.name}: the teacher {teacher} is not trained yet, there is no {trained}; train it first"
        raise RunError(msg)
    return path
