"""``astrogalaxy train`` and ``evaluate`` of classifiers, ``classify`` and ``explain``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image as Picture
from typer.testing import CliRunner, Result

from astrogalaxy.cli import app
from astrogalaxy.errors import ConfigError
from astrogalaxy.models import load_classifier
from astrogalaxy.morphology.export import network_of
from astrogalaxy.survey.explain import explain_file

RECIPE = """\
name: two-kinds
task: morphology
model: {architecture: average-pool-cnn, options: {channels: 4, blocks: 2, dense: 8}}
data: [{format: galaxy10, path: no.h5}, {format: folders, path: kinds}]
input: {side: 32}
training: {epochs: 3, batch: 8, learning_rate: 0.01}
evaluation: {bootstrap: 10}
output: {directory: runs}
"""


def _astrogalaxy(*args: object) -> Result:
    return CliRunner().invoke(app, list(map(str, args)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, class folders with drawings, and the trained classifier."""
    folder = tmp_path_factory.mktemp("cutouts")
    y, x = np.mgrid[:40, :40] - 19.5
    for kind, flat in (("flat", 2.0), ("round", 7.0)):
        (folder / "kinds" / kind).mkdir(parents=True)
        for number in range(20):
            light = np.exp(-((x / 8) ** 2 + (y / flat) ** 2) / 2) * 220
            noisy = light + np.random.default_rng(number).uniform(0, 9, light.shape)
            rgb = np.repeat(noisy[..., None], 3, axis=2).astype(np.uint8)
            Picture.fromarray(rgb).save(folder / "kinds" / kind / f"{kind}-{number}.png")
    (folder / "recipe.yml").write_text(RECIPE)
    done = _astrogalaxy("train", folder / "recipe.yml")
    assert done.exit_code == 0, done.output
    assert "morphology: {model:" in done.output
    assert "started from random numbers" in done.output
    return folder


def _weights(folder: Path) -> Path:
    return folder / "runs" / "two-kinds" / "two-kinds.safetensors"


def test_evaluate(folder: Path) -> None:
    done = _astrogalaxy("evaluate", folder / "recipe.yml")
    assert done.exit_code == 0, done.output
    assert "accuracy (%)" in done.output
    assert "precision" in done.output
    written = folder / "runs" / "two-kinds"
    scores = json.loads((written / "evaluation.json").read_text())["scores"]
    assert [c["name"] for c in scores[0]["test"]["classes"]] == ["flat", "round"]
    assert scores[0]["flops"] > 0
    assert set(scores[0]["milliseconds"]) == {"1", "64"}
    assert "<html" in (written / "evaluation.html").read_text()
    both = _astrogalaxy("evaluate", folder / "recipe.yml", folder / "recipe.yml")
    assert both.exit_code == 0
    assert (folder / "runs" / "evaluation.html").is_file()
    other = folder / "detector.yml"
    other.write_text("name: d\ndata: {phosim: {size: 64}}\n")
    mixed = _astrogalaxy("evaluate", folder / "recipe.yml", other)
    assert isinstance(mixed.exception, ConfigError)
    assert "recipes of one task" in str(mixed.exception)


def test_classify(folder: Path, tmp_path: Path) -> None:
    picture = folder / "kinds" / "round" / "round-0.png"
    with Picture.open(picture) as opened:
        fits.writeto(tmp_path / "one.fits", np.asarray(opened.convert("F")))
    table = tmp_path / "table.csv"
    done = _astrogalaxy("classify", picture, tmp_path / "one.fits", "-o", table, "--model", _weights(folder))
    assert done.exit_code == 0, done.output
    assert "2 of 2 classified" in done.output
    rows = Table.read(table)
    assert {"file", "p_smooth", "p_disk", "p_flat", "p_round", "class"} <= set(rows.colnames)
    np.testing.assert_allclose(rows["p_flat"] + rows["p_round"], 1, atol=1e-5)
    np.testing.assert_allclose(rows["p_smooth"] + rows["p_disk"], 1, atol=1e-5)
    again = _astrogalaxy("classify", picture, tmp_path / "none.jpg", "-o", tmp_path / "t.fits")
    assert again.exit_code == 3
    assert "none.jpg" in again.output
    assert _astrogalaxy("classify", tmp_path / "none.jpg", "-o", tmp_path / "t.ecsv").exit_code == 1
    assert not (tmp_path / "t.ecsv").exists()
    kept = table.read_bytes()
    exists = _astrogalaxy("classify", picture, "-o", table, "--detector", "none", "--model", _weights(folder))
    assert isinstance(exists.exception, ConfigError)
    assert str(exists.exception) == f"{table} exists; give another name with --output, or --force"
    assert exists.exception.page == "reference/commands", "options are not in survey.yml"
    assert table.read_bytes() == kept
    wrong = _astrogalaxy("classify", picture, "-o", tmp_path / "t.txt")
    assert isinstance(wrong.exception, ConfigError)
    again = _astrogalaxy(
        "classify", picture, "-o", table, "--model", _weights(folder), "--force", "--frame", "measured"
    )
    assert again.exit_code == 0, again.output
    assert len(Table.read(table)) == 1
    wrong = _astrogalaxy("classify", picture, "-o", table, "--model", "default", "--force")
    assert isinstance(wrong.exception, ConfigError)
    assert "these weights are for detection" in str(wrong.exception)


