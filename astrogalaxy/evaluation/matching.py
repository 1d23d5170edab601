"""Match found sources with true ones, and count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from astrogalaxy.catalog.directions import directions

__all__ = ["Curve", "Match", "match_positions", "match_sky", "precision_recall", "repeated"]


@dataclass(frozen=True)
class Match:
    """One-to-one match of found and true positions.

    Attributes
    ----------
    truth : ndarray
        ``(n_found,)`` index of the true source of each found one; -1 for none.
    distance : ndarray
        ``(n_found,)`` in pixels, or in arcsec on the sky; NaN for none.
    n_truth : int
        Number of true sources.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.matching import Match
    >>> match = Match(truth=np.array([0, -1]), distance=np.array([0.2, np.nan]), n_truth=3)
    >>> match.matched.tolist()
    [True, False]
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
    """Precision and recall as functions of a falling threshold.

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

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.matching import match_positions, precision_recall
    >>> score = np.array([0.9, 0.4])
    >>> match = match_positions([1.0, 9.0], [1.0, 9.0], score, [1.2], [1.0], radius=2)
    >>> curve = precision_recall(score, match)
    >>> curve.precision.tolist(), curve.recall.tolist(), curve.best_score
    ([1.0, 0.5], [1.0, 1.0], 0.9)
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
        Found sources. Those without a position (NaN) match nothing, and come last without a score.
    true_x, true_y : array-like
        True sources, same pixels.
    radius : float
        Largest distance in pixels.

    Returns
    -------
    Match
        Distances in pixels.

    Examples
    --------
    >>> match_positions([1.0, 1.2], [0.0, 0.0], [0.5, 0.9], [1.1], [0.0], radius=3).truth
    array([-1,  0])
    """
    found = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    true = np.column_stack([np.asarray(true_x, float), np.asarray(true_y, float)])
    return _match(found, np.asarray(score, float), true, radius)


def match_sky(
    ra: ArrayLike, dec: ArrayLike, score: ArrayLike, true_ra: ArrayLike, true_dec: ArrayLike, *, radius: float
) -> Match:
    """Match positions on the sky; else as `match_positions`.

    Parameters
    ----------
    ra, dec : array-like
        ``(n_found,)`` degrees.
    score : array-like
        ``(n_found,)`` of the found sources.
    true_ra, true_dec : array-like
        ``(n_truth,)`` degrees, in the frame of the found ones.
    radius : float
        Largest distance in arcsec.

    Returns
    -------
    Match
        Distances in arcsec.

    Examples
    --------
    >>> match_sky([10.0], [0.0], [0.5], [10.0001], [0.0], radius=1).distance.round(2)
    array([0.36])
    """
    chord = 2 * np.sin(np.radians(radius / 3600) / 2)
    match = _match(directions(ra, dec), np.asarray(score, float), directions(true_ra, true_dec), chord)
    distance = np.degrees(2 * np.arcsin(match.distance / 2)) * 3600
    return Match(match.truth, distance, match.n_truth)


def _match(found: NDArray[np.float64], score: NDArray[np.float64], true: NDArray[np.float64], radius: float) -> Match:
    """Match points ``(n, k)``."""
    truth = np.full(len(found), -1, dtype=np.intp)
    distance = np.full(len(found), np.nan)
    placed, real = (np.nonzero(np.isfinite(points).all(axis=1))[0] for points in (found, true))
    if len(placed) and len(real):
        near = dict(zip(placed, cKDTree(true[real]).query_ball_point(found[placed], radius), strict=True))
        free = np.ones(len(true), dtype=bool)
        for i in np.argsort(-score, kind="stable"):
            options = [j for j in real[near.get(i, [])] if free[j]]
            if options:
                gaps = np.hypot.reduce(true[options] - found[i], axis=1)
                truth[i] = options[int(np.argmin(gaps))]
                distance[i] = gaps.min()
                free[truth[i]] = False
    return Match(truth, distance, len(true))


def precision_recall(score: ArrayLike, match: Match) -> Curve:
    """Precision and recall of a match, as a function of the score.

    Parameters
    ----------
    score : array-like
        Of the found sources; equal ones are taken in their order.
    match : Match
        What each of them is.

    Returns
    -------
    Curve
        Its arrays are empty without a found source.

    Examples
    --------
    >>> match = match_positions([0.0, 9.0], [0.0, 0.0], [0.9, 0.8], [0.0, 5.0], [0.0, 0.0], radius=1)
    >>> precision_recall([0.9, 0.8], match).average_precision
    0.5
    """
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
        precision,
        recall,
        ranked,
        area,
        float(f1[best]) if len(f1) else 0.0,
        float(ranked[best]) if len(f1) else float("nan"),
    )


def repeated(points: ArrayLike, radius: float) -> int:
    """Count the points that are at the same place as another one before them.

    Parameters
    ----------
    points : array-like, shape (n, k)
        Finite coordinates.
    radius : float
        Two points within it are at one place.

    Returns
    -------
    int
        0 where there are none.

    Examples
    --------
    >>> repeated([[0.0, 0.0], [5.0, 5.0], [0.1, 0.0], [5.0, 5.0]], 0.5)
    2
    """
    points = np.asarray(points, dtype=float)
    own = np.unique(points, axis=0)
    if not len(own):
        return 0
    pairs = cKDTree(own).query_pairs(radius, output_type="ndarray")
    return len(points) - len(own) + len(np.unique(pairs[:, 1]))
