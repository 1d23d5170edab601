"""Tests of astrogalaxy.training.train and module: whole trainings, as small as they can be."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from astrogalaxy.config import RecipeConfig
from astrogalaxy.datasets.splits import part_of
from astrogalaxy.detection import Runtime, find
from astrogalaxy.detection.export import network_tensors
from astrogalaxy.detection.loss import LossWeights, Targets, multitask_loss
from astrogalaxy.errors import AstrogalaxyError, ConfigError, RunError
from astrogalaxy.images import Image
from astrogalaxy.models import HEADS, JOINED, Architecture, Weights, load_weights
from astrogalaxy.training import finish as finishing
from astrogalaxy.training import train as module
from astrogalaxy.training.checkpoints import read_checkpoint
from astrogalaxy.training.crops import Batch, CropStream
from astrogalaxy.training.finish import Trained, recalibrate
from astrogalaxy.training.galaxies import GalaxyBank
from astrogalaxy.training.module import AstroYoloTrainer
from astrogalaxy.training.running import Run
from astrogalaxy.training.schedule import Head, Phase, Schedule
from astrogalaxy.training.train import train

Make = Callable[..., RecipeConfig]


class _Watch(Callback):
    """Remember the steps, and stop at one of them if asked to."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.steps = stop, []

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.steps.append(trainer.global_step)
        if trainer.global_step == self.stop:
            raise RuntimeError("the power is gone")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Leave out the end of a training, graph and calibration; keep the network it would be done with."""
    ended: list[Any] = []

    def finish(recipe: RecipeConfig, network: Any, *_: Any, **__: Any) -> Trained:
        ended.append(network_tensors(network))
        return Trained(None, Path(), {})  # type: ignore[arg-type]

    monkeypatch.setattr(module, "finish", finish)
    return ended


def _same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(value, second[name]) for name, value in first.items())


def test_a_whole_training(make_recipe: Make, tmp_path: Path) -> None:
    data = {"simulation": {"scenes": 2, "validation": 2, "size": 128, "surveys": {"hsc": 1.0}}}
    recipe, watch = make_recipe(data=data), _Watch()
    made: list[tuple[int, int]] = []
    trained = train(recipe, command="by hand", progress=lambda *n: made.append(n), callbacks=[watch])
    folder = tmp_path / "runs" / "tiny"
    assert watch.steps == list(range(1, 13))
    assert made[-1] == (4, 4)
    assert trained.folder == folder
    assert trained.weights.path == folder / "tiny.safetensors"
    assert RecipeConfig.read(folder / "recipe.yml") == recipe
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    with (folder / "log" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"val_loss", "val_source"} <= rows[0].keys()
    assert sum(bool(row["val_loss"]) for row in rows) == 3, "every four steps"
    # the weight file is whole, and runs
    weights = load_weights(folder / "tiny.safetensors")
    card = weights.card
    assert (card.name, card.command, card.size, card.levels) == ("tiny", "by hand", "nano", (4, 8, 16))
    assert set(HEADS) <= set(card.calibration) <= {*HEADS, *JOINED}
    assert card.metrics == trained.metrics
    assert card.data == ("2 GalSim scenes like hsc", "terms of the data of tiny: not stated")
    assert card.licence == "not stated"
    assert card.pixel_scale == (0.13, 0.2)
    assert card.seeing == (2.2, 7.4)
    sky = np.random.default_rng(0).normal(100, 1, (3, 96, 96)).astype(np.float32)
    found = find(Image.read(dict(zip("gri", sky, strict=True))), Runtime(weights, device="cpu", threads=1), threshold=0)
    assert np.isfinite(found.det_score).all()
    # calibrated anew on the same scenes, nothing changes
    anew = recalibrate(weights, recipe, tmp_path / "anew.safetensors").weights.card
    assert (anew.sha256, anew.calibration, anew.metrics) == (card.sha256, card.calibration, card.metrics)
    # once more: nothing is trained, the result is the same
    again = train(recipe, callbacks=[watch])
    assert watch.steps == list(range(1, 13))
    assert again.weights.card.sha256 == card.sha256


def test_an_interrupted_training_goes_on(make_recipe: Make, tmp_path: Path, quick: list[Any]) -> None:
    recipe = make_recipe()
    first = _Watch(stop=6)
    with pytest.raises(RuntimeError, match="the power is gone"):
        train(recipe, callbacks=[first])
    assert first.steps == [1, 2, 3, 4, 5, 6]
    assert not quick
    second = _Watch()
    train(recipe, callbacks=[second])
    assert second.steps == list(range(5, 13)), "on from the last checkpoint"
    folder = tmp_path / "runs" / "tiny"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    assert (folder / "log" / "metrics.csv").is_file(), "the first log is kept"
    assert (folder / "log" / "from-4" / "metrics.csv").is_file()


def test_a_resumed_training_sees_other_crops(
    make_recipe: Make, quick: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    kinds: list[set[str]] = []
    plain = CropStream.__init__

    def watch(self: CropStream, paths: list[Path], *args: Any, **options: Any) -> None:
        seeds.append(options["seed"])
        kinds.append({path.name.split("-")[0] for path in paths})
        plain(self, paths, *args, **options)

    monkeypatch.setattr(CropStream, "__init__", watch)
    train(make_recipe(steps=4, seed=11))
    train(make_recipe(steps=8, seed=11))
    assert seeds[0] == 11
    assert seeds[4] == 11 + 4
    assert seeds[1] == seeds[2] == seeds[5] == seeds[6] != seeds[0], "validation is always the same"
    assert seeds[3] == seeds[7], "and so is what normalisation is measured on"
    assert kinds == [{"scene"}, {"val"}, {"val"}, {"scene"}] * 2


def test_from_the_start_if_so_wished(make_recipe: Make, tmp_path: Path, quick: list[Any]) -> None:
    train(make_recipe(steps=4))
    watch = _Watch()
    train(make_recipe(steps=4), resume=False, callbacks=[watch])
    assert watch.steps == [1, 2, 3, 4]
    assert _same(*quick), "and the same seed makes the same network"
    assert [path.name for path in (tmp_path / "runs" / "tiny" / "checkpoints").iterdir()] == ["last.ckpt"]
    train(make_recipe(steps=4, seed=5), resume=False)
    assert not _same(quick[0], quick[2])


def test_a_finished_training_keeps_its_averaged_weights(make_recipe: Make, tmp_path: Path, quick: list[Any]) -> None:
    """The checkpoint holds the last weights too; they are not those that are published."""
    train(make_recipe(steps=4))
    train(make_recipe(steps=4))
    assert _same(*quick)
    state = read_checkpoint(tmp_path / "runs" / "tiny" / "checkpoints" / "last.ckpt")
    name = "detection.branches.0.3.weight"
    last, averaged = (state[key][f"network.{name}"].numpy() for key in ("current_model_state", "state_dict"))
    np.testing.assert_array_equal(quick[0][name], averaged)
    assert not np.array_equal(averaged, last)


def test_each_part_of_a_set_is_used_for_what_it_is(
    make_recipe: Make, paper_sets: dict[str, Any], tmp_path: Path
) -> None:
    data = module._prepared(make_recipe(data=paper_sets), tmp_path / "examples", None)
    for part in ("train", "val"):
        bank = GalaxyBank.load(getattr(data, part).galaxies)
        assert {part_of(name) for name in bank.names} == {part}
        assert {path.parent.name for path in getattr(data, part).fields} == {part}


def test_a_training_takes_the_cores_that_it_is_given(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a batch job, say, of a machine with many more."""
    given: list[int] = []
    monkeypatch.setattr("dask.system.CPU_COUNT", 3)
    monkeypatch.setattr(module, "prepare", lambda *_, workers, **__: given.append(workers))
    module._prepared(make_recipe(workers=2), tmp_path, None)
    module._prepared(make_recipe(workers=0), tmp_path, None)
    assert given == [3, 0]


