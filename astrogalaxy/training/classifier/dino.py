"""Self-supervised tuning of a vision transformer without labels (DINO, Caron et al. 2021), the student with LoRA."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrogalaxy.config.classifier import AugmentationSection, SelfSupervisedSection
from astrogalaxy.morphology.network import GalaxyNetwork
from astrogalaxy.morphology.tuning import merge_lora, with_lora
from astrogalaxy.training.classifier.augment import augment

__all__ = ["dino_loss", "tune_without_labels"]

logger = logging.getLogger(__name__)

# Temperatures of student and teacher, momentum of the centre, width of the projection heads.
_STUDENT, _TEACHER, _CENTRE, _WIDTH = 0.1, 0.04, 0.9, 256
# Scales, from 0 to 1 of the side, of the large and of the small crops.
_LARGE, _SMALL = (0.6, 1.0), (0.3, 0.6)
_RATE, _DECAY = 5e-4, 0.04


class _Projection(nn.Module):
    """From features to prototypes."""

    def __init__(self, width: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, _WIDTH))
        self.prototypes = nn.Linear(_WIDTH, prototypes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map features to prototypes."""
        return self.prototypes(F.normalize(self.layers(x), dim=1))  # type: ignore[no-any-return]


def dino_loss(student: Tensor, teacher: Tensor, centre: Tensor) -> Tensor:
    """Cross entropy of each view of the student with each other view of the teacher.

    Parameters
    ----------
    student : Tensor
        ``(views, n, prototypes)``; its first views are the teacher's.
    teacher : Tensor
        ``(large views, n, prototypes)``.
    centre : Tensor
        ``(prototypes,)`` running mean of the teacher's outputs: without it all images become one.

    Returns
    -------
    Tensor
        One number.
    """
    target = F.softmax((teacher - centre) / _TEACHER, dim=-1)
    said = F.log_softmax(student / _STUDENT, dim=-1)
    pairs = [(t, s) for t in range(len(target)) for s in range(len(said)) if t != s]
    return -torch.stack([(target[t] * said[s]).sum(-1).mean() for t, s in pairs]).mean()


def tune_without_labels(
    network: GalaxyNetwork,
    batches: Callable[[int], Iterable[Tensor]],
    settings: SelfSupervisedSection,
    *,
    prepare: Callable[[Tensor], Tensor],
    seed: int,
) -> list[float]:
    """Tune a network's transformer in place.

    Parameters
    ----------
    network : GalaxyNetwork
        Its backbone is changed: low-rank matrices learn, and are added to the weights at the end.
    batches : callable
        From an epoch to its images ``(n, 3, side, side)`` from 0 to 1.
    settings : SelfSupervisedSection
        How long, and how.
    prepare : callable
        From images to network input.
    seed : int
        Of views and projections.

    Returns
    -------
    list of float
        Mean loss of each epoch.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    teacher, student = network.backbone, with_lora(copy.deepcopy(network.backbone), settings.rank)
    teacher.requires_grad_(False).eval()
    width = int(network.backbone.num_features)  # type: ignore[arg-type]
    heads = _Projection(width, settings.prototypes), _Projection(width, settings.prototypes)
    heads[1].load_state_dict(heads[0].state_dict())
    learning = [p for p in (*student.parameters(), *heads[0].parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=_RATE, weight_decay=_DECAY)
    # the teacher is a running average of the student: what is averaged are the low-rank matrices
    average = copy.deepcopy(student).requires_grad_(False).eval()
    centre = torch.zeros(settings.prototypes)
    losses = []
    for epoch in range(settings.epochs):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))
        values = []
        for images in batches(epoch):
            views = _views(images, settings.local_views, generator)
            with torch.no_grad():
                taught = torch.stack([heads[1](_class_token(average, prepare(v))) for v in views[:2]])
            said = torch.stack([heads[0](_class_token(student, prepare(v))) for v in views])
            loss = dino_loss(said, taught, centre)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 3.0)
            optimiser.step()
            with torch.no_grad():
                centre = _CENTRE * centre + (1 - _CENTRE) * taught.mean((0, 1))
                _follow(average, student, settings.momentum)
                _follow(heads[1], heads[0], settings.momentum)
            values.append(float(loss.detach()))
        losses.append(sum(values) / max(len(values), 1))
        logger.info("self-supervised epoch %d of %d: loss %.4f", epoch + 1, settings.epochs, losses[-1])
    network.backbone = merge_lora(average).eval()
    return losses


def _class_token(backbone: nn.Module, x: Tensor) -> Tensor:
    return backbone.forward_features(x)[:, 0]  # type: ignore[operator,no-any-return]


def _follow(average: nn.Module, student: nn.Module, momentum: float) -> None:
    for slow, quick in zip(average.parameters(), student.parameters(), strict=True):
        slow.lerp_(quick.detach(), 1 - momentum)


def _views(images: Tensor, small: int, generator: torch.Generator) -> list[Tensor]:
    """Two large crops of each image and some small ones, turned and flipped, all brought to the image's side."""
    settings = AugmentationSection.model_validate({"rotation": 180.0, "flip": True, "noise": 0.02})
    views = []
    for number in range(2 + small):
        low, high = _LARGE if number < 2 else _SMALL
        n, side = len(images), images.shape[-1]
        scale = low + (high - low) * torch.rand(n, generator=generator)
        shift = (1 - scale)[:, None] * (2 * torch.rand(n, 2, generator=generator) - 1)
        matrix = torch.zeros(n, 2, 3)
        matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = scale, scale, shift
        grid = F.affine_grid(matrix, [n, 3, side, side], align_corners=False)
        cropped = F.grid_sample(images, grid.to(images), align_corners=False)
        views.append(augment(cropped, settings, generator))
    return views
