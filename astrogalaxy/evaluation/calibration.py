"""Turn a network's logits into probabilities, on data that it was not trained on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import expit

from astrogalaxy.detection.aligned import card_input
from astrogalaxy.detection.decode import Boxes, decode
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.detection.significance import significance
from astrogalaxy.evaluation.matching import Curve, Match, match_positions, precision_recall
from astrogalaxy.evaluation.reliability import Reliability, expected_calibration_error, reliability
from astrogalaxy.images import Image
from astrogalaxy.measurement import Sources, measure
from astrogalaxy.measurement.stargalaxy import ClassEvidence, class_evidence, field_evidence, galaxy_probability
from astrogalaxy.measurement.starlight import image_seeing
from astrogalaxy.models import BY_EXTENT, BY_SPREAD, HEADS, IN_FIELD, Calibration, WeightCard, Weights

__all__ = [
    "CalibrationResult",
    "calibrate",
    "fit_platt",
    "fit_prior",
]

logger = logging.getLogger(__name__)

_LOWEST_LOGIT = -4.0
_RADIUS = 3.0
_RIDGE = 1e-6  # keeps the fit finite where the logits separate the answers without error
# The catalogue's column of a head, where it is not the head's own probability.
_P_GALAXY = "p_galaxy"
_CATALOGUED = {"galaxy": _P_GALAXY}
# The attribute of `_Scored` with each head's answers.
_ANSWERS = {"source": "real", "galaxy": "galaxy", "disk": "disk"}
# Cross-validation: the scenes of each fold are judged by what those of the others calibrate.
_FOLDS = 3
# With no more answers than this, the calibration of the weights that training started from is better than a new one.
_FEW = 100
# Fewest fields from which is learnt how much a field's clear sources say of the others.
_FEW_FIELDS = 20
# Every scene has the same weight, but no source has more than one among this many.
_LEAST_SOURCES = 10
# A calibration never reverses the order of the logits.
_LEAST_SLOPE = 1e-3

Floats = NDArray[np.floating]
Labelled = tuple[NDArray[np.float32], NDArray[np.void], float]
LabelledImage = tuple[Image, NDArray[np.void]]


@dataclass(frozen=True)
class CalibrationResult:
    """Calibration of each head, and what was measured of it on scenes that took no part in it.

    Attributes
    ----------
    calibration : dict of str to Calibration
        By head: ``source``, ``galaxy``, ``disk``.
    threshold : float
        Lowest ``det_score``; where F1 is highest.
    metrics : dict of str to float
        For the weight card; empty without scenes.
    reliability : dict of str to tuple
        By head; see `~astrogalaxy.evaluation.reliability.reliability`.

    Examples
    --------
    >>> from astrogalaxy.evaluation.calibration import CalibrationResult
    >>> from astrogalaxy.models import Calibration
    >>> result = CalibrationResult({"source": Calibration(offset=-1.0)}, 0.5, {}, {})
    >>> round(float(result.calibration["source"].probability(1.0, 5.0)), 2)
    0.5
    """

    calibration: dict[str, Calibration]
    threshold: float
    metrics: dict[str, float]
    reliability: dict[str, Reliability]


@dataclass(frozen=True)
class _Scored:
    """The sources found on one scene, with the answers (NaN where they are not known)."""

    boxes: Boxes
    light: Floats
    columns: Mapping[str, NDArray[np.generic]]
    real: Floats
    galaxy: Floats
    disk: Floats
    truth: NDArray[np.void]

    def evidence(self, calibration: Mapping[str, Calibration], threshold: float) -> ClassEvidence:
        """What tells stars from galaxies, as `classify` has it; ``real`` are those that a catalogue would have."""
        columns = {**self.columns, "det_score": calibration["source"].probability(self.boxes.source, self.light)}
        network = calibration["galaxy"].probability(self.boxes.galaxy, self.light)
        return class_evidence(network, columns, threshold=threshold)


@dataclass(frozen=True)
class _Groups:
    """Scored scenes, by what they calibrate.

    ``scenes`` and ``real`` (fields of the sky) calibrate the heads; ``galaxies`` only smooth and disk. What joins a
    head's answer with measurements is calibrated on ``real`` and on ``catalogued``: scenes on each band's own pixels,
    or ``scenes`` if there are none.
    """

    scenes: Sequence[_Scored]
    real: Sequence[_Scored]
    catalogued: Sequence[_Scored]
    galaxies: Sequence[_Scored]

    @property
    def fields(self) -> list[_Scored]:
        """Scenes and real fields."""
        return [*self.scenes, *self.real]

    def fold(self, number: int, *, inside: bool) -> _Groups:
        """The scenes of one fold, or all others; where a kind has too few for folds, the first has all of them.

        Outside of a fold they are then all of that kind, inside and outside alike.
        """

        def chosen(scored: Sequence[_Scored]) -> list[_Scored]:
            """Those of the fold, or the others."""
            if len(scored) < _FOLDS:
                return list(scored) if not inside or number == 0 else []
            return [s for i, s in enumerate(scored) if (i % _FOLDS == number) == inside]

        return _Groups(chosen(self.scenes), chosen(self.real), chosen(self.catalogued), chosen(self.galaxies))


@dataclass(frozen=True)
class _Known:
    """Logits, signal to noise, answers and weights of sources whose answer is known."""

    logit: Floats
    light: Floats
    target: Floats
    weight: Floats


def calibrate(
    weights: Weights,
    scenes: Sequence[Labelled],
    *,
    real: Sequence[Labelled] = (),
    galaxies: Sequence[Labelled] = (),
    images: Iterable[LabelledImage] = (),
    start: WeightCard | None = None,
) -> CalibrationResult:
    """Fit each head's calibration.

    For stars, galaxies and disks every scene counts the same, however many sources it has, so that a few crowded ones
    do not decide for all; and so it does in all metrics of calibration and accuracy.

    Parameters
    ----------
    weights : Weights
        The network.
    scenes : sequence of (snr, sources, seeing)
        Aligned bands in units of noise, ``(n_bands, ny, nx)``, the records of
        `~astrogalaxy.training.examples.SOURCE_DTYPE` on them, and the half-light diameter of
        stars in pixels.
    real : sequence of (snr, sources, seeing)
        The same of real fields with labels that were not trained on. Where there are any,
        they weigh as much as all scenes in the calibration of star and galaxy with what was measured.
    galaxies : sequence of (snr, sources, seeing)
        Images of single galaxies, for the smooth/disk head: what else is seen on them is not labelled, and says
        nothing of the others, unless there is nothing else.
    images : iterable of (Image, sources)
        Scenes on the pixels of each band, as a survey has them: on these the measured widths are joined to the
        network's answer. Without them that is done on ``scenes``, whose bands were resampled.
    start : WeightCard, optional
        Of the weights that training went on from: what a hundred answers or fewer would have to calibrate stays as it
        was there.

    Returns
    -------
    CalibrationResult
        The threshold is where F1 is highest. The metrics are of every scene by what two thirds of the scenes, without
        it, calibrate; of one or two of a kind, with it. Without scenes the logits stay as they are, the threshold is
        0.5 and there are no metrics.

    Examples
    --------
    >>> from astrogalaxy.evaluation.calibration import calibrate
    >>> from astrogalaxy.models import load_weights
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> from astrogalaxy.training.examples import example_from_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2, artefacts=False)
    >>> example = example_from_scene(scene)
    >>> result = calibrate(load_weights("default"), [(example.snr, example.sources, example.seeing)])
    >>> sorted(result.calibration), 0 < result.threshold < 1
    (['disk', 'galaxy', 'source'], True)
    """
    if not scenes and not real:
        scenes, galaxies = galaxies, ()
    images = iter(images)
    first = next(images, None)
    if not scenes and not real and first is None:
        logger.warning("%s: no validation scenes, so its probabilities are not calibrated", weights.path)
        return CalibrationResult({head: Calibration() for head in HEADS}, 0.5, {}, {})
    runtime = Runtime(weights, device="cpu")
    catalogued = [_score(runtime, *one, None) for one in chain([first] if first else [], images)]
    # measuring takes longer than finding
    scored = [_score_aligned(runtime, *one, measured=not catalogued) for one in scenes]
    fields = [_score_aligned(runtime, *one) for one in real]
    single = [_score_aligned(runtime, *one, measured=False) for one in galaxies]
    groups = _Groups(scored or catalogued, fields, catalogued or scored, single)
    calibration, threshold = _fit(groups, start)
    for head in HEADS:
        if calibration[head].slope <= _LEAST_SLOPE:
            logger.warning("%s: its %s answers say nothing of what is so on the validation scenes", weights.path, head)
    judged = [(groups.fold(n, inside=True), _fit(groups.fold(n, inside=False), start)) for n in range(_FOLDS)]
    if max(len(part) for part in (groups.scenes, groups.real, groups.catalogued)) < _FOLDS:
        judged = judged[:1]
    answers = {name: _answers(judged, name) for name in (*HEADS, _P_GALAXY)}
    curves = {head: _rounded(reliability(*answers[_CATALOGUED.get(head, head)])) for head in HEADS}
    return CalibrationResult(calibration, threshold, _metrics(judged, answers), curves)


def _fit(groups: _Groups, start: WeightCard | None) -> tuple[dict[str, Calibration], float]:
    """Calibrations, and the threshold."""
    source = _known(groups.fields, "source")
    # purity is counted by sources; by scenes, a few false ones in sparse scenes would tell against bright sources
    calibration = {"source": fit_platt(source.logit, source.light, source.target)}
    threshold = _best_threshold(groups.fields, calibration["source"])
    few = {"source"} if len(source.target) <= _FEW else set()
    for head in ("galaxy", "disk"):
        found = [*groups.fields, *groups.galaxies] if head == "disk" else groups.fields
        known = _known(found, head, calibration["source"], threshold)
        calibration[head] = fit_platt(known.logit, known.light, known.target, weight=known.weight)
        few |= {head} if len(known.target) <= _FEW else set()
    parts = [[(s, s.evidence(calibration, threshold)) for s in part] for part in (groups.catalogued, groups.real)]
    for name in (BY_EXTENT, BY_SPREAD):
        rows = _alike(parts, partial(_joined_rows, name=name))
        if len(rows) > _FEW:
            logit, snr, target, extent, spread, weight = rows.T
            calibration[name] = fit_platt(logit, snr, target, extent=extent, spread=spread, weight=weight)
    if sum(map(len, parts)) >= _FEW_FIELDS:
        rows = _alike(parts, partial(_field_rows, calibration=calibration))
        if len(rows) > _FEW:
            logit, mix, target, weight = rows.T
            calibration[IN_FIELD] = fit_prior(logit, mix, target, weight)
    if start is not None:
        few |= {BY_EXTENT, BY_SPREAD} - calibration.keys()
        # the mix goes with what it was learnt with; what is learnt from few fields knows theirs
        if BY_SPREAD in few:
            few |= {IN_FIELD} - calibration.keys()
        calibration |= {head: start.calibration[head] for head in few if head in start.calibration}
        threshold = start.threshold if "source" in few else threshold
    return calibration, threshold


def fit_platt(
    logit: Floats,
    light: Floats,
    target: Floats,
    *,
    extent: Floats | None = None,
    spread: Floats | None = None,
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
    spread : ndarray, optional
        ``(n,)``, finite: see `~astrogalaxy.measurement.spread.spread_evidence`.
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
    bright, nothing = np.log(np.maximum(light, 1.0)), np.zeros(len(logit))
    wide, wider_than_a_point = (nothing if part is None else part for part in (extent, spread))
    share = np.ones(len(logit)) if weight is None else np.asarray(weight, dtype=float)
    terms = np.column_stack([logit, bright, wide, bright * wider_than_a_point])
    (slope, brighter, wider, spread_out), offset = _logistic(terms, target, share, nothing, start=[1.0, 0.0, 0.0, 0.0])
    return Calibration(slope=max(slope, _LEAST_SLOPE), weight=brighter, extent=wider, spread=spread_out, offset=offset)


def fit_prior(logit: Floats, mix: Floats, target: Floats, weight: Floats) -> Calibration:
    """How much the mix of a field says of its sources, by maximum likelihood.

    It is a prior: it shifts the logits, and leaves alone how much each source says of itself.

    Parameters
    ----------
    logit, mix, target, weight : ndarray
        ``(n,)``, finite: what each source says of itself, the mix of its field
        (`~astrogalaxy.measurement.stargalaxy.field_mix`), the answer, and how much each counts.

    Returns
    -------
    Calibration
        Of slope 1; one that changes nothing where all targets are the same.

    Examples
    --------
    >>> import numpy as np
    >>> mix = np.repeat([-2.0, 2.0], 100)
    >>> target = np.repeat([0.25, 0.75], 100)
    >>> round(fit_prior(np.zeros(200), mix, target, np.ones(200)).mix, 2)
    0.55
    """
    if np.ptp(target) == 0:
        return Calibration()
    (slope,), offset = _logistic(mix[:, None], target, weight, logit, start=[0.0])
    return Calibration(mix=slope, offset=offset)


def _logistic(
    terms: Floats, target: Floats, weight: Floats, given: Floats, *, start: Sequence[float]
) -> tuple[list[float], float]:
    """Fit a logit: ``given`` plus a linear function of the terms. Returns its factors and offset."""
    share = weight / weight.sum()
    design = np.column_stack([terms, np.ones(len(terms))])
    penalty = _RIDGE * np.append(np.ones(terms.shape[1]), 0.0)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Cross entropy with its slope."""
        z = given + design @ parameters
        value = share @ (np.logaddexp(0, z) - target * z) + penalty @ parameters**2
        slope = design.T @ (share * (expit(z) - target))
        return float(value), slope + 2 * penalty * parameters

    best = minimize(loss, np.array([*start, 0.0]), jac=True, method="BFGS")
    *factors, offset = (float(value) for value in best.x)
    return factors, offset


