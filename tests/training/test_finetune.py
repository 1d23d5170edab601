"""Tests of astrogalaxy.training.finetune, and of trainings that go on from weights and stop early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table, vstack
from astropy.wcs import WCS

from astrogalaxy.config import RecipeConfig, SurveyConfig
from astrogalaxy.detection.export import network_tensors
from astrogalaxy.errors import ConfigError
from astrogalaxy.images import Section
from astrogalaxy.images.band import Band
from astrogalaxy.images.fields import find_fields, open_field
from astrogalaxy.models import load_weights
from astrogalaxy.training import finish as finishing
from astrogalaxy.training import train as module
from astrogalaxy.training.cards import draft_card
from astrogalaxy.training.examples import Example
from astrogalaxy.training.finetune import fine_tune_recipe
from astrogalaxy.training.finish import Trained
from astrogalaxy.training.labels import apart, count_labels
from astrogalaxy.training.module import AstroYoloTrainer
from astrogalaxy.training.prepare import plan_examples, prepare
from astrogalaxy.training.train import train

Make = Callable[..., RecipeConfig]
SHAPE = (128, 160)


@pytest.fixture
def survey(tmp_path: Path) -> SurveyConfig:
    """One band of stars on a grid, with a WCS, and a table that labels them."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices(SHAPE)
    x, y = (v.ravel().astype(float) for v in np.meshgrid(np.arange(12, 150, 16), np.arange(12, 120, 16)))
    x, y = x + rng.uniform(-3, 3, len(x)), y + rng.uniform(-3, 3, len(y))
    light = sum(300 * np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / 6) for a, b in zip(x, y, strict=True))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, 2.0], [80.0, 64.0], [-0.25 / 3600, 0.25 / 3600]
    for field in ("a", "b"):
        data = (light + rng.normal(100, 1, SHAPE)).astype(np.float32)
        fits.writeto(tmp_path / f"{field}-r.fits", data, wcs.to_header())
    ra, dec = wcs.all_pix2world(x, y, 0)
    kinds = ["star", "galaxy"] * (len(x) // 2) + ["star"] * (len(x) % 2)
    Table({"ra": ra, "dec": dec, "class": kinds}).write(tmp_path / "labels.ecsv")
    images = {"path": "{field}-{band}.fits", "bands": ["r"], "zeropoint": 25}
    return SurveyConfig.from_dict({"name": "mine", "images": images}, folder=tmp_path)


def test_a_recipe_for_the_user_s_own_labels(survey: SurveyConfig, tmp_path: Path) -> None:
    told: list[str] = []
    recipe = fine_tune_recipe(
        survey, tmp_path / "labels.ecsv", field="b", steps=30, directory=tmp_path / "runs", tell=told.append
    )
    assert told == ["63 labels: 32 stars, 31 galaxies; 18 are kept apart for validation"]
    card = load_weights("default").card
    assert recipe.name == "mine-tuned"
    assert recipe.model.start == "default"
    assert recipe.model.shape == card.architecture
    assert (recipe.training.crop, recipe.training.steps, recipe.training.warmup) == (128, 30, 7)
    assert recipe.training.validate_every == 6, "several validations, the last at the end"
    assert recipe.training.normalisation == "keep"
    labels = recipe.data.labels[0]
    assert (labels.field, labels.holdout) == ("b", 0.25)
    assert recipe.data.simulation.surveys == {"panstarrs": 1.0}, "the survey of the nearest pixel scale"
    assert recipe.data.sky[0].images == survey.images
    again = tmp_path / "again.yml"
    again.write_text(recipe.to_yaml())
    assert RecipeConfig.read(again) == recipe, "it can be kept, and changed by hand"
    plan = plan_examples(recipe)
    share = {kind: sum(p.weight for p in plan if p.kind == kind) for kind in ("val", "held", "train", "labels")}
    assert share["held"] / share["val"] == share["labels"] / share["train"], "validated on as often as trained on"
    kinds = [item.kind for item in plan]
    assert {kind: kinds.count(kind) for kind in ("labels", "held", "sky")} == {"labels": 1, "held": 1, "sky": 2}


def test_nothing_is_injected_where_too_few_stars_tell_the_seeing(
    survey: SurveyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Band, "seeing", float("nan"))
    recipe = fine_tune_recipe(survey, tmp_path / "labels.ecsv", field="b")
    assert recipe.data.labels
    assert not recipe.data.sky


def test_what_is_held_out_is_not_trained_on(survey: SurveyConfig, tmp_path: Path) -> None:
    recipe = fine_tune_recipe(survey, tmp_path / "labels.ecsv", field="a")
    real = recipe.model_copy(update={"data": recipe.data.model_copy(update={"simulation": None})})
    prepare(real, tmp_path / "examples", workers=0)
    trained, held, *skies = (
        Example.load(tmp_path / "examples" / f"{name}.npy") for name in ("labels-0", "held-0", "sky-0-000", "sky-0-001")
    )
    # the labels' rows are 12 to 108, give or take three
    assert held.snr.shape[1] == pytest.approx(25, abs=3)
    assert trained.snr.shape[1] == pytest.approx(55, abs=4), "less a gap between the two"
    assert len(held.sources) > 10
    assert len(trained.sources) > 20
    # nor are they where the field's images are injected into: what is theirs begins so many rows below the last label
    last = 63 + (Table.read(tmp_path / "labels.ecsv")["dec"].max() - 2) * 3600 / 0.25
    for sky in skies:
        rows = sky.snr.shape[1]
        assert 50 < rows < last - held.snr.shape[1]
        own = np.isnan(sky.sources["snr"]) & ~sky.sources["ignore"]
        assert own.sum() > 10, "plain stars of the rows below are asked for"
        assert sky.sources["y"].max() < rows


@pytest.mark.parametrize(
    ("labelled", "kept"),
    [
        ((0, 100), (118, 300)),  # 75 to 100 are held out, 18 on either side go with them
        ((0, 300), (0, 193)),
        ((200, 300), (0, 257)),
        ((200, 290), (0, 251)),
    ],
)
def test_rows_apart_from_what_is_held_out(labelled: tuple[int, int], kept: tuple[int, int]) -> None:
    part = apart(Section(0, 50, 0, 300), Section(10, 40, *labelled), 0.25)
    assert part[:2] == (0, 50)
    assert part[2:] == kept


def test_what_cannot_be_tuned_to(survey: SurveyConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 2 fields \(a, b\); name the labelled one \(--field NAME\)"):
        fine_tune_recipe(survey, tmp_path / "labels.ecsv")
    with pytest.raises(ConfigError, match="no field 'c' under .*; there are a, b"):
        fine_tune_recipe(survey, tmp_path / "labels.ecsv", field="c")
    (tmp_path / "bare.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ConfigError, match=r"bare\.csv: no column 'class'"):
        fine_tune_recipe(survey, tmp_path / "bare.csv", field="a")


def test_what_learns_nothing_finds_what_its_start_found(make_recipe: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Statistics of a few small crops are poorer than those of the start, and the validation tells."""
    data = {"simulation": {"scenes": 2, "validation": 2, "size": 192, "surveys": {"sdss": 1.0}}}
    recipe = _starting(make_recipe(data=data, steps=2, learning_rate=1e-9), "default")
    caplog.set_level("INFO")
    assert train(recipe).metrics["best_f1"] > 0.8
    (said,) = (record for record in caplog.records if "measured anew" in record.message)
    _, before, after = said.args
    assert before < after


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Networks with which trainings would be finished."""
    networks: list[Any] = []

    def finish(recipe: RecipeConfig, network: Any, *_: Any, **__: Any) -> Trained:
        networks.append(network_tensors(network))
        return Trained(None, Path(), {})  # type: ignore[arg-type]

    monkeypatch.setattr(module, "finish", finish)
    monkeypatch.setattr(module, "refresh_normalisation", lambda *_: None)
    return networks


def _starting(recipe: RecipeConfig, start: str) -> RecipeConfig:
    card = load_weights(start).card
    model = {"size": card.size, "levels": card.levels, "inputs": card.inputs, "seeing": card.seeing_input}
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={**model, "start": start})})


def test_training_goes_on_from_weights(make_recipe: Make, ended: list[Any]) -> None:
    train(_starting(make_recipe(steps=2, warmup=2, learning_rate=1e-6), "default"))
    train(make_recipe(steps=2, warmup=2, learning_rate=1e-6, name="fresh"))
    start = load_weights("default").tensors
    name = "detection.branches.0.3.weight"
    np.testing.assert_allclose(ended[0][name], start[name], atol=1e-4)
    assert np.abs(ended[1][name] - start[name]).max() > 0.01


def test_a_network_that_magnifies_goes_on_from_one_that_does_not(make_recipe: Make, ended: list[Any]) -> None:
    recipe = _starting(make_recipe(steps=2, warmup=2, learning_rate=1e-6), "astroyolo-nano")
    train(recipe.model_copy(update={"model": recipe.model.model_copy(update={"zoom": 1.5})}))
    name = "detection.branches.0.3.weight"
    np.testing.assert_allclose(ended[0][name], load_weights("astroyolo-nano").tensors[name], atol=1e-4)


def test_weights_of_another_network_are_refused(make_recipe: Make, ended: list[Any]) -> None:
    recipe = _starting(make_recipe(), "default")
    for change, message in (
        (
            {"inputs": 2},
            "model.start: astroyolo-nano has levels .*, inputs 3, .*; the recipe has levels .*, inputs 2, .*",
        ),
        ({"size": "tiny"}, "model.start: a network of the size tiny cannot start from one of the size nano"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(recipe.model_copy(update={"model": recipe.model.model_copy(update=change)}))
    assert not ended


def test_a_wider_network_goes_on_from_a_narrower_one(make_recipe: Make, ended: list[Any]) -> None:
    recipe = _starting(make_recipe(steps=2, warmup=2, learning_rate=1e-6), "default")
    train(recipe.model_copy(update={"model": recipe.model.model_copy(update={"size": "micro"})}))
    start = load_weights("default").tensors
    name = "detection.branches.0.3.weight"
    np.testing.assert_allclose(ended[0][name].reshape(5, -1, 2).sum(2), start[name][:, :, 0, 0], atol=1e-4)


@pytest.mark.parametrize("normalisation", ["keep", "learn"])
def test_statistics_of_the_normalisation_may_stay(make_recipe: Make, ended: list[Any], normalisation: str) -> None:
    recipe = _starting(make_recipe(steps=2), "default")
    train(recipe.model_copy(update={"training": recipe.training.model_copy(update={"normalisation": normalisation})}))
    start = load_weights("default").tensors
    kept = [np.array_equal(ended[0][name], value) for name, value in start.items() if "running" in name]
    assert all(kept) if normalisation == "keep" else not any(kept)
    name = "detection.branches.0.0.bn.weight"
    assert not np.array_equal(ended[0][name], start[name]), "factors and offsets are learnt all the same"


def test_a_share_of_the_start_stays(make_recipe: Make, ended: list[Any]) -> None:
    recipe = _starting(make_recipe(steps=3), "default")
    for share in (0.0, 0.75):
        train(recipe.model_copy(update={"training": recipe.training.model_copy(update={"start_share": share})}))
    start, learned, mixed = load_weights("default").tensors, *ended
    for name in ("detection.branches.0.3.weight", "detection.branches.0.0.bn.running_var"):
        moved, kept = learned[name] - start[name], mixed[name] - start[name]
        assert np.abs(moved).max() > 0
        np.testing.assert_allclose(kept, 0.25 * moved, atol=1e-5 * np.abs(start[name]).max())


@pytest.mark.parametrize(("share", "words"), [(0.0, ""), (0.5, ", of which 50% stayed")])
def test_the_card_says_what_a_training_went_on_from(make_recipe: Make, share: float, words: str) -> None:
    scenes = {"simulation": {"scenes": 9, "surveys": {"hsc": 1.0}, "even": 0.3}}
    recipe = _starting(make_recipe(data=scenes), "default")
    training = recipe.training.model_copy(update={"start_share": share})
    start, data = load_weights("default").card, draft_card(recipe.model_copy(update={"training": training}), "").data
    assert data[0] == f"went on from astroyolo-nano {start.version}{words}"
    assert data[-2] == "9 GalSim scenes like hsc, 30% of them with as many galaxies as stars"


def test_a_recipe_says_the_licence_and_the_terms_of_its_data(make_recipe: Make) -> None:
    recipe = make_recipe()
    bare = draft_card(recipe, "")
    assert (bare.licence, bare.data[-1]) == ("not stated", "terms of the data of tiny: not stated")
    output = recipe.output.model_copy(update={"licence": "CC-BY-4.0", "terms": "made by us"})
    card = draft_card(recipe.model_copy(update={"output": output}), "")
    assert (card.licence, card.data[-1]) == ("CC-BY-4.0", "terms of the data of tiny: made by us")


@pytest.fixture
def validate_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Make validations have given losses; tell the steps that they were made at."""

    def make(*given: float) -> list[int]:
        losses, steps = iter(given), []

        def validated(self: AstroYoloTrainer, *_: Any) -> None:
            # once in a validation
            if not steps or steps[-1] != self.global_step:
                steps.append(self.global_step)
                self.next_loss = next(losses)
            self.log("val_loss", self.next_loss, batch_size=1)

        monkeypatch.setattr(AstroYoloTrainer, "validation_step", validated)
        return steps

    return make


@pytest.mark.parametrize("start", [2.5, 1.0])
def test_the_start_stays_where_no_step_is_better(
    make_recipe: Make, ended: list[Any], validate_to: Callable[..., list[int]], start: float,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    steps = validate_to(start, 3.0, 2.0, 4.0)
    recipe = _starting(make_recipe(steps=6, validate_every=2, patience=2), "default")
    train(recipe)
    train(recipe)
    assert steps == [0, 2, 4, 6]
    same = all(np.array_equal(ended[0][name], value) for name, value in load_weights("default").tensors.items())
    assert same == (start == 1.0)
    assert ("no step was better than default; its weights are kept" in caplog.text) == same
    assert all(np.array_equal(ended[0][name], ended[1][name]) for name in ended[0]), "and again"


def test_a_short_tuning_is_no_worse_than_its_start(
    survey: SurveyConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "network_graph", lambda _network: load_weights("default").graph)
    monkeypatch.setattr(module, "_VALIDATION_BATCHES", 2)
    strange = {"pixel_scale": (0.5, 0.6)}
    monkeypatch.setattr(finishing, "draft_card", lambda *given: draft_card(*given).model_copy(update=strange))
    recipe = fine_tune_recipe(survey, tmp_path / "labels.ecsv", field="a", steps=3, directory=tmp_path / "runs")
    scenes = recipe.data.simulation.model_copy(update={"scenes": 2, "validation": 2, "size": 128})
    small = {
        "data": recipe.data.model_copy(update={"sky": (), "simulation": scenes}),
        "training": recipe.training.model_copy(update={"workers": 0, "batch": 2}),
    }
    with caplog.at_level("INFO", "astrogalaxy"):
        trained = train(recipe.model_copy(update=small))
    assert trained.weights.card.pixel_scale == (0.227, 0.6), "the field's 0.25 arcsec are known now"
    before, now = (metrics["average_precision"] for metrics in (trained.start, trained.metrics))
    assert now > before - 0.02
    assert f"average precision on the validation: {before:.4f} -> {now:.4f}" in caplog.text
    assert ("average precision fell" in caplog.text) == (now < before)
    # the classes are those that a catalogue has
    told = trained.start["p_galaxy_accuracy"], trained.metrics["p_galaxy_accuracy"]
    assert "p galaxy accuracy on the validation: {:.4f} -> {:.4f}".format(*told) in caplog.text
    assert "y: galaxy accuracy" not in caplog.text


@pytest.mark.parametrize("steps", [5, 20, 150, 1500, 20_000])
def test_the_running_average_fits_into_the_training(steps: int) -> None:
    average = module._average(steps)
    renewed = [step for step in range(steps) if average.should_update(step)]
    assert len(renewed) >= min(steps, 100), "validations differ, be they early or late"
    decay = average._kwargs["avg_fn"](torch.tensor(1.0), torch.tensor(0.0), 1).item()
    assert decay ** sum(step > steps / 2 for step in renewed) < 0.51, "the first half is forgotten"
    assert decay >= 0.5, "no step alone is the end"
    recent = sum(step >= steps - min(0.03 * steps, 300) for step in renewed)
    assert decay**recent > 0.3, "nor are a few"


def test_patience_ends_a_training(
    make_recipe: Make, ended: list[Any], validate_to: Callable[..., list[int]], tmp_path: Path
) -> None:
    """The loss of the validation is made to rise after the second: the weights of then are kept."""
    steps = validate_to(3.0, 2.0, 4.0, 5.0, 6.0)
    recipe = make_recipe(steps=40, validate_every=2, patience=2)
    train(recipe)
    assert steps == [2, 4, 6, 8], "the third and fourth were no better"
    names = {path.name for path in (tmp_path / "runs" / "tiny" / "checkpoints").iterdir()}
    assert {"best.ckpt", "last.ckpt", "stopped-2"} == names
    train(recipe)
    assert steps == [2, 4, 6, 8], "what has stopped is over"
    assert all(np.array_equal(ended[0][name], ended[1][name]) for name in ended[0])


def test_labels_where_there_is_no_light_are_warned_of(survey: SurveyConfig, tmp_path: Path) -> None:
    image = open_field(next(iter(find_fields(survey.images))), survey.images)
    labels = Table.read(tmp_path / "labels.ecsv")
    good = count_labels(str(tmp_path / "labels.ecsv"), image)
    assert good.dark == 0
    assert not good.doubts
    assert np.hypot(*good.shift) < 0.2
    vstack([labels, labels[:3]]).write(tmp_path / "twice.ecsv")
    (doubt,) = count_labels(str(tmp_path / "twice.ecsv"), image).doubts
    assert doubt.startswith("3 labels lie where another one does")
    labels["dec"] += 0.5 / 3600
    labels.write(tmp_path / "beside.ecsv")
    beside = count_labels(str(tmp_path / "beside.ecsv"), image)
    assert beside.shift == pytest.approx((0.0, -0.5 / image.pixel_scale), abs=0.1)
    (doubt,) = beside.doubts
    assert "pixels (x, y) beside the labels" in doubt
    labels["dec"] += 1.5 / 3600  # half the way to the next row of the grid
    labels.write(tmp_path / "shifted.ecsv")
    (doubt,) = count_labels(str(tmp_path / "shifted.ecsv"), image).doubts
    assert "no light" in doubt
