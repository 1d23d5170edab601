"""Train a recipe: examples, network, calibration, weight file."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.export import network_from_tensors, network_graph, network_tensors
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import ConfigError
from astrogalaxy.evaluation.calibration import CalibrationResult, calibrate
from astrogalaxy.files import atomic_path
from astrogalaxy.models import WeightCard, Weights, save_weights
from astrogalaxy.training.allocator import keep_freed_memory
from astrogalaxy.training.cards import draft_card, start_weights
from astrogalaxy.training.crops import Batch
from astrogalaxy.training.examples import Example
from astrogalaxy.training.loaders import TrainingData
from astrogalaxy.training.module import AstroYoloTrainer
from astrogalaxy.training.photographs import start_from_photographs
from astrogalaxy.training.prepare import prepare, unseen_images
from astrogalaxy.training.running import interruptions, plain_errors, quiet, read_checkpoint, restore
from astrogalaxy.training.schedule import Phase, Schedule
from astrogalaxy.training.sets import prepare_sets
from astrogalaxy.training.widen import widen

__all__ = ["Trained", "finish", "recalibrate", "train"]

logger = logging.getLogger(__name__)

# The weights that are kept are a running average, renewed so many times, but not more often than every few steps (each
# costs time); it reaches back over a share of the training, so that a short one does not remember its beginnings, and
# over two renewals at least.
_AVERAGES, _AVERAGE_EVERY, _AVERAGE_OVER, _AVERAGE_LONGEST = 100, 10, 0.04, 330
# What a tuning should not make worse than it was.
_COMPARED = {"average_precision", "galaxy_accuracy"}
_VALIDATION_BATCHES = 10
_NORMALISATION_BATCHES = 60
# Where the streams of crops that are not trained on start.
_VALIDATION_SEED, _NORMALISATION_SEED = 2**20, 2**21
_PROCESS_SEED = 2**26


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes
    ----------
    weights : Weights
        The weight file.
    folder : Path
        Checkpoints, logs and the frozen recipe.
    metrics : dict
        Measured on the validation scenes.
    start : dict
        The same of the weights that training went on from, calibrated anew on the same scenes; empty unless the best
        are chosen (``training.patience``) from them, too.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.models import load_weights
    >>> from astrogalaxy.training.train import Trained
    >>> trained = Trained(load_weights("default"), Path("runs/mine"), {"f1": 0.9})
    >>> trained.weights.card.name
    'astroyolo-nano'
    """

    weights: Weights
    folder: Path
    metrics: dict[str, float]
    start: dict[str, float] = field(default_factory=dict)


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
        If the checkpoint cannot be read.

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
    folder = Path(recipe.output.directory) / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "recipe.yml") as path:
        path.write_text(recipe.to_yaml(), encoding="utf-8")
    examples = folder / "examples"
    settings = recipe.training
    processes = (os.cpu_count() or 1) if settings.workers else 0
    data = TrainingData(
        recipe,
        prepare(recipe, examples, workers=processes, progress=progress),
        examples,
        prepare_sets(recipe, "train", workers=processes, progress=progress),
        prepare_sets(recipe, "val", workers=processes, progress=progress),
    )
    schedule = Schedule.of(recipe)
    # each process of several gets crops of its own
    seed = recipe.seed + rank_zero_only.rank * _PROCESS_SEED
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    module = AstroYoloTrainer(
        recipe.model.shape,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup=settings.warmup,
        schedule=schedule,
        keep_normalisation=settings.normalisation == "keep",
    )
    last = folder / "checkpoints" / "last.ckpt"
    start = _restore(module, last) if resume and last.is_file() else 0
    if not start:
        _begin(module.network, recipe, data)
    # a run that goes on from a step must not see the first crops again
    crops = data.loader(schedule, seed=seed + start, start=start, workers=settings.workers)
    unseen = data.loader(_taking_turns(recipe), seed=seed + _VALIDATION_SEED, validation=True)
    # a training that had lost its patience is over
    over = folder / "checkpoints" / f"stopped-{settings.patience}"
    if start < settings.steps and not (start and over.is_file()):
        logger.info("training %s, from step %d to %d", recipe.name, start, settings.steps)
        with quiet(), plain_errors(), interruptions():
            trainer = _trainer(recipe, folder, callbacks or [], start)
            if not start and _chooses_from_start(recipe):
                _count_start(trainer, module, unseen)
            trainer.fit(module, crops, unseen, ckpt_path=last if start else None, weights_only=True)
        if trainer.global_rank:
            # a helper process that Lightning started with this same command: the first one does the rest
            raise SystemExit(0)
        if trainer.global_step < settings.steps and not trainer.interrupted:
            logger.info("%s: no better for %d validations, stopped", recipe.name, settings.patience or 0)
            over.touch()
    best = folder / "checkpoints" / "best.ckpt"
    # a training shorter than the way to its first validation has no best
    if settings.patience and best.is_file():
        step = _restore(module, best)
        logger.info("%s: best at step %d", recipe.name, step)
        if not step:
            logger.warning("%s: no step was better than %s; its weights are kept", recipe.name, recipe.model.start)
            return finish(recipe, module.network, data, folder, command=command)
    if settings.start_share:
        _mix_in_start(module.network, recipe, data)
    if settings.normalisation == "learn":
        steady = recipe.seed + _NORMALISATION_SEED
        refresh_normalisation(
            module.network, [(phase, data.loader(Schedule([phase]), seed=steady)) for phase in schedule.lasting]
        )
    return finish(recipe, module.network, data, folder, command=command)


