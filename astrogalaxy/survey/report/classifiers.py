"""The page of classifiers: what recipes reach beside the papers, with charts of each; one HTML file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from astrogalaxy.evaluation.classification import roc_curve
from astrogalaxy.survey.report.page import write_page
from astrogalaxy.survey.report.style import MUTED, Chart, chart, new_axes, one_to_one
from astrogalaxy.survey.report.text import NOTHING
from astrogalaxy.training.scores.classifier_tables import classifier_comparison
from astrogalaxy.training.scores.classifiers import ClassifierScore
from astrogalaxy.training.scores.findings import Check, check_findings
from astrogalaxy.training.scores.published import PUBLISHED

__all__ = ["write_classifier_report"]

# Of the palette of Okabe and Ito, and black.
_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#f0e442",
    "#999999",
    "#7b3294",
)


def write_classifier_report(path: str | os.PathLike[str], scores: Sequence[ClassifierScore]) -> None:
    """Write the report of classifiers: one HTML file that needs nothing else, atomically.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    scores : sequence of ClassifierScore
        One or more.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    order = list(PUBLISHED)
    ranked = sorted(scores, key=lambda s: order.index(s.published) if s.published else len(order))
    context = {
        "title": ranked[0].name if len(ranked) == 1 else f"{len(ranked)} classifiers",
        "rows": [_row(row) for row in classifier_comparison(ranked)],
        "findings": [_finding(check) for check in check_findings(ranked)],
        "overview": _overview(ranked) if len(ranked) > 1 else None,
        "recipes": [_recipe(score) for score in ranked],
    }
    write_page(path, "classifiers.html.j2", context)


def _row(row: Any) -> dict[str, str]:
    """A row of the comparison, as text."""

    def said(name: str, form: str) -> str:
        """A number in words; a dash where there is none."""
        return NOTHING if np.ma.is_masked(row[name]) else form.format(row[name])

    interval = NOTHING
    if not np.ma.is_masked(row["accuracy_low"]):
        interval = f"{100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f}"
    spread = NOTHING if np.ma.is_masked(row["accuracy_spread"]) else f"± {100 * row['accuracy_spread']:.1f}"
    return {
        "recipe": str(row["recipe"]), "method": str(row["method"]), "paper": said("paper", "{}") or NOTHING,
        "accuracy": f"{100 * row['accuracy']:.1f}", "interval": interval, "published": said("accuracy_paper", "{:.1%}"),
        "seeds": said("accuracy_seeds", "{:.1%}") if row["seeds"] > 1 else NOTHING, "spread": spread,
        "f1": said("macro_f1", "{:.3f}"), "auc": said("auc", "{:.3f}"), "auc_paper": said("auc_paper", "{:.3f}"),
        "ece": said("ece", "{:.3f}"), "exact": said("ece_perfect", "{:.3f}"),
        "parameters": said("parameters", "{:.2f}"), "parameters_paper": said("parameters_paper", "{:g}"),
        "gflops": said("gflops", "{:.2f}"),
        "ms": said("milliseconds_1", "{:.1f}"), "ms64": said("milliseconds_64", "{:.1f}"), "side": said("side", "{}"),
        "epochs": said("epochs", "{}"), "seconds": said("seconds", "{:.0f}"), "start": said("start", "{}"),
        "n": said("n_test", "{}"), "note": said("note", "{}"),
    }  # fmt: skip


def _finding(check: Check) -> dict[str, str]:
    """A line of the findings, as text."""
    one, two = (f"{100 * value:.1f}" for value in check.accuracies)
    difference = check.difference
    return {
        "statement": check.statement, "paper": check.paper, "first": f"{check.first} {one}",
        "second": f"{check.second} {two}", "difference": f"{100 * difference.value:+.1f}",
        "interval": f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}",
        "published": NOTHING if check.published is None else f"{100 * check.published:+.1f}",
        "galaxies": f"{check.n}" if check.paired else f"{check.n}, different", "verdict": check.verdict,
    }  # fmt: skip


