"""Tests of astrogalaxy.evaluation.calibration."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from astrogalaxy.detection.inputs import network_input
from astrogalaxy.evaluation import calibration as module
from astrogalaxy.evaluation.calibration import calibrate, fit_platt, fit_prior
from astrogalaxy.evaluation.reliability import expected_calibration_error, reliability
from astrogalaxy.models import BY_EXTENT, BY_SPREAD, HEADS, IN_FIELD, Calibration, WeightCard, Weights
from astrogalaxy.training.examples import sources_array


@pytest.mark.parametrize("weight", [0.0, 0.7, -0.5])
@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, -1.0), (3.0, 2.0)])
def test_platt_scaling_finds_what_was_done_to_the_logits(slope: float, offset: float, weight: float) -> None:
    rng = np.random.default_rng(1)
    logit, light = rng.normal(0, 2, 4000), rng.lognormal(1.5, 1, 4000)
    exact = expit(slope * logit + weight * np.log(np.maximum(light, 1)) + offset)
    found = fit_platt(logit, light, exact)
    assert (found.slope, found.weight, found.offset) == pytest.approx((slope, weight, offset), abs=0.03)
    np.testing.assert_allclose(found.probability(logit, light), exact, atol=0.005)
    found = fit_platt(logit, light, (rng.random(4000) < exact).astype(float))
    assert found.slope == pytest.approx(slope, rel=0.15)
    assert found.weight == pytest.approx(weight, abs=0.3)
    assert found.offset == pytest.approx(offset, abs=0.6)


@pytest.mark.parametrize(("logit", "target"), [([], []), ([1.0], [1.0]), ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])])
def test_nothing_is_learnt_from_nothing(logit: list[float], target: list[float]) -> None:
    assert fit_platt(np.array(logit), np.ones(len(logit)), np.array(target)) == Calibration()


def test_fields_of_stars_alone_have_no_prior_to_learn() -> None:
    assert fit_prior(np.full(50, -1.0), np.full(50, -3.0), np.zeros(50), np.ones(50)) == Calibration()


def test_calibration_never_turns_the_order_round() -> None:
    logit = np.linspace(-3, 3, 50)
    assert 0 < fit_platt(logit, np.ones(50), (logit < 0).astype(float)).slope < 0.1


def test_what_is_said_with_the_right_confidence_has_no_error() -> None:
    rng = np.random.default_rng(2)
    p = rng.random(20_000)
    assert expected_calibration_error(p, p) == 0.0
    assert expected_calibration_error(p, (rng.random(20_000) < p).astype(float)) < 0.02


def test_known_miscalibration() -> None:
    p = np.repeat([0.2, 0.9], 500)
    real = np.concatenate([np.arange(500) < 200, np.arange(500) < 300]).astype(float)
    assert expected_calibration_error(p, real, bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.3)
    assert expected_calibration_error(np.full(10, 0.5), np.ones(10)) == pytest.approx(0.5)
    assert expected_calibration_error(np.zeros(0), np.zeros(0)) == 0.0


Labelled = tuple[np.ndarray, np.ndarray, float]
SEEING = 4.0

# -- calibrate: the network is replaced by one whose mistakes are known -------------------------------


def _weights(tmp_path: Path) -> Weights:
    card = WeightCard(
        name="w", version="1", size="nano", levels=(4, 8, 16), inputs=1, bands="any", max_bands=1, normalisation="",
        pixel_scale=(0, 1), seeing=(1, 9), data=(), licence="", command="", metrics={}, metrics_command="",
        calibration={head: Calibration() for head in HEADS}, threshold=0.5, sha256="",
    )  # fmt: skip
    return Weights(tmp_path / "w.safetensors", card)


def _scene(seed: int, mix: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, the sources to be found, and the maps that a badly calibrated network makes of them.

    A cell's logit says half of what is so; galaxies are told from stars with the same half heart, and the network does
    not know by how much they outnumber them (``mix``).
    """
    rng = np.random.default_rng(seed)
    side, maps = 256, [np.full((7, 256 // s, 256 // s), -9.0, np.float32) for s in (4, 8, 16)]
    rows = []
    for row in range(2, 62, 5):
        for column in range(2, 62, 5):
            z, g = rng.normal(1, 2), rng.normal(0, 2) + mix
            kind = rng.random()
            maps[0][:, row, column] = [0, 0, np.log(2), np.log(2), z / 2, (g - mix) / 2, g / 2]
            if rng.random() < expit(z):
                galaxy = float(rng.random() < expit(g))
                rows.append((column * 4 + 1.5, row * 4 + 1.5, galaxy, np.nan if kind < 0.5 else galaxy, False))
            elif kind < 0.1:  # too faint to be asked for
                rows.append((column * 4 + 2.0, row * 4 + 1.0, np.nan, np.nan, True))
    x, y, galaxy, disk, ignore = np.array(rows).T
    sources = sources_array(x=x, y=y, width=8, height=8, galaxy=galaxy, disk=disk, ignore=ignore.astype(bool))
    # too faint to have a significance that would matter
    return 0.1 * rng.standard_normal((1, side, side), dtype=np.float32), sources, maps


def _answering(
    made: list[tuple[np.ndarray, np.ndarray, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> list[Labelled]:
    """Scenes for `calibrate`, whose network answers with their maps."""
    maps = {network_input(snr, 1)[0, 0, 0]: maps for snr, _, maps in made}

    def opened(weights: Weights, **_: Any) -> Any:
        def runtime(cube: np.ndarray) -> list[np.ndarray]:
            return maps[cube[0, 0, 0]]

        runtime.weights = SimpleNamespace(card=weights.card)
        return runtime

    monkeypatch.setattr(module, "Runtime", opened)
    return [(snr, sources, SEEING) for snr, sources, _ in made]


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> list[Labelled]:
    return _answering([_scene(seed) for seed in range(9)], monkeypatch)


def test_each_head_is_calibrated(scenes: list[Labelled], tmp_path: Path) -> None:
    result = calibrate(_weights(tmp_path), scenes)
    assert result.calibration.keys() == set(HEADS), "without stars no width tells anything"
    for head in HEADS:
        assert result.calibration[head].slope == pytest.approx(2.0, rel=0.3)
        assert result.calibration[head].offset == pytest.approx(0.0, abs=0.35)
        assert result.calibration[head].weight == pytest.approx(0.0, abs=0.01)
    assert 0.2 < result.threshold < 0.6
    assert result.metrics.keys() == {
        "source_ece", "galaxy_ece", "disk_ece", "galaxy_accuracy", "disk_accuracy", "average_precision", "best_f1",
        "p_galaxy_ece", "p_galaxy_accuracy", "completeness", "purity",
    }  # fmt: skip
    assert result.reliability.keys() == set(HEADS)
    for head, curve in result.reliability.items():
        said, true, _ = np.transpose(curve)
        assert (np.diff(said) > 0).all()
        np.testing.assert_allclose(said, true, atol=0.25, err_msg=head)
    for head in HEADS:
        assert result.metrics[f"{head}_ece"] < 0.12
    assert 0.65 < result.metrics["galaxy_accuracy"] < 0.9
    assert 0.7 < result.metrics["best_f1"] < result.metrics["average_precision"] + 0.1 < 1.1
    completeness, purity = result.metrics["completeness"], result.metrics["purity"]
    # each scene by what the others choose, a little below the best of them all
    f1 = 2 * completeness * purity / (completeness + purity)
    assert result.metrics["best_f1"] - 0.03 < f1 < result.metrics["best_f1"] + 1e-3


def _measuring(
    scenes: list[Labelled], monkeypatch: pytest.MonkeyPatch, *, spread: bool, truth: list[set[tuple[float, float]]]
) -> None:
    """Measured widths: those of the galaxies of ``truth``, scene by scene, are larger."""
    rng, queue = np.random.default_rng(0), itertools.cycle(truth)

    def measured(image: object, boxes: Any) -> dict[str, np.ndarray]:
        wide = next(queue)
        galaxy = np.array([place in wide for place in zip(boxes.x, boxes.y, strict=True)])
        radius = 1.3 * np.exp(np.where(galaxy, 0.8, 0.0) + rng.normal(0, 0.3, len(boxes)))
        radius[rng.random(len(boxes)) < 0.1] = np.nan
        width = np.where(galaxy, 0.6, 0.0) + rng.normal(0, 0.2, len(boxes))
        snr, error = np.full(len(boxes), 50.0), np.full(len(boxes), 0.2)
        if not spread:
            width[:] = np.nan
        flags = np.zeros(len(boxes), dtype=np.int32)
        return {"snr": snr, "half_light_radius": radius, "spread": width, "spread_err": error, "flags": flags}

    monkeypatch.setattr(module, "_measured", measured)


def _galaxies(scenes: list[Labelled]) -> list[set[tuple[float, float]]]:
    return [
        {(x, y) for x, y, galaxy in zip(s["x"], s["y"], s["galaxy"], strict=True) if galaxy == 1} for _, s, _ in scenes
    ]


@pytest.mark.parametrize("spread", [False, True])
def test_how_wide_a_source_is_tells_galaxies_from_stars(
    scenes: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: bool
) -> None:
    _measuring(scenes, monkeypatch, spread=spread, truth=_galaxies(scenes))
    result = calibrate(_weights(tmp_path), scenes)
    assert result.calibration[BY_EXTENT].extent > 3
    assert (BY_SPREAD in result.calibration) == spread
    if spread:
        assert result.calibration[BY_SPREAD].spread > 0.1
    assert result.calibration["galaxy"].extent == 0
    assert result.metrics["p_galaxy_accuracy"] > result.metrics["galaxy_accuracy"] + 0.03
    assert result.metrics["p_galaxy_ece"] < 0.12


def test_real_fields_count_as_much_as_all_scenes(
    scenes: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # scenes on which galaxies are wide, and real fields on which they are as stars
    _measuring(scenes, monkeypatch, spread=True, truth=[*_galaxies(scenes[:6]), set(), set(), set()])
    doubtful = calibrate(_weights(tmp_path), scenes[:6], real=scenes[6:])
    _measuring(scenes, monkeypatch, spread=True, truth=_galaxies(scenes))
    sure = calibrate(_weights(tmp_path), scenes[:6], real=scenes[6:])
    assert doubtful.calibration[BY_EXTENT].extent < 0.75 * sure.calibration[BY_EXTENT].extent
    assert doubtful.calibration[BY_SPREAD].spread < 0.75 * sure.calibration[BY_SPREAD].spread


def test_weights_that_are_gone_on_with_keep_what_cannot_be_calibrated(scenes: list[Labelled], tmp_path: Path) -> None:
    weights = _weights(tmp_path)
    kept = Calibration(slope=2.5, spread=0.3)
    start = weights.card.model_copy(update={"calibration": {**weights.card.calibration, BY_SPREAD: kept}})
    result = calibrate(weights, scenes, start=start)
    assert result.calibration[BY_SPREAD] == kept, "no scene has stars"
    assert result.calibration["source"] != start.calibration["source"]


def test_every_scene_counts_the_same() -> None:
    # a crowded scene in which what is said is wrong, and nine others in which it is right
    p = np.full(1000 + 9 * 20, 0.8)
    target = np.concatenate([np.arange(1000) % 5 == 0, np.tile(np.arange(20) % 5 != 0, 9)]).astype(float)
    weight = np.concatenate([module._share(1000), *[module._share(20)] * 9])
    assert expected_calibration_error(p, target) > 0.4
    assert expected_calibration_error(p, target, weight, bins=1) == pytest.approx(0.06)
    ((said, true, n),) = reliability(p, target, weight, bins=1)
    assert (said, true, n) == (pytest.approx(0.8), pytest.approx(0.74), 1180)
    assert module._share(2).sum() == pytest.approx(0.2), "two sources are no scene"


def test_no_scene_is_judged_by_what_it_calibrated() -> None:
    groups = module._Groups(list("abcdefg"), [], list("ab"), [])  # type: ignore[arg-type]
    folds = [groups.fold(n, inside=True).scenes for n in range(3)]
    assert sorted(s for fold in folds for s in fold) == list("abcdefg")
    for number, fold in enumerate(folds):
        assert set(groups.fold(number, inside=False).scenes) == set("abcdefg") - set(fold)
    assert groups.fold(0, inside=True).catalogued == list("ab"), "too few for folds"


def test_what_is_ignored_counts_for_nothing(scenes: list[Labelled], tmp_path: Path) -> None:
    plain = calibrate(_weights(tmp_path), scenes)
    kept = [(snr, sources[~sources["ignore"]], seeing) for snr, sources, seeing in scenes]
    strict = calibrate(_weights(tmp_path), kept)
    assert sum(sources["ignore"].sum() for _, sources, _ in scenes) > 20
    # the threshold moves, and with it the faintest sources that count
    assert strict.calibration["galaxy"].slope == pytest.approx(plain.calibration["galaxy"].slope, rel=0.1)
    assert strict.metrics["average_precision"] < plain.metrics["average_precision"]


def test_without_scenes_nothing_is_claimed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = calibrate(_weights(tmp_path), [])
    assert result.calibration == {head: Calibration() for head in HEADS}
    assert (result.threshold, result.metrics) == (0.5, {})
    assert "no validation scenes" in caplog.text


def test_answers_that_say_nothing_are_warned_of(
    scenes: list[Labelled], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate(_weights(tmp_path), scenes)
    assert "say nothing" not in caplog.text
    logit = np.linspace(-3, 3, 50)
    flat = fit_platt(logit, np.ones(50), (logit < 0).astype(float))
    monkeypatch.setattr(module, "fit_platt", lambda *_, **__: flat)
    calibrate(_weights(tmp_path), scenes)
    assert [message.split("its ")[1].split()[0] for message in caplog.messages] == list(HEADS)


def test_one_scene_is_enough(scenes: list[Labelled], tmp_path: Path) -> None:
    result = calibrate(_weights(tmp_path), scenes[:1])
    assert result.calibration["source"].slope == pytest.approx(2.0, rel=0.6)
    assert result.metrics["average_precision"] > 0.5


def test_empty_scenes(scenes: list[Labelled], tmp_path: Path) -> None:
    result = calibrate(_weights(tmp_path), [(snr, sources[:0], seeing) for snr, sources, seeing in scenes])
    assert result.calibration["source"] == Calibration(), "everything found is false: nothing to learn"
    assert result.metrics["best_f1"] == 0


def test_what_a_field_s_clear_sources_are_tells_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = _answering([_scene(seed, mix=2.0 * (seed % 3 - 1)) for seed in range(21)], monkeypatch)
    _measuring(scenes, monkeypatch, spread=True, truth=_galaxies(scenes))
    result = calibrate(_weights(tmp_path), scenes)
    assert result.calibration[IN_FIELD].mix > 0.3
    few = calibrate(_weights(tmp_path), scenes[:9])
    assert IN_FIELD not in few.calibration, "a handful of fields tells nothing of others"
    assert result.metrics["p_galaxy_accuracy"] > few.metrics["p_galaxy_accuracy"] + 0.01
    assert result.metrics["p_galaxy_ece"] < 0.05


def test_the_mix_goes_with_the_spread_that_it_was_learnt_with(
    scenes: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = _weights(tmp_path)
    older = {**weights.card.calibration, BY_SPREAD: Calibration(spread=0.3), IN_FIELD: Calibration(mix=0.5)}
    start = weights.card.model_copy(update={"calibration": older})
    assert calibrate(weights, scenes, start=start).calibration[IN_FIELD] == older[IN_FIELD]
    _measuring(scenes, monkeypatch, spread=True, truth=_galaxies(scenes))
    assert IN_FIELD not in calibrate(weights, scenes, start=start).calibration, "the few fields' own mix is known"