def _chooses_from_start(recipe: RecipeConfig) -> bool:
    """Whether the weights that training goes on from are among those that its best are chosen from."""
    return bool(recipe.training.patience and recipe.model.start and not recipe.model.from_photographs)


def _count_start(trainer: lightning.Trainer, module: AstroYoloTrainer, unseen: DataLoader[Batch]) -> None:
    """Let the start be the best until a validation is better."""
    (measured,) = trainer.validate(module, unseen, verbose=False)
    loss = torch.tensor(measured["val_loss"])
    for keep in trainer.checkpoint_callbacks:
        if isinstance(keep, ModelCheckpoint) and keep.monitor:
            path = str(Path(str(keep.dirpath)) / f"{keep.filename}.ckpt")
            trainer.save_checkpoint(path, weights_only=True)
            best = {"best_model_path": path, "best_model_score": loss, "best_k_models": {path: loss}}
            keep.load_state_dict({**keep.state_dict(), **best, "kth_best_model_path": path, "kth_value": loss})


def _begin(network: AstroYolo, recipe: RecipeConfig, data: TrainingData) -> None:
    """Give a network the weights that the recipe starts from, if it names some."""
    older = start_weights(recipe)
    if older is not None:
        _go_on_from(network, older, seed=recipe.seed)
    if recipe.model.from_photographs:
        sample = data.loader(_taking_turns(recipe), seed=recipe.seed + _NORMALISATION_SEED)
        images = torch.cat([batch.image for batch in islice(sample, len(recipe.data.sets))])
        taken = start_from_photographs(network, str(recipe.model.start), images)
        logger.info("%s: %d convolutions taken over", recipe.model.start, taken)


def _mix_in_start(network: AstroYolo, recipe: RecipeConfig, data: TrainingData) -> None:
    """Go part of the way back to the weights that training started from (Wortsman et al. 2022, WiSE-FT)."""
    start = AstroYolo(recipe.model.shape)
    _begin(start, recipe, data)
    theirs = start.state_dict()
    for name, mine in network.state_dict().items():
        if mine.is_floating_point():
            mine.lerp_(theirs[name].to(mine.device), recipe.training.start_share)


def _go_on_from(network: AstroYolo, weights: Weights, *, seed: int) -> None:
    """Give a network the weights of a file; it may be wider, magnify, and have other numbers of cells that answer."""
    wanted, there = network.architecture, weights.card.architecture
    if replace(there, one_cell=wanted.one_cell, size=wanted.size, zoom=wanted.zoom) != wanted:
        texts = (f"levels {list(a.levels)}, inputs {a.inputs}, seeing {str(a.seeing).lower()}" for a in (there, wanted))
        msg = "model.start: {} has {}; the recipe has {}; make them equal".format(weights.card.name, *texts)
        raise ConfigError(msg)
    same = network if there.size == wanted.size else AstroYolo(there)
    network_from_tensors(same, weights.tensors)
    if same is not network:
        widen(network, same, seed=seed)
    network.train()