def test_a_damaged_file_is_a_row_of_its_own(folder: Path, tmp_path: Path) -> None:
    picture = folder / "kinds" / "round" / "round-0.png"
    Picture.new("L", (20000, 10000)).save(tmp_path / "bomb.png")
    Picture.new("L", (32, 32)).save(tmp_path / "one.gif")
    Picture.new("RGB", (32, 32), "navy").save(tmp_path / "navy.png")
    files = (tmp_path / "bomb.png", tmp_path / "one.gif", tmp_path / "navy.png", picture)
    done = _astrogalaxy("classify", *files, "-o", tmp_path / "t.csv", "--model", _weights(folder))
    assert done.exit_code == 3, done.output
    assert "1 of 4 classified" in done.output
    table = Table.read(tmp_path / "t.csv")
    for text, error in zip(
        ("bomb.png: ", "JPEG, PNG or FITS", "navy.png: no usable pixels"), table["error"][:3], strict=True
    ):
        assert text in error
    assert table["class"][3] in {"flat", "round"}
    shown = _astrogalaxy("explain", *files, "--model", _weights(folder), "-o", tmp_path / "maps", "--maps", "saliency")
    assert shown.exit_code == 3, shown.output
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["round-0.png"]


def test_explain(folder: Path, tmp_path: Path) -> None:
    picture = folder / "kinds" / "round" / "round-0.png"
    done = _astrogalaxy("explain", picture, "--model", _weights(folder), "-o", tmp_path / "maps", "--class", "round")
    assert done.exit_code == 0, done.output
    with Picture.open(tmp_path / "maps" / "round-0.png") as figure:
        assert figure.size[0] > 300
    weights = load_classifier(_weights(folder))
    title = explain_file(picture, network_of(weights), weights.card, target="round").axes[0].get_title()
    assert re.fullmatch(r"round-0\.png: round\nprobability [01]\.\d\d", title)
    same = ("explain", picture, "--model", _weights(folder), "-o", tmp_path / "maps", "--maps", "saliency")
    again = _astrogalaxy(*same)
    assert isinstance(again.exception, ConfigError)
    assert "round-0.png exists; give another name with --output, or --force" in str(again.exception)
    assert _astrogalaxy(*same, "--force").exit_code == 0
    wrong = _astrogalaxy("explain", picture, "--model", _weights(folder), "-o", tmp_path / "m", "--class", "ring")
    assert "has the classes flat, round" in str(wrong.exception)
    twice = _astrogalaxy("explain", picture, tmp_path / "round-0.fits", "--model", "none", "-o", tmp_path / "maps")
    assert "both write round-0.png" in str(twice.exception)
    (tmp_path / "file").write_text("")
    taken = _astrogalaxy("explain", picture, "--model", _weights(folder), "-o", tmp_path / "file")
    assert isinstance(taken.exception, ConfigError)
    assert "file: the folder cannot be created (File exists)" in str(taken.exception)


def test_weights_of_a_classifier(folder: Path) -> None:
    shown = _astrogalaxy("weights", "show", _weights(folder))
    assert shown.exit_code == 0
    assert "average-pool-cnn" in shown.output
    assert "match SHA-256" in _astrogalaxy("weights", "verify", _weights(folder)).output
