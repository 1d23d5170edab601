"""``astrogalaxy train``: what it says of files and options that do not fit, and which command the weights name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from astrogalaxy.cli import app
from astrogalaxy.config import RecipeConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.training import finetune, train
from astrogalaxy.training.cards import draft_card

SURVEY = 'name: mine\nimages: {path: "f-{band}.fits", bands: [r]}\n'
RECIPE = "name: tiny\ndata: {simulation: {scenes: 2}}\n"


def _train(*args: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, args)])


def _error(*args: object) -> ConfigError:
    error = _train(*args).exception
    assert isinstance(error, ConfigError)
    return error


def test_a_survey_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "survey.yml").write_text(SURVEY)
    error = _error(tmp_path / "survey.yml")
    assert "survey.yml: is a survey.yml and no recipe; " in str(error)
    assert str(error).endswith("give --truth labels.csv")
    assert len(str(error).splitlines()) == 1


def test_options_of_truth_need_it(tmp_path: Path) -> None:
    (tmp_path / "recipe.yml").write_text(RECIPE)
    error = _error(tmp_path / "recipe.yml", "--steps", 5, "--name", "x")
    assert str(error) == "--name, --steps: only with --truth; a recipe has keys for this (name, training.steps)"


def test_a_name_that_names_no_file() -> None:
    told = str(_error("survey.yml", "--truth", "labels.csv", "--name", "a/b"))
    assert told == "--name: must be up to 100 letters, digits and . _ + - (it names files), not 'a/b'"


def test_errors_of_recipes_name_their_page(tmp_path: Path) -> None:
    (tmp_path / "recipe.yml").write_text(RECIPE + "seed: -1\n")
    assert _error(tmp_path / "recipe.yml").page == "reference/recipe"
    assert ConfigError("of a survey").page == "reference/config"


def test_the_card_names_the_command_that_makes_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option of it, and not a recipe that does not exist."""
    recipe = RecipeConfig.from_dict({"name": "tiny", "data": {"simulation": {"scenes": 2}}})
    cards: list[Any] = []

    def trained(config: RecipeConfig, *, command: str, **_: Any) -> Any:
        cards.append(draft_card(config, command))
        return SimpleNamespace(metrics={"f1": 0.9}, start={"f1": 0.8}, weights=SimpleNamespace(path=tmp_path / "w"))

    monkeypatch.setattr(finetune, "fine_tune_recipe", lambda *_, **__: recipe)
    monkeypatch.setattr(train, "train", trained)
    (tmp_path / "survey.yml").write_text(SURVEY)
    ran = _train(tmp_path / "survey.yml", "--truth", "my labels.csv", "--steps", 20, "--field", "b", "--name", "tiny")
    command = f"astrogalaxy train {tmp_path}/survey.yml --truth 'my labels.csv' --field b --name tiny --steps 20"
    assert (cards[0].command, cards[0].metrics_command) == (command, f"{command} (validation scenes)")
    assert "f1                           0.8000 -> 0.9000\n" in ran.output
