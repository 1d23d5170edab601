"""Tests of astrogalaxy.detection.network."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from astrogalaxy.detection.export import network_from_tensors
from astrogalaxy.detection.inputs import UNKNOWN_SEEING, network_input
from astrogalaxy.detection.network import AstroYolo, Magnifier
from astrogalaxy.models import ZOOMS, Architecture, load_weights


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


@pytest.mark.parametrize("zoom", [*ZOOMS[1:], 1.25, 0.5])
def test_magnifier_is_bicubic_interpolation(zoom: float) -> None:
    image = torch.randn(2, 3, 24, 40)
    wanted = torch.nn.functional.interpolate(image, scale_factor=zoom, mode="bicubic", recompute_scale_factor=True)
    made = Magnifier(3, zoom)(image)
    assert made.shape == wanted.shape
    torch.testing.assert_close(made, wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("zoom", ZOOMS[1:])
def test_magnified_network_sees_a_finer_image(zoom: float) -> None:
    """It says of an image what the plain one says of the same sky on smaller pixels, where stars are so much wider."""
    # trained, since the others hardly look at the seeing
    weights = load_weights("astroyolo-nano")
    plain, fine = (
        network_from_tensors(AstroYolo(replace(weights.card.architecture, zoom=z)), weights.tensors).eval()
        for z in (1.0, zoom)
    )
    bands = np.random.default_rng(1).standard_normal((3, 64, 96)).astype(np.float32)
    for seeing in (3.0, UNKNOWN_SEEING):
        given = torch.from_numpy(network_input(bands, 3, seeing=seeing))[None]
        finer = torch.from_numpy(network_input(bands, 3, seeing=seeing * zoom))[None]
        magnified = torch.nn.functional.interpolate(given[:, :3], scale_factor=zoom, mode="bicubic")
        level = finer[:, 3:].mean().expand(1, 1, *magnified.shape[2:])
        with torch.inference_mode():
            said, wanted = fine(given), plain(torch.cat([magnified, level], 1))
        for mine, theirs in zip(said, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-2, rtol=1e-3)


def test_zoom_adds_nothing_to_learn() -> None:
    plain, fine = (AstroYolo(Architecture(zoom=zoom)).state_dict() for zoom in (1.0, 1.5))
    assert list(plain) == list(fine)
