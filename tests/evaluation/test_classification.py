"""Scores of classifiers against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from astrogalaxy.evaluation.classification import confusion, roc_auc, roc_curve, score_classes

RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 3, 200)
SAID = RNG.dirichlet([1, 1, 1], 200) + 0.7 * np.eye(3)[TRUTH] * RNG.random((200, 1))
SAID /= SAID.sum(axis=1, keepdims=True)
NAMES = ("a", "b", "c")


def test_scores_are_scikit_learns() -> None:
    result = score_classes(SAID, TRUTH, NAMES, resamplings=300)
    answers = SAID.argmax(axis=1)
    assert result.accuracy.value == pytest.approx(metrics.accuracy_score(TRUTH, answers))
    given = metrics.precision_recall_fscore_support(TRUTH, answers)
    for column, name in enumerate(("precision", "recall", "f1", "support")):
        np.testing.assert_allclose([getattr(c, name) for c in result.classes], given[column])
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(TRUTH, answers))
    assert result.auc.value == pytest.approx(metrics.roc_auc_score(TRUTH, SAID, multi_class="ovr"))
    assert result.macro_f1.value == pytest.approx(metrics.f1_score(TRUTH, answers, average="macro"))
    for score in (result.accuracy, result.auc, result.macro_f1):
        assert score.low < score.value < score.high
    # one standard deviation of a binomial share
    width = (result.accuracy.high - result.accuracy.low) / 2
    share = result.accuracy.value
    assert width == pytest.approx(np.sqrt(share * (1 - share) / 200), rel=0.25)


def test_roc_with_ties() -> None:
    score = RNG.integers(0, 5, 100).astype(float)
    true = RNG.random(100) < 0.3 + 0.1 * score
    assert roc_auc(score, true) == pytest.approx(metrics.roc_auc_score(true, score))
    misses, hits = roc_curve(score + 1e-3 * RNG.random(100), true)
    assert (misses[0], hits[0], misses[-1], hits[-1]) == (0, 0, 1, 1)
    assert np.isnan(roc_auc(score, np.zeros(100, bool)))


def test_calibration_error_of_exact_probabilities() -> None:
    """It is not zero with few images, and falls with the root of their number."""
    exact = [score_classes(np.tile([0.8, 0.2], (n, 1)), np.zeros(n, int), "ab", resamplings=200) for n in (100, 10000)]
    few, many = (result.ece_perfect for result in exact)
    # ten bins of ten images each: mean distance of binomial shares from 0.8 (scipy.stats.binom(10, 0.8))
    assert few.value == pytest.approx(0.0966, abs=0.01)
    assert few.low < few.value < few.high
    assert many.value == pytest.approx(few.value / 10, rel=0.2)
    assert exact[0].ece == pytest.approx(0.2), "that of the answers themselves, which were all right"


def test_a_class_that_is_never_there() -> None:
    result = score_classes(np.array([[0.6, 0.4], [0.9, 0.1]]), np.array([0, 0]), ("a", "b"), resamplings=0)
    assert result.accuracy.value == 1
    assert np.isnan(result.accuracy.low)
    assert result.classes[1].support == 0
    assert np.isnan(result.classes[1].recall)
    assert confusion(np.array([0, 0]), np.array([0, 0]), 2).tolist() == [[2, 0], [0, 0]]
