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
from astrogalaxy.training.crops import Batch

__all__ = ["AstroYoloTrainer"]


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
    ) -> None:
        super().__init__()
        self.network = AstroYolo(architecture).to(memory_format=torch.channels_last)
        self.steps, self.warmup = steps, warmup
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.weights = weights or LossWeights()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Raw prediction maps."""
        return self.network(image.contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of a batch."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of a batch that is not trained on."""
        return self._step(batch, "val")

    def _step(self, batch: Batch, stage: str) -> Tensor:
        maps = tuple(level.float() for level in self(batch.image))
        parts = multitask_loss(maps, batch.targets, self.network.architecture.levels, weights=self.weights)
        self.log_dict(
            {f"{stage}_{name}": value.detach() for name, value in parts.items()},
            prog_bar=False,
            batch_size=len(batch.image),
        )
        total = parts["loss"].detach()
        self.log(f"{stage}_total", total, prog_bar=True, logger=False, batch_size=len(batch.image))
        return parts["loss"]

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
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
