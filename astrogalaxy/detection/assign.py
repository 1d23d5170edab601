"""Which cells answer for which source: SimOTA, sparse and batched.

YOLOX compares every cell with every source, image by image. Only the cells around a
source's centre can be chosen, so only those are compared here, for all sources of a batch
at once: the cost grows with the number of sources, not with the number of sources times
the number of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Assignment", "assign", "box_iou"]

_REACH = 1  # cells on either side of the source's own cell
_TOP = 10  # SimOTA: this many best overlaps decide how many cells a source gets
_IOU_WEIGHT = 3.0
# Cost of a cell's squared distance, in strides, from the source's centre when the one cell that answers is chosen: of
# neighbours that predict the same box, chance must not decide which one learns to.
_CENTRE_WEIGHT = 1.0


@dataclass(frozen=True)
class Assignment:
    """Matched pairs of a batch: ``cell`` indexes the flattened cells, ``source`` the sources.

    ``best`` marks the one cell of each source that answers for it best.
    """

    cell: Tensor
    source: Tensor
    best: Tensor


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes ``(..., 4)`` given as centre and sides."""
    half1, half2 = first[..., 2:4] / 2, second[..., 2:4] / 2
    low = torch.maximum(first[..., :2] - half1, second[..., :2] - half2)
    high = torch.minimum(first[..., :2] + half1, second[..., :2] + half2)
    inter = (high - low).clamp(min=0).prod(-1)
    union = first[..., 2:4].prod(-1) + second[..., 2:4].prod(-1) - inter
    return inter / union.clamp(min=1e-9)


def _candidates(batch: Tensor, boxes: Tensor, grids: list[tuple[int, int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Cells within reach of each source on each level, whether they exist, and their squared distances in strides."""
    cells_per_image = sum(h * w for _, h, w in grids)
    step = torch.arange(-_REACH, _REACH + 1, device=boxes.device)
    dy, dx = (d.reshape(-1) for d in torch.meshgrid(step, step, indexing="ij"))
    cells, valid, gaps, start = [], [], [], 0
    for stride, height, width in grids:
        col = (boxes[:, 0:1] / stride).long() + dx
        row = (boxes[:, 1:2] / stride).long() + dy
        valid.append((col >= 0) & (col < width) & (row >= 0) & (row < height))
        gaps.append((boxes[:, 0:1] / stride - col - 0.5) ** 2 + (boxes[:, 1:2] / stride - row - 0.5) ** 2)
        index = row.clamp(0, height - 1) * width + col.clamp(0, width - 1)
        cells.append(batch[:, None] * cells_per_image + start + index)
        start += height * width
    return torch.cat(cells, 1), torch.cat(valid, 1), torch.cat(gaps, 1)


@torch.no_grad()
def assign(
    batch: Tensor,
    boxes: Tensor,
    galaxy: Tensor,
    predicted: Tensor,
    logits: Tensor,
    grids: list[tuple[int, int, int]],
) -> Assignment:
    """Choose the cells that are to predict each source.

    Parameters
    ----------
    batch : Tensor
        ``(n,)`` image of each source.
    boxes : Tensor
        ``(n, 4)`` centre and sides in network pixels.
    galaxy : Tensor
        ``(n,)`` probability of being a galaxy; NaN where unknown.
    predicted : Tensor
        ``(cells, 4)`` boxes of all cells of the batch, image after image, level after level.
    logits : Tensor
        ``(cells, 2)`` or more: logits of "source" and "galaxy", then what is not looked at.
    grids : list of (stride, rows, columns)
        The pyramid's levels.

    Returns
    -------
    Assignment
        Each cell at most once; each source at least once unless others took all of its cells.
    """
    cells, valid, gaps = _candidates(batch, boxes, grids)
    iou = box_iou(boxes[:, None], predicted[cells]) * valid
    known = torch.isfinite(galaxy)
    target = galaxy.nan_to_num()[:, None].expand_as(iou)
    source, label = logits[cells, 0], logits[cells, 1]
    cost = F.softplus(-source) + known[:, None] * F.binary_cross_entropy_with_logits(label, target, reduction="none")
    cost = cost - _IOU_WEIGHT * torch.log(iou.clamp(min=1e-8))
    cost = torch.where(valid, cost, torch.inf)
    wanted = iou.topk(min(_TOP, iou.shape[1]), dim=1).values.sum(1).int().clamp(min=1)
    rank = cost.argsort(dim=1).argsort(dim=1)
    chosen = (rank < wanted[:, None]) & valid
    return _one_source_per_cell(chosen, cells, cost, cost + _CENTRE_WEIGHT * gaps, len(predicted))


def _one_source_per_cell(chosen: Tensor, cells: Tensor, cost: Tensor, answer_cost: Tensor, n_cells: int) -> Assignment:
    """Give each cell to the source for which it costs least; the cheapest cell of a source is its best one."""
    source, slot = chosen.nonzero(as_tuple=True)
    cell, price = cells[source, slot], cost[source, slot]
    lowest = price.new_full((n_cells,), torch.inf)
    lowest.scatter_reduce_(0, cell, price, "amin")
    keep = price <= lowest[cell]
    # twins (same box, same class) cost the same: the first of them gets the cell
    first = source.new_full((n_cells,), len(chosen))
    first.scatter_reduce_(0, cell[keep], source[keep], "amin")
    keep &= source == first[cell]
    cell, source, slot = cell[keep], source[keep], slot[keep]
    answer = answer_cost[source, slot]
    cheapest = answer.new_full((len(chosen),), torch.inf).scatter_reduce_(0, source, answer, "amin")
    return Assignment(cell, source, answer <= cheapest[source])
