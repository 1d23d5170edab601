"""What was right, at which threshold, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from astrogalaxy.evaluation.matching import match_positions
from contest.classical import Found
from contest.fields import Field

__all__ = ["Judged", "Totals", "best_settings", "bootstrap", "judge", "totals"]

#: Purity at which completeness is compared.
PURITY = 0.95
#: A found source is true if it lies within this many FWHM of a true one (and never less than a pixel).
RADIUS = 0.5
#: One that lies within this many FWHM of a true source that nothing else found is misplaced: between the members of
#: a pair, or beside the centre of a large galaxy. It completes nothing, but something is there: it is not wrong. Faint truth is given as much room.
MISPLACED = 1.0
_DRAWS = 400


@dataclass
class Judged:
    """A catalogue of one field, against its truth.

    Attributes
    ----------
    rank : ndarray
        Of the found sources.
    truth : ndarray
        Row of the wanted true source each one is; -1: of none (wrong), -2: no matter
        (a true source that is not wanted, or misplaced).
    """

    where: Field
    found: Found
    rank: np.ndarray
    truth: np.ndarray
    distance: np.ndarray
    n_wanted: int

    def rank_of_truth(self) -> np.ndarray:
        """Rank at which each true source was found; -inf for those that were not."""
        ranks = np.full(len(self.where.truth), -np.inf)
        hit = self.truth >= 0
        ranks[self.truth[hit]] = self.rank[hit]
        return ranks

    def found_of_truth(self) -> np.ndarray:
        """Row of what was found for each true source; -1 for none."""
        rows = np.full(len(self.where.truth), -1)
        hit = np.flatnonzero(self.truth >= 0)
        rows[self.truth[hit]] = hit
        return rows


def judge(where: Field, found: Found) -> Judged:
    """Match one to one, the best first: wanted sources before others."""
    radius = max(RADIUS * where.fwhm, where.reach)
    x, y = np.asarray(where.truth["x"]), np.asarray(where.truth["y"])
    wanted = np.flatnonzero(where.wanted)
    match = match_positions(found.x, found.y, found.rank, x[wanted], y[wanted], radius=radius)
    truth = np.where(match.matched, wanted[match.truth] if len(wanted) else -1, -1)
    # what is left may be faint truth, whose positions are poor, or a true source that nothing else found
    open_ = np.flatnonzero(~np.isin(np.arange(len(x)), truth))
    left = np.flatnonzero(truth == -1)
    if len(left) and len(open_):
        reach = max(MISPLACED * where.fwhm, where.reach)
        more = match_positions(found.x[left], found.y[left], found.rank[left], x[open_], y[open_], radius=reach)
        truth[left[more.matched]] = -2
    return Judged(where, found, found.rank, truth, match.distance, len(wanted))


@dataclass
class Totals:
    """Numbers of several fields together."""

    completeness: float
    threshold: float
    average_precision: float
    best_f1: float
    pairs: float
    offset: float
    found: float
    purity: float


def totals(fields: Sequence[Judged]) -> Totals:
    """Pool fields: completeness at the purity asked for, and what else holds there."""
    rank = np.concatenate([f.rank[f.truth != -2] for f in fields])
    right = np.concatenate([f.truth[f.truth != -2] >= 0 for f in fields])
    n = max(sum(f.n_wanted for f in fields), 1)
    order = np.argsort(-rank, kind="stable")
    hits = np.cumsum(right[order])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / n
    pure = np.flatnonzero(precision >= PURITY)
    last = pure[-1] if len(pure) else -1
    threshold = rank[order][last] if last >= 0 else np.inf
    monotone = np.maximum.accumulate(precision[::-1])[::-1] if len(hits) else precision
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    offsets = np.concatenate([f.distance[(f.truth >= 0) & (f.rank >= threshold)] / f.where.fwhm for f in fields])
    return Totals(
        completeness=float(recall[last]) if last >= 0 else 0.0,
        threshold=float(threshold),
        average_precision=float(np.sum(np.diff(recall, prepend=0.0) * monotone)),
        best_f1=float(f1.max(initial=0.0)),
        pairs=pairs_found(fields, threshold),
        offset=float(np.median(offsets)) if len(offsets) else float("nan"),
        found=float(recall[-1]) if len(hits) else 0.0,
        purity=float(precision[-1]) if len(hits) else 0.0,
    )


def pairs_found(fields: Sequence[Judged], threshold: float) -> float:
    """Share of blended pairs of which both members are found."""
    both = [(f.rank_of_truth()[f.where.pairs] >= threshold).all(axis=1) for f in fields if len(f.where.pairs)]
    return float(np.mean(np.concatenate(both))) if both else float("nan")


def bootstrap(
    fields: dict[str, list[Judged]], measure: Callable[[Totals], float]
) -> dict[str, tuple[float, float, float]]:
    """68 % interval of a measure of each tool, and standard error of its difference to the first, fields resampled."""
    names = list(fields)
    n = len(fields[names[0]])
    rng = np.random.default_rng(0)
    draws = rng.integers(0, n, (_DRAWS, n))
    values = {name: np.array([measure(totals([fields[name][i] for i in d])) for d in draws]) for name in names}
    first = values[names[0]]
    return {
        name: (*(float(q) for q in np.nanpercentile(v, [16, 84])), float(np.nanstd(first - v)))
        for name, v in values.items()
    }


def best_settings(
    fields: Sequence[Field], run: Callable[[Field, dict], Found], start: dict, choices: dict[str, tuple],
    measure: Callable[[Totals], float], *, rounds: int = 2,
) -> tuple[dict, float]:  # fmt: skip
    """Settings that do best on tuning fields: one key after the other, a few rounds."""
    known: dict[str, float] = {}

    def value(settings: dict) -> float:
        key = repr(settings)
        if key not in known:
            known[key] = measure(totals([judge(f, run(f, settings)) for f in fields]))
        return known[key]

    best = dict(start)
    for _ in range(rounds):
        before = dict(best)
        for key, options in choices.items():
            best = max(({**best, key: option} for option in (best[key], *options)), key=value)
        if best == before:
            break
    return best, value(best)


def isolation(where: Field) -> np.ndarray:
    """Distance of each true source to the nearest other one that is at least as significant as 5, FWHM."""
    points = np.column_stack([where.truth["x"], where.truth["y"]])
    seen = np.flatnonzero(np.asarray(where.truth["snr"]) >= 5)
    if len(seen) < 2:
        return np.full(len(points), np.inf)
    gaps, rows = cKDTree(points[seen]).query(points, k=2)
    own = seen[rows[:, 0]] == np.arange(len(points))
    return np.where(own, gaps[:, 1], gaps[:, 0]) / where.fwhm
