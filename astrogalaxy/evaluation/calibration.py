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
from astrogalaxy.detection.find import card_input
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.detection.significance import significance
from astrogalaxy.evaluation.matching import Curve, Match, match_positions, precision_recall
from astrogalaxy.images import Image
from astrogalaxy.measurement import Sources, measure, relative_extent, star_radius
from astrogalaxy.models import BY_EXTENT, HEADS, Calibration, WeightCard, Weights

__all__ = ["CalibrationResult", "Reliability", "calibrate", "expected_calibration_error", "fit_platt", "reliability"]

logger = logging.getLogger(__name__)

_LOWEST_LOGIT = -4.0
_RADIUS = 3.0
_RIDGE = 1e-6  # keeps the fit finite where the answers are told without error
# Which of the calibrated probabilities a catalogue gives, where that is not the head's own.
_CATALOGUED = {"galaxy": BY_EXTENT}
# Where each head's answer stands.
_ANSWERS = {"source": "real", "galaxy": "galaxy", "disk": "disk"}
# One validation scene in this many measures what the others calibrated.
_HELD_OUT = 3
# So many answers calibrate nothing better than the weights that training started from.
_FEW = 100

Floats = NDArray[np.floating]
#: Of each bin: mean probability, share that came true, number of sources.
Reliability = tuple[tuple[float, float, int], ...]
Labelled = tuple[NDArray[np.float32], NDArray[np.void], float]


@dataclass(frozen=True)
class CalibrationResult:
    """Calibration of each head, and what was measured with it on scenes held out from it."""

    calibration: dict[str, Calibration]
    threshold: float
    metrics: dict[str, float]
    reliability: dict[str, Reliability]


@dataclass(frozen=True)
class _Scored:
    """Found sources of one scene with the answers, where they are known."""

    boxes: Boxes
    light: Floats
    snr: Floats
    radius: Floats
    flags: NDArray[np.integer]
    real: Floats
    galaxy: Floats
    disk: Floats
    truth: NDArray[np.void]


def calibrate(
    weights: Weights,
    scenes: Sequence[Labelled],
    *,
    real: Sequence[Labelled] = (),
    galaxies: Sequence[Labelled] = (),
    start: WeightCard | None = None,
) -> CalibrationResult:
    """Fit each head's calibration.

    Parameters
    ----------
    weights : Weights
        The network.
    scenes : sequence of (snr, sources, seeing)
        Aligned bands in units of noise, ``(n_bands, ny, nx)``, the records of
        `~astrogalaxy.training.examples.SOURCE_DTYPE` on them, and the half-light diameter of
        stars in pixels. Every third scene is held out for the metrics.
    real : sequence of (snr, sources, seeing)
        The same of real fields with labels that were not trained on, every third held out, too. Where there are any,
        they weigh as much as all scenes in the calibration of star and galaxy with the measured extent.
    galaxies : sequence of (snr, sources, seeing)
        Images of single galaxies, for the smooth/disk head: what else is seen on them is not labelled, and says
        nothing of the others, unless there is nothing else.
    start : WeightCard, optional
        Of the weights that training went on from: what a hundred answers or fewer would have to calibrate stays as it
        was there.

    Returns
    -------
    CalibrationResult
        The threshold is where F1 is highest. Without scenes the logits stay as they are, the
        threshold is 0.5 and there are no metrics.
    """
    if not scenes and not real:
        scenes, galaxies = galaxies, ()
    if not scenes and not real:
        logger.warning("%s: no validation scenes, so its probabilities are not calibrated", weights.path)
        return CalibrationResult({head: Calibration() for head in HEADS}, 0.5, {}, {})
    runtime = Runtime(weights, device="cpu")
    *parts, single = (_split([_score(runtime, *scene) for scene in group]) for group in (scenes, real, galaxies))
    fit, held = ([s for part in parts for s in part[use]] for use in (0, 1))
    known = {head: _known([*fit, *single[0]] if head == "disk" else fit, head) for head in HEADS}
    calibration = {head: fit_platt(*answers) for head, answers in known.items()}
    calibration[BY_EXTENT] = _fit_by_extent([part[0] for part in parts], calibration["galaxy"])
    threshold = _best_threshold(fit, calibration["source"])
    if start is not None:
        few = {head for head, answers in known.items() if len(answers[0]) <= _FEW}
        few |= {BY_EXTENT} if "galaxy" in few else set()
        calibration |= {head: start.calibration[head] for head in few if head in start.calibration}
        threshold = start.threshold if "source" in few else threshold
    answers = _answers(held, single[1], calibration)
    curves = {head: _rounded(reliability(*answers[_CATALOGUED.get(head, head)])) for head in HEADS}
    return CalibrationResult(calibration, threshold, _metrics(held, calibration, answers), curves)


