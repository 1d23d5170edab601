"""Trainings that are stopped from outside: what the command says, its exit code, and that the next one goes on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
from astropy.io import fits
from lightning.pytorch.callbacks import Callback
from PIL import Image as Picture

from astrogalaxy.config import ClassifierRecipe, RecipeConfig
from astrogalaxy.config.documentation import config_rows
from astrogalaxy.errors import RunError
from astrogalaxy.training import train as training
from astrogalaxy.training.checkpoints import FREE_KEYS, WholeCheckpoints, read_checkpoint
from astrogalaxy.training.examples import Example
from astrogalaxy.training.running import held, interruptions
from astrogalaxy.training.train import train

Make = Callable[..., RecipeConfig]


def _stopped(recipe: RecipeConfig | ClassifierRecipe, sign: signal.Signals, folder: Path) -> tuple[int, str]:
    """Train in a process group of its own until there is a checkpoint, then send the signal to all of it."""
    (folder / "recipe.yml").write_text(recipe.to_yaml())
    command = [sys.executable, "-m", "astrogalaxy", "train", "recipe.yml"]
    # in the background of a shell the signal may be ignored, and would be so in the process, too
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    last = Path(recipe.output.directory) / recipe.name / "checkpoints" / "last.ckpt"
    begin = time.time()
    while process.poll() is None and time.time() < begin + 300:
        if last.is_file() and last.stat().st_mtime > begin:
            break
        time.sleep(0.05)
    os.killpg(process.pid, sign)
    told, _ = process.communicate(timeout=120)
    assert last.is_file(), told
    return process.returncode, told


@pytest.mark.parametrize(("sign", "code", "workers"), [(signal.SIGINT, 130, 0), (signal.SIGTERM, 143, 1)])
def test_a_detector_s_training(
    make_recipe: Make, tmp_path: Path, sign: signal.Signals, code: int, workers: int
) -> None:
    recipe = make_recipe(steps=100_000, validate_every=2, crop=32, workers=workers)
    returned, told = _stopped(recipe, sign, tmp_path)
    assert (returned, told) == (code, "stopped; the last checkpoint is kept, and the same command continues from it\n")


@pytest.fixture
def classifier(tmp_path: Path) -> ClassifierRecipe:
    """A recipe of a tiny network that would learn two kinds of pictures for hours."""
    rng = np.random.default_rng(0)
    for kind, value in (("bright", 200), ("dark", 20)):
        (tmp_path / "kinds" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = np.full((32, 32, 3), value) + rng.integers(-9, 9, (32, 32, 3))
            Picture.fromarray(pixels.astype(np.uint8)).save(tmp_path / "kinds" / kind / f"{kind}{number}.png")
    settings = {
        "name": "tiny", "task": "morphology", "data": [{"format": "folders", "path": "kinds"}], "input": {"side": 32},
        "model": {"architecture": "average-pool-cnn", "options": {"channels": 8, "blocks": 2, "dense": 8}},
        "training": {"epochs": 100_000, "batch": 8, "restore_best": False}, "output": {"directory": "runs"},
    }  # fmt: skip
    return ClassifierRecipe.from_dict(settings, folder=tmp_path)


def test_a_classifier_s_training_goes_on(classifier: ClassifierRecipe, tmp_path: Path) -> None:
    returned, _ = _stopped(classifier, signal.SIGKILL, tmp_path)
    assert returned == -signal.SIGKILL
    returned, told = _stopped(classifier, signal.SIGINT, tmp_path)
    assert returned == 130
    assert told.splitlines()[-1] == "stopped; the last epoch is kept, and the same command continues from it"
    logs = [path.name for path in (tmp_path / "runs" / "tiny" / "log").iterdir() if path.is_dir()]
    assert [name.startswith("from-") for name in logs] == [True], "the second went on from an epoch of the first"


def test_what_was_no_interruption_is_raised_as_it_was() -> None:
    for error in (SystemExit(1), RuntimeError("out of memory")):
        with pytest.raises(type(error)) as caught, interruptions():
            raise error
        assert caught.value is error


class _Stop(Callback):
    """Note the losses of validations, and stop at a step."""

    def __init__(self, step: int | None = None, *, spoil: bool = False) -> None:
        self.step, self.spoil, self.losses = step, spoil, {}

    def on_validation_end(self, trainer: lightning.Trainer, _module: object) -> None:
        self.losses[trainer.global_step] = float(trainer.callback_metrics["val_loss"])

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: object) -> None:
        if trainer.global_step != self.step:
            return
        if not self.spoil:
            raise RuntimeError("the power is gone")
        for parameter in module.parameters():
            parameter.data.fill_(np.nan)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of trainings without their end, graph and calibration."""
    monkeypatch.setattr(training, "finish", lambda *_, **__: None)
    return tmp_path / "runs" / "tiny"


