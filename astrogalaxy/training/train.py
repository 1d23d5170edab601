"""Train a recipe: examples, network, calibration, weight file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import lightning
import numpy as np
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.export import network_graph, network_tensors
from astrogalaxy.detection.inputs import STRETCH
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.evaluation.calibration import calibrate
from astrogalaxy.files import atomic_path
from astrogalaxy.models import Architecture, Calibration, WeightCard, Weights, save_weights
from astrogalaxy.training.crops import Batch, CropStream, collate
from astrogalaxy.training.examples import Example
from astrogalaxy.training.module import AstroYoloTrainer
from astrogalaxy.training.prepare import Prepared, prepare

__all__ = ["Trained", "train"]

logger = logging.getLogger(__name__)

# The weights that are kept are a running average, renewed every few steps (each costs time).
_AVERAGE_EVERY, _AVERAGE_DECAY = 10, 0.97
_VALIDATION_BATCHES = 10


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

    Interrupted at any moment, the same call goes on from the last checkpoint.

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
    """
    folder = Path(recipe.output.directory) / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "recipe.yml") as path:
        path.write_text(recipe.to_yaml(), encoding="utf-8")
    examples = folder / "examples"
    plan = prepare(recipe, examples, workers=os.cpu_count() or 1, progress=progress)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    module = AstroYoloTrainer(
        Architecture(recipe.model.size, tuple(recipe.model.levels), recipe.model.inputs),
        steps=recipe.training.steps, learning_rate=recipe.training.learning_rate,
        weight_decay=recipe.training.weight_decay, warmup=recipe.training.warmup,
    )  # fmt: skip
    last = folder / "checkpoints" / "last.ckpt"
    checkpoint = last if resume and last.is_file() else None
    trainer = _trainer(recipe, folder, callbacks or [])
    logger.info("training %s, %d steps%s", recipe.name, recipe.training.steps, f", from {checkpoint}" if checkpoint else "")
    trainer.fit(
        module, *_loaders(recipe, plan, examples, checkpoint), ckpt_path=checkpoint, weights_only=False
    )
    return finish(recipe, module.network, plan, folder, command=command)


def _trainer(recipe: RecipeConfig, folder: Path, extra: list[Callback]) -> lightning.Trainer:
    settings = recipe.training
    keep = ModelCheckpoint(
        dirpath=folder / "checkpoints", save_last=True, save_top_k=0, save_on_train_epoch_end=False,
        every_n_train_steps=min(settings.validate_every, 200),
    )  # fmt: skip
    return lightning.Trainer(
        max_steps=settings.steps, precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
        accelerator="auto", devices="auto", default_root_dir=folder,
        logger=[CSVLogger(folder, name="log", version=""), TensorBoardLogger(folder, name="tensorboard", version="")],
        callbacks=[
            keep, LearningRateMonitor(), *extra,
            EMAWeightAveraging(
                decay=_AVERAGE_DECAY, use_buffers=True, update_every_n_steps=_AVERAGE_EVERY
            ),
        ],
        val_check_interval=settings.validate_every, check_val_every_n_epoch=None,
        limit_val_batches=_VALIDATION_BATCHES, num_sanity_val_steps=0, gradient_clip_val=20.0,
        enable_model_summary=False, enable_progress_bar=bool(extra), log_every_n_steps=20,
    )  # fmt: skip


def _loaders(
    recipe: RecipeConfig, plan: list[Prepared], examples: Path, checkpoint: Path | None
) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
    settings = recipe.training
    # a resumed run must not see the same crops again
    start = int(checkpoint.stat().st_mtime) if checkpoint else 0

    def loader(kinds: set[str], seed: int, workers: int) -> DataLoader[Batch]:
        items = [item for item in plan if item.kind in kinds] or plan
        stream = CropStream(
            [examples / f"{item.name}.npy" for item in items], [item.weight for item in items],
            crop=settings.crop, channels=recipe.model.inputs, seed=seed,
        )  # fmt: skip
        return DataLoader(
            stream, batch_size=settings.batch, collate_fn=collate, num_workers=workers,
            multiprocessing_context="spawn" if workers else None, persistent_workers=workers > 0,
        )  # type: ignore[arg-type,return-value]

    return (
        loader({"train", "sky", "labels"}, recipe.seed + start, settings.workers),
        loader({"val"}, recipe.seed + 2**20, 0),
    )


def finish(
    recipe: RecipeConfig, network: AstroYolo, plan: list[Prepared], folder: Path, *, command: str = ""
) -> Trained:
    """Calibrate a trained network on the validation scenes and write its weight file."""
    network = network.eval().cpu()
    draft = _card(recipe, command)
    path = folder / f"{recipe.name}.safetensors"
    weights = save_weights(path, draft, network_tensors(network), network_graph(network))
    items = [item for item in plan if item.kind == "val"]
    examples = [Example.load(folder / "examples" / f"{item.name}.npy") for item in items]
    result = calibrate(weights, [(np.asarray(e.snr, np.float32), e.sources) for e in examples])
    card = draft.model_copy(
        update={"calibration": result.calibration, "threshold": result.threshold, "metrics": result.metrics}
    )
    weights = save_weights(path, card, weights.tensors, weights.graph)
    logger.info("wrote %s", path)
    return Trained(weights, folder, result.metrics)


def _card(recipe: RecipeConfig, command: str) -> WeightCard:
    neutral = {name: Calibration() for name in ("source", "galaxy", "disk")}
    return WeightCard(
        name=recipe.name, version=version("astrogalaxy").split("+")[0], size=recipe.model.size,
        levels=recipe.model.levels, inputs=recipe.model.inputs,
        bands="1 to N bands by order of wavelength; more than the input channels are summed in groups",
        max_bands=64, normalisation=f"asinh((pixel - background) / noise / {STRETCH:g})",
        pixel_scale=(0.13, 0.48), seeing=(2.2, 6.5), data=_data(recipe), licence="BSD-3-Clause",
        command=command or f"astrogalaxy train {recipe.name}.yml", metrics={},
        metrics_command=f"astrogalaxy train {recipe.name}.yml (validation scenes)",
        calibration=neutral, threshold=0.5, sha256="",
    )  # fmt: skip


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

