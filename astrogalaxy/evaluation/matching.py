"""Match what was found with what is there, and count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

__all__ = ["Curve", "Match", "match_positions", "precision_recall"]


@dataclass(frozen=True)
class Match:
    """One-to-one match of found and true positions.

    Attributes
    ----------
    truth : ndarray
        ``(n_found,)`` index of the true source of each found one; -1 for none.
    distance : ndarray
        ``(n_found,)`` in pixels; NaN for none.
    n_truth : int
        Number of true sources.
    """

    truth: NDArray[np.intp]
    distance: NDArray[np.float64]
    n_truth: int

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Which found sources are true."""
        return self.truth >= 0


@dataclass(frozen=True)
class Curve:
    """Precision and recall as the threshold falls.

    Attributes
    ----------
    precision, recall, score : ndarray
        After each found source, best first.
    average_precision : float
        Area under the monotone precision-recall curve (every point, no interpolation grid).
    best_f1 : float
        Highest harmonic mean of both.
    best_score : float
        Score at which it is reached.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    score: NDArray[np.float64]
    average_precision: float
    best_f1: float
    best_score: float


def match_positions(
    x: ArrayLike, y: ArrayLike, score: ArrayLike, true_x: ArrayLike, true_y: ArrayLike, *, radius: float
) -> Match:
    """Match one to one, the best score first, each with the nearest free true source.

    Parameters
    ----------
    x, y, score : array-like
        Found sources.
    true_x, true_y : array-like
        True sources, same pixels.
    radius : float
        Largest distance in pixels.

    Examples
    --------
    >>> match_positions([1.0, 1.2], [0.0, 0.0], [0.5, 0.9], [1.1], [0.0], radius=3).truth
    array([-1,  0])
    """
    found = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    true = np.column_stack([np.asarray(true_x, float), np.asarray(true_y, float)])
    truth = np.full(len(found), -1, dtype=np.intp)
    distance = np.full(len(found), np.nan)
    if len(found) and len(true):
        near = cKDTree(true).query_ball_point(found, radius)
        free = np.ones(len(true), dtype=bool)
        for i in np.argsort(-np.asarray(score, float), kind="stable"):
            options = [j for j in near[i] if free[j]]
            if options:
                gaps = np.hypot(*(true[options] - found[i]).T)
                truth[i] = options[int(np.argmin(gaps))]
                distance[i] = gaps.min()
                free[truth[i]] = False
    return Match(truth, distance, len(true))


def precision_recall(score: ArrayLike, match: Match) -> Curve:
    """Precision and recall of a match, as a function of the score."""
    order = np.argsort(-np.asarray(score, float), kind="stable")
    hits = np.cumsum(match.matched[order])
    precision = hits / np.arange(1, len(hits) + 1)
    recall = hits / max(match.n_truth, 1)
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    area = float(np.sum(np.diff(recall, prepend=0.0) * monotone))
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    ranked = np.asarray(score, float)[order]
    best = int(np.argmax(f1)) if len(f1) else -1
    return Curve(
        precision, recall, ranked, area,
        float(f1[best]) if len(f1) else 0.0, float(ranked[best]) if len(f1) else float("nan"),
    )  # fmt: skip
