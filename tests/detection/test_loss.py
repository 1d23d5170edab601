"""Tests of astrogalaxy.detection.loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from astrogalaxy.detection.decode import decode
from astrogalaxy.detection.loss import LossWeights, Targets, decode_maps, multitask_loss

LEVELS = (4, 8, 16)
NAN = float("nan")


def _maps(images: int = 1, side: int = 64) -> tuple[Tensor, ...]:
    """Maps of a network that sees nothing."""
    maps = tuple(torch.zeros(images, 7, side // s, side // s) for s in LEVELS)
    for level in maps:
        level[:, 4] = -6.0
    return tuple(level.requires_grad_() for level in maps)


def _targets(*rows: tuple[float, ...]) -> Targets:
    """Rows of image, x, y, side, galaxy, disk, ignore."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 7)
    boxes = table[:, [1, 2, 3, 3]]
    return Targets(table[:, 0].long(), boxes, table[:, 4], table[:, 5], table[:, 6] > 0)


def _loss(maps: tuple[Tensor, ...], targets: Targets, **options: LossWeights) -> dict[str, Tensor]:
    return multitask_loss(maps, targets, LEVELS, **options)


def test_the_loss_and_the_decoder_mean_the_same_boxes() -> None:
    torch.manual_seed(0)
    maps = tuple(torch.randn(1, 7, 64 // s, 64 // s) for s in LEVELS)
    boxes, logits = decode_maps(maps, LEVELS)
    found = decode([level[0].numpy() for level in maps], LEVELS, threshold=-99.0, iou=1.0)
    order = np.argsort(-logits[0, :, 0].numpy(), kind="stable")
    mine = boxes[0].numpy()[order]
    # the network counts from the edge of pixel 0, the catalogue from its centre
    np.testing.assert_allclose(found.x, mine[:, 0] - 0.5, atol=1e-4)
    np.testing.assert_allclose(found.y, mine[:, 1] - 0.5, atol=1e-4)
    np.testing.assert_allclose(found.width, mine[:, 2], rtol=1e-5)
    np.testing.assert_allclose(found.height, mine[:, 3], rtol=1e-5)
    np.testing.assert_array_equal(found.disk, logits[0, :, 2].numpy()[order])


def test_a_right_answer_costs_less_and_training_leads_there() -> None:
    targets = _targets((0, 20, 24, 8, 1, 1, 0), (0, 45, 40, 14, 0, NAN, 0))
    maps = _maps()
    optimizer = torch.optim.Adam(maps, lr=0.1)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        parts = _loss(maps, targets)
        parts["loss"].backward()
        optimizer.step()
        losses.append({name: float(value.detach()) for name, value in parts.items()})
    assert all(losses[-1][name] < 0.2 * losses[0][name] for name in ("loss", "box", "source", "galaxy", "disk"))
    found = decode([level[0].detach().numpy() for level in maps], LEVELS, threshold=0.0)
    assert len(found) == 2
    first, second = np.argsort(found.x)
    assert (found.x[first], found.y[first], found.width[first]) == pytest.approx((19.5, 23.5, 8), abs=0.4)
    assert (found.x[second], found.y[second], found.height[second]) == pytest.approx((44.5, 39.5, 14), abs=0.6)
    assert found.galaxy[first] > 1 > -1 > found.galaxy[second]
    assert found.disk[first] > 1


def test_the_total_is_the_weighted_sum() -> None:
    parts = _loss(_maps(), _targets((0, 20, 24, 8, 1, 1, 0)), weights=LossWeights(2.0, 3.0, 5.0, 7.0))
    expected = 2 * parts["box"] + 3 * parts["source"] + 5 * parts["galaxy"] + 7 * parts["disk"]
    assert float(parts["loss"].detach()) == pytest.approx(float(expected.detach()))


def test_images_of_a_batch_are_kept_apart() -> None:
    maps = _maps(2)
    _loss(maps, _targets((1, 20, 24, 8, 1, 1, 0)))["galaxy"].backward()
    touched = sum((level.grad[:, 5] != 0).flatten(1).sum(1) for level in maps)
    assert touched[0] == 0
    assert touched[1] >= 1


def test_what_is_to_be_ignored_is_neither_asked_for_nor_punished() -> None:
    sure = _maps()
    with torch.no_grad():
        sure[0][0, 4, 5, 5] = 8.0  # a confident source at (22, 22)
    nothing = _loss(sure, _targets())["source"]
    ignored = _loss(sure, _targets((0, 22, 22, 10, 1, 1, 1)))
    assert float(nothing.detach()) > 8
    assert float(ignored["source"].detach()) < 0.01 * float(nothing.detach()) * 64 * 64
    assert float((nothing - ignored["source"]).detach()) > 7.9
    assert [float(ignored[name].detach()) for name in ("box", "galaxy", "disk")] == [0, 0, 0]
    ignored["loss"].backward()
    inside = sure[0].grad[0, 4, 5, 5]
    assert float(inside) == 0.0
    assert float(sure[0].grad[0, 4, 12, 12]) > 0, "elsewhere a false source is punished"


def test_ignoring_holds_in_its_own_image_only() -> None:
    maps = _maps(2)
    _loss(maps, _targets((1, 22, 22, 10, 1, 1, 1)))["source"].backward()
    assert float(maps[0].grad[0, 4, 5, 5]) > 0
    assert float(maps[0].grad[1, 4, 5, 5]) == 0


def test_a_wanted_source_inside_an_ignored_one_is_still_wanted() -> None:
    maps = _maps()
    _loss(maps, _targets((0, 22, 22, 8, 1, NAN, 0), (0, 22, 22, 30, NAN, NAN, 1)))["source"].backward()
    assert sum(float(level.grad[:, 4].clamp(max=0).sum()) for level in maps) < 0


@pytest.mark.parametrize(("galaxy", "disk"), [(NAN, NAN), (1.0, NAN), (NAN, 1.0)])
def test_unknown_labels_teach_nothing(galaxy: float, disk: float) -> None:
    maps = _maps()
    parts = _loss(maps, _targets((0, 20, 24, 8, galaxy, disk, 0)))
    parts["loss"].backward()
    for channel, name, label in ((5, "galaxy", galaxy), (6, "disk", disk)):
        moved = sum(float(level.grad[:, channel].abs().sum()) for level in maps)
        assert (moved == 0) == math.isnan(label)
        assert (float(parts[name].detach()) == 0) == math.isnan(label)


def test_vote_fractions_are_targets() -> None:
    maps = _maps()
    parts = _loss(maps, _targets((0, 20, 24, 8, 1, 0.25, 0)))
    assert float(parts["disk"].detach()) == pytest.approx(math.log(2))
    parts["disk"].backward()
    assert sum(float(level.grad[:, 6].sum()) for level in maps) == pytest.approx(0.25)


def test_what_is_to_be_ignored_lends_its_labels_to_nothing() -> None:
    """Wherever it stands among the sources of a batch."""
    wanted, faint = (0, 20, 24, 8, 1, 0.25, 0), (0, 50, 44, 30, 0, 1, 1)
    maps = _maps()
    with torch.no_grad():
        for level in maps:
            level[:, 5:] = 1.5
    alone, after = (_loss(maps, _targets(*rows)) for rows in ((wanted,), (faint, wanted)))
    for name in ("box", "galaxy", "disk"):
        assert float(after[name].detach()) == pytest.approx(float(alone[name].detach()))
        assert float(alone[name].detach()) > 0


def test_each_source_counts_once_among_all_cells() -> None:
    """Where one cell answers, the others of a source are sky; all are told apart in units of one source."""
    two = _targets((0, 18, 26, 8, 1, NAN, 0), (0, 46, 42, 8, 0, NAN, 0))
    maps = _maps()
    with torch.no_grad():
        maps[0][:, 2:4] = math.log(2)  # several cells see each of them
    source = float(multitask_loss(maps, two, LEVELS, one_cell=True)["source"].detach())
    cells = 16**2 + 8**2 + 4**2
    assert source == pytest.approx((2 * math.log1p(math.exp(6)) + (cells - 2) * math.log1p(math.exp(-6))) / 2, rel=1e-5)


def test_a_box_costs_what_its_overlap_lacks() -> None:
    """One less the square of intersection over union, as in YOLOX."""
    # a box of one cell of the coarsest level, half as high as what the cell says; others do not come near
    maps, half = _maps(), Targets(*_targets((0, 24, 24, 16, 1, NAN, 0)))
    half.boxes[0, 3] = 8.0
    with torch.no_grad():
        for level in maps[:2]:
            level[:, 2:4] = -6.0
        maps[2][:, 4] = 9.0
    assert float(_loss(maps, half)["box"].detach()) == pytest.approx(1 - 0.5**2)


def test_an_empty_batch_has_a_loss() -> None:
    maps = _maps(2)
    parts = _loss(maps, _targets())
    parts["loss"].backward()
    assert float(parts["loss"].detach()) == pytest.approx(float(parts["source"].detach()))
    assert all(torch.isfinite(level.grad).all() for level in maps)


def _answers(*, one_cell: bool) -> list[float]:
    """Logits above 0 that training leads to, for a source whose neighbouring cells all see it well."""
    targets = _targets((0, 20, 24, 12, 1, NAN, 0))
    maps = _maps()
    optimizer = torch.optim.Adam(maps, lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        multitask_loss(maps, targets, LEVELS, one_cell=one_cell)["loss"].backward()
        optimizer.step()
    logits = torch.cat([level.detach()[:, 4].flatten() for level in maps])
    return logits[logits > 0].tolist()


def test_one_cell_alone_learns_to_answer_for_a_source() -> None:
    assert len(_answers(one_cell=True)) == 1
    assert len(_answers(one_cell=False)) > 1


def test_both_members_of_a_close_pair_get_a_cell() -> None:
    pair = _targets((0, 18, 24, 8, 0, NAN, 0), (0, 22.5, 24, 8, 0, NAN, 0))
    maps = _maps()
    optimizer = torch.optim.Adam(maps, lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        multitask_loss(maps, pair, LEVELS, one_cell=True)["loss"].backward()
        optimizer.step()
    found = decode([level[0].detach().numpy() for level in maps], LEVELS, threshold=0.0, iou=0.7)
    assert sorted(found.x.tolist()) == pytest.approx([17.5, 22.0], abs=0.5)