def _best(state: dict[str, Any]) -> dict[str, Any]:
    (known,) = [known for known in state["callbacks"].values() if "best_model_path" in known]
    return known


def test_the_best_is_remembered_wherever_its_folder_is(make_recipe: Make, folder: Path) -> None:
    stop = _Stop(6)
    recipe = make_recipe(patience=5)
    with pytest.raises(RuntimeError, match="the power is gone"):
        train(recipe, callbacks=[stop])
    moved = folder.rename(folder.with_name("moved")) / "checkpoints"
    known = _best(WholeCheckpoints(recipe).load_checkpoint(moved / "last.ckpt", weights_only=True))
    assert float(known["best_model_score"]) == pytest.approx(stop.losses[4])
    assert [*known["best_k_models"], known["dirpath"]] == [str(moved / "best.ckpt"), str(moved)]
    moved.parent.rename(folder)
    again = _Stop()
    train(recipe, callbacks=[again])
    assert list(again.losses) == [8, 12], "the validation of the checkpoint is not done twice"


def test_the_last_step_has_a_checkpoint(make_recipe: Make, folder: Path) -> None:
    train(make_recipe(steps=6, patience=5))
    again = _Stop(1)
    train(make_recipe(steps=6, patience=5), callbacks=[again])
    assert not again.losses
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 6


def test_a_new_training_has_no_checkpoints_of_another(make_recipe: Make, folder: Path) -> None:
    train(make_recipe(steps=4, patience=2))
    (folder / "checkpoints" / "stopped-2").touch()
    train(make_recipe(steps=1, warmup=0, patience=2), resume=False)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]


def test_a_recipe_that_has_changed_is_told_of_and_holds(
    make_recipe: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(make_recipe(steps=4))
    (folder / "recipe.yml").unlink()  # or changed by hand
    train(make_recipe(steps=8, batch=3))
    assert "its checkpoint learned with another training.batch; --no-resume trains" in caplog.text
    train(make_recipe(steps=12, batch=3, learning_rate=0.02, weight_decay=0.5))
    state = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert state["lr_schedulers"][0]["base_lrs"] == [0.02, 0.02]
    assert [group["weight_decay"] for group in state["optimizer_states"][0]["param_groups"]] == [0.5, 0.0]
    caplog.clear()
    train(make_recipe(steps=12, batch=3, learning_rate=0.02, weight_decay=0.5, workers=1, patience=4))
    assert not caplog.text, "what does not change the learning is not told of"


def test_keys_that_are_free_to_change_are_keys_of_recipes() -> None:
    known = {row.key for kind in (RecipeConfig, ClassifierRecipe) for row in config_rows(kind)}
    assert known >= FREE_KEYS


def test_a_loss_that_is_no_number_ends_the_training(make_recipe: Make, folder: Path) -> None:
    with pytest.raises(RunError, match=r"tiny: train_loss is nan after step 8; lower training\.learning_rate"):
        train(make_recipe(), callbacks=[_Stop(5, spoil=True)])
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 4


def test_one_training_at_a_time(make_recipe: Make, folder: Path) -> None:
    left = folder / "checkpoints" / ".last.ckpt.abcdefgh.part"
    left.mkdir(parents=True)
    with held(folder), pytest.raises(RunError, match="tiny: another run is at work in this directory"):
        train(make_recipe())
    assert not left.exists(), "what a killed one was writing is removed"


def test_a_full_disk_costs_no_checkpoint(make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _content: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    last = tmp_path / "checkpoints" / "last.ckpt"
    writer = WholeCheckpoints(make_recipe())
    writer.save_checkpoint({"global_step": 4}, last)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match=r"cannot write .*last\.ckpt: No space left on device"):
        writer.save_checkpoint({"global_step": 8}, last)
    assert read_checkpoint(last)["global_step"] == 4


def test_labels_that_have_changed_are_learned_from(
    make_recipe: Make, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fits.writeto(tmp_path / "f-r.fits", np.random.default_rng(0).normal(10, 1, (80, 90)).astype(np.float32))
    labels = tmp_path / "t.csv"
    labels.write_text("x,y,class\n30,20,star\n50,40,galaxy\n")
    images = {"path": "f-{band}.fits", "bands": ["r"]}
    data = {"labels": [{"images": images, "truth": "t.csv", "region": [0, 90, 0, 80]}]}
    train(make_recipe(data=data, steps=2, crop=32))
    labels.write_text("x,y,class\n30,20,star\n50,40,galaxy\n60,60,galaxy\n")
    os.utime(labels, (time.time() + 5,) * 2)
    train(make_recipe(data=data, steps=4, crop=32))
    assert len(Example.load(folder / "examples" / "labels-0.npy").sources) == 3
    assert "tiny: its checkpoint learned from other examples" in caplog.text
