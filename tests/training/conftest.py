"""Recipes and examples as small as they can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.config import RecipeConfig
from astrogalaxy.training.examples import Example, sources_array


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[..., RecipeConfig]:
    def make(*, data: dict[str, Any] | None = None, seed: int = 1, name: str = "tiny", **training: Any) -> RecipeConfig:
        settings = {
            "crop": 64, "batch": 2, "steps": 12, "warmup": 2, "workers": 0, "validate_every": 4, "learning_rate": 1e-3,
        }  # fmt: skip
        plain = {"simulation": {"scenes": 2, "validation": 2, "size": 64, "surveys": {"hsc": 1.0}}}
        return RecipeConfig.from_dict(
            {
                "name": name, "seed": seed, "data": plain if data is None else data,
                "training": settings | training, "output": {"directory": "runs"},
            },
            folder=tmp_path,
        )  # fmt: skip

    return make


@pytest.fixture
def make_example() -> Callable[..., Example]:
    def make(
        x: list[float], y: list[float], *, shape: tuple[int, int] = (90, 120), bands: int = 3, noise: float = 0.0,
        **columns: Any,
    ) -> Example:  # fmt: skip
        """Round Gaussians at known positions, each band a little brighter than the one before."""
        rows, columns_ = np.indices(shape)
        light = np.zeros(shape) + sum(
            60 * np.exp(-((columns_ - a) ** 2 + (rows - b) ** 2) / 8) for a, b in zip(x, y, strict=True)
        )
        snr = np.stack([light * (1 + 0.2 * band) for band in range(bands)])
        snr = snr + noise * np.random.default_rng(0).standard_normal(snr.shape)
        known = {"width": 9.0, "height": 7.0, "galaxy": 1.0, "snr": 100.0} | columns
        return Example(snr.astype(np.float16), sources_array(x=x, y=y, **known), "made-up")

    return make


@pytest.fixture
def paper_sets(tmp_path: Path) -> dict[str, Any]:
    """Data of a recipe with both sets of the AstroYOLO paper: small simulated fields, and drawn galaxies with votes."""
    folder = tmp_path / "votes"
    folder.mkdir()
    y, x = np.mgrid[:48, :48]
    rows = ["id_str,smooth-or-featured_featured-or-disk_fraction"]
    for number in range(24):
        disk = number % 2
        light = np.exp(-(((x - 23.5) / 4) ** 2 + ((y - 23.5) / (4 - 2.5 * disk)) ** 2) / 2)
        rgb = 230 * light[..., None] * np.array([1.0, 0.8, 0.6])
        Picture.fromarray(rgb.astype(np.uint8)).save(folder / f"J{number}.png")
        rows.append(f"J{number},{0.9 if disk else 0.1}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return {
        "phosim": {"train": 2, "validation": 1, "test": 2, "size": 96},
        "galaxies": {"folder": str(folder), "centre": 1.0, "side": 32},
    }