def _recipe(score: ClassifierScore) -> dict[str, Any]:
    test = score.test
    return {
        "name": score.name,
        "data": score.data,
        "classes": [
            (c.name, *(_two(v) for v in (c.precision, c.recall, c.f1, c.auc)), str(c.support)) for c in test.classes
        ],
        "charts": [made for made in (_confusion(score), _curves(score), _roc(score), _reliability(score)) if made],
    }


def _two(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else NOTHING


def _overview(scores: Sequence[ClassifierScore]) -> Chart:
    """Accuracy of each recipe with its interval, beside the paper's."""
    with new_axes(height=max(2.0, 0.28 * len(scores) + 0.8)) as (figure, axes):
        for place, score in enumerate(reversed(scores)):
            value = score.test.accuracy
            if np.isfinite(value.low):
                axes.plot([100 * value.low, 100 * value.high], [place, place], color=_COLOURS[0], lw=1.6)
            axes.plot(100 * value.value, place, "o", color=_COLOURS[0], ms=4.5)
            paper = PUBLISHED[score.published].accuracy if score.published else None
            if paper is not None:
                axes.plot(100 * paper, place, "D", mfc="none", color=MUTED, ms=4.5)
        axes.set_yticks(range(len(scores)), [score.name for score in reversed(scores)], fontsize=7.5)
        axes.set_xlabel("accuracy (%)")
        caption = "Dots: measured here, with 68 % intervals. Diamonds: the papers' values, on their own data sets."
        return chart(figure, title="Accuracy", caption=caption, alt="Accuracy of each recipe")


def _confusion(score: ClassifierScore) -> Chart:
    table = np.array(score.test.confusion, dtype=float)
    names = [c.name for c in score.test.classes]
    with new_axes(height=4.4) as (figure, axes):
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        for (i, j), n in np.ndenumerate(table):
            axes.text(
                j, i, f"{n:.0f}", ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.6 else None
            )
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        caption = "Numbers of test galaxies. Shades show the share of each row."
        return chart(figure, title="Confusion matrix", caption=caption, alt="Confusion matrix")


def _curves(score: ClassifierScore) -> Chart | None:
    if not score.curves:
        return None
    with new_axes(columns=2) as (figure, axes):
        other = figure.add_subplot(axes.get_gridspec()[0, 1])
        for part, colour in (("train", _COLOURS[1]), ("val", _COLOURS[0])):
            for where, kind in ((axes, "loss"), (other, "accuracy")):
                points = score.curves.get(f"{part}_{kind}")
                if points:
                    where.plot(*zip(*points, strict=True), color=colour, lw=1.4, label=part, marker="o", ms=2)
                where.set_xlabel("epoch")
                where.set_ylabel(kind)
        axes.legend()
        caption = "Training images are augmented at random; validation images are not."
        return chart(figure, title="Training", caption=caption, alt="Loss and accuracy by epoch")


def _roc(score: ClassifierScore) -> Chart | None:
    if score.probability is None or score.truth is None:
        return None
    with new_axes() as (figure, axes):
        one_to_one(axes)
        for number, c in enumerate(score.test.classes):
            if np.isfinite(c.auc):
                curve = roc_curve(score.probability[:, number], score.truth == number)
                axes.plot(*curve, color=_COLOURS[number % len(_COLOURS)], lw=1.3, label=f"{c.name} {c.auc:.2f}")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.legend(fontsize=7.5)
        caption = "Each class against the rest, with the area under the curve."
        return chart(figure, title="ROC curves", caption=caption, alt="ROC curves")


def _reliability(score: ClassifierScore) -> Chart | None:
    if not score.test.reliability:
        return None
    with new_axes() as (figure, axes):
        said, true, n = np.array(score.test.reliability).T
        one_to_one(axes)
        axes.errorbar(
            said, true, np.sqrt(np.maximum(true * (1 - true), 0.25 / n) / n), fmt="o-", color=_COLOURS[0], ms=4, lw=1
        )
        axes.set_xlabel("probability of the predicted class")
        axes.set_ylabel("share of correct predictions")
        caption = (
            f"Expected calibration error {score.test.ece:.3f} from {score.test.n} galaxies. For exact probabilities "
            f"and so few galaxies it would be {score.test.ece_perfect.value:.3f} on average."
        )
        return chart(figure, title="Reliability", caption=caption, alt="Reliability curve")
