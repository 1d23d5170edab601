"""Trainings that are stopped from outside: what the command says, its exit code, and that the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.config import ClassifierRecipe, RecipeConfig
from astrogalaxy.training.running import interruptions

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
    assert (returned, told) == (code, "stopped; the last checkpoint is kept, and the same command goes on from it\n")


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
    assert told.splitlines()[-1] == "stopped; the last epoch is kept, and the same command goes on from it"
    logs = [path.name for path in (tmp_path / "runs" / "tiny" / "log").iterdir() if path.is_dir()]
    assert [name.startswith("from-") for name in logs] == [True], "the second went on from an epoch of the first"


def test_what_was_no_interruption_is_raised_as_it_was() -> None:
    for error in (SystemExit(1), RuntimeError("out of memory")):
        with pytest.raises(type(error)) as caught, interruptions():
            raise error
        assert caught.value is error