def _alike(
    parts: Sequence[Sequence[tuple[_Scored, ClassEvidence]]], rows_of: Callable[[_Scored, ClassEvidence], Floats]
) -> Floats:
    """Rows of all scenes, whose last column is their weight.

    Real labels, where there are any, weigh as much as all simulated ones together: the mix of
    sizes and colours in a simulation is only a guess at that of the sky.
    """
    tables = []
    for part in parts:
        mine = [rows_of(scored, found) for scored, found in part]
        total = sum(float(table[:, -1].sum()) for table in mine)
        tables += [np.column_stack([table[:, :-1], table[:, -1] / total]) for table in mine if len(table)]
    return np.concatenate(tables) if tables else np.zeros((0, 1))


def _joined_rows(scored: _Scored, found: ClassEvidence, name: str) -> Floats:
    """Logit, signal to noise, answer, extent, spread and weight of the sources that a joined calibration is about."""
    needed, spread = (found.extent, np.zeros(len(found.logit))) if name == BY_EXTENT else (found.spread, found.spread)
    good = found.real & np.isfinite(needed) & np.isfinite(scored.galaxy)
    known = (found.logit, found.snr, scored.galaxy, np.nan_to_num(found.extent), np.nan_to_num(spread))
    return np.column_stack([*(part[good] for part in known), _share(int(good.sum()))])