def fit_platt(
    logit: Floats,
    light: Floats,
    target: Floats,
    *,
    extent: Floats | None = None,
    weight: Floats | None = None,
) -> Calibration:
    """Platt scaling by maximum likelihood; targets may be fractions.

    Parameters
    ----------
    logit, light, target : ndarray
        ``(n,)``, finite: the network's logit, the signal to noise, the answer. Where fewer than
        two are given, or all targets are the same, nothing can be learnt and the logits stay as
        they are.
    extent : ndarray, optional
        ``(n,)``, finite: see `~astrogalaxy.measurement.relative_extent`.
    weight : ndarray, optional
        ``(n,)`` how much each counts; all the same by default.

    Returns
    -------
    Calibration
        Its slope is positive: calibration never turns the order round.

    Examples
    --------
    >>> import numpy as np
    >>> logit = np.repeat([-2.0, 2.0], 100)
    >>> target = np.repeat([0.25, 0.75], 100)
    >>> round(fit_platt(logit, np.ones(200), target).slope, 2)
    0.55
    """
    logit, target = np.asarray(logit, dtype=float), np.asarray(target, dtype=float)
    if len(logit) < 2 or np.ptp(target) == 0:
        return Calibration()
    wide = np.zeros(len(logit)) if extent is None else extent
    share = np.ones(len(logit)) if weight is None else np.asarray(weight, dtype=float)
    share = share / share.sum()
    design = np.column_stack([logit, np.log(np.maximum(light, 1.0)), wide, np.ones(len(logit))])

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = design @ parameters
        value = share @ (np.logaddexp(0, z) - target * z) + _RIDGE * np.sum(parameters[:3] ** 2)
        slope = design.T @ (share * (expit(z) - target))
        return float(value), slope + 2 * _RIDGE * parameters * [1, 1, 1, 0]

    best = minimize(loss, np.array([1.0, 0.0, 0.0, 0.0]), jac=True, method="BFGS")
    slope, brighter, wider, offset = (float(value) for value in best.x)
    return Calibration(slope=max(slope, 1e-3), weight=brighter, extent=wider, offset=offset)


def _fit_by_extent(groups: Sequence[Sequence[_Scored]], network: Calibration) -> Calibration:
    """Calibrate the galaxy head's probability together with the measured extent.

    Real labels, where there are any, weigh as much as all simulated ones together: the mix of
    sizes and colours in a simulation is only a guess at that of the sky.
    """
    rows, weights = [], []
    for group in groups:
        parts = [_extent_rows(scored, network) for scored in group]
        rows += parts
        n = sum(len(part) for part in parts)
        weights += [np.full(len(part), 1 / n) for part in parts if n]
    table = np.concatenate(rows) if rows else np.zeros((0, 4))
    if not len(table):
        return Calibration()
    logit, snr, target, extent = table.T
    return fit_platt(logit, snr, target, extent=extent, weight=np.concatenate(weights))


def _extent_rows(scored: _Scored, network: Calibration) -> Floats:
    """Logit, signal to noise, answer and extent of the sources where all are known."""
    logit, extent = _extent(scored, network)
    rows = np.column_stack([logit, scored.snr, scored.galaxy, extent])
    return rows[np.isfinite(rows).all(axis=1)]


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
    curve = reliability(probability, target, bins=bins)
    return float(sum(n * abs(said - true) for said, true, n in curve) / max(len(probability), 1))


def reliability(probability: Floats, target: Floats, *, bins: int = 10) -> Reliability:
    """What was said against what came true, in bins of equal count.

    Parameters
    ----------
    probability, target : ndarray
        ``(n,)``; targets 0, 1 or a fraction.
    bins : int
        Number of bins; empty ones are left out.

    Returns
    -------
    tuple of (float, float, int)
        Mean probability, mean target and count of each bin, least probable first.

    Examples
    --------
    >>> import numpy as np
    >>> reliability(np.array([0.2, 0.4, 0.9]), np.array([0.0, 1.0, 1.0]), bins=3)
    ((0.2, 0.0, 1), (0.4, 1.0, 1), (0.9, 1.0, 1))
    """
    order = np.argsort(probability, kind="stable")
    parts = [p for p in np.array_split(order, bins) if len(p)]
    return tuple((float(probability[p].mean()), float(target[p].mean()), len(p)) for p in parts)


def _split(scored: list[_Scored]) -> tuple[list[_Scored], list[_Scored]]:
    """What calibrates, and what measures the calibration; a single scene does both."""
    return [s for i, s in enumerate(scored) if i % _HELD_OUT] or scored, scored[::_HELD_OUT]


def _rounded(curve: Reliability) -> Reliability:
    return tuple((round(said, 4), round(true, 4), n) for said, true, n in curve)


def _score(runtime: Runtime, snr: NDArray[np.float32], sources: NDArray[np.void], seeing: float) -> _Scored:
    card = runtime.weights.card
    boxes = decode(runtime(card_input(card, snr, seeing)), card.levels, threshold=_LOWEST_LOGIT)
    truth = sources[~sources["ignore"]]
    match = match_positions(boxes.x, boxes.y, boxes.source, truth["x"], truth["y"], radius=_RADIUS)
    real = match.matched.astype(float)
    real[~match.matched & _near_ignored(boxes, sources[sources["ignore"]])] = np.nan
    galaxy, disk = np.full(len(boxes), np.nan), np.full(len(boxes), np.nan)
    galaxy[match.matched] = truth["galaxy"][match.truth[match.matched]]
    disk[match.matched] = truth["disk"][match.truth[match.matched]]
    light = significance(snr, boxes.x, boxes.y)
    measured = _measured(snr, boxes)
    return _Scored(boxes, light, *measured, real, galaxy, disk, truth)


