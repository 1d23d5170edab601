"""The papers' findings, put to made-up scores whose differences are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from astrogalaxy.cli import app
from astrogalaxy.config import ClassifierRecipe, pipelines_folder
from astrogalaxy.errors import RunError, WeightsError
from astrogalaxy.evaluation.classification import score_classes
from astrogalaxy.morphology.pretrained import RANDOM
from astrogalaxy.survey.report.classifiers import write_classifier_report
from astrogalaxy.training.scores import classifiers
from astrogalaxy.training.scores.classifier_tables import read_classifier_scores, write_classifier_scores
from astrogalaxy.training.scores.classifiers import ClassifierScore
from astrogalaxy.training.scores.findings import (
    CHANCE,
    FINDINGS,
    PRETRAINED,
    Check,
    check_findings,
    printed_findings,
    published_difference,
)
from astrogalaxy.training.scores.published import PUBLISHED

Make = Callable[..., ClassifierScore]
STUDENT, BASELINE = "astrovision-distilled", "astrovision-mobilenetv3"
N = 200


@pytest.fixture
def make_score() -> Make:
    """Scores of a recipe that was right for some of the galaxies, four classes, a string of bits for each seed."""

    def make(name: str, *right: str, start: str = RANDOM, galaxies: str = "one") -> ClassifierScore:
        truth = np.arange(len(right[0])) % 4
        told = np.array([bit == "1" for bit in right[0]])
        said = np.eye(4)[np.where(told, truth, (truth + 1) % 4)] * 0.6 + 0.1
        test = score_classes(said, truth, ("a", "b", "c", "d"), resamplings=0)
        return ClassifierScore(
            name=name, published=name if name in PUBLISHED else None, architecture="cnn", data="drawn", start=start,
            weights="abc", parameters=1000, flops=0, side=64, seed=1, seeds=len(right), epochs=5, seconds=60.0,
            test=test, everything=test, galaxies=galaxies, right=right, milliseconds={}, device="cpu",
        )  # fmt: skip

    return make


def right(*wrong: int) -> str:
    """Right but for the galaxies from one number to another."""
    return "".join("0" if wrong[0] <= i < wrong[1] else "1" for i in range(N))


def the_check(scores: list[ClassifierScore], first: str, second: str) -> Check:
    return next(c for c in check_findings(scores) if (c.first, c.second) == (first, second))


def test_every_pair_is_of_recipes_that_are_there() -> None:
    there = {path.stem for path in (pipelines_folder() / "recipes").glob("*.yml")} | {CHANCE}
    named = {name for finding in FINDINGS for pair in finding.pairs for name in pair}
    assert named <= there
    assert named >= PRETRAINED
    # every row of the papers is in a finding
    assert {key for key in PUBLISHED if not key.startswith("astro-rcnn") and "astroyolo" not in key} <= named
    assert all(finding.paper for finding in FINDINGS)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (right(0, 20), right(0, 60), "holds"),
        (right(0, 60), right(0, 20), "contradicted"),
        (right(0, 20), right(20, 42), "undecided"),
        (right(0, 20), right(0, 20), "undecided"),
    ],
)
def test_verdicts(make_score: Make, first: str, second: str, verdict: str) -> None:
    check = the_check([make_score(STUDENT, first), make_score(BASELINE, second)], STUDENT, BASELINE)
    assert check.verdict == verdict
    assert check.statement == "Distillation lifts the student."
    assert check.difference.value == pytest.approx((first.count("1") - second.count("1")) / N)
    assert check.published == pytest.approx(0.11)


def test_the_same_galaxies_are_drawn_of_both(make_score: Make) -> None:
    # they differ in 40 galaxies, all in favour of one
    one, two = right(0, 60), right(0, 100)
    paired = the_check([make_score(STUDENT, one), make_score(BASELINE, two)], STUDENT, BASELINE)
    width = (paired.difference.high - paired.difference.low) / 2
    assert paired.paired
    assert width == pytest.approx(np.sqrt(0.2 * 0.8 / N), rel=0.1)
    other = make_score(BASELINE, two, galaxies="another")
    unpaired = the_check([make_score(STUDENT, one), other], STUDENT, BASELINE)
    assert not unpaired.paired
    assert "not the same galaxies" in printed_findings([unpaired])[1]
    wide = (unpaired.difference.high - unpaired.difference.low) / 2
    assert wide == pytest.approx(np.sqrt((0.7 * 0.3 + 0.5 * 0.5) / N), rel=0.1)
    # a test of another size, too
    shorter = the_check([make_score(STUDENT, one), make_score(BASELINE, two[:90], galaxies="fewer")], STUDENT, BASELINE)
    assert shorter.difference.value == pytest.approx(0.7)


def test_seeds_are_averaged(make_score: Make) -> None:
    tuned = make_score("lite0-tuned", right(0, 20), right(0, 60), start="ImageNet weights of a package")
    scratch = make_score("lite0-scratch", right(0, 100))
    check = the_check([tuned, scratch], "lite0-tuned", "lite0-scratch")
    assert check.accuracies == pytest.approx((0.8, 0.5))
    assert check.verdict == "holds"
    assert tuned.accuracies == (0.9, 0.7)


def test_what_is_about_trained_weights_needs_them(make_score: Make) -> None:
    scores = [make_score("transfer-vgg-deep", right(0, 20)), make_score("transfer-vgg-shallow", right(0, 100))]
    assert the_check(scores, "transfer-vgg-deep", "transfer-vgg-shallow").verdict == "not tested"
    scores = [make_score(s.name, *s.right, start="ImageNet weights") for s in scores]
    assert the_check(scores, "transfer-vgg-deep", "transfer-vgg-shallow").verdict == "holds"


@pytest.mark.parametrize(("wrong", "verdict"), [(148, "holds"), (130, "undecided"), (40, "contradicted")])
def test_near_chance(make_score: Make, wrong: int, verdict: str) -> None:
    """Guessing among four classes is right for 50 galaxies of 200; up to 70 is near it."""
    check = the_check([make_score("transfer-dino", right(0, wrong), start="DINO")], "transfer-dino", CHANCE)
    assert check.accuracies[1] == 0.25
    assert check.published == pytest.approx(0.06)
    assert check.verdict == verdict


def test_numbers_of_unlike_kinds_are_not_subtracted() -> None:
    assert published_difference("cbam-efficientnetv2s", "cbam-resnet50") is None  # of validation, of training
    assert published_difference("cbam-mixed", "cbam-efficientnetv2s") is None  # not in the paper
    assert published_difference("cbam-fused30", "cbam-fused80") == pytest.approx(0.03)


def test_evaluate_prints_what_its_recipes_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_score: Make
) -> None:
    scores = {STUDENT: make_score(STUDENT, right(0, 20)), BASELINE: make_score(BASELINE, right(0, 60))}

    def measured(recipe: ClassifierRecipe, **_: object) -> ClassifierScore:
        if recipe.name == "astrovision-hiera":
            raise WeightsError("astrovision-hiera: damaged")
        if recipe.name not in scores:
            raise RunError(f"{recipe.name}: not trained yet")
        return scores[recipe.name]

    monkeypatch.setattr(classifiers, "evaluate_classifier", measured)
    monkeypatch.setenv("ASTROGALAXY_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = ["astrovision-hiera", STUDENT, BASELINE, "astrovision-vit"]
    for name in names:
        (tmp_path / "runs" / name).mkdir(parents=True)
    paths = [str(pipelines_folder() / "recipes" / f"{name}.yml") for name in names]
    ran = CliRunner().invoke(app, ["evaluate", "-q", *paths])
    assert ran.exit_code == 3, "two recipes are missing"
    assert "astrovision-vit: not trained yet" in ran.stderr
    assert "astrovision-hiera: damaged" in ran.stderr, "one bad file does not end it"
    assert "The papers' findings" in ran.stdout
    assert "holds" in ran.stdout
    assert "larger networks" not in ran.stdout, "which needs the recipe that is missing"
    alone = CliRunner().invoke(app, ["evaluate", "-q", paths[1]])
    assert "findings" not in alone.stdout


def test_they_come_out_of_the_file_again(tmp_path: Path, make_score: Make) -> None:
    scores = [make_score(STUDENT, right(0, 20)), make_score(BASELINE, right(0, 60))]
    file = write_classifier_scores(scores, tmp_path)[0]
    checks = check_findings(scores)
    assert check_findings(read_classifier_scores(file)) == checks
    text = file.read_text(encoding="utf-8")
    assert '"verdict": "holds"' in text
    assert right(0, 60) in text
    write_classifier_report(tmp_path / "all.html", scores)
    page = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert "Distillation lifts the student." in page
    assert "+20.0" in page
    lines = printed_findings(checks)
    assert lines[0].startswith("Distillation lifts the student.")
    assert "astrovision-distilled 90.0 - astrovision-mobilenetv3 70.0 = +20.0" in lines[1]
    assert lines[1].endswith("paper +11.0")
    assert check_findings(scores[:1]) == []
