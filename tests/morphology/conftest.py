"""Small drawn galaxies with labels and votes, and the recipes that come with the package, made small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.config import ClassifierRecipe, pipelines_folder, read_recipe
from astrogalaxy.datasets.votes import _GZ2
from astrogalaxy.morphology import backbones

LABELS = ("edge-on", "elliptical", "merger", "spiral")
# What makes an architecture small: the tests are of what is around it.
SMALL: dict[str, dict[str, Any]] = {
    "vit": {"depth": 1, "embed_dim": 16, "num_heads": 2},
    "dino": {"depth": 4, "embed_dim": 16, "num_heads": 2},
    "hiera": {"embed_dim": 8, "num_heads": 1, "stages": (1, 1, 1, 1)},
    "resnet": {"layers": (1, 1, 1, 1)},
    "densenet": {"block_config": (1, 1, 1, 1), "growth_rate": 8},
    "vgg11-32": {"dense": 16},
    "vgg": {"mlp_ratio": 1 / 128},
}


def _galaxy(label: str, seed: int, side: int = 48) -> np.ndarray:
    """A bright drawing whose class is plain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    wide, flat = {"edge-on": (9, 1.5), "elliptical": (5, 5), "merger": (4, 4), "spiral": (9, 8)}[label]
    light = np.exp(-((x / wide) ** 2 + (y / flat) ** 2) / 2)
    if label == "merger":
        light += np.exp(-(((x - 9) / 4) ** 2 + ((y - 7) / 4) ** 2) / 2)
    if label == "spiral":
        light *= 0.6 + 0.4 * np.cos(2 * np.arctan2(y, x) + np.hypot(x, y))
    rgb = light[..., None] * np.array([1.0, 0.8, 0.6]) * 220 + rng.uniform(0, 8, (side, side, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample in Galaxy Zoo 2's layout: 28 galaxies, a quarter of each label."""
    folder = tmp_path_factory.mktemp("gz2")
    (folder / "images").mkdir()
    columns = [f"{name}_weighted_fraction" for name in _GZ2.values()]
    rows = [",".join(["objid", "asset_id", "derived_label", *columns])]
    split = ["name,part"]
    votes = {
        "edge-on": {"disk": 0.9, "smooth": 0.1, "edge_on": 1.0},
        "elliptical": {"smooth": 0.9, "disk": 0.1, "round": 0.8, "in_between": 0.2},
        "merger": {"smooth": 0.6, "disk": 0.4, "odd": 0.9, "merging": 1.0, "face_on": 1.0},
        "spiral": {"disk": 0.9, "smooth": 0.1, "face_on": 1.0, "no_bar": 0.8, "bar": 0.2, "tight": 1.0},
    }
    for number in range(28):
        label = LABELS[number % 4]
        Picture.fromarray(_galaxy(label, number)).save(folder / "images" / f"{number}.png")
        given = [str(votes[label].get(name, 0.0)) for name in _GZ2]
        rows.append(",".join([str(5877 + number), str(number), label, *given]))
        split.append(f"{5877 + number},{'train' if number < 16 else 'val' if number < 20 else 'test'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "split.csv").write_text("\n".join(split) + "\n")
    return folder


@pytest.fixture
def make_classifier(sample: Path, tmp_path: Path) -> Callable[..., ClassifierRecipe]:
    """Recipes of a tiny network on the sample."""

    def make(name: str = "tiny", *, directory: Path | str = "runs", **sections: Any) -> ClassifierRecipe:
        given: dict[str, Any] = {
            "name": name,
            "model": {"architecture": "average-pool-cnn", "options": {"channels": 8, "blocks": 2, "dense": 8}},
            "data": [{"format": "galaxyzoo", "path": str(sample), "split": str(sample / "split.csv")}],
            "input": {"side": 32},
            "training": {"epochs": 2, "batch": 8, "learning_rate": 0.01},
            "evaluation": {"bootstrap": 20, "timing": False},
            "output": {"directory": str(directory), "graph": False},
        }
        for key, value in sections.items():
            given[key] = {**given[key], **value} if isinstance(value, dict) and key in given else value
        return ClassifierRecipe.from_dict(given, folder=tmp_path)

    return make


@pytest.fixture
def small_recipe(sample: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], ClassifierRecipe]:
    """The recipe of a name that comes with the package: its settings, on small data, with a small network, for an epoch."""
    monkeypatch.setenv("ASTROGALAXY_DATA", str(sample.parent))
    monkeypatch.setattr(backbones, "_STAGES", tuple((1, *stage[1:]) for stage in backbones._STAGES))
    monkeypatch.setattr(backbones, "_FUSED", -1)  # every one of ours is built as its share says

    def read(name: str, directory: Path) -> ClassifierRecipe:
        recipe = read_recipe(pipelines_folder() / "recipes" / f"{name}.yml")
        assert isinstance(recipe, ClassifierRecipe)
        data = recipe.model_dump(mode="json")
        kind = data["model"]["architecture"]
        small = next((options for key, options in SMALL.items() if kind.startswith(key)), {})
        kept = {k: v for k, v in data["model"]["options"].items() if k == "fused_share"}
        if kind == "efficientnetv2-s":
            kept.setdefault("fused_share", 0.25)
        data["model"] |= {
            "options": {**small, **kept}, "pretrained": "false", "hidden": data["model"]["hidden"] and 8,
        }  # fmt: skip
        scheme = data["data"][-1]["classes"]
        data["data"] = [
            {"format": "galaxyzoo", "path": str(sample), "classes": scheme, "split": str(sample / "split.csv")}
        ]
        data["input"]["side"] = 75 if kind.startswith("inception") else 32
        data["training"] |= {"epochs": 1, "batch": 8}
        if kind.startswith(("inception", "vgg16")):
            data["training"]["optimiser"] = "sgd"  # with less to write down of each of their many weights
        if data["training"]["dino"]:
            data["training"]["dino"] |= {"epochs": 1, "prototypes": 16, "local_views": 1, "rank": 2}
        data["evaluation"] |= {"bootstrap": 10, "timing": False}
        data["output"] |= {"graph": False, "directory": str(directory)}
        data["seeds"] = 1
        return ClassifierRecipe.from_dict(data)

    return read
