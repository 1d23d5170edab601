"""A network with random weights, and cards and runtimes for it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from astrogalaxy.detection.export import network_graph, network_tensors
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.models import HEADS, Architecture, Calibration, WeightCard, Weights, save_weights


def _card(**changes: Any) -> WeightCard:
    fields: dict[str, Any] = {
        "name": "made-up", "version": "1", "size": "nano", "levels": (4, 8, 16), "inputs": 3, "bands": "any",
        "max_bands": 6, "normalisation": "asinh", "pixel_scale": (0.1, 0.5), "seeing": (2.0, 6.0), "data": (),
        "licence": "BSD-3-Clause", "command": "none", "metrics": {}, "metrics_command": "none", "threshold": 0.5,
        "calibration": {head: Calibration() for head in HEADS}, "sha256": "",
    }  # fmt: skip
    return WeightCard(**fields | changes)


def _network(levels: tuple[int, ...] = (4, 8, 16), inputs: int = 3) -> AstroYolo:
    """Random weights, and batch normalisation as if it had been trained."""
    torch.manual_seed(7)
    network = AstroYolo(Architecture("nano", levels, inputs)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2.0)
            module.weight.data.uniform_(0.5, 1.8)
            module.bias.data.normal_(0, 0.3)
    return network


@pytest.fixture
def make_card() -> Callable[..., WeightCard]:
    return _card


@pytest.fixture
def make_network() -> Callable[..., AstroYolo]:
    return _network


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """A whole weight file: card, tensors and graph."""
    network = _network()
    path = tmp_path_factory.mktemp("weights") / "made-up.safetensors"
    return save_weights(path, _card(), network_tensors(network), network_graph(network))


@pytest.fixture
def seeing_at(make_card: Callable[..., WeightCard]) -> Callable[..., Any]:
    def make(*sources: tuple[float, float, float], side: float = 8.0, **card: Any) -> Any:
        """Runtime that sees boxes of `side` pixels at (x, y, logit) whatever it is shown, on the finest level."""

        def runtime(cube: np.ndarray) -> list[np.ndarray]:
            runtime.shown = cube
            maps = [np.full((7, cube.shape[1] // s, cube.shape[2] // s), -9.0, np.float32) for s in (4, 8, 16)]
            for x, y, logit in sources:
                column = min(max(int((x + 0.5) // 4), 0), maps[0].shape[2] - 1)
                row = min(max(int((y + 0.5) // 4), 0), maps[0].shape[1] - 1)
                dx, dy = (x + 0.5) / 4 - column - 0.5, (y + 0.5) / 4 - row - 0.5
                maps[0][:, row, column] = [dx, dy, np.log(side / 4), np.log(side / 4), logit, 1.0, -2.0]
            return maps

        runtime.weights = SimpleNamespace(card=make_card(**card))
        return runtime

    return make
