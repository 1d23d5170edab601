"""recipe.yml of a detector: what is read, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from configurations import error, survey, template_keys

from astrogalaxy.config import RecipeConfig, commented_yaml, read_recipe
from astrogalaxy.errors import ConfigError

RECIPE = """\
name: detector
model: {size: tiny, levels: [4, 8, 16]}
data:
  simulation: {scenes: 10, size: 256, surveys: {sdss: 2, legacy: 1}}
  labels:
    - {images: {path: "f-{band}.fits", bands: [g, r]}, truth: truth.csv}
    - {images: {path: "h-{band}.fits", bands: [g, r]}, truth: t.csv, split: s.csv, part: val}
training: {precision: 32, learning_rate: 1e-3}
"""


def test_a_recipe_is_read_and_written(tmp_path: Path) -> None:
    path = survey(tmp_path, RECIPE)
    recipe = RecipeConfig.read(path)
    assert recipe.data.simulation is not None
    assert recipe.data.simulation.surveys == {"sdss": 2.0, "legacy": 1.0}
    assert recipe.data.labels[1].truth == str(tmp_path / "t.csv")
    assert recipe.data.labels[1].split == str(tmp_path / "s.csv")
    assert recipe.data.labels[0].images.patterns("g") == (str(tmp_path / "f-g.fits"),)
    assert recipe.data.labels[0].part == "train"
    assert recipe.training.precision == "32"
    assert recipe.training.learning_rate == 1e-3
    assert recipe.output.directory == str(tmp_path / "runs")
    path.write_text(recipe.to_yaml())
    assert RecipeConfig.read(path) == recipe


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        ("truth: truth.csv", "part: x", 6, "data.labels[0].truth", "required, for example truth.csv"),
        ("truth: t.csv", "truht: t.csv, truth: t.csv", 7, "data.labels[1].truht", "did you mean 'truth'?"),
        ('"h-{band}.fits"', "h.fits", 7, "data.labels[1].images.path", "must hold {band}"),
        ("size: tiny", "size: small", 2, "model.size", "must be nano, micro, tiny or s, not 'small'"),
        ("[4, 8, 16]", "[8, 4]", 2, "model.levels", "must be rising powers of two"),
        ("[4, 8, 16]", "[3, 8]", 2, "model.levels", "up to 64, such as [4, 8, 16], not [3, 8]"),
        ("[4, 8, 16]", "[4, 8, 16], zoom: 1.3", 2, "model.zoom", "must be 1, 1.5 or 2, not 1.3"),
        ("sdss: 2", "sdss: 0", 4, "data.simulation.surveys.sdss", "must be a number above 0, not 0"),
        ("precision: 32", "precision: 16", 8, "training.precision", "must be 32 or bf16, not 16"),
        ("precision: 32", "crop: 100", 8, "training.crop", "must be a multiple of the coarsest cells, 16"),
        ("precision: 32", "steps: 10", 8, "training.warmup", "1000 is more than steps, 10"),
        (
            "precision: 32",
            "normalisation: keep",
            8,
            "training.normalisation",
            "needs weights of astrogalaxy to go on from",
        ),
        ("precision: 32", "start_share: 0.5", 8, "training.start_share", "0.5 needs weights of astrogalaxy"),
        ("name: detector", "name: detector\nseed: -1", 2, "seed", "must be 0 or more, not -1"),
        (
            "precision: 32",
            "schedule: {phases: [{data: fields, heads: [detection, star]}]}",
            8,
            "training.schedule.phases[0].heads[1]",
            "must be detection, stargalaxy or morphology, not 'star'",
        ),
        ("split: s.csv", "region: [0, 9, 0]", 7, "data.labels[1].region[3]", "is missing from the list"),
        (
            "split: s.csv",
            "region: [0, 9, 0, 9, 5]",
            7,
            "data.labels[1].region",
            "must be a list of 4 or fewer, not [0, 9",
        ),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, old: str, new: str, line: int, key: str, words: str) -> None:
    message = error(tmp_path, RECIPE.replace(old, new), RecipeConfig)
    assert message.startswith(f"{tmp_path / 'survey.yml'}:{line}: {key}: ")
    assert words in message
    assert len(message.splitlines()) == 1


CLASSIFIER = "name: x\ntask: morphology\ndata:\n  - {format: folders, path: two}\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        (
            "folders, path",
            "folder, path",
            4,
            "data[0].format",
            "must be galaxyzoo, galaxy10, efigi, folders or catalog",
        ),
        ("\n  - {format: folders, path: two}", " []", 3, "data", "must be a list of 1 or more, not an empty list"),
        ("morphology", "morfology", 2, "task", "must be detection or morphology, not 'morfology'; did you mean 'morp"),
        ("two}", "two, classes: fine}", 4, "data[0].classes", "fine needs format: galaxyzoo; folders has its own"),
    ],
)
def test_a_wrong_classifier_is_explained(tmp_path: Path, old: str, new: str, line: int, key: str, words: str) -> None:
    path = survey(tmp_path, CLASSIFIER.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(f"{path}:{line}: {key}: {words}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_needs_data(tmp_path: Path) -> None:
    message = error(tmp_path, "name: x\ndata:\n  sky: []\n", RecipeConfig)
    assert message == f"{tmp_path / 'survey.yml'}:2: data: needs simulation, labels, phosim or galaxies"


def test_the_recipe_template_is_valid(tmp_path: Path) -> None:
    text = commented_yaml(model=RecipeConfig)
    assert all(commented for commented, _ in template_keys(text).values())
    recipe = RecipeConfig.read(survey(tmp_path, text))
    assert recipe.data.simulation is not None
