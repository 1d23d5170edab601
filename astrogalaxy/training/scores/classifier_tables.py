"""Tables that show what classifiers reach beside what the papers report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from astrogalaxy.evaluation.classification import Classification, ClassScore
from astrogalaxy.training.scores.classifiers import ClassifierScore
from astrogalaxy.training.scores.findings import check_findings
from astrogalaxy.training.scores.published import PUBLISHED
from astrogalaxy.training.scores.scoretables import (
    by_paper,
    interval_of,
    lines_of,
    number_of,
    paper_of,
    percent,
    read_records,
    table_of,
    write_evaluation,
)

__all__ = [
    "classifier_comparison",
    "printed_classes",
    "printed_comparison",
    "read_classifier_scores",
    "write_classifier_scores",
]

_COLUMNS = {
    "recipe": (str, "recipe"),
    "method": (str, "row of the paper's table"),
    "paper": (str, "paper"),
    "accuracy": (float, "share of test galaxies with the right class; those whose class is clear"),
    "accuracy_low": (float, "lower end of its 68 % interval (bootstrap over galaxies)"),
    "accuracy_high": (float, "upper end"),
    "accuracy_paper": (float, "the paper's, on its own set"),
    "accuracy_all": (float, "the same over all test galaxies"),
    "accuracy_seeds": (float, "mean over the seeds"),
    "accuracy_spread": (float, "standard deviation over the seeds"),
    "macro_f1": (float, "mean F1 of the classes"),
    "auc": (float, "mean area under the ROC curve, one class against the rest"),
    "auc_paper": (float, "the paper's"),
    "ece": (float, "expected calibration error"),
    "ece_perfect": (float, "its mean for so few galaxies if the probabilities were exactly right"),
    "ece_all": (float, "expected calibration error over all test galaxies"),
    "ece_all_perfect": (float, "its mean if the probabilities were exactly right"),
    "parameters": (float, "trainable parameters in millions"),
    "parameters_paper": (float, "the paper's"),
    "gflops": (float, "floating-point operations for one image, in thousand millions"),
    "milliseconds_1": (float, "time per image, one at a time"),
    "milliseconds_64": (float, "time per image, 64 at a time"),
    "side": (int, "side of the input in pixels"),
    "epochs": (int, "epochs that were done"),
    "seconds": (float, "wall time of the training"),
    "seed": (int, "first seed"),
    "seeds": (int, "number of seeds"),
    "start": (str, "where the training started from"),
    "n_test": (int, "test galaxies whose class is clear"),
    "data": (str, "data set"),
    "note": (str, "what the paper's number is"),
}


def classifier_comparison(scores: Sequence[ClassifierScore]) -> Table:
    """Make a table of scores beside the papers' numbers.

    Parameters
    ----------
    scores : sequence of ClassifierScore
        One for each recipe.

    Returns
    -------
    Table
        A row for each, in the papers' order. Numbers that there are none of are masked.

    Examples
    --------
    >>> from astrogalaxy.training.scores.classifier_tables import classifier_comparison
    >>> table = classifier_comparison([])  # see ClassifierScore for what goes in
    >>> len(table), {"accuracy", "accuracy_paper"} <= set(table.colnames)
    (0, True)
    """
    return table_of([_row(score) for score in by_paper(scores)], _COLUMNS)


def _row(score: ClassifierScore) -> dict[str, Any]:
    test = score.test
    row: dict[str, Any] = {"recipe": score.name, "method": score.architecture, "paper": ""}
    row |= {name: getattr(score, name) for name in ("side", "epochs", "seconds", "seed", "seeds", "start", "data")}
    row |= {
        "accuracy": test.accuracy.value, "accuracy_low": test.accuracy.low, "accuracy_high": test.accuracy.high,
        "accuracy_all": score.everything.accuracy.value, "accuracy_seeds": float(np.mean(score.accuracies)),
        "accuracy_spread": float(np.std(score.accuracies, ddof=1)) if score.seeds > 1 else None,
        "macro_f1": test.macro_f1.value, "auc": test.auc.value, "ece": test.ece, "n_test": test.n,
        "ece_perfect": test.ece_perfect.value, "ece_all": score.everything.ece,
        "ece_all_perfect": score.everything.ece_perfect.value,
        "parameters": score.parameters / 1e6, "gflops": score.flops / 1e9 if score.flops else None,
        "milliseconds_1": score.milliseconds.get(1), "milliseconds_64": score.milliseconds.get(64),
    }  # fmt: skip
    if score.published:
        paper = PUBLISHED[score.published]
        row |= {"method": paper.method, "paper": paper.paper, "accuracy_paper": paper.accuracy, "note": paper.note}
        row |= {"auc_paper": paper.auc, "parameters_paper": paper.parameters}
    return row


def printed_comparison(table: Table) -> list[str]:
    """Lines of a comparison for the terminal.

    Parameters
    ----------
    table : Table
        See `classifier_comparison`.

    Returns
    -------
    list of str
        A head, and a line for each row; ``-`` where there is no number.

    Examples
    --------
    >>> from astrogalaxy.training.scores.classifier_tables import classifier_comparison, printed_comparison
    >>> print(printed_comparison(classifier_comparison([]))[0][:13])
    method recipe
    """
    shown = Table()
    shown["method"], shown["recipe"] = table["method"], table["recipe"]
    shown["accuracy (%)"] = [percent(row, "accuracy") for row in table]
    for title, name, form in (
        ("paper's", "accuracy_paper", "{:.1%}"), ("F1", "macro_f1", "{:.3f}"), ("AUC", "auc", "{:.3f}"),
        ("ECE", "ece", "{:.3f}"), ("if exact", "ece_perfect", "{:.3f}"),
        ("M parameters", "parameters", "{:.2f}"), ("paper's M", "parameters_paper", "{:g}"),
        ("ms", "milliseconds_1", "{:.1f}"), ("ms of 64", "milliseconds_64", "{:.1f}"), ("epochs", "epochs", "{:d}"),
        ("started from", "start", "{}"),
    ):  # fmt: skip
        shown[title] = ["-" if np.ma.is_masked(value) else form.format(value) for value in table[name]]
    return lines_of(shown)


def printed_classes(test: Classification) -> list[str]:
    """Lines of the scores by class, for the terminal.

    Parameters
    ----------
    test : Classification
        Of the test set.

    Returns
    -------
    list of str
        A head, and a line for each class.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.classification import score_classes
    >>> from astrogalaxy.training.scores.classifier_tables import printed_classes
    >>> said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> test = score_classes(said, np.array([0, 1, 1]), ["smooth", "disk"], resamplings=0)
    >>> print(printed_classes(test)[-1].rstrip())
    disk   1.00      0.50   0.67 1.000 2
    """
    rows = [
        (c.name, *(f"{value:.2f}" for value in (c.precision, c.recall, c.f1)), f"{c.auc:.3f}", c.support)
        for c in test.classes
    ]
    table = Table(rows=rows, names=("class", "precision", "recall", "F1", "AUC", "support"))
    return lines_of(table)


def write_classifier_scores(scores: Sequence[ClassifierScore], folder: str | Path) -> list[Path]:
    """Write scores into a folder: with findings as ``evaluation.json``, beside the papers' as ``evaluation.ecsv``.

    Parameters
    ----------
    scores : sequence of ClassifierScore
        One for each recipe.
    folder : path-like
        Must be there.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    RunError
        If the folder or the disk does not take the files.

    Examples
    --------
    >>> from astrogalaxy.training.scores.classifier_tables import write_classifier_scores
    >>> [path.name for path in write_classifier_scores([], ".")]
    ['evaluation.json', 'evaluation.ecsv']
    """
    records = [_record(score) for score in scores]
    findings = [asdict(check) for check in check_findings(scores)]
    return write_evaluation(folder, records, classifier_comparison(scores), task="morphology", findings=findings)


def _record(score: ClassifierScore) -> dict[str, Any]:
    record = asdict(score)
    del record["probability"], record["truth"]
    return record | {"paper": paper_of(score)}


def read_classifier_scores(path: str | Path) -> list[ClassifierScore]:
    """Read what `write_classifier_scores` wrote as JSON.

    Parameters
    ----------
    path : path-like
        ``evaluation.json``.

    Returns
    -------
    list of ClassifierScore
        Without the probabilities of single galaxies.

    Examples
    --------
    >>> from astrogalaxy.training.scores.classifier_tables import read_classifier_scores, write_classifier_scores
    >>> files = write_classifier_scores([], ".")
    >>> read_classifier_scores(files[0])
    []
    """
    return [_score(given) for given in read_records(path)]


def _classification(given: dict[str, Any]) -> Classification:
    fields = given | {name: interval_of(given[name]) for name in ("accuracy", "auc", "macro_f1", "ece_perfect")}
    fields["classes"] = tuple(ClassScore(**{k: number_of(v) for k, v in c.items()}) for c in given["classes"])
    fields |= {name: tuple(tuple(row) for row in given[name]) for name in ("confusion", "reliability")}
    return Classification(**fields)


def _score(given: dict[str, Any]) -> ClassifierScore:
    fields = given | {
        "test": _classification(given["test"]),
        "everything": _classification(given["everything"]),
        "right": tuple(given["right"]),
        "milliseconds": {int(k): v for k, v in given["milliseconds"].items()},
        "curves": {k: tuple((int(e), number_of(v)) for e, v in c) for k, c in given["curves"].items()},
    }
    return ClassifierScore(**fields)