def _field_rows(scored: _Scored, found: ClassEvidence, calibration: Mapping[str, Calibration]) -> Floats:
    """What each source says of itself, the mix of its field, answer and weight."""
    logit, mix = field_evidence(found, calibration)
    good = found.real & np.isfinite(scored.galaxy)
    return np.column_stack([logit[good], np.full(good.sum(), mix), scored.galaxy[good], _share(int(good.sum()))])


def _share(n: int) -> Floats:
    """Weights of the sources of a scene that has so many."""
    return np.full(n, 1 / max(n, _LEAST_SOURCES))


def _rounded(curve: Reliability) -> Reliability:
    return tuple((round(said, 4), round(true, 4), n) for said, true, n in curve)


def _score_aligned(
    runtime: Runtime, snr: NDArray[np.float32], sources: NDArray[np.void], seeing: float, *, measured: bool = True
) -> _Scored:
    image = Image.read({str(number): band for number, band in enumerate(snr)})
    return _score(runtime, image, sources, (snr, seeing), measured=measured)


def _score(
    runtime: Runtime,
    image: Image,
    sources: NDArray[np.void],
    known: tuple[NDArray[np.float32], float] | None,
    *,
    measured: bool = True,
) -> _Scored:
    """Find and measure the sources of an image, on ``known`` significance and seeing if they are not its own."""
    card = runtime.weights.card
    snr, seeing = known or (image.aligned().snr, image_seeing(image))
    maps = runtime(card_input(card, snr, seeing))
    iou, extended = card.architecture.overlaps
    boxes = decode(maps, card.architecture.strides, threshold=_LOWEST_LOGIT, iou=iou, extended=extended)
    truth = sources[~sources["ignore"]]
    match = match_positions(boxes.x, boxes.y, boxes.source, truth["x"], truth["y"], radius=_RADIUS)
    real = match.matched.astype(float)
    real[~match.matched & _near_ignored(boxes, sources[sources["ignore"]])] = np.nan
    galaxy, disk = np.full(len(boxes), np.nan), np.full(len(boxes), np.nan)
    galaxy[match.matched] = truth["galaxy"][match.truth[match.matched]]
    disk[match.matched] = truth["disk"][match.truth[match.matched]]
    light = significance(snr, boxes.x, boxes.y)
    return _Scored(boxes, light, _measured(image, boxes) if measured else {}, real, galaxy, disk, truth)


