"""Scores of classifiers with bootstrap intervals: accuracy, precision, recall, confusion, ROC, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from astrogalaxy.evaluation.intervals import Interval, percentile_interval
from astrogalaxy.evaluation.reliability import Reliability, expected_calibration_error, reliability

__all__ = ["ClassScore", "Classification", "confusion", "roc_auc", "roc_curve", "score_classes"]

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class against the rest; NaN where there is nothing to divide by.

    Attributes
    ----------
    name : str
        The class.
    precision, recall, f1 : float
        From 0 to 1.
    support : int
        Images of this class.
    auc : float
        Area under the ROC curve.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.classification import score_classes
    >>> said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> disk = score_classes(said, np.array([0, 1, 1]), ["smooth", "disk"], resamplings=0).classes[1]
    >>> disk.name, disk.precision, disk.recall, disk.support
    ('disk', 1.0, 0.5, 2)
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    auc: float


@dataclass(frozen=True)
class Classification:
    """Scores of a classifier on a test set.

    Attributes
    ----------
    accuracy, auc, macro_f1 : Interval
        Share of right answers; mean over the classes of the area under the ROC curve, one against the rest; mean F1.
        Both means are over the classes that have a value; F1 has one (0) also for a class that was named, but is
        nowhere true.
    ece : float
        Expected calibration error of the probability of the most probable class.
    ece_perfect : Interval
        The same if these probabilities were exactly right, for as many images: its mean and 68 % interval.
    classes : tuple of ClassScore
        By class.
    confusion : tuple of tuple of int
        Rows: true class; columns: most probable class.
    reliability : tuple
        See `~astrogalaxy.evaluation.reliability.reliability`.
    n : int
        Images.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.classification import score_classes
    >>> said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> test = score_classes(said, np.array([0, 1, 1]), ["smooth", "disk"], resamplings=0)
    >>> test.n, round(test.accuracy.value, 3), test.confusion
    (3, 0.667, ((1, 0), (1, 1)))
    """

    accuracy: Interval
    auc: Interval
    macro_f1: Interval
    ece: float
    ece_perfect: Interval
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: Reliability
    n: int


def confusion(truth: Ints, said: Ints, n_classes: int) -> NDArray[np.int64]:
    """Confusion matrix: rows are the true classes, columns the answers.

    Parameters
    ----------
    truth, said : ndarray
        ``(n,)`` class numbers.
    n_classes : int
        How many classes there are.

    Returns
    -------
    ndarray
        ``(n_classes, n_classes)`` counts.

    Examples
    --------
    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    table = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(table, (truth, said), 1)
    return table


def roc_auc(score: Floats, true: NDArray[np.bool_]) -> float:
    """Area under the ROC curve.

    Parameters
    ----------
    score : ndarray
        ``(n,)`` how sure; ties count half.
    true : ndarray
        ``(n,)`` bool.

    Returns
    -------
    float
        From 0 to 1; NaN without examples of both kinds.

    Examples
    --------
    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    n, m = int(true.sum()), int((~true).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(score)[true].sum() - n * (n + 1) / 2) / (n * m))


def roc_curve(score: Floats, true: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """ROC curve: false and true positive rates above each score, from none to all.

    Parameters
    ----------
    score : ndarray
        ``(n,)`` how sure.
    true : ndarray
        ``(n,)`` bool.

    Returns
    -------
    false_share, true_share : ndarray
        ``(n + 1,)`` each, from 0 to 1; 0 everywhere where there is none of that kind.

    Examples
    --------
    >>> misses, hits = roc_curve(np.array([0.9, 0.6, 0.2]), np.array([True, False, True]))
    >>> misses.tolist(), hits.tolist()
    ([0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0])
    """
    order = np.argsort(-np.asarray(score), kind="stable")
    hits = np.concatenate([[0.0], np.cumsum(true[order])])
    misses = np.concatenate([[0.0], np.cumsum(~true[order])])
    return misses / max(misses[-1], 1), hits / max(hits[-1], 1)


def score_classes(
    probability: Floats, truth: Ints, names: Sequence[str], *, resamplings: int = 1000, seed: int = 0
) -> Classification:
    """Score a classifier.

    Parameters
    ----------
    probability : ndarray
        ``(n, n_classes)``.
    truth : ndarray
        ``(n,)`` class numbers.
    names : sequence of str
        Classes.
    resamplings : int
        Bootstrap resamplings of the images for the intervals (68 %); with 0 they are NaN.
    seed : int
        Of the resamplings.

    Returns
    -------
    Classification
        Over all images, and by class.

    Examples
    --------
    >>> said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> result = score_classes(said, np.array([0, 1, 1]), ["smooth", "disk"], resamplings=10)
    >>> round(result.accuracy.value, 3), result.classes[1].recall
    (0.667, 0.5)
    """
    probability, truth = np.asarray(probability, float), np.asarray(truth, int)
    said = probability.argmax(axis=1)
    table = confusion(truth, said, len(names))
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(truth), (resamplings, len(truth)))
    precision, recall, f1 = _by_class(table)
    areas = _areas(probability, truth)
    right, sure = (said == truth).astype(float), probability.max(axis=1)
    scores = tuple(
        ClassScore(name, float(precision[i]), float(recall[i]), float(f1[i]), int(table[i].sum()), float(areas[i]))
        for i, name in enumerate(names)
    )
    return Classification(
        accuracy=percentile_interval(float(right.mean()), [right[r].mean() for r in rows]),
        auc=percentile_interval(_mean(areas), [_mean(_areas(probability[r], truth[r])) for r in rows[:200]]),
        macro_f1=percentile_interval(
            _mean(f1), [_mean(_by_class(confusion(truth[r], said[r], len(names)))[2]) for r in rows]
        ),
        ece=expected_calibration_error(sure, right),
        ece_perfect=_perfect(sure, resamplings, rng),
        classes=scores,
        confusion=tuple(tuple(int(n) for n in row) for row in table),
        reliability=reliability(sure, right),
        n=len(truth),
    )


def _perfect(sure: Floats, resamplings: int, rng: np.random.Generator) -> Interval:
    """Calibration error of answers that are right as often as is said."""
    drawn = rng.random((resamplings, len(sure))) < sure
    errors = [expected_calibration_error(sure, right) for right in drawn.astype(float)]
    return percentile_interval(_mean(np.array(errors)), errors)


def _by_class(table: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class."""
    hits = np.diag(table).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hits / table.sum(axis=0), hits / table.sum(axis=1)
        f1 = 2 * hits / (table.sum(axis=0) + table.sum(axis=1))
    return precision, recall, f1


def _areas(probability: Floats, truth: Ints) -> Floats:
    return np.array([roc_auc(probability[:, i], truth == i) for i in range(probability.shape[1])])


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
