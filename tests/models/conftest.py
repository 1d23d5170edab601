"""A weight card, and a weight file without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrogalaxy.models import HEADS, Calibration, WeightCard, Weights, save_weights


@pytest.fixture
def make_card() -> Callable[..., WeightCard]:
    def make(**changes: Any) -> WeightCard:
        fields: dict[str, Any] = {
            "name": "made-up", "version": "1.2", "size": "nano", "levels": (4, 8, 16), "inputs": 3, "bands": "any",
            "max_bands": 6, "normalisation": "asinh", "pixel_scale": (0.1, 0.5), "seeing": (2.0, 6.0),
            "data": ("scenes", "votes"), "licence": "BSD-3-Clause", "command": "train", "metrics": {"f1": 0.5},
            "metrics_command": "evaluate", "threshold": 0.25, "sha256": "",
            "calibration": {head: Calibration(slope=1.5, offset=-0.25) for head in HEADS},
        }  # fmt: skip
        return WeightCard(**fields | changes)

    return make


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {
        "b.conv.weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "a.bias": rng.normal(size=5).astype(np.float32),
    }


@pytest.fixture
def weights(tmp_path: Path, make_card: Callable[..., WeightCard], tensors: dict[str, np.ndarray]) -> Weights:
    return save_weights(tmp_path / "made-up.safetensors", make_card(), tensors, b"the graph")