def _measured(image: Image, boxes: Boxes) -> dict[str, NDArray[np.generic]]:
    """What `class_evidence` needs, as a run of the pipeline has it."""
    x, y, width, height = (np.asarray(getattr(boxes, n), float) for n in ("x", "y", "width", "height"))
    sources = Sources(x, y, x - width / 2, x + width / 2, y - height / 2, y + height / 2)
    columns = measure(image, sources, pixel_scale=1.0)
    return {name: columns[name] for name in ("snr", "half_light_radius", "spread", "spread_err", "flags")}


def _near_ignored(boxes: Boxes, ignored: NDArray[np.void]) -> NDArray[np.bool_]:
    if not len(ignored) or not len(boxes):
        return np.zeros(len(boxes), dtype=bool)
    tree = cKDTree(np.column_stack([ignored["x"], ignored["y"]]))
    distance, _ = tree.query(np.column_stack([boxes.x, boxes.y]))
    return np.asarray(distance < _RADIUS)


def _known(scored: Sequence[_Scored], head: str, source: Calibration | None = None, threshold: float = 0.0) -> _Known:
    """Sources whose answer is known; with ``source``, those that would be in a catalogue."""
    rows = []
    for one in scored:
        target = getattr(one, _ANSWERS[head])
        good = np.isfinite(target)
        if source is not None:
            good &= source.probability(one.boxes.source, one.light) >= threshold
        rows.append(np.array([getattr(one.boxes, head)[good], one.light[good], target[good], _share(int(good.sum()))]))
    return _Known(*(np.concatenate(rows, axis=1) if rows else np.zeros((4, 0))))


