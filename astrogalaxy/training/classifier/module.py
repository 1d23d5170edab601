"""A classifier as a Lightning module: losses, optimiser, schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.config.classifier import DistillationSection
from astrogalaxy.morphology.network import GalaxyNetwork
from astrogalaxy.morphology.pictures import normalisation
from astrogalaxy.training.checkpoints import learn_as_now
from astrogalaxy.training.classifier.augment import augment, mix

__all__ = ["ClassifierTrainer", "Teacher", "class_loss", "distillation_loss", "learning_rate", "normalised"]

Batch = tuple[Tensor, Tensor, Tensor]


def class_loss(logits: Tensor, shares: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Cross entropy with shares of classes.

    Parameters
    ----------
    logits, shares : Tensor
        ``(n, n_classes)``; the rows of shares sum to 1.
    smoothing : float
        Share that is spread evenly over all classes.
    weights : Tensor, optional
        ``(n_classes,)`` how much an image of each class counts; 1 on average.

    Returns
    -------
    Tensor
        One number.
    """
    target = (1 - smoothing) * shares + smoothing / shares.shape[1]
    loss = -(target * F.log_softmax(logits, dim=1)).sum(1)
    if weights is None:
        return loss.mean()
    weight = (shares * weights).sum(1)
    return (weight * loss).sum() / weight.sum()


def distillation_loss(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:  # numpydoc ignore=RT03
    """Divergence of softened predictions (Hinton et al. 2015), times the squared temperature.

    Parameters
    ----------
    student, teacher : Tensor
        Logits ``(n, n_classes)``.
    temperature : float
        By which both are divided.

    Returns
    -------
    Tensor
        One number.
    """
    said = F.log_softmax(student / temperature, dim=1)
    taught = F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(said, taught, reduction="batchmean", log_target=True) * temperature**2


def learning_rate(recipe: ClassifierRecipe, step: int, steps: int) -> float:
    """Factor on the learning rate at a step of so many.

    Examples
    --------
    >>> data = [{"format": "galaxyzoo", "path": "gz2"}]
    >>> training = {"schedule": "cosine", "lowest_rate": 0.0, "warmup": 2}
    >>> recipe = ClassifierRecipe.from_dict({"name": "a", "data": data, "training": training})
    >>> [round(learning_rate(recipe, step, 12), 2) for step in (0, 2, 7, 12)]
    [0.5, 1.0, 0.5, 0.0]
    """
    settings = recipe.training
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    if settings.schedule == "cosine":
        done = min((step - settings.warmup) / max(steps - settings.warmup, 1), 1.0)
        lowest = min(settings.lowest_rate / settings.learning_rate, 1.0)
        return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * done))
    if settings.schedule == "exponential":
        return float(settings.decay ** (step / settings.decay_steps))
    if settings.schedule == "inverse":
        return 1 / (1 + settings.decay * step)
    return 1.0


