"""Tests of astrogalaxy.detection.assign."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from astrogalaxy.detection.assign import Assignment, assign, box_iou

GRIDS = [(4, 16, 24), (8, 8, 12), (16, 4, 6)]  # an image of 64 rows and 96 columns
CELLS = sum(rows * columns for _, rows, columns in GRIDS)
WIDTH, HEIGHT = 96.0, 64.0


def _predictions(images: int, *, noise: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Boxes of a network that knows nothing: each cell's own, 1 stride wide, more or less."""
    torch.manual_seed(seed)
    parts = []
    for stride, rows, columns in GRIDS:
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        cells = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x), torch.ones_like(x)], -1).reshape(-1, 4)
        parts.append((cells + noise * torch.rand(len(cells), 4)) * stride)
    boxes = torch.cat(parts).repeat(images, 1)
    return boxes, noise * torch.randn(len(boxes), 3)


def _assign(batch: Tensor, boxes: Tensor, galaxy: Tensor, *, images: int = 1, noise: float = 0.0) -> Assignment:
    predicted, logits = _predictions(images, noise=noise)
    return assign(batch, boxes, galaxy, predicted, logits, GRIDS)


def _where(cell: int) -> tuple[int, int, int, int]:
    """Image, stride, row and column of a flattened cell."""
    image, rest = divmod(cell, CELLS)
    for stride, rows, columns in GRIDS:
        if rest < rows * columns:
            return image, stride, rest // columns, rest % columns
        rest -= rows * columns
    raise AssertionError(cell)


_sources = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.floats(0, WIDTH, width=32),
        st.floats(0, HEIGHT, width=32),
        st.floats(4, 60, width=32),
        st.floats(4, 60, width=32),
        st.sampled_from([0.0, 1.0, 0.3, float("nan")]),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(_sources)
def test_a_cell_answers_for_one_source_near_it(sources: list[tuple[float, ...]]) -> None:
    table = torch.tensor(sources, dtype=torch.float32).reshape(-1, 6)
    batch, boxes = table[:, 0].long(), table[:, 1:5]
    match = _assign(batch, boxes, table[:, 5], images=3, noise=0.5)
    assert len(match.cell) == len(match.source) == len(match.best)
    assert len(match.cell.unique()) == len(match.cell)
    for cell, source in zip(match.cell.tolist(), match.source.tolist(), strict=True):
        image, stride, row, column = _where(cell)
        assert image == batch[source]
        x, y = boxes[source, :2].tolist()
        assert abs(x / stride - column - 0.5) <= 1.5
        assert abs(y / stride - row - 0.5) <= 1.5


@pytest.mark.parametrize("x", [0.0, 0.4, 3.9, 48.0, 92.1, 95.9])
@pytest.mark.parametrize("y", [0.0, 31.5, 63.9])
@pytest.mark.parametrize("side", [6.0, 20.0, 90.0])
def test_a_source_alone_has_a_cell_even_at_the_edge(x: float, y: float, side: float) -> None:
    box = torch.tensor([[x, y, side, side]])
    match = _assign(torch.zeros(1, dtype=torch.long), box, torch.tensor([1.0]))
    assert len(match.cell) >= 1
    assert match.source.tolist() == [0] * len(match.cell)


def test_larger_sources_go_to_coarser_levels() -> None:
    sides = torch.tensor([5.0, 14.0])
    boxes = torch.stack([torch.tensor([24.0, 72.0]), torch.tensor([32.0, 32.0]), sides, sides], 1)
    match = _assign(torch.zeros(2, dtype=torch.long), boxes, torch.ones(2))
    strides = [{_where(c)[1] for c in match.cell[match.source == i].tolist()} for i in (0, 1)]
    assert max(strides[0]) <= 8
    assert 16 in strides[1]


def test_the_better_prediction_wins_the_cell() -> None:
    boxes = torch.tensor([[10.0, 10.0, 8.0, 8.0], [11.0, 10.0, 30.0, 30.0]])
    predicted, logits = _predictions(1)
    here = 2 * 24 + 2  # the cell of both on the finest level
    predicted[here] = boxes[0]
    match = assign(torch.zeros(2, dtype=torch.long), boxes, torch.ones(2), predicted, logits, GRIDS)
    assert match.source[match.cell == here].tolist() == [0]


def test_twins_do_not_share_a_cell() -> None:
    boxes = torch.tensor([[30.0, 30.0, 10.0, 10.0]] * 3)
    match = _assign(torch.zeros(3, dtype=torch.long), boxes, torch.ones(3))
    assert len(match.cell) >= 1
    assert len(match.cell.unique()) == len(match.cell)


def test_an_unknown_class_costs_nothing() -> None:
    """With the class unknown the choice is that of a network sure of nothing."""
    boxes = torch.tensor([[30.0, 30.0, 10.0, 10.0]])
    predicted, logits = _predictions(1, noise=0.5)
    logits[:, 1] = torch.linspace(-20, 20, len(logits))
    batch = torch.zeros(1, dtype=torch.long)
    unknown = assign(batch, boxes, torch.tensor([float("nan")]), predicted, logits, GRIDS)
    logits[:, 1] = 0
    blind = assign(batch, boxes, torch.tensor([1.0]), predicted, logits, GRIDS)
    assert unknown.cell.tolist() == blind.cell.tolist()


def test_no_sources() -> None:
    match = _assign(torch.zeros(0, dtype=torch.long), torch.zeros(0, 4), torch.zeros(0))
    assert len(match.cell) == len(match.source) == 0


def test_box_iou_of_known_boxes() -> None:
    first = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    others = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 2.0, 2.0], [5.0, 5.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]])
    assert box_iou(first, others).tolist() == pytest.approx([1.0, 1 / 3, 0.0, 0.25])
