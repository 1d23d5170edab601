"""AstroYOLO as a Lightning module: loss, optimiser, schedule."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor

from astrogalaxy.detection.loss import LossWeights, multitask_loss
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.models.architecture import Architecture
from astrogalaxy.training.checkpoints import learn_as_now
from astrogalaxy.training.crops import Batch
from astrogalaxy.training.schedule import HEADS, Phase, Schedule

__all__ = ["AstroYoloTrainer", "learn"]

# The parts of the loss that each head answers for.
_PARTS = {"detection": ("box", "source"), "stargalaxy": ("galaxy",), "morphology": ("disk",)}


class AstroYoloTrainer(lightning.LightningModule):
    """Train an `AstroYolo` network.

    Parameters
    ----------
    architecture : Architecture
        The network.
    steps : int
        Optimiser steps of the whole training; the rate falls along a half cosine.
    learning_rate, weight_decay : float
        Of AdamW; biases and normalisations are not decayed.
    warmup : int
        Steps over which the rate rises.
    weights : LossWeights
        Of the loss's terms.
    schedule : Schedule
        What learns at which step, and at which share of the rate; by default all heads at all steps.
    keep_normalisation : bool
        Leave the statistics of the batch normalisation as they are.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        steps: int,
        learning_rate: float = 2e-3,
        weight_decay: float = 5e-4,
        warmup: int = 200,
        weights: LossWeights | None = None,
        schedule: Schedule | None = None,
        keep_normalisation: bool = False,
    ) -> None:
        super().__init__()
        self.network = AstroYolo(architecture).to(memory_format=torch.channels_last)
        self.steps, self.warmup = steps, warmup
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.weights = weights or LossWeights()
        self.schedule = schedule or Schedule([Phase("fields")])
        self.keep_normalisation = keep_normalisation

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Raw prediction maps."""
        return self.network(image.contiguous(memory_format=torch.channels_last))

    def on_train_batch_start(self, _batch: Batch, _index: int) -> None:
        """Let only those parts learn that the phase of the step names."""
        learn(self.network, self.schedule.at(self.global_step), keep_normalisation=self.keep_normalisation)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of a batch, of the heads that learn from it."""
        return self._step(batch, "train", self.schedule.at(self.global_step).heads)

    def validation_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of a batch that is not trained on, of all heads."""
        return self._step(batch, "val", HEADS)

    def losses(self, batch: Batch, heads: tuple[str, ...] = HEADS) -> dict[str, Tensor]:
        """Loss of a batch, ``loss``, of the heads that it is asked of, and its parts by name."""
        maps = tuple(level.float() for level in self(batch.image))
        shape = self.network.architecture
        parts = multitask_loss(maps, batch.targets, shape.strides, weights=self.weights, one_cell=shape.one_cell)
        asked = [name for head in heads for name in _PARTS[head]]
        loss = torch.stack([getattr(self.weights, name) * parts[name] for name in asked]).sum()
        return {"loss": loss, **{name: parts[name] for name in asked}}

    def _step(self, batch: Batch, stage: str, heads: tuple[str, ...]) -> Tensor:
        shown = self.losses(batch, heads)
        loss = shown["loss"]
        self.log_dict(
            {f"{stage}_{name}": value.detach() for name, value in shown.items()},
            prog_bar=False,
            sync_dist=stage == "val",
            batch_size=len(batch.image),
        )
        self.log(
            f"{stage}_total",
            loss.detach(),
            prog_bar=True,
            logger=False,
            sync_dist=stage == "val",
            batch_size=len(batch.image),
        )
        return loss

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the rate and decay of the recipe as it is now."""
        learn_as_now(self, checkpoint)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and a half cosine."""
        plain, decayed = [], []
        for parameter in self.network.parameters():
            (decayed if parameter.ndim > 1 else plain).append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=self.learning_rate,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        share = self.schedule.at(step).rate
        if step < self.warmup:
            return share * (step + 1) / self.warmup
        done = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return share * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def learn(network: AstroYolo, phase: Phase, *, keep_normalisation: bool = False) -> None:
    """Set which parts learn in a phase; the others keep their weights and their normalisation.

    With ``keep_normalisation`` the parts that learn keep the statistics of their normalisation, too; its factors and
    offsets learn.
    """
    for name, part in network.named_children():
        active = phase.trains(name)
        part.train(active and not keep_normalisation).requires_grad_(active)
