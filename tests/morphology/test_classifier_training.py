"""Training of classifiers: resuming, stopping, seeds, losses, schedules, augmentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image as Picture

from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.config.classifier import AugmentationSection
from astrogalaxy.datasets.pictures import PictureFiles
from astrogalaxy.errors import ConfigError, ImageError, RunError, WeightsError
from astrogalaxy.models import load_classifier
from astrogalaxy.morphology import Classifier
from astrogalaxy.morphology.classifier import probabilities
from astrogalaxy.morphology.export import network_of
from astrogalaxy.morphology.framing import measured_frame
from astrogalaxy.morphology.pictures import FIELD_OF_VIEW
from astrogalaxy.training.checkpoints import read_checkpoint
from astrogalaxy.training.classifier import pictures
from astrogalaxy.training.classifier.augment import augment, mix
from astrogalaxy.training.classifier.finish import fit_temperature, logits_of
from astrogalaxy.training.classifier.module import class_loss, distillation_loss, learning_rate
from astrogalaxy.training.classifier.pictures import EpochSampler, open_bank
from astrogalaxy.training.classifier.train import train_classifier
from astrogalaxy.training.scores.classifiers import evaluate_classifier
from tests.morphology.conftest import SMALL

Make = Callable[..., ClassifierRecipe]


class _Stop(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("the power is gone")


def _tensors(recipe: ClassifierRecipe) -> dict[str, np.ndarray]:
    return load_classifier(Path(recipe.output.directory) / recipe.name / f"{recipe.name}.safetensors").tensors


def test_an_interrupted_training_ends_as_one_that_was_not(make_classifier: Make) -> None:
    changes = {"augmentation": {"rotation": 90, "noise": 0.1, "mix_up": 0.3}, "training": {"epochs": 3}}
    whole = make_classifier("whole", **changes)
    train_classifier(whole)
    halves = make_classifier("halves", **changes)
    with pytest.raises(RuntimeError, match="the power is gone"):
        train_classifier(halves, callbacks=[_Stop(2)])
    train_classifier(halves)
    first, second = _tensors(whole), _tensors(halves)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    curves = evaluate_classifier(halves).curves["val_loss"]
    assert [epoch for epoch, _ in curves] == [0, 1, 2], "the log goes on"


def test_a_finished_training_is_only_calibrated_again(make_classifier: Make, tmp_path: Path) -> None:
    recipe = make_classifier()
    before = train_classifier(recipe).weights.card
    seconds = tmp_path / "runs" / "tiny" / "seconds.txt"
    (tmp_path / "old").hardlink_to(seconds)
    after = train_classifier(recipe, callbacks=[_Stop(0)]).weights.card
    assert (after.sha256, after.epochs, after.seconds) == (before.sha256, 2, before.seconds)
    assert not seconds.samefile(tmp_path / "old"), "it is whole or not there: a half of it cannot be read"
    with pytest.raises(RuntimeError, match="the power is gone"):
        train_classifier(recipe, resume=False, callbacks=[_Stop(0)])


def test_a_checkpoint_of_another_network(make_classifier: Make) -> None:
    train_classifier(make_classifier(training={"epochs": 1}))
    with pytest.raises(ConfigError, match="is of another network"):
        train_classifier(make_classifier(model={"hidden": 4}))
    checkpoint = Path(make_classifier().output.directory) / "tiny" / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(RunError, match="cannot be read"):
        train_classifier(make_classifier())


def test_a_checkpoint_of_other_classes(make_classifier: Make, kinds: Path) -> None:
    recipe = make_classifier(data=[{"format": "folders", "path": str(kinds)}], training={"epochs": 1})
    train_classifier(recipe)
    (kinds / "bright").rename(kinds / "shining")
    with pytest.raises(ConfigError, match="learned to tell bright, dark apart, and the recipe's data have dark, shini"):
        train_classifier(recipe)
    train_classifier(recipe, resume=False)


def test_a_classifier_s_recipe_that_has_changed_is_told_of_and_holds(
    make_classifier: Make, caplog: pytest.LogCaptureFixture
) -> None:
    train_classifier(make_classifier(training={"epochs": 1}))
    recipe = make_classifier(training={"epochs": 2, "learning_rate": 0.02}, augmentation={"flip": True})
    train_classifier(recipe)
    assert "its checkpoint learned with another augmentation.flip, training.learning_rate; --no-resume" in caplog.text
    last = Path(recipe.output.directory) / "tiny" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["lr_schedulers"][0]["base_lrs"] == [0.02]


def test_a_classifier_s_loss_that_is_no_number_ends_the_training(make_classifier: Make) -> None:
    class Spoil(Callback):
        def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
            if trainer.current_epoch == 1:
                next(module.parameters()).data.fill_(np.nan)

    recipe = make_classifier(training={"epochs": 3, "patience": 1})
    with pytest.raises(RunError, match=r"tiny: train_loss is nan after step \d+; lower training\.learning_rate"):
        train_classifier(recipe, callbacks=[Spoil()])
    assert train_classifier(recipe).weights.card.epochs == 3, "it goes on from the epoch before"


@pytest.mark.parametrize(
    ("key", "value"),
    [("input.side", 48), ("input.normalise", "unit"), ("data.centre", 0.5), ("evaluation.views", 8)],
)
def test_a_network_is_measured_with_the_input_that_it_knows(
    make_classifier: Make, sample: Path, key: str, value: float | str
) -> None:
    train_classifier(make_classifier(training={"epochs": 1}))
    section, name = key.split(".")
    changed: dict[str, Any] = {section: {name: value}}
    if section == "data":
        changed = {"data": [{"format": "galaxyzoo", "path": str(sample), name: value}]}
    other = make_classifier(training={"epochs": 1}, **changed)
    with pytest.raises(RunError, match=rf"was trained with {key}: .*, and the recipe has {value}; train anew"):
        evaluate_classifier(other)
    if section != "evaluation":  # copies only calibrate
        with pytest.raises(ConfigError, match="learned with another input or data.centre"):
            train_classifier(other)
    assert train_classifier(make_classifier()).weights.card.epochs == 2, "the refused call changed nothing"


def test_the_card_says_how_many_trained(make_classifier: Make) -> None:
    card = train_classifier(make_classifier(training={"epochs": 1}), command="astrogalaxy train").weights.card
    assert card.data[0].endswith(", of which 16 train and 4 validate")
    assert (card.data[1], card.licence) == ("terms of the data of tiny: not stated", "not stated")
    assert card.metrics_command == "astrogalaxy train (what does not train)"


def test_patience(make_classifier: Make) -> None:
    settings = {"epochs": 9, "learning_rate": 1e-9, "optimiser": "sgd", "patience": 1, "patience_from": 2}
    recipe = make_classifier(training=settings | {"monitor": "accuracy"})
    assert train_classifier(recipe).weights.card.epochs < 9
    assert train_classifier(recipe, callbacks=[_Stop(0)]).weights.card.epochs < 9, "it stays so"


def test_several_seeds(make_classifier: Make) -> None:
    recipe = make_classifier(seeds=2, training={"epochs": 1})
    train_classifier(recipe)
    score = evaluate_classifier(recipe)
    assert (score.seeds, len(score.accuracies)) == (2, 2)
    files = [Path(recipe.output.directory) / recipe.folder(seed) / "tiny.safetensors" for seed in (1, 2)]
    assert load_classifier(files[0]).card.sha256 != load_classifier(files[1]).card.sha256


def test_the_served_network_is_the_trained_one(make_classifier: Make) -> None:
    recipe = make_classifier(output={"graph": True}, training={"epochs": 1}, evaluation={"views": 8})
    weights = train_classifier(recipe).weights
    pictures = np.array(open_bank(recipe).pictures[:5])
    served = Classifier(weights, threads=1)(pictures)
    logits = logits_of(network_of(weights), pictures, weights.card.normalise, copies=8)
    np.testing.assert_allclose(served, probabilities(logits, weights.card.temperature).mean(0), atol=1e-5)
    assert served.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"training": {"batch": 1}}, r"average-pool-cnn cannot learn from pictures of 32 pixels, 1 in a step; change"),
        (
            {"model": {"architecture": "vgg11", "options": {"mlp_ratio": 0.01}}, "input": {"side": 16}},
            "of 16 pixels, 8",
        ),
        ({"model": {"architecture": "vit-small", "options": SMALL["vit"], "attention": "cbam"}}, "with attention cbam"),
        ({"model": {"weights": "nosuch.pt"}}, r"model\.weights: .*nosuch\.pt: no such file"),
        ({"training": {"distillation": {"teacher": "nobody"}}}, "the teacher nobody is not trained yet"),
    ],
)
def test_a_network_that_cannot_learn_is_refused_before_pictures_are_made(
    make_classifier: Make, tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, RunError), match=message):
        train_classifier(make_classifier(**sections))
    assert not (tmp_path / "runs").exists()


def test_a_file_that_holds_no_weights(make_classifier: Make, tmp_path: Path) -> None:
    (tmp_path / "some.pt").write_text("import this\n")
    with pytest.raises(WeightsError, match=r"some\.pt: cannot be read as safetensors or as a state dict of PyTorch$"):
        train_classifier(make_classifier(model={"weights": "some.pt"}))


def test_clusters_need_class_tokens(make_classifier: Make) -> None:
    with pytest.raises(ConfigError, match="has no class tokens"):
        train_classifier(make_classifier(training={"objective": "clusters"}))


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    """A folder of two classes with 15 pictures each."""
    folder = tmp_path / "kinds"
    for kind, value in (("bright", 200), ("dark", 20)):
        (folder / kind).mkdir(parents=True)
        for number in range(1, 16):
            Picture.fromarray(np.full((32, 32, 3), value + number, np.uint8)).save(folder / kind / f"{number}.png")
    return folder


def _of_folder(make_classifier: Make, folder: Path) -> ClassifierRecipe:
    return make_classifier(data=[{"format": "folders", "path": str(folder)}])


def test_kept_pictures_are_those_of_the_files(make_classifier: Make, kinds: Path) -> None:
    recipe = _of_folder(make_classifier, kinds)
    before = open_bank(recipe)
    Picture.new("RGB", (32, 32), "white").save(kinds / "dark" / "3.png")
    after = open_bank(recipe)
    assert before.pictures[23].max() < 100
    assert after.pictures[23].min() == 255
    (kinds / "dark" / "3.png").write_bytes(b"damaged")
    assert len(open_bank(recipe).pictures) == 29


_READ = PictureFiles.__call__


def _drawn(folder: Path, size: float) -> Path:
    """Twenty pictures in two classes; `size` is the scale length in pixels, of 128."""
    away = np.hypot(*(np.mgrid[:128, :128] - 63.5))
    for kind, light in (("bright", 220), ("dark", 120)):
        (folder / kind).mkdir(parents=True)
        for number in range(10):
            picture = (light * np.exp(-away / (size + 0.1 * number))).astype(np.uint8)
            Picture.fromarray(np.dstack([picture] * 3)).save(folder / kind / f"{kind}{number}.png")
    return folder


def test_the_width_of_own_pictures_is_measured(make_classifier: Make, tmp_path: Path) -> None:
    """The card said 19.5 of all, and a survey cut its galaxies too wide or too narrow."""
    wide, narrow = (
        train_classifier(_of_folder(make_classifier, _drawn(tmp_path / name, size))).weights.card
        for name, size in (("wide", 6), ("narrow", 12))
    )
    assert wide.field_of_view / narrow.field_of_view == pytest.approx(2, rel=0.15)
    frames = [measured_frame(np.asarray(Picture.open(path))) for path in (tmp_path / "narrow").rglob("*.png")]
    assert narrow.field_of_view == pytest.approx(np.median(frames), rel=0.05)


def test_the_width_of_own_pictures_may_be_known(make_classifier: Make, tmp_path: Path) -> None:
    folder = _drawn(tmp_path / "own", 12)
    data = {"format": "folders", "path": str(folder), "width": 9.5, "centre": 0.5}
    assert train_classifier(make_classifier(data=[data])).weights.card.field_of_view == 4.75
    assert train_classifier(make_classifier("zoo")).weights.card.field_of_view == FIELD_OF_VIEW


def test_own_pictures_that_are_not_square_are_told_of(
    make_classifier: Make, kinds: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        Picture.new("RGB", (40, 32), "white").save(kinds / "dark" / f"{number}.png")
    open_bank(_of_folder(make_classifier, kinds))
    assert caplog.text.count("2 of 30 cutouts are not square") == 1


def test_a_width_that_cannot_be_measured(make_classifier: Make, kinds: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert open_bank(_of_folder(make_classifier, kinds)).width == FIELD_OF_VIEW
    assert "no galaxy is seen in the middle of the pictures; the weight card says 19.5 half-light radii" in caplog.text


def _read_but_the_fifth(files: PictureFiles, index: int) -> np.ndarray:
    """Instead of `_READ`, while a disk is away."""
    if index == 4:
        raise ImageError("the disk is away")
    return _READ(files, index)


def test_what_could_not_be_read_once_is_read_when_it_can_be(
    make_classifier: Make, kinds: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = _of_folder(make_classifier, kinds)
    monkeypatch.setattr(PictureFiles, "__call__", _read_but_the_fifth)
    assert [len(open_bank(recipe).pictures) for _ in range(2)] == [29, 29]
    assert caplog.text.count("the disk is away; left out") == 2, "it is told each time"
    monkeypatch.setattr(PictureFiles, "__call__", _READ)
    assert len(open_bank(recipe).pictures) == 30


def test_pictures_that_are_made_anew_leave_no_old_rows(
    make_classifier: Make, kinds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _of_folder(make_classifier, kinds)
    monkeypatch.setattr(PictureFiles, "__call__", _read_but_the_fifth)
    wanted = np.array(open_bank(recipe).pictures)

    def until_rows_are_written(path: Path, _text: str) -> None:
        assert path.name == "index.json"
        raise KeyboardInterrupt

    with monkeypatch.context() as there:
        there.setattr(PictureFiles, "__call__", _READ)
        there.setattr(pictures, "write_text", until_rows_are_written)
        with pytest.raises(KeyboardInterrupt):
            open_bank(recipe)
    np.testing.assert_array_equal(open_bank(recipe).pictures, wanted, "the disk is away again")


def test_parts_that_say_little_are_warned_of(
    make_classifier: Make, kinds: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        (kinds / "dark" / f"{number + 20}.png").write_bytes((kinds / "dark" / "3.png").read_bytes())
    names = [f"{number},{part}" for part, numbers in _PARTED.items() for number in numbers]
    split = kinds.parent / "split.csv"
    split.write_text("\n".join(["name,part", *names]))
    data = [{"format": "folders", "path": str(kinds), "split": str(split)}]
    with caplog.at_level("INFO"):
        open_bank(make_classifier(data=data))
    assert "train, validate and test: bright 6, 3, 3; dark 6, 4, 4; 6 pictures are in no part" in caplog.text
    assert "only 7 pictures are in the part test" in caplog.text
    assert caplog.text.count("1 pictures of the part") == 2, "a copy in each part"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Bright ", "the classes Bright  and bright would share the column p_bright"),
        ("тень", "has no ASCII letter"),
        ("Star", "its class Star would take the place of p_star, .*; rename it"),
    ],
)
def test_classes_that_cannot_be_columns(make_classifier: Make, kinds: Path, name: str, message: str) -> None:
    (kinds / "dark").rename(kinds / name)
    with pytest.raises(ConfigError, match=rf"data\.path: .*{message}"):
        open_bank(_with_graph(_of_folder(make_classifier, kinds), graph=True))


def test_what_is_not_for_surveys_may_tell_stars(make_classifier: Make, kinds: Path) -> None:
    (kinds / "dark").rename(kinds / "star")
    bank = open_bank(_with_graph(_of_folder(make_classifier, kinds), graph=False))
    assert bank.classes == ("bright", "star")


def _with_graph(recipe: ClassifierRecipe, *, graph: bool) -> ClassifierRecipe:
    return recipe.model_copy(update={"output": recipe.output.model_copy(update={"graph": graph})})


# two of them are copies of 3
_PARTED = {"train": range(1, 7), "val": [7, 8, 9, 21], "test": [10, 11, 12, 22]}


def test_a_picture_that_is_added_keeps_its_own_label(make_classifier: Make, kinds: Path) -> None:
    folder, recipe = kinds, _of_folder(make_classifier, kinds)
    open_bank(recipe)
    Picture.fromarray(np.full((32, 32, 3), 200, np.uint8)).save(folder / "bright" / "0.png")
    bank = open_bank(recipe)
    assert len(bank.pictures) == 31
    np.testing.assert_array_equal(bank.pictures[:, 0, 0, 0] > 100, bank.shares[:, 0] == 1)


def test_no_data(make_classifier: Make, tmp_path: Path) -> None:
    data = [{"format": "galaxy10", "path": "a.h5"}, {"format": "efigi", "path": "b"}]
    with pytest.raises(ConfigError, match=r"a\.h5, galaxy10 from https://zenodo.*b, efigi from https"):
        open_bank(make_classifier(data=data))


def test_the_order_of_pictures_is_one_of_seed_and_epoch() -> None:
    labels = np.array([0] * 18 + [1] * 2)
    sampler = EpochSampler(labels, seed=1)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(first) == list(range(20))
    sampler.set_epoch(1)
    assert first != list(sampler)
    balanced = EpochSampler(labels, seed=1, balanced=True)
    drawn = np.concatenate([(balanced.set_epoch(n), list(balanced))[1] for n in range(50)])
    assert labels[drawn].mean() == pytest.approx(0.5, abs=0.05)


def test_losses() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    hard = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    each = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 0]), reduction="none")
    assert class_loss(logits, hard) == pytest.approx(each.mean().item())
    both = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weighed = class_loss(logits, both, weights=torch.tensor([3.0, 1.0]))
    given = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]), weight=torch.tensor([3.0, 1.0]))
    assert weighed == pytest.approx(given.item())
    smooth = class_loss(logits, hard, smoothing=0.2)
    given = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 0]), label_smoothing=0.2)
    assert smooth == pytest.approx(given.item())
    assert distillation_loss(logits, logits, temperature=4.0) == pytest.approx(0, abs=1e-6)
    assert distillation_loss(logits, -logits, temperature=4.0) > 0


def test_schedules(make_classifier: Make) -> None:
    def rate(step: int, **training: Any) -> float:
        return learning_rate(make_classifier(training=training), step, 100)

    assert rate(10_000, schedule="exponential", decay=0.01) == pytest.approx(0.01), "as the MobileViT paper has it"
    assert rate(1000, schedule="inverse", decay=0.001) == pytest.approx(0.5), "as Keras has it"
    assert rate(100, schedule="cosine", learning_rate=5e-4, lowest_rate=1e-6) == pytest.approx(1e-6 / 5e-4)
    assert rate(77, schedule="constant") == 1


def test_augmentation_is_a_function_of_the_generator_alone() -> None:
    images = torch.rand(4, 3, 16, 16)

    def changed(seed: int, **settings: Any) -> torch.Tensor:
        return augment(images, AugmentationSection(**settings), torch.Generator().manual_seed(seed))

    settings = {"rotation": 20.0, "flip": True, "zoom": 0.3, "shear": 0.3, "shift": 0.1, "noise": 0.1}
    assert torch.equal(changed(1, **settings), changed(1, **settings))
    assert not torch.equal(changed(1, **settings), changed(2, **settings))
    assert torch.equal(changed(1), images), "nothing asked for, nothing changed"
    flipped = changed(3, flip=True)
    for image, was in zip(flipped, images, strict=True):
        ways = [was, was.flip(1), was.flip(2), was.flip(1, 2)]
        assert any(torch.allclose(image, way, atol=1e-4) for way in ways), "a flip loses nothing"


def test_mixed_labels_follow_the_pixels() -> None:
    images = torch.stack([torch.full((3, 8, 8), float(n)) for n in range(2)])
    shares = torch.eye(2)
    for kind in ("mix_up", "cut_mix"):
        for seed in range(8):
            settings = AugmentationSection(**{kind: 1.0})
            mixed, labels = mix(images, shares, settings, torch.Generator().manual_seed(seed))
            assert torch.allclose(labels.sum(1), torch.ones(2))
            torch.testing.assert_close(mixed.mean((1, 2, 3)), labels[:, 1], msg=kind)


def test_a_few_right_answers_do_not_make_sure(caplog: pytest.LogCaptureFixture) -> None:
    logits, answers = np.array([[[0.28, 0.0]] * 6]), np.array([[1.0, 0.0]] * 6)
    p = probabilities(logits, fit_temperature(logits, answers)).max()
    assert 0.57 < p < 7 / 8, "no surer than 6 of 6 allow"
    assert not caplog.text
    fit_temperature(np.repeat(logits / 10, 100, axis=1), np.repeat(answers, 100, axis=0))
    assert "0.05 is at an end of its range: probabilities are not calibrated by 600 answers" in caplog.text


def test_temperature_makes_sure_answers_less_sure() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 500)
    right = rng.random(500) < 0.7
    logits = 6.0 * np.where((truth == 1) == right, 1, -1)[:, None] * np.array([-0.5, 0.5])
    temperature = fit_temperature(logits[None], np.eye(2)[truth])
    assert probabilities(logits, temperature).max(1).mean() == pytest.approx(right.mean(), abs=0.01)