def _taking_turns(recipe: RecipeConfig) -> Schedule:
    """Batches of all sets of a recipe, in turn."""
    return Schedule([Phase(name) for name in recipe.data.sets])


def _restore(module: AstroYoloTrainer, path: Path) -> int:
    """Load the averaged weights of a checkpoint; return the step it was written at."""
    state = read_checkpoint(path)
    restore(module, state, path)
    return int(state["global_step"])


def refresh_normalisation(network: AstroYolo, phases: Sequence[tuple[Phase, DataLoader[Batch]]]) -> None:
    """Measure the batch normalisation's statistics anew: averaged weights need their own.

    Each part of the network is measured on the data of the phases in which it learns, the backbone first; the others
    keep theirs.

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


def _trainer(recipe: RecipeConfig, folder: Path, extra: list[Callback], start: int) -> lightning.Trainer:
    settings = recipe.training
    keep = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        save_last=True,
        save_top_k=0,
        save_on_train_epoch_end=False,
        every_n_train_steps=min(settings.validate_every, 200),
        enable_version_counter=False,
    )
    patience: list[Callback] = []
    if settings.patience:
        best = ModelCheckpoint(
            dirpath=folder / "checkpoints", filename="best", monitor="val_loss", enable_version_counter=False
        )
        patience = [EarlyStopping("val_loss", patience=settings.patience), best]
    # the log of a run that goes on lies beside the first one, which would else be overwritten
    part = f"from-{start}" if start else ""
    for kind in ("log", "tensorboard"):
        shutil.rmtree(folder / kind / part, ignore_errors=True)  # of an attempt that is repeated
    several = settings.devices > 1 if isinstance(settings.devices, int) else torch.cuda.device_count() > 1
    return lightning.Trainer(
        max_steps=settings.steps,
        # in a phase of a schedule parts of the network have no gradient
        strategy="ddp_find_unused_parameters_true" if several and settings.schedule else "auto",
        precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
        accelerator="auto",
        devices=settings.devices,
        default_root_dir=folder,
        logger=[
            CSVLogger(folder, name="log", version=part),
            TensorBoardLogger(folder, name="tensorboard", version=part),
        ],
        callbacks=[
            keep,
            *patience,
            LearningRateMonitor(),
            *extra,
            _average(settings.steps),
        ],
        val_check_interval=settings.validate_every,
        check_val_every_n_epoch=None,
        limit_val_batches=_VALIDATION_BATCHES,
        num_sanity_val_steps=0,
        gradient_clip_val=20.0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(one, ProgressBar) for one in extra),
        log_every_n_steps=20,
    )


def finish(recipe: RecipeConfig, network: AstroYolo, data: TrainingData, folder: Path, *, command: str = "") -> Trained:
    """Calibrate a trained network on the validation scenes and write its weight file.

    Parameters
    ----------
    recipe : RecipeConfig
        What it was trained on.
    network : AstroYolo
        The averaged network.
    data : TrainingData
        What it was trained and is validated on.
    folder : Path
        Where to write.
    command : str
        For the weight card.

    Returns
    -------
    Trained
        With ``<name>.safetensors`` in the folder.

    Raises
    ------
    RunError
        If the folder or the disk does not take the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.config import RecipeConfig
    >>> from astrogalaxy.detection.network import AstroYolo
    >>> from astrogalaxy.models import Architecture
    >>> from astrogalaxy.training.loaders import TrainingData
    >>> from astrogalaxy.training.prepare import prepare
    >>> from astrogalaxy.training.train import finish
    >>> scenes = {"scenes": 1, "validation": 1, "size": 64, "surveys": {"hsc": 1.0}}
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"simulation": scenes}})
    >>> data = TrainingData(recipe, prepare(recipe, Path("examples"), workers=0), Path("examples"))
    >>> trained = finish(recipe, AstroYolo(Architecture()), data, Path())  # doctest: +SKIP
    """
    network = network.eval().cpu()
    draft = draft_card(recipe, command)
    path = folder / f"{recipe.name}.safetensors"
    # not under its final name: an interruption must not leave weights that are not calibrated
    draft_path = folder / "checkpoints" / "uncalibrated.safetensors"
    draft_path.parent.mkdir(exist_ok=True)
    weights = save_weights(draft_path, draft, network_tensors(network), network_graph(network))

    trained = _calibrated(weights, draft, data, path)
    draft_path.unlink()
    return _compared(trained, data) if _chooses_from_start(recipe) else trained


def recalibrate(weights: Weights, recipe: RecipeConfig, output: Path) -> Trained:
    """Calibrate weights anew, on the validation data of the recipe that trained them; the network stays as it is.

    Parameters
    ----------
    weights : Weights
        The weights.
    recipe : RecipeConfig
        Its examples are taken from ``<output.directory>/<name>/examples``, and made where they are missing there.
    output : Path
        Weight file to write; may be that of the weights.

    Returns
    -------
    Trained
        With the new weight file.

    Raises
    ------
    ConfigError
        If data that the recipe names are missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.config import RecipeConfig
    >>> from astrogalaxy.models import load_weights
    >>> from astrogalaxy.training.train import recalibrate
    >>> scenes = {"scenes": 1, "validation": 1, "size": 64, "surveys": {"hsc": 1.0}}
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"simulation": scenes}})
    >>> trained = recalibrate(load_weights("default"), recipe, Path("new.safetensors"))
    >>> trained.weights.path.name, 0 < trained.weights.card.threshold < 1
    ('new.safetensors', True)
    """
    folder = Path(recipe.output.directory) / recipe.name / "examples"
    plan = prepare(recipe, folder, workers=0, kinds={"val", "held"})
    data = TrainingData(recipe, plan, folder, val=prepare_sets(recipe, "val"))
    return _calibrated(weights, weights.card, data, output)


def _calibrated(weights: Weights, draft: WeightCard, data: TrainingData, path: Path) -> Trained:
    """Write weights with a card that says what their logits mean."""
    result = _calibrate(weights, data, start_weights(data.recipe))
    card = draft.model_copy(
        update={
            "calibration": result.calibration,
            "threshold": result.threshold,
            "metrics": result.metrics,
            "reliability": result.reliability,
        }
    )
    weights = save_weights(path, card, weights.tensors, weights.graph)
    logger.info("wrote %s", path)
    return Trained(weights, path.parent, result.metrics)


def _compared(trained: Trained, data: TrainingData) -> Trained:
    """Say what the validation makes of the weights that training went on from."""
    start = start_weights(data.recipe)
    if start is None or not trained.metrics:
        return trained
    measured = _calibrate(start, data, start).metrics
    name = trained.weights.card.name
    for metric in sorted(_COMPARED & measured.keys() & trained.metrics.keys()):
        before, now, what = measured[metric], trained.metrics[metric], metric.replace("_", " ")
        logger.info("%s: %s on the validation: %.4f -> %.4f", name, what, before, now)
        if now < before:
            words = "%s: on the validation the %s fell from %.4f to %.4f; the start, %s, may serve better"
            logger.warning(words, name, what, before, now, start.card.name)
    return replace(trained, start=measured)


def _calibrate(weights: Weights, data: TrainingData, older: Weights | None) -> CalibrationResult:
    """Calibrate on what was not trained on."""
    return calibrate(
        weights,
        _labelled(data.unseen_fields()),
        real=_labelled(data.examples("held")),
        galaxies=_labelled(data.unseen_galaxies()),
        images=unseen_images(data.recipe),
        start=older and older.card,
    )


def _labelled(examples: Iterable[Example]) -> list[tuple[NDArray[np.float32], NDArray[np.void], float]]:
    return [(np.asarray(e.snr, np.float32), e.sources, e.seeing) for e in examples]
