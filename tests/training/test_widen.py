"""Tests of astrogalaxy.training.widen: a wider network that starts from what a narrower one says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from astrogalaxy.detection.export import network_from_tensors
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import ConfigError
from astrogalaxy.models import Architecture, load_weights
from astrogalaxy.training.widen import widen


@pytest.fixture(scope="module")
def narrow() -> AstroYolo:
    weights = load_weights("astroyolo-nano")
    return network_from_tensors(AstroYolo(weights.card.architecture), weights.tensors)


@pytest.fixture
def wide(narrow: AstroYolo) -> AstroYolo:
    network = AstroYolo(replace(narrow.architecture, size="micro"))
    widen(network, narrow)
    return network


@pytest.fixture(scope="module")
def image(narrow: AstroYolo) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, narrow.architecture.channels, 64, 96)


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_wider_network_says_the_same(narrow: AstroYolo, wide: AstroYolo, image: Tensor) -> None:
    assert _parameters(wide) > 3 * _parameters(narrow)
    with torch.no_grad():
        for one, other in zip(narrow(image), wide.eval()(image), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


def test_copies_part_when_they_learn(wide: AstroYolo, image: Tensor) -> None:
    network = wide.eval()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    torch.stack([level.square().mean() for level in network(image)]).sum().backward()
    optimizer.step()
    kernels = network.neck.backbone.stem.conv.conv.weight
    assert not torch.equal(kernels[0::2], kernels[1::2])


def test_the_same_seed_makes_the_same_network(narrow: AstroYolo, wide: AstroYolo) -> None:
    again, other = (AstroYolo(wide.architecture) for _ in range(2))
    widen(again, narrow)
    widen(other, narrow, seed=1)
    states = [torch.cat([v.flatten().float() for v in n.state_dict().values()]) for n in (wide, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("size", ["tiny", "s"])
def test_networks_that_are_built_otherwise_are_refused(narrow: AstroYolo, size: str) -> None:
    network = AstroYolo(Architecture(size, narrow.architecture.levels, seeing=True))
    with pytest.raises(ConfigError, match=rf"model.start: a network of the size {size} cannot start .* size nano"):
        widen(network, narrow)


def test_a_narrower_network_is_refused(narrow: AstroYolo, wide: AstroYolo) -> None:
    with pytest.raises(ConfigError, match="size nano cannot start from one of the size micro"):
        widen(AstroYolo(narrow.architecture), wide)