def _measured(snr: NDArray[np.float32], boxes: Boxes) -> tuple[Floats, Floats, NDArray[np.integer]]:
    """Signal to noise, half-light radius in pixels and flags, as a run of the pipeline has them."""
    image = Image.read({str(number): band for number, band in enumerate(snr)})
    x, y, width, height = (np.asarray(getattr(boxes, n), float) for n in ("x", "y", "width", "height"))
    sources = Sources(x, y, x - width / 2, x + width / 2, y - height / 2, y + height / 2)
    columns = measure(image, sources, pixel_scale=1.0)
    return columns["snr"], columns["half_light_radius"], columns["flags"]


def _extent(scored: _Scored, network: Calibration) -> tuple[Floats, Floats]:
    """Logit of the network's calibrated p_galaxy, and the extent, as `classify` has them."""
    p = np.clip(network.probability(scored.boxes.galaxy, scored.light), 1e-6, 1 - 1e-6)
    ruler = star_radius(scored.radius, scored.snr, 1 - p, scored.flags)
    return np.log(p / (1 - p)), relative_extent(scored.radius, ruler, flags=scored.flags)


def _near_ignored(boxes: Boxes, ignored: NDArray[np.void]) -> NDArray[np.bool_]:
    if not len(ignored) or not len(boxes):
        return np.zeros(len(boxes), dtype=bool)
    tree = cKDTree(np.column_stack([ignored["x"], ignored["y"]]))
    distance, _ = tree.query(np.column_stack([boxes.x, boxes.y]))
    return np.asarray(distance < _RADIUS)


def _known(scored: Sequence[_Scored], head: str) -> tuple[Floats, Floats, Floats]:
    """Logit, signal to noise and answer of the sources whose answer is known."""
    logit = np.concatenate([getattr(s.boxes, head) for s in scored]).astype(float)
    light = np.concatenate([s.light for s in scored])
    target = np.concatenate([getattr(s, _ANSWERS[head]) for s in scored])
    known = np.isfinite(target)
    return logit[known], light[known], target[known]


def _best_threshold(scored: Sequence[_Scored], calibration: Calibration) -> float:
    curve = _detection(scored, calibration)
    return round(curve.best_score, 3) if np.isfinite(curve.best_score) else 0.5


def _answers(
    scored: Sequence[_Scored], galaxies: Sequence[_Scored], calibration: dict[str, Calibration]
) -> dict[str, tuple[Floats, Floats]]:
    """Calibrated probabilities and what was so, of the network's heads and of p_galaxy in a catalogue."""
    answers = {}
    for name in HEADS:
        logit, light, target = _known([*scored, *galaxies] if name == "disk" else scored, name)
        answers[name] = calibration[name].probability(logit, light), target
    joined = [_in_catalogue(s, calibration) for s in scored]
    target = np.concatenate([s.galaxy for s in scored])
    known = np.isfinite(target)
    answers[BY_EXTENT] = np.concatenate(joined)[known], target[known]
    return answers


def _in_catalogue(scored: _Scored, calibration: dict[str, Calibration]) -> Floats:
    """p_galaxy of a scene's sources as `classify` gives it: with the extent, where that is known."""
    logit, extent = _extent(scored, calibration["galaxy"])
    combined = calibration[BY_EXTENT].probability(logit, np.nan_to_num(scored.snr), np.nan_to_num(extent))
    return np.where(np.isfinite(extent), combined, 1 / (1 + np.exp(-logit)))


def _metrics(
    scored: Sequence[_Scored], calibration: dict[str, Calibration], answers: dict[str, tuple[Floats, Floats]]
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name, (p, target) in answers.items():
        if len(target):
            _add_metrics(metrics, name, p, target)
    curve = _detection(scored, calibration["source"])
    metrics["average_precision"], metrics["best_f1"] = curve.average_precision, curve.best_f1
    return {name: round(value, 4) for name, value in metrics.items()}


def _add_metrics(metrics: dict[str, float], name: str, p: Floats, target: Floats) -> None:
    metrics[f"{name}_ece"] = expected_calibration_error(p, target)
    if name != "source":
        metrics[f"{name}_accuracy"] = float(np.mean((p > 0.5) == (target > 0.5)))


def _detection(scored: Sequence[_Scored], calibration: Calibration) -> Curve:
    """Precision and recall over all scenes, ignored sources left out."""
    logit, light, real = _known(scored, "source")
    truth = np.where(real > 0, 0, -1)
    n_truth = sum(len(s.truth) for s in scored)
    match = Match(truth, np.zeros(len(truth)), n_truth)
    return precision_recall(calibration.probability(logit, light), match)
