"""Tests of astrogalaxy.detection.network."""

from __future__ import annotations

import hashlib

import pytest
import torch

from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.models import Architecture


@pytest.mark.parametrize("levels", [(4, 8, 16), (8, 16, 32)])
@pytest.mark.parametrize(
    ("size", "inputs"), [("nano", 1), ("nano", 2), ("nano", 3), ("micro", 3), ("tiny", 4), ("s", 5)]
)
def test_one_map_per_level(size: str, levels: tuple[int, ...], inputs: int) -> None:
    network = AstroYolo(Architecture(size, levels, inputs)).eval()
    with torch.inference_mode():
        maps = network(torch.randn(2, inputs, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 7, 64 // s, 96 // s) for s in levels]
    assert all(torch.isfinite(m).all() for m in maps)


@pytest.mark.parametrize("levels", [(4, 8, 16), (8, 16, 32)])
def test_nano_is_small(levels: tuple[int, ...]) -> None:
    assert sum(p.numel() for p in AstroYolo(Architecture("nano", levels)).parameters()) < 1_000_000


def test_at_first_a_source_is_rare() -> None:
    torch.manual_seed(1)
    network = AstroYolo(Architecture()).eval()
    with torch.inference_mode():
        maps = network(torch.zeros(1, 3, 64, 64))
    for level in maps:
        assert level[:, 4].sigmoid().mean() == pytest.approx(0.01, abs=0.005)


def test_names_of_the_tensors_are_stable() -> None:
    """Weight files of earlier versions hold them."""
    names = sorted(n for n in AstroYolo(Architecture()).state_dict() if not n.endswith("num_batches_tracked"))
    assert "neck.backbone.stem.conv.conv.weight" in names
    assert "detection.branches.2.3.bias" in names
    assert (len(names), hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]) == (578, "3d3f4f82d4c22393")


def test_every_parameter_is_used() -> None:
    network = AstroYolo(Architecture())
    sum(level.square().sum() for level in network(torch.randn(2, 3, 64, 64))).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None]
    assert idle == []
