"""The multi-task loss: boxes, "a source is here", star or galaxy, smooth or disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from astrogalaxy.detection.assign import assign, box_iou

__all__ = ["LossWeights", "Targets", "decode_maps", "multitask_loss"]


class Targets(NamedTuple):
    """The sources of a batch, one row each.

    Attributes
    ----------
    batch : Tensor
        ``(n,)`` image of the source.
    boxes : Tensor
        ``(n, 4)`` centre and sides in network pixels (pixel 0 covers 0 to 1).
    galaxy, disk : Tensor
        ``(n,)`` probabilities (vote fractions where there are votes); NaN where unknown.
    ignore : Tensor
        ``(n,)`` True where a detection is neither asked for nor punished: sources too faint
        to be certain, and unlabelled ones of real frames.
    """

    batch: Tensor
    boxes: Tensor
    galaxy: Tensor
    disk: Tensor
    ignore: Tensor


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss."""

    box: float = 5.0
    source: float = 1.0
    galaxy: float = 1.0
    disk: float = 0.5


def decode_maps(maps: tuple[Tensor, ...], strides: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Flatten the maps to boxes and logits.

    Returns
    -------
    boxes : Tensor
        ``(batch, cells, 4)`` centre and sides in pixels.
    logits : Tensor
        ``(batch, cells, 3)`` of source, galaxy and disk.
    """
    boxes, logits = [], []
    for level, stride in zip(maps, strides, strict=True):
        rows, cols = level.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(rows, device=level.device),
            torch.arange(cols, device=level.device),
            indexing="ij",
        )
        centre = torch.stack([x, y]).to(level.dtype) + 0.5 + level[:, 0:2]
        # clamped so that one wild step of training cannot overflow
        sides = level[:, 2:4].clamp(-6, 6).exp()
        boxes.append((torch.cat([centre, sides], 1) * stride).flatten(2))
        logits.append(level[:, 4:].flatten(2))
    return torch.cat(boxes, 2).transpose(1, 2), torch.cat(logits, 2).transpose(1, 2)


def multitask_loss(
    maps: tuple[Tensor, ...],
    targets: Targets,
    strides: tuple[float, ...],
    *,
    weights: LossWeights = LossWeights(),
    one_cell: bool = False,
) -> dict[str, Tensor]:
    """Loss of a batch and its parts.

    Parameters
    ----------
    maps : tuple of Tensor
        Output of the network, level by level.
    targets : Targets
        The truth.
    strides : tuple of float
        Of the levels, in pixels.
    weights : LossWeights
        Of the parts.
    one_cell : bool
        Whether, of the cells assigned to a source, only the best one shall detect it; else all of them shall, as in
        SimOTA. Boxes and classes are learnt by all of them either way. With one detection for each source only
        near-identical boxes need suppression, so that both members of a close pair can stay.

    Returns
    -------
    dict
        ``loss`` and the unweighted parts ``box``, ``source``, ``galaxy``, ``disk``.
    """
    boxes, logits = decode_maps(maps, strides)
    grids = [(s, *m.shape[-2:]) for s, m in zip(strides, maps, strict=True)]
    n_cells = boxes.shape[1]
    flat_boxes, flat_logits = boxes.reshape(-1, 4).float(), logits.reshape(-1, 3).float()
    wanted = (~targets.ignore).nonzero().squeeze(1)
    match = assign(
        targets.batch[wanted],
        targets.boxes[wanted],
        targets.galaxy[wanted],
        flat_boxes.detach(),
        flat_logits.detach(),
        grids,
    )
    source = wanted[match.source]
    n = max(len(match.cell), 1)
    answers = match.cell[match.best] if one_cell else match.cell
    overlap = box_iou(flat_boxes[match.cell], targets.boxes[source])
    parts = {
        "box": (1 - overlap**2).sum() / n,
        "source": _source_loss(flat_logits[:, 0], answers, targets, flat_boxes, n_cells) / max(len(answers), 1),
        "galaxy": _known_loss(flat_logits[match.cell, 1], targets.galaxy[source]),
        "disk": _known_loss(flat_logits[match.cell, 2], targets.disk[source]),
    }
    total = sum(getattr(weights, name) * value for name, value in parts.items())
    return {"loss": total, **parts}


def _source_loss(logits: Tensor, answers: Tensor, targets: Targets, boxes: Tensor, n_cells: int) -> Tensor:
    wanted = torch.zeros_like(logits)
    wanted[answers] = 1.0
    counts = torch.ones_like(logits)
    for image, box in _ignored(targets):
        cells = slice(image * n_cells, (image + 1) * n_cells)
        inside = (boxes[cells, :2].detach() - box[:, None, :2]).abs() < box[:, None, 2:] / 2
        counts[cells][inside.all(-1).any(0)] = 0.0
    counts[answers] = 1.0
    return (F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * counts).sum()


def _ignored(targets: Targets) -> list[tuple[int, Tensor]]:
    """Return the boxes to ignore, by image."""
    batch, boxes = targets.batch[targets.ignore], targets.boxes[targets.ignore]
    return [(int(image), boxes[batch == image]) for image in batch.unique()]


def _known_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy over the sources whose answer is known."""
    known = torch.isfinite(target)
    if not known.any():
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[known], target[known])
