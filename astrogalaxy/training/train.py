"""Train a recipe: examples, network, calibration, weight file."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from numpy.typing import NDArray
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.export import network_graph, network_tensors
from astrogalaxy.detection.inputs import STRETCH
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import ConfigError, RunError
from astrogalaxy.evaluation.calibration import calibrate
from astrogalaxy.files import atomic_path
from astrogalaxy.models import HEADS, Architecture, Calibration, WeightCard, Weights, save_weights
from astrogalaxy.simulation.profiles import PROFILES, SCALE_RANGE
from astrogalaxy.training.crops import Batch, CropStream, collate
from astrogalaxy.training.examples import Example
from astrogalaxy.training.module import AstroYoloTrainer
from astrogalaxy.training.prepare import Prepared, prepare

__all__ = ["Trained", "finish", "train"]

logger = logging.getLogger(__name__)

# The weights that are kept are a running average, renewed every few steps (each costs time).
_AVERAGE_EVERY, _AVERAGE_DECAY = 10, 0.97
_VALIDATION_BATCHES = 10
_NORMALISATION_BATCHES = 60
# Kinds of examples that are trained on, and where the other streams of crops start.
_TRAINED_ON = {"train", "sky", "labels"}
_VALIDATION_SEED, _NORMALISATION_SEED = 2**20, 2**21
# Warnings of Lightning about its own code, and about data made in this process (`workers: 0`).
_NOT_OURS = (r"`isinstance\(treespec, LeafSpec\)` is deprecated", "The '.*_dataloader' does not have many workers")


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
    """

    weights: Weights
    folder: Path
    metrics: dict[str, float]


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
    """
    folder = Path(recipe.output.directory) / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "recipe.yml") as path:
        path.write_text(recipe.to_yaml(), encoding="utf-8")
    examples = folder / "examples"
    settings = recipe.training
    processes = (os.cpu_count() or 1) if settings.workers else 0
    plan = prepare(recipe, examples, workers=processes, progress=progress)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    module = AstroYoloTrainer(
        Architecture(recipe.model.size, tuple(recipe.model.levels), recipe.model.inputs),
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup=settings.warmup,
    )
    last = folder / "checkpoints" / "last.ckpt"
    start = _restore(module, last) if resume and last.is_file() else 0
    logger.info("training %s, from step %d to %d", recipe.name, start, settings.steps)
    loaders = _loaders(recipe, plan, examples, start)
    if start < settings.steps:
        with _quiet():
            trainer = _trainer(recipe, folder, callbacks or [], start)
            trainer.fit(module, *loaders, ckpt_path=last if start else None, weights_only=False)
    steady = _crops(recipe, plan, examples, _TRAINED_ON, recipe.seed + _NORMALISATION_SEED, 0)
    refresh_normalisation(module.network, steady)
    return finish(recipe, module.network, plan, folder, command=command)


def _restore(module: AstroYoloTrainer, path: Path) -> int:
    """Load the averaged weights of a checkpoint; return the step it was written at."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=False)
        weights, step = state["state_dict"], int(state["global_step"])
    except Exception as error:  # a damaged file raises whatever its bytes make of it
        msg = f"{path}: cannot be read ({error}); remove it to train from the start"
        raise RunError(msg) from error
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        msg = f"{path}: is of another network than the recipe's; give the recipe another name"
        raise ConfigError(msg) from error
    return step


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings that no user can do anything about."""
    # Lightning greets and advertises at the level of information
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in _NOT_OURS:
            warnings.filterwarnings("ignore", message)
        yield


def refresh_normalisation(network: AstroYolo, loader: DataLoader[Batch]) -> None:
    """Measure the batch normalisation's statistics anew: averaged weights need their own."""
    device = next(network.parameters()).device
    update_bn(islice(loader, _NORMALISATION_BATCHES), network, device=device)


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
    # the log of a run that goes on lies beside the first one, which would else be overwritten
    part = f"from-{start}" if start else ""
    for kind in ("log", "tensorboard"):
        shutil.rmtree(folder / kind / part, ignore_errors=True)  # of an attempt that is repeated
    return lightning.Trainer(
        max_steps=settings.steps,
        precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
        accelerator="auto",
        devices="auto",
        default_root_dir=folder,
        logger=[
            CSVLogger(folder, name="log", version=part),
            TensorBoardLogger(folder, name="tensorboard", version=part),
        ],
        callbacks=[
            keep,
            LearningRateMonitor(),
            *extra,
            EMAWeightAveraging(decay=_AVERAGE_DECAY, use_buffers=True, update_every_n_steps=_AVERAGE_EVERY),
        ],
        val_check_interval=settings.validate_every,
        check_val_every_n_epoch=None,
        limit_val_batches=_VALIDATION_BATCHES,
        num_sanity_val_steps=0,
        gradient_clip_val=20.0,
        enable_model_summary=False,
        enable_progress_bar=bool(extra),
        log_every_n_steps=20,
    )


