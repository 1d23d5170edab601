"""``astrogalaxy evaluate RECIPE.yml``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from astrogalaxy.cli import app
from astrogalaxy.config import RecipeConfig
from astrogalaxy.errors import AstrogalaxyError, ConfigError, RunError, WeightsError
from astrogalaxy.evaluation.boxes import MeanPrecision
from astrogalaxy.evaluation.intervals import Interval
from astrogalaxy.training.scores import recipes
from astrogalaxy.training.scores.recipes import RecipeScore

RECIPE = """\
name: {name}
published: astroyolo-{name}
data: {{phosim: {{size: 64}}}}
output: {{directory: runs}}
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Three recipes, of which the first is trained, and the last has damaged weights."""
    (tmp_path / "runs" / "unfrozen").mkdir(parents=True)
    found = {}
    for name in ("unfrozen", "naive", "frozen"):
        found[name] = tmp_path / f"{name}.yml"
        found[name].write_text(RECIPE.format(name=name))

    def score(recipe: RecipeConfig, **_: object) -> RecipeScore:
        if recipe.name == "naive":
            msg = "naive: not trained yet"
            raise RunError(msg)
        if recipe.name == "frozen":
            msg = "frozen: damaged"
            raise WeightsError(msg)
        precision = MeanPrecision(*[Interval(0.671, 0.66, 0.68)] * 4)
        return RecipeScore(recipe.name, recipe.published, "nano", "abc", precision, None, None, 50, 0, 0, 9.9, "cpu")

    monkeypatch.setattr(recipes, "evaluate_recipe", score)
    return found


def _evaluate(*args: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, args)])


def test_a_recipe_beside_the_paper(paths: dict[str, Path], tmp_path: Path) -> None:
    ran = _evaluate(paths["unfrozen"])
    assert ran.exit_code == 0, ran.output
    assert "Iterative training (unfrozen backbone)" in ran.output
    assert "67.1 [66.0, 68.0]" in ran.output
    assert "65.6" in ran.output
    written = tmp_path / "runs" / "unfrozen"
    assert sorted(path.name for path in written.iterdir()) == ["evaluation.ecsv", "evaluation.json"]
    assert json.loads((written / "evaluation.json").read_text())["scores"][0]["name"] == "unfrozen"


def test_several_recipes_some_of_which_are_not_trained(paths: dict[str, Path], tmp_path: Path) -> None:
    ran = _evaluate(*paths.values())
    assert ran.exit_code == 3
    assert "naive: not trained yet" in ran.output
    assert "frozen: damaged" in ran.output
    assert "67.1" in ran.output
    assert _evaluate(paths["naive"]).exit_code == 1
    again = _evaluate(paths["unfrozen"], paths["unfrozen"])
    assert again.exit_code == 0
    assert len(json.loads((tmp_path / "runs" / "evaluation.json").read_text())["scores"]) == 2


def test_what_evaluate_is_not_given(paths: dict[str, Path], tmp_path: Path) -> None:
    for args in ([], [paths["naive"], tmp_path / "truth.csv"], [tmp_path / "a.fits"]):
        ran = _evaluate(*args)
        assert isinstance(ran.exception, (ConfigError, AstrogalaxyError, OSError)), args
    assert "evaluate needs CATALOG and TRUTH, or RECIPE.yml" in str(_evaluate(tmp_path / "a.fits").exception)