def test_lightning_shows_no_bar_of_its_own(make_recipe: Make, tmp_path: Path) -> None:
    assert module._trainer(make_recipe(), Run(tmp_path, callbacks=[_Watch()]), 0).progress_bar_callback is None
    bar = TQDMProgressBar()
    assert module._trainer(make_recipe(), Run(tmp_path, callbacks=[bar]), 0).progress_bar_callback is bar


def test_checkpoints_that_do_not_fit(make_recipe: Make, tmp_path: Path, quick: list[Any]) -> None:
    last = tmp_path / "runs" / "tiny" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match=r"last\.ckpt: cannot be read .*; remove it to train from the start"):
        train(make_recipe())
    other = AstroYoloTrainer(Architecture("tiny"), steps=1)
    torch.save({"state_dict": other.state_dict(), "global_step": 4}, last)
    with pytest.raises(ConfigError, match=r"last\.ckpt: is of another network than the recipe's"):
        train(make_recipe())
    assert not quick


@pytest.mark.parametrize(
    ("start", "message"),
    [("nosuch", "nosuch: no such weights"), ("default", r"model\.start: astroyolo-nano has .*make them equal")],
)
def test_a_start_is_looked_at_before_examples_are_made(
    make_recipe: Make, tmp_path: Path, start: str, message: str
) -> None:
    recipe = make_recipe()
    model = recipe.model.model_copy(update={"start": start, "inputs": 5})
    with pytest.raises(AstrogalaxyError, match=message):
        train(recipe.model_copy(update={"model": model}))
    assert not (tmp_path / "runs" / "tiny" / "examples").exists()