class Teacher(nn.Module):
    """A trained classifier that teaches another: it stays as it is.

    Parameters
    ----------
    network : GalaxyNetwork
        The teacher.
    normalise : str
        How pixels become its input.
    order : Tensor
        ``(n_classes,)`` which of its outputs is each class of the student.
    """

    def __init__(self, network: GalaxyNetwork, normalise: str, order: Tensor) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.normalise, self.order = normalise, order

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of images ``(n, 3, side, side)`` from 0 to 1."""
        side = self.network.spec.side
        if images.shape[-1] != side:
            images = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
        features = self.network.embed(normalised(images, self.normalise))
        return features, self.network.head(features)[:, self.order.to(features.device)]

    def train(self, mode: bool = True) -> Teacher:  # noqa: ARG002, FBT002 (as torch has it)
        """It never is in training."""
        return super().train(mode=False)  # type: ignore[return-value]


class ClassifierTrainer(lightning.LightningModule):
    """Trains a `~astrogalaxy.morphology.network.GalaxyNetwork` as a recipe says.

    Parameters
    ----------
    recipe : ClassifierRecipe
        Losses, optimiser, schedule, augmentation.
    network : GalaxyNetwork
        What learns.
    steps : int
        Of the whole training.
    seed : int
        Of the augmentation.
    frozen : sequence of nn.Module
        Parts of the network that stay as they are.
    counts : Tensor, optional
        ``(n_classes,)`` training images of each class, with ``balance: loss``.
    teacher : Teacher, optional
        With ``distillation``.
    classes : sequence of str
        What the outputs are called; checkpoints tell it.
    """

    def __init__(
        self,
        recipe: ClassifierRecipe,
        network: GalaxyNetwork,
        *,
        steps: int,
        seed: int,
        frozen: list[nn.Module] | None = None,
        counts: Tensor | None = None,
        teacher: Teacher | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.classes = list(classes)
        self.recipe, self.network, self.steps, self.seed = recipe, network, steps, seed
        self._frozen = frozen or []  # a plain list: they are registered as parts of the network
        self._weights = None if counts is None else (w := 1 / counts.clamp(min=1)) / w.mean()
        # beside the modules that Lightning saves: the teacher has a file of its own
        self._teacher = [teacher] if teacher else []
        self.adapter: nn.Module | None = None
        if teacher and recipe.training.distillation and recipe.training.distillation.features:
            self.adapter = nn.Linear(_width(network), _width(teacher.network))

    def on_train_start(self) -> None:
        """The teacher goes where the student is."""
        for teacher in self._teacher:
            teacher.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Parts that do not learn keep their normalisation."""
        for part in self._frozen:
            part.eval()

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of a batch."""
        images, shares, _ = batch
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.global_step)
        images = augment(images.float() / 255, self.recipe.augmentation, generator)
        images, shares = mix(images, shares, self.recipe.augmentation, generator)
        features = self.network.embed(normalised(images, self.recipe.input.normalise))
        logits = self.network.head(features)
        settings = self.recipe.training
        weights = None if self._weights is None else self._weights.to(shares)
        loss = class_loss(logits, shares, smoothing=settings.smoothing, weights=weights)
        if settings.distillation and self._teacher:
            loss = self._taught(settings.distillation, loss, images, features, logits)
        if settings.l2:
            loss = loss + settings.l2 * sum(p.square().sum() for p in self.network.hidden.parameters())
        right = (logits.argmax(1) == shares.argmax(1)).float().mean()
        self._note("train", {"loss": loss, "accuracy": right}, len(images))
        return loss

    def _taught(
        self, settings: DistillationSection, loss: Tensor, images: Tensor, features: Tensor, logits: Tensor
    ) -> Tensor:
        """The loss with what the teacher says of predictions and features."""
        known, said = self._teacher[0](images)
        taught = distillation_loss(logits, said, temperature=settings.temperature)
        loss = (1 - settings.predictions) * loss + settings.predictions * taught
        if self.adapter is not None:
            near = F.mse_loss(F.normalize(self.adapter(features), dim=1), F.normalize(known, dim=1), reduction="sum")
            loss = loss + settings.features * near / len(images)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Loss and accuracy of images as they are."""
        images, shares, _ = batch
        logits = self.network(normalised(images.float() / 255, self.recipe.input.normalise))
        right = (logits.argmax(1) == shares.argmax(1)).float().mean()
        self._note("val", {"loss": class_loss(logits, shares), "accuracy": right}, len(images))

    def _note(self, stage: str, values: dict[str, Tensor], n: int) -> None:
        self.log_dict(
            {f"{stage}_{name}": value for name, value in values.items()}, on_step=False, on_epoch=True, batch_size=n
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the outputs are called."""
        checkpoint["classes"] = self.classes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the rate and decay of the recipe as it is now."""
        learn_as_now(self, checkpoint)

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser, its learning rate set at each step."""
        settings = self.recipe.training
        learning = [p for p in self.parameters() if p.requires_grad]
        given: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        if settings.optimiser == "sgd":
            given["momentum"] = 0.9
        optimiser = kinds[settings.optimiser](learning, **given)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: learning_rate(self.recipe, s, self.steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def normalised(images: Tensor, normalise: str) -> Tensor:
    """Network input from images of 0 to 1."""
    gain, offset = (torch.from_numpy(a).to(images)[:, None, None] for a in normalisation(normalise))
    return images * (255 * gain) + offset


def _width(network: GalaxyNetwork) -> int:
    head = network.head
    if not isinstance(head, nn.Linear):
        msg = "a network of clusters has no features to teach"
        raise TypeError(msg)
    return head.in_features