def _best_threshold(scored: Sequence[_Scored], calibration: Calibration) -> float:
    curve = _detection([(scored, calibration)])
    return round(curve.best_score, 3) if np.isfinite(curve.best_score) else 0.5


#: Scenes, and what scenes that are not among them calibrated.
_Judged = Sequence[tuple[_Groups, tuple[dict[str, Calibration], float]]]


def _answers(judged: _Judged, name: str) -> tuple[Floats, Floats, Floats]:
    """Calibrated probabilities, what was so, and weights: of a head, or of p_galaxy in a catalogue."""
    parts = []
    for groups, (calibration, threshold) in judged:
        if name == _P_GALAXY:
            parts += [_in_catalogue(s, calibration, threshold) for s in (*groups.catalogued, *groups.real)]
            continue
        found = [*groups.fields, *groups.galaxies] if name == "disk" else groups.fields
        bounds = () if name == "source" else (calibration["source"], threshold)
        known = _known(found, name, *bounds)
        parts.append(np.array([calibration[name].probability(known.logit, known.light), known.target, known.weight]))
    probability, target, weight = np.concatenate(parts, axis=1)
    return probability, target, weight


def _in_catalogue(scored: _Scored, calibration: Mapping[str, Calibration], threshold: float) -> Floats:
    """p_galaxy of a scene's sources as `classify` gives it, what was so, and weights, (3, n)."""
    evidence = scored.evidence(calibration, threshold)
    joined = galaxy_probability(evidence, calibration)
    good = np.isfinite(scored.galaxy) & evidence.real
    return np.array([joined[good], scored.galaxy[good], _share(int(good.sum()))])


def _metrics(judged: _Judged, answers: Mapping[str, tuple[Floats, Floats, Floats]]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name, (p, target, weight) in answers.items():
        if len(target):
            metrics[f"{name}_ece"] = expected_calibration_error(p, target, weight)
            if name != "source":
                metrics[f"{name}_accuracy"] = float(np.average((p > 0.5) == (target > 0.5), weights=weight))
    curve = _detection([(groups.fields, calibration["source"]) for groups, (calibration, _) in judged])
    metrics["average_precision"], metrics["best_f1"] = curve.average_precision, curve.best_f1
    metrics["completeness"], metrics["purity"] = _at_threshold(judged)
    return {name: round(value, 4) for name, value in metrics.items()}


def _at_threshold(judged: _Judged) -> tuple[float, float]:
    """Completeness and purity of what a catalogue keeps, ignored sources left out."""
    kept = true = n_truth = 0
    for groups, (calibration, threshold) in judged:
        found = _known(groups.fields, "source", calibration["source"], threshold).target
        kept, true = kept + len(found), true + int((found > 0).sum())
        n_truth += sum(len(scored.truth) for scored in groups.fields)
    return true / max(n_truth, 1), true / max(kept, 1)


def _detection(parts: Sequence[tuple[Sequence[_Scored], Calibration]]) -> Curve:
    """Precision and recall over all scenes, ignored sources left out."""
    known = [(_known(scored, "source"), calibration) for scored, calibration in parts]
    score = np.concatenate([calibration.probability(k.logit, k.light) for k, calibration in known])
    truth = np.where(np.concatenate([k.target for k, _ in known]) > 0, 0, -1)
    n_truth = sum(len(s.truth) for scored, _ in parts for s in scored)
    return precision_recall(score, Match(truth, np.zeros(len(truth)), n_truth))
