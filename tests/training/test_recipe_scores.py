"""Tests of astrogalaxy.training.scores.recipes and comparison, with a network that knows the answers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from astrogalaxy.config import RecipeConfig
from astrogalaxy.devices import Placement
from astrogalaxy.errors import ConfigError, RunError
from astrogalaxy.evaluation.boxes import MeanPrecision
from astrogalaxy.evaluation.intervals import Interval
from astrogalaxy.models import Architecture
from astrogalaxy.training.examples import Example, sources_array
from astrogalaxy.training.galaxies import GalaxyBank
from astrogalaxy.training.scores import recipes as module
from astrogalaxy.training.scores.comparison import comparison, printed, read_scores, write_scores
from astrogalaxy.training.scores.published import PUBLISHED
from astrogalaxy.training.scores.recipes import RecipeScore, evaluate_recipe
from astrogalaxy.training.sets import LabelledSets

LEVELS = (8, 16, 32)


def _recipe(folder: Path, **changes: Any) -> RecipeConfig:
    data = {"phosim": {"size": 64}, "galaxies": {"folder": "gz2"}}
    settings = {"name": "tiny", "published": "astroyolo-unfrozen", "data": data, "output": {"directory": "runs"}}
    return RecipeConfig.from_dict(settings | changes, folder=folder)


class _Oracle:
    """Runtime that sees what has been put into the image's pixels: the logit of disk in the middle, sources elsewhere."""

    placement = Placement("cpu", "float32")

    def __init__(self, weights: Any, *, device: str) -> None:
        self.weights = weights

    def __call__(self, cube: np.ndarray) -> list[np.ndarray]:
        maps = [np.full((7, cube.shape[1] // s, cube.shape[2] // s), -9.0, np.float32) for s in LEVELS]
        for row, column in np.argwhere(cube[0] > 0):
            cell_y, cell_x = row // 8, column // 8
            dx, dy = (column + 0.5) / 8 - cell_x - 0.5, (row + 0.5) / 8 - cell_y - 0.5
            galaxy, disk = np.sign(cube[1, row, column]), np.sign(cube[2, row, column])
            maps[0][:, cell_y, cell_x] = [dx, dy, np.log(12 / 8), np.log(10 / 8), 3.0, 4 * galaxy, disk]
        return maps


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder, and a network for which pixels are answers."""
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.safetensors").touch()
    card = SimpleNamespace(
        size="nano",
        sha256="abc",
        levels=LEVELS,
        inputs=3,
        seeing_input=False,
        architecture=Architecture("nano", LEVELS),
    )
    monkeypatch.setattr(module, "load_weights", lambda _path: SimpleNamespace(card=card))
    monkeypatch.setattr(module, "Runtime", _Oracle)
    monkeypatch.setattr(module, "_TIMED_SIDE", 32)
    return folder


def _field(folder: Path, *, wrong: bool = False) -> Path:
    snr = np.zeros((3, 64, 64), np.float16)
    places = {(20, 12): 1, (40, 30): -1, (50, 52): 1}
    for (x, y), galaxy in places.items():
        snr[:, y, x] = 5, galaxy, 1
    x, y = np.array(list(places)).T
    galaxy = np.array(list(places.values())) * (-1 if wrong else 1) > 0
    sources = sources_array(x=x, y=y, width=12.0, height=10.0, galaxy=galaxy.astype(float))
    return Example(snr, sources, f"field-{wrong}").save(folder)


def _bank(folder: Path, votes: list[float], said: list[int]) -> Path:
    """Galaxies of a size that decode gives, whose third band says what the network will say."""
    planes = np.zeros((len(votes), 4, 32, 32), np.float16)
    for number, answer in enumerate(said):
        planes[number, :, 15:17, 15:17] = np.array([1, 1, answer, 1]).reshape(4, 1, 1)
    for suffix, array in ((".votes.npy", votes), (".names.npy", [str(n) for n in range(len(votes))]), (".npy", planes)):
        np.save(folder / f"bank{suffix}", np.array(array))
    return folder / "bank.npy"


def test_fields_and_galaxies_are_scored(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    votes, said = [0.95, 0.9, 0.1, 0.6, 0.3], [1, -1, -1, 1, 1]
    bank = _bank(tmp_path, votes, said)
    # no noise, so that only what was put there is seen
    monkeypatch.setattr(GalaxyBank, "example", lambda self, i: Example(self.planes[i, :3], np.zeros(0)))
    sets = LabelledSets((_field(tmp_path),), bank)
    monkeypatch.setattr(module, "prepare_sets", lambda *_, **__: sets)
    score = evaluate_recipe(_recipe(tmp_path))
    assert score.precision.map_50_95.value == pytest.approx(1)
    assert score.accuracy.value == pytest.approx(2 / 3), "of the three with a clear majority"
    assert score.accuracy_all.value == pytest.approx(3 / 5)
    assert (score.n_fields, score.n_clear, score.n_galaxies) == (1, 3, 5)
    assert (score.size, score.weights, score.device) == ("nano", "abc", "cpu")
    assert 0 < score.milliseconds < 10_000
    monkeypatch.setattr(module, "prepare_sets", lambda *_, **__: LabelledSets((_field(tmp_path, wrong=True),)))
    score = evaluate_recipe(_recipe(tmp_path, data={"phosim": {"size": 64}}))
    assert score.precision.map_50_95.value == 0
    assert score.accuracy is None


def test_what_cannot_be_scored(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"tiny: not trained yet, there is no .*tiny\.safetensors; astrogalaxy train"):
        evaluate_recipe(_recipe(tmp_path))
    with pytest.raises(ConfigError, match="published: 'astroyolo' is not known; there are astro-rcnn, "):
        evaluate_recipe(_recipe(tmp_path, published="astroyolo"))
    with pytest.raises(ConfigError, match="tiny: the recipe has no test set"):
        evaluate_recipe(_recipe(tmp_path, data={"simulation": {"scenes": 2}}))


def _score(name: str, published: str | None, value: float | None, accuracy: float | None) -> RecipeScore:
    precision = None if value is None else MeanPrecision(*[Interval(value, value - 0.01, value + 0.01)] * 4)
    right = None if accuracy is None else Interval(accuracy, accuracy - 0.1, accuracy + 0.05)
    return RecipeScore(name, published, "nano", "abc", precision, right, right, 50, 70, 122, 12.3, "cpu")


def test_the_table_is_the_papers() -> None:
    scores = [
        _score("mine", None, 0.5, None),
        _score("b", "astroyolo-unfrozen", 0.671, 0.85),
        _score("a", "astroyolo-morphology", None, 0.9),
    ]
    table = comparison(scores)
    assert table["recipe"].filled("").tolist() == ["", "a", "b", "mine"]
    assert table["method"][0] == "Astro R-CNN"
    assert table["map_50_90_paper"].filled(-1).tolist() == [0.49, -1, 0.656, -1]
    assert table["accuracy_paper"].filled(-1).tolist() == [-1, 0.768, 0.772, -1]
    assert table["map_50_90"].filled(-1).tolist() == [-1, -1, 0.671, 0.5]
    assert all(column.description for column in table.itercols())
    lines = printed(table)
    unfrozen = next(line for line in lines if line.startswith(PUBLISHED["astroyolo-unfrozen"].method))
    for text in ("67.1 [66.1, 68.1]", "65.6", "85.0 [75.0, 90.0]", "77.2", "12.3"):
        assert text in unfrozen
    assert len(comparison(scores[:1])) == 1, "a recipe of no paper stands alone"


def test_scores_are_written(tmp_path: Path) -> None:
    unknown = _score("c", "astroyolo-naive", float("nan"), 0.6)
    files = write_scores([_score("b", "astroyolo-unfrozen", 0.671, 0.85), unknown], tmp_path)
    assert [path.name for path in files] == ["evaluation.json", "evaluation.ecsv"]
    data = json.loads(files[0].read_text())
    first, second = data["scores"]
    assert first["precision"]["map_50_90"] == {
        "value": 0.671,
        "low": pytest.approx(0.661),
        "high": pytest.approx(0.681),
    }
    assert first["paper"]["map_50_90"] == 0.656
    assert second["precision"]["star"]["value"] is None
    read = read_scores(files[0])
    assert read[0] == _score("b", "astroyolo-unfrozen", 0.671, 0.85)
    assert np.isnan(read[1].precision.star.value)
    table = Table.read(files[1], format="ascii.ecsv")
    assert table["recipe"].filled("").tolist() == ["", "c", "b"]
    assert table["map_50_90"].mask.tolist() == [True, True, False]
