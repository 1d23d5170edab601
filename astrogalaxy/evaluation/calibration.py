"""Turn a network's logits into probabilities, on data that it was not trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import expit

from astrogalaxy.detection.decode import Boxes, decode
from astrogalaxy.detection.inputs import network_input, pad_to_multiple
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.evaluation.matching import Match, match_positions, precision_recall
from astrogalaxy.models import HEADS, Calibration, Weights

__all__ = ["CalibrationResult", "calibrate", "expected_calibration_error", "fit_platt"]

logger = logging.getLogger(__name__)

_LOWEST_LOGIT = -4.0
_RADIUS = 3.0
# One validation scene in this many measures what the others calibrated.
_HELD_OUT = 3

Floats = NDArray[np.floating]
Labelled = tuple[NDArray[np.float32], NDArray[np.void]]


@dataclass(frozen=True)
class CalibrationResult:
    """Calibration of each head, and what was measured with it on scenes held out from it."""

    calibration: dict[str, Calibration]
    threshold: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class _Scored:
    """Found sources of one scene with the answers, where they are known."""

    boxes: Boxes
    real: Floats
    galaxy: Floats
    disk: Floats
    truth: NDArray[np.void]


def calibrate(weights: Weights, scenes: Sequence[Labelled]) -> CalibrationResult:
    """Fit each head's calibration.

    Parameters
    ----------
    weights : Weights
        The network.
    scenes : sequence of (snr, sources)
        Aligned bands in units of noise, ``(n_bands, ny, nx)``, and the records of
        `~astrogalaxy.training.examples.SOURCE_DTYPE` on them. Every third scene is
        held out for the metrics.

    Returns
    -------
    CalibrationResult
        The threshold is where F1 is highest. Without scenes the logits stay as they are, the
        threshold is 0.5 and there are no metrics.
    """
    if not scenes:
        logger.warning("%s: no validation scenes, so its probabilities are not calibrated", weights.path)
        return CalibrationResult({head: Calibration() for head in HEADS}, 0.5, {})
    runtime = Runtime(weights, device="cpu")
    scored = [_score(runtime, snr, sources) for snr, sources in scenes]
    held = scored[::_HELD_OUT]
    fit = [s for i, s in enumerate(scored) if i % _HELD_OUT] or scored
    calibration = {
        "source": _fit(fit, "source", "real"),
        "galaxy": _fit(fit, "galaxy", "galaxy"),
        "disk": _fit(fit, "disk", "disk"),
    }
    threshold = _best_threshold(fit, calibration["source"])
    return CalibrationResult(calibration, threshold, _metrics(held, calibration))


def fit_platt(logit: Floats, target: Floats) -> Calibration:
    """Platt scaling by maximum likelihood; targets may be fractions.

    Parameters
    ----------
    logit, target : ndarray
        ``(n,)``, finite. Where fewer than two are given, or all targets are the same, nothing
        can be learnt and the logits stay as they are.

    Returns
    -------
    Calibration
        Its slope is positive: calibration never turns the order round.

    Examples
    --------
    >>> import numpy as np
    >>> logit = np.repeat([-2.0, 2.0], 100)
    >>> target = np.repeat([0.25, 0.75], 100)
    >>> round(fit_platt(logit, target).slope, 2)
    0.55
    """
    logit, target = np.asarray(logit, dtype=float), np.asarray(target, dtype=float)
    if len(logit) < 2 or np.ptp(target) == 0:
        return Calibration()

    def loss(parameters: NDArray[np.float64]) -> float:
        z = parameters[0] * logit + parameters[1]
        return float(np.mean(np.logaddexp(0, z) - target * z)) + 1e-6 * float(parameters[0] ** 2)

    best = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9})
    return Calibration(slope=float(max(best.x[0], 1e-3)), offset=float(best.x[1]))


def expected_calibration_error(probability: Floats, target: Floats, *, bins: int = 10) -> float:
    """Mean distance between what was said and what came true, over bins of equal count.

    Parameters
    ----------
    probability, target : ndarray
        ``(n,)``; targets 0, 1 or a fraction.
    bins : int
        Number of bins.

    Returns
    -------
    float
        0 where nothing was said.

    Examples
    --------
    >>> import numpy as np
    >>> expected_calibration_error(np.full(4, 0.75), np.array([1.0, 1.0, 1.0, 0.0]), bins=1)
    0.0
    """
    order = np.argsort(probability, kind="stable")
    parts = [p for p in np.array_split(order, bins) if len(p)]
    distance = sum(len(p) * abs(probability[p].mean() - target[p].mean()) for p in parts)
    return float(distance / max(len(order), 1))


def _score(runtime: Runtime, snr: NDArray[np.float32], sources: NDArray[np.void]) -> _Scored:
    card = runtime.weights.card
    cube = pad_to_multiple(network_input(snr, card.inputs), card.architecture.stride)
    boxes = decode(runtime(cube), card.levels, threshold=_LOWEST_LOGIT)
    truth = sources[~sources["ignore"]]
    match = match_positions(boxes.x, boxes.y, boxes.source, truth["x"], truth["y"], radius=_RADIUS)
    real = match.matched.astype(float)
    real[~match.matched & _near_ignored(boxes, sources[sources["ignore"]])] = np.nan
    galaxy, disk = np.full(len(boxes), np.nan), np.full(len(boxes), np.nan)
    galaxy[match.matched] = truth["galaxy"][match.truth[match.matched]]
    disk[match.matched] = truth["disk"][match.truth[match.matched]]
    return _Scored(boxes, real, galaxy, disk, truth)


def _near_ignored(boxes: Boxes, ignored: NDArray[np.void]) -> NDArray[np.bool_]:
    if not len(ignored) or not len(boxes):
        return np.zeros(len(boxes), dtype=bool)
    tree = cKDTree(np.column_stack([ignored["x"], ignored["y"]]))
    distance, _ = tree.query(np.column_stack([boxes.x, boxes.y]))
    return np.asarray(distance < _RADIUS)


def _known(scored: Sequence[_Scored], head: str, answer: str) -> tuple[Floats, Floats]:
    logit = np.concatenate([getattr(s.boxes, head) for s in scored]).astype(float)
    target = np.concatenate([getattr(s, answer) for s in scored])
    known = np.isfinite(target)
    return logit[known], target[known]


def _fit(scored: Sequence[_Scored], head: str, answer: str) -> Calibration:
    return fit_platt(*_known(scored, head, answer))


def _best_threshold(scored: Sequence[_Scored], calibration: Calibration) -> float:
    logit, real = _known(scored, "source", "real")
    order = np.argsort(-logit)
    hits = np.cumsum(real[order])
    n_truth = sum(len(s.truth) for s in scored)
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + max(n_truth, 1))
    if not len(f1):
        return 0.5
    best = float(logit[order][int(np.argmax(f1))])
    return round(float(expit(calibration.slope * best + calibration.offset)), 3)


def _metrics(scored: Sequence[_Scored], calibration: dict[str, Calibration]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name in HEADS:
        logit, target = _known(scored, name, "real" if name == "source" else name)
        if not len(target):
            continue
        p = expit(calibration[name].slope * logit + calibration[name].offset)
        metrics[f"{name}_ece"] = expected_calibration_error(p, target)
        if name != "source":
            metrics[f"{name}_accuracy"] = float(np.mean((p > 0.5) == (target > 0.5)))
    metrics["average_precision"], metrics["best_f1"] = _detection(scored)
    return {name: round(value, 4) for name, value in metrics.items()}


def _detection(scored: Sequence[_Scored]) -> tuple[float, float]:
    """Average precision and best F1 over all scenes, ignored sources left out."""
    logit, real = _known(scored, "source", "real")
    truth = np.where(real > 0, 0, -1)
    curve = precision_recall(
        logit, Match(truth, np.zeros(len(truth)), sum(len(s.truth) for s in scored))
    )
    return curve.average_precision, curve.best_f1