def test_labels_alone_are_enough(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without validation scenes the weights are written, and say that they are not calibrated."""
    sky = np.random.default_rng(0).normal(10, 1, (80, 90)).astype(np.float32)
    np.testing.assert_equal(sky.shape, (80, 90))
    from astropy.io import fits

    fits.writeto(tmp_path / "f-r.fits", sky)
    (tmp_path / "t.csv").write_text("x,y,class\n30,20,star\n50,40,galaxy\n")
    images = {"path": "f-{band}.fits", "bands": ["r"]}
    data = {"labels": [{"images": images, "truth": "t.csv", "region": [0, 90, 0, 80]}]}
    monkeypatch.setattr(finishing, "network_graph", lambda _network: b"none")
    trained = train(make_recipe(data=data, steps=2, validate_every=2, crop=32))
    assert trained.metrics == {}
    assert trained.weights.card.threshold == 0.5
    assert "not calibrated" in caplog.text
    assert trained.weights.card.data[0] == "labels of t.csv, part train"


def test_an_interruption_leaves_no_weights_that_are_not_calibrated(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(weights: Weights, scenes: list[Any], **_: Any) -> None:
        assert len(scenes) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(finishing, "network_graph", lambda _network: b"none")
    monkeypatch.setattr(finishing, "calibrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(make_recipe(steps=2, validate_every=2))
    assert not (tmp_path / "runs" / "tiny" / "tiny.safetensors").exists()


def test_saving_does_not_depend_on_training_being_over(tmp_path: Path) -> None:
    """The state that a weight file holds has no counters of training."""
    names = network_tensors(AstroYoloTrainer(Architecture(), steps=1).network)
    assert not [name for name in names if "num_batches" in name]


def test_the_learning_rate_rises_and_falls() -> None:
    trainer = AstroYoloTrainer(Architecture(), steps=100, warmup=10)
    rates = [trainer._rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] == pytest.approx(0.01)
    assert AstroYoloTrainer(Architecture(), steps=10, warmup=0)._rate(0) == 1.0


@pytest.fixture
def batch() -> Batch:
    """Noise with a disk galaxy and a star."""
    torch.manual_seed(0)
    boxes, known = torch.tensor([[20.0, 24, 8, 8], [45, 40, 14, 14]]), torch.tensor([1.0, 0.0])
    disk = torch.tensor([1.0, torch.nan])
    return Batch(torch.randn(1, 3, 64, 64), Targets(torch.zeros(2).long(), boxes, known, disk, torch.zeros(2).bool()))


def _step(batch: Batch, **settings: Any) -> tuple[AstroYoloTrainer, torch.Tensor]:
    """A trainer with weights of its own, and its loss of a batch."""
    torch.manual_seed(1)
    trainer = AstroYoloTrainer(steps=1, **{"architecture": Architecture()} | settings)
    trainer.log = trainer.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    return trainer, trainer.training_step(batch, 0)


@pytest.mark.parametrize(
    ("head", "outputs"), [("detection", [0, 1, 2, 3, 4]), ("stargalaxy", [0]), ("morphology", [0])]
)
def test_a_head_learns_from_its_own_part_of_the_loss(batch: Batch, head: Head, outputs: list[int]) -> None:
    other: Head = "morphology" if head == "detection" else "detection"
    trainer, loss = _step(batch, schedule=Schedule([Phase("fields", (head,)), Phase("fields", (other,))]))
    loss.backward()
    learned = {}
    for name in ("detection", "stargalaxy", "morphology"):
        grads = [branch[-1].bias.grad for branch in getattr(trainer.network, name).branches]
        moved = sum(grad.abs() for grad in grads if grad is not None)
        learned[name] = torch.nonzero(torch.as_tensor(moved)).flatten().tolist()
    assert learned == {"detection": [], "stargalaxy": [], "morphology": [], head: outputs}


def test_a_step_has_the_loss_of_its_network(batch: Batch) -> None:
    totals = []
    for one_cell in (False, True):
        shape = replace(Architecture(), one_cell=one_cell)
        weights = LossWeights(2.0, 3.0, 5.0, 7.0)
        trainer, loss = _step(batch, architecture=shape, weights=weights)
        maps = trainer(batch.image)
        wanted = multitask_loss(maps, batch.targets, shape.strides, weights=weights, one_cell=one_cell)["loss"]
        assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-4)
        totals.append(float(loss.detach()))
    assert totals[0] != pytest.approx(totals[1], rel=1e-3)


def test_biases_and_normalisations_are_not_decayed() -> None:
    trainer = AstroYoloTrainer(Architecture(), steps=10, weight_decay=0.1)
    optimizer = trainer.configure_optimizers()["optimizer"]
    decayed, plain = optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert {p.ndim for p in plain["params"]} == {1}
    assert min(p.ndim for p in decayed["params"]) == 4
    assert len(decayed["params"]) + len(plain["params"]) == len(list(trainer.network.parameters()))
