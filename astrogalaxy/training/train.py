"""Train a recipe: examples, network, steps; `finish` makes a weight file of it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import islice
from pathlib import Path

from astrogalaxy.errors import brought_by

with brought_by("train"):
    import lightning

import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.utilities import rank_zero_only
from torch import nn
from torch.utils.data import DataLoader

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.devices import usable_cores
from astrogalaxy.training.allocator import keep_freed_memory
from astrogalaxy.training.checkpoints import (
    LastCheckpoint,
    last_checkpoint,
    learned_with,
    read_checkpoint,
    restore,
    warn_of_changes,
)
from astrogalaxy.training.crops import Batch
from astrogalaxy.training.finish import Trained, finish
from astrogalaxy.training.loaders import TrainingData
from astrogalaxy.training.module import AstroYoloTrainer
from astrogalaxy.training.prepare import prepare
from astrogalaxy.training.running import Run, held, interruptions, plain_errors, quiet
from astrogalaxy.training.schedule import Phase, Schedule
from astrogalaxy.training.sets import prepare_sets
from astrogalaxy.training.start import NORMALISATION_SEED, begin, check_start, chooses_from_start, mix_in_start

__all__ = ["train"]

logger = logging.getLogger(__name__)

# The weights that are kept are a running average. It is updated so many times in a training, but at most every so many
# steps (updates cost time); its span is a share of the training, so that a short one forgets its beginnings, and from
# two updates to so many steps.
_AVERAGES, _AVERAGE_EVERY, _AVERAGE_OVER, _AVERAGE_LONGEST = 100, 10, 0.04, 330
_VALIDATION_BATCHES = 10
_NORMALISATION_BATCHES = 60
# Seed offsets of the crops to validate on, and of those of each further process.
_VALIDATION_SEED, _PROCESS_SEED = 2**20, 2**26


def train(
    recipe: RecipeConfig,
    *,
    command: str = "",
    resume: bool = True,
    progress: Callable[[int, int], None] | None = None,
    callbacks: list[Callback] | None = None,
) -> Trained:
    """Train a recipe to a calibrated weight file.

    Interrupted at any moment, the same call goes on from the last checkpoint; finished, it
    only calibrates again and writes the weight file anew.

    Parameters
    ----------
    recipe : RecipeConfig
        What to train, on what, and how long.
    command : str
        How it was called, for the weight card.
    resume : bool
        Go on from the last checkpoint if there is one.
    progress : callable, optional
        Called with (done, all) while examples are made.
    callbacks : list of Callback, optional
        Further Lightning callbacks, for instance a progress bar.

    Returns
    -------
    Trained
        With ``<output.directory>/<name>/<name>.safetensors``.

    Raises
    ------
    ConfigError
        If data that the recipe names are missing, or the checkpoint is of another network.
    RunError
        If the checkpoint cannot be read, the folder is another training's or cannot be written to, or the loss is no
        number any more.

    Examples
    --------
    >>> from astrogalaxy.config import RecipeConfig
    >>> from astrogalaxy.training.train import train
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"simulation": {"scenes": 1000}}})
    >>> trained = train(recipe)  # doctest: +SKIP
    >>> trained.weights.path.name  # doctest: +SKIP
    'mine.safetensors'
    """
    keep_freed_memory()
    run = Run(Path(recipe.output.directory) / recipe.name, command, resume, callbacks or [])
    with held(run.folder):
        return _train(recipe, run, progress)


def _train(recipe: RecipeConfig, run: Run, progress: Callable[[int, int], None] | None) -> Trained:
    check_start(recipe)  # before an hour of making examples
    folder = run.folder
    changed = run.resume and warn_of_changes(recipe, learned_with(folder))
    run.keep(recipe)
    data = _prepared(recipe, folder / "examples", progress)
    if run.resume and not changed:
        _warn_of_new_examples(data, last_checkpoint(folder))
    schedule = Schedule.of(recipe)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    settings = recipe.training
    module = AstroYoloTrainer(
        recipe.model.shape,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup=settings.warmup,
        schedule=schedule,
        keep_normalisation=settings.normalisation == "keep",
    )
    _fit(module, data, schedule, run)
    best = folder / "checkpoints" / "best.ckpt"
    # a training shorter than the way to its first validation has no best
    if settings.patience and best.is_file():
        step = _restore(module, best)
        logger.info("%s: best at step %d", recipe.name, step)
        if not step:
            logger.warning("%s: no step was better than %s; its weights are kept", recipe.name, recipe.model.start)
            return finish(recipe, module.network, data, folder, command=run.command)
    if settings.start_share:
        mix_in_start(module.network, recipe, data)
    if settings.normalisation == "learn":
        _choose_normalisation(module, data, schedule)
    return finish(recipe, module.network, data, folder, command=run.command)


def _prepared(recipe: RecipeConfig, examples: Path, progress: Callable[[int, int], None] | None) -> TrainingData:
    """Make the data of a recipe that are not there yet."""
    processes = usable_cores() if recipe.training.workers else 0
    return TrainingData(
        recipe,
        prepare(recipe, examples, workers=processes, progress=progress),
        examples,
        prepare_sets(recipe, "train", workers=processes, progress=progress),
        prepare_sets(recipe, "val", workers=processes, progress=progress),
    )


def _warn_of_new_examples(data: TrainingData, last: Path) -> None:
    """Warn if examples were made after the checkpoint that training goes on from: labels were changed, say."""
    paths = [data.folder / f"{item.name}.npy" for item in data.plan]
    if last.is_file() and any(path.stat().st_mtime > last.stat().st_mtime for path in paths):
        logger.warning("%s: its checkpoint learned from other examples; --no-resume trains anew", data.recipe.name)


def _fit(module: AstroYoloTrainer, data: TrainingData, schedule: Schedule, run: Run) -> None:
    """Do the remaining steps of a training."""
    recipe, settings = data.recipe, data.recipe.training
    # each process of several gets crops of its own
    seed = recipe.seed + rank_zero_only.rank * _PROCESS_SEED
    last = last_checkpoint(run.folder)
    start = _restore(module, last) if run.resume and last.is_file() else 0
    if not start:
        if not rank_zero_only.rank:
            # the best checkpoint, or the stop, of an earlier training is not this one's
            shutil.rmtree(last.parent, ignore_errors=True)
        begin(module.network, recipe, data)
    # a run that goes on from a step must not see the first crops again
    crops = data.loader(schedule, seed=seed + start, start=start, workers=settings.workers)
    unseen = _unseen(data, seed)
    # there if training was stopped for want of progress
    over = last.parent / f"stopped-{settings.patience}"
    if start < settings.steps and not (start and over.is_file()):
        logger.info("training %s, from step %d to %d", recipe.name, start, settings.steps)
        with quiet(), plain_errors(), interruptions():
            trainer = _trainer(recipe, run, start)
            if not start and chooses_from_start(recipe):
                _count_start(trainer, module, unseen)
            trainer.fit(module, crops, unseen, ckpt_path=last if start else None, weights_only=True)
        if trainer.global_rank:
            # a helper process that Lightning started with this same command; the first process does the rest
            raise SystemExit(0)
        if trainer.global_step < settings.steps and not trainer.interrupted:
            logger.info("%s: no better for %d validations, stopped", recipe.name, settings.patience or 0)
            over.touch()


def _unseen(data: TrainingData, seed: int) -> DataLoader[Batch]:
    """What is validated on, of all sets in turn."""
    return data.loader(Schedule.in_turn(data.recipe), seed=seed + _VALIDATION_SEED, validation=True)


def _count_start(trainer: lightning.Trainer, module: AstroYoloTrainer, unseen: DataLoader[Batch]) -> None:
    """Let the start be the best checkpoint until a validation is better."""
    (measured,) = trainer.validate(module, unseen, verbose=False)
    loss = torch.tensor(measured["val_loss"])
    for keep in trainer.checkpoint_callbacks:
        if isinstance(keep, ModelCheckpoint) and keep.monitor:
            path = str(Path(str(keep.dirpath)) / f"{keep.filename}.ckpt")
            trainer.save_checkpoint(path, weights_only=True)
            best = {"best_model_path": path, "best_model_score": loss, "best_k_models": {path: loss}}
            keep.load_state_dict({**keep.state_dict(), **best, "kth_best_model_path": path, "kth_value": loss})


def _restore(module: AstroYoloTrainer, path: Path) -> int:
    """Load the averaged weights of a checkpoint; return the step it was written at."""
    state = read_checkpoint(path)
    restore(module, state, path)
    return int(state["global_step"])


def _choose_normalisation(module: AstroYoloTrainer, data: TrainingData, schedule: Schedule) -> None:
    """Measure the statistics of the batch normalisation anew, and keep them if the validation is better for it.

    Averaged weights need statistics of their own, but in some channels a rare bright source has nearly all the
    variance. Sixty batches of small crops may tell less about those than what a start has brought from its training.
    """
    recipe, network = data.recipe, module.network
    steady = recipe.seed + NORMALISATION_SEED
    unseen = _unseen(data, recipe.seed)
    before, learned = _validation_loss(module, unseen), deepcopy(network.state_dict())
    refresh_normalisation(network, [(phase, data.loader(Schedule([phase]), seed=steady)) for phase in schedule.lasting])
    after = _validation_loss(module, unseen)
    words = "%s: validation loss with the normalisation of the training %.4f, measured anew %.4f"
    logger.info(words, recipe.name, before, after)
    if not after < before:
        network.load_state_dict(learned)


def _validation_loss(module: AstroYoloTrainer, unseen: DataLoader[Batch]) -> float:
    """Mean loss of the batches that are validated on during training."""
    module.eval()
    batches = (module.transfer_batch_to_device(batch, module.device, 0) for batch in unseen)
    with torch.no_grad():
        return float(np.mean([float(module.losses(batch)["loss"]) for batch in islice(batches, _VALIDATION_BATCHES)]))


def refresh_normalisation(network: AstroYolo, phases: Sequence[tuple[Phase, DataLoader[Batch]]]) -> None:
    """Measure the statistics of the batch normalisation anew, since averaged weights need their own.

    Each part of the network is measured on the data of the phases in which it learns, the backbone before the heads;
    parts that do not learn keep theirs.

    Parameters
    ----------
    network : AstroYolo
        Its statistics are changed in place.
    phases : sequence of (Phase, DataLoader)
        The phases in which the training ends, with their data.
    """
    device = next(network.parameters()).device
    network.eval()
    momenta = {m: m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    for stage in (["neck"], ["detection", "stargalaxy", "morphology"]):
        learners = [
            (loader, [part for name, part in network.named_children() if name in stage and phase.trains(name)])
            for phase, loader in phases
        ]
        for norm in {m for _, parts in learners for part in parts for m in part.modules() if m in momenta}:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean
        for loader, parts in learners:
            if not parts:
                continue
            for part in parts:
                part.train()
            with torch.no_grad():
                for batch in islice(loader, -(-_NORMALISATION_BATCHES // len(phases))):
                    network(batch.image.to(device))
            network.eval()
    for norm, momentum in momenta.items():
        norm.momentum = momentum


def _average(steps: int) -> EMAWeightAveraging:
    """The running average of the weights."""
    every = int(np.clip(steps // _AVERAGES, 1, _AVERAGE_EVERY))
    span = float(np.clip(_AVERAGE_OVER * steps, 2 * every, _AVERAGE_LONGEST))
    return EMAWeightAveraging(decay=1 - every / span, use_buffers=True, update_every_n_steps=every)


def _trainer(recipe: RecipeConfig, run: Run, start: int) -> lightning.Trainer:
    settings = recipe.training
    last = last_checkpoint(run.folder)
    patience: list[Callback] = []
    if settings.patience:
        best = ModelCheckpoint(dirpath=last.parent, filename="best", monitor="val_loss", enable_version_counter=False)
        patience = [EarlyStopping("val_loss", patience=settings.patience), best]
    several = settings.devices > 1 if isinstance(settings.devices, int) else torch.cuda.device_count() > 1
    return run.trainer(
        recipe,
        start,
        [
            *patience,
            LearningRateMonitor(),
            *run.callbacks,
            _average(settings.steps),
            # after the best, whose score it holds
            LastCheckpoint(last, every=min(settings.validate_every, 200)),
        ],
        max_steps=settings.steps,
        # in a phase of a schedule parts of the network have no gradient
        strategy="ddp_find_unused_parameters_true" if several and settings.schedule else "auto",
        devices=settings.devices,
        val_check_interval=settings.validate_every,
        check_val_every_n_epoch=None,
        limit_val_batches=_VALIDATION_BATCHES,
        gradient_clip_val=20.0,
        log_every_n_steps=20,
    )
