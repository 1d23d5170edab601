"""Every recipe of the morphology papers trains and is measured, for an epoch, on small data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astrogalaxy.config import ClassifierRecipe, pipelines_folder, read_recipe
from astrogalaxy.errors import RunError
from astrogalaxy.survey.report.classifiers import write_classifier_report
from astrogalaxy.training.classifier.train import train_classifier
from astrogalaxy.training.scores.classifier_tables import (
    classifier_comparison,
    printed_comparison,
    read_classifier_scores,
    write_classifier_scores,
)
from astrogalaxy.training.scores.classifiers import ClassifierScore, evaluate_classifier
from astrogalaxy.training.scores.findings import FINDINGS, check_findings
from astrogalaxy.training.scores.published import PUBLISHED

FOLDER = pipelines_folder() / "recipes"
NAMES = sorted(p.stem for p in FOLDER.glob("*.yml") if "task: morphology" in p.read_text(encoding="utf-8"))
SCORES: dict[str, ClassifierScore] = {}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, so that a student finds its teacher, and the pictures are made once."""
    return tmp_path_factory.mktemp("runs")


def test_every_row_of_the_papers_has_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTROGALAXY_DATA", "/data")
    named = {read_recipe(FOLDER / f"{name}.yml").published for name in NAMES}
    rows = {key for key in PUBLISHED if not key.startswith(("astro-rcnn", "astroyolo"))}
    assert len(rows) == 28
    assert rows <= named


# the teacher first
@pytest.mark.parametrize("name", sorted(NAMES, key=lambda name: (name != "astrovision-hiera", name)))
def test_it_runs(name: str, runs: Path, small_recipe: Callable[[str, Path], ClassifierRecipe]) -> None:
    recipe = small_recipe(name, runs)
    trained = train_classifier(recipe)
    card = trained.weights.card
    assert card.start.startswith("random numbers")
    assert card.architecture == recipe.model.architecture
    score = evaluate_classifier(recipe)
    SCORES[name] = score
    n = 6 if name == "galaxyzoo-smooth-disk" else 8  # which has no mergers
    assert score.test.n == n
    assert 0 <= score.test.accuracy.low <= score.test.accuracy.value <= score.test.accuracy.high <= 1
    assert sum(map(sum, score.test.confusion)) == n
    assert [len(bits) for bits in score.right] == [n]
    assert score.accuracies[0] == pytest.approx(score.test.accuracy.value)
    assert score.parameters == card.parameters > 0
    if recipe.training.objective == "classes":
        assert {"train_loss", "val_accuracy"} <= set(score.curves)


def test_one_comparison_of_all(tmp_path: Path) -> None:
    if len(SCORES) < len(NAMES):
        pytest.skip("not all recipes were trained in this run")
    scores = list(SCORES.values())
    files = write_classifier_scores(scores, tmp_path)
    again = read_classifier_scores(files[0])
    assert [s.test.accuracy for s in again] == [s.test.accuracy for s in scores]
    assert again[0].curves == scores[0].curves
    checks = check_findings(scores)
    assert len(checks) == sum(len(finding.pairs) for finding in FINDINGS), "every finding can be checked"
    assert all(check.paired for check in checks), "of the same galaxies"
    assert len({score.galaxies for score in scores}) == 3, "labels, fine classes, smooth or disk"
    table = classifier_comparison(scores)
    assert list(table["method"][:2]) == ["ViT", "ResNet50V2"], "the papers' order"
    assert len(printed_comparison(table)) == len(scores) + 2
    shown = ("mobilevit-mobilevit", "transfer-dino")
    write_classifier_report(tmp_path / "all.html", [SCORES[name] for name in shown])
    page = (tmp_path / "all.html").read_text(encoding="utf-8")
    for name in shown:
        assert f'id="{name}"' in page
    assert "87.1" in page, "the paper's number stands beside ours"


def test_what_is_not_trained(tmp_path: Path, small_recipe: Callable[[str, Path], ClassifierRecipe]) -> None:
    with pytest.raises(RunError, match="astrovision-hiera is not trained yet"):
        train_classifier(small_recipe("astrovision-distilled", tmp_path))
    with pytest.raises(RunError, match="lite0-tuned: not trained yet"):
        evaluate_classifier(small_recipe("lite0-tuned", tmp_path))


def test_it_learns(make_classifier: Callable[..., ClassifierRecipe]) -> None:
    """Four kinds of drawings that a child tells apart."""
    training = {"epochs": 25, "learning_rate": 0.01, "schedule": "cosine"}
    recipe = make_classifier(training=training, augmentation={"flip": True}, evaluation={"views": 8})
    train_classifier(recipe)
    score = evaluate_classifier(recipe)
    assert score.test.accuracy.value >= 0.75
    assert score.curves["train_loss"][-1][1] < score.curves["train_loss"][0][1]
    assert np.isfinite(score.test.auc.value)