def _loaders(
    recipe: RecipeConfig, plan: list[Prepared], examples: Path, start: int
) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
    # a run that goes on from a step must not see the first crops again
    return (
        _crops(recipe, plan, examples, _TRAINED_ON, recipe.seed + start, recipe.training.workers),
        _crops(recipe, plan, examples, {"val"}, recipe.seed + _VALIDATION_SEED, 0),
    )


def _crops(
    recipe: RecipeConfig, plan: list[Prepared], examples: Path, kinds: set[str], seed: int, workers: int
) -> DataLoader[Batch]:
    """Batches of random crops of the examples of some kinds; of all, if there are none of these."""
    items = [item for item in plan if item.kind in kinds] or plan
    stream = CropStream(
        [examples / f"{item.name}.npy" for item in items],
        [item.weight for item in items],
        crop=recipe.training.crop,
        channels=recipe.model.inputs,
        seed=seed,
    )
    return DataLoader(
        stream,
        batch_size=recipe.training.batch,
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
    )  # type: ignore[arg-type,return-value]


def finish(
    recipe: RecipeConfig, network: AstroYolo, plan: list[Prepared], folder: Path, *, command: str = ""
) -> Trained:
    """Calibrate a trained network on the validation scenes and write its weight file.

    Parameters
    ----------
    recipe : RecipeConfig
        What it was trained on.
    network : AstroYolo
        The averaged network.
    plan : list of Prepared
        The examples, in ``folder / "examples"``.
    folder : Path
        Where to write.
    command : str
        For the weight card.

    Returns
    -------
    Trained
    """
    network = network.eval().cpu()
    draft = _card(recipe, command)
    path = folder / f"{recipe.name}.safetensors"
    # not under its final name: an interruption must not leave weights that are not calibrated
    draft_path = folder / "checkpoints" / "uncalibrated.safetensors"
    draft_path.parent.mkdir(exist_ok=True)
    weights = save_weights(draft_path, draft, network_tensors(network), network_graph(network))

    def labelled(kind: str) -> list[tuple[NDArray[np.float32], NDArray[np.void]]]:
        paths = [folder / "examples" / f"{item.name}.npy" for item in plan if item.kind == kind]
        return [(np.asarray(e.snr, np.float32), e.sources) for e in map(Example.load, paths)]

    result = calibrate(weights, labelled("val"), real=labelled("labels"))
    card = draft.model_copy(
        update={"calibration": result.calibration, "threshold": result.threshold, "metrics": result.metrics}
    )
    weights = save_weights(path, card, weights.tensors, weights.graph)
    draft_path.unlink()
    logger.info("wrote %s", path)
    return Trained(weights, folder, result.metrics)


def _card(recipe: RecipeConfig, command: str) -> WeightCard:
    neutral = {name: Calibration() for name in HEADS}
    pixel_scale, seeing = _ranges(recipe)
    return WeightCard(
        name=recipe.name,
        version=version("astrogalaxy").split("+")[0],
        size=recipe.model.size,
        levels=recipe.model.levels,
        inputs=recipe.model.inputs,
        bands="1 to N bands by order of wavelength; more than the input channels are summed in groups",
        max_bands=64,
        normalisation=f"asinh((pixel - background) / noise / {STRETCH:g})",
        pixel_scale=pixel_scale,
        seeing=seeing,
        data=_data(recipe),
        licence="BSD-3-Clause",
        command=command or f"astrogalaxy train {recipe.name}.yml",
        metrics={},
        metrics_command=f"astrogalaxy train {recipe.name}.yml (validation scenes)",
        calibration=neutral,
        threshold=0.5,
        sha256="",
    )


def _ranges(recipe: RecipeConfig) -> tuple[tuple[float, float], tuple[float, float]]:
    """Pixel scales (arcsec) and seeing (pixels) of the recipe's scenes; of all surveys without scenes."""
    simulation = recipe.data.simulation
    profiles = [PROFILES[name] for name in (simulation.surveys if simulation else PROFILES)]
    low, high = SCALE_RANGE
    scales = min(p.pixel_scale for p in profiles) * low, max(p.pixel_scale for p in profiles) * high
    sharpest = min(p.seeing[0] / p.pixel_scale / high for p in profiles)
    widest = max(p.seeing[1] / p.pixel_scale / low for p in profiles)
    return (round(scales[0], 2), round(scales[1], 2)), (round(sharpest, 1), round(widest, 1))


def _data(recipe: RecipeConfig) -> tuple[str, ...]:
    """What was trained on, for the card."""
    data = recipe.data
    lines = []
    if data.simulation:
        lines.append(f"{data.simulation.scenes} GalSim scenes like {', '.join(data.simulation.surveys)}")
    lines += [f"sources injected into {Path(str(sky.images.path)).name}" for sky in data.sky]
    lines += [f"labels of {Path(str(labels.truth)).name}, part {labels.part}" for labels in data.labels]
    if data.stamps:
        lines.append("Galaxy Zoo 2 votes and SDSS colour cutouts (Willett et al. 2013, Hart et al. 2016)")
    return tuple(lines)
