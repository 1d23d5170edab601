"""Paths and patterns of a configuration: relative to its file, and literal where they must be."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest
from configurations import HEAD, MINIMAL, read, survey, variant

from astrogalaxy.config import SurveyConfig, pipelines_folder


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/hale")
    monkeypatch.setenv("ARCHIVE", "/archive")
    text = """\
name: m31
images:
  path: ["a/{band}.fits", "/b/{band}.fits", "~/{band}.fits", "${ARCHIVE}/{band}.fits", "../{band}.fits"]
  bands: [g, r]
  weight: {g: w.fits, r: "w-{band}*.fits"}
detection: {model: nets/mine.safetensors}
morphology: {min_snr: 12}
output: {directory: ../results}
"""
    config = read(tmp_path, text)
    assert config.images.patterns("g") == (
        f"{tmp_path}/a/g.fits", "/b/g.fits", "/home/hale/g.fits", "/archive/g.fits", f"{tmp_path.parent}/g.fits",
    )  # fmt: skip
    assert config.images.patterns("r", kind="weight") == (f"{tmp_path}/w-r*.fits",)
    assert config.images.patterns("r", kind="mask") == ()
    assert config.images.patterns("g", filled=False)[0].endswith("a/{band}.fits")
    assert config.detection.model == f"{tmp_path}/nets/mine.safetensors"
    assert config.morphology.min_snr == 12
    assert config.output.directory == f"{tmp_path.parent}/results"


def test_a_folder_with_glob_characters_is_taken_literally(tmp_path: Path) -> None:
    folder = tmp_path / "run[1]"
    folder.mkdir()
    (folder / "m31-g.fits").touch()
    (pattern,) = read(folder, HEAD).images.patterns("g")
    assert glob.glob(pattern) == [str(folder / "m31-g.fits")]


def test_a_mapping_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert variant().images.patterns("g") == (f"{tmp_path}/m31-g.fits",)
    assert SurveyConfig.from_dict(MINIMAL, folder="/data").images.patterns("g") == ("/data/m31-g.fits",)


def test_shipped_pipelines_write_into_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = pipelines_folder() / "quickstart.yml"
    monkeypatch.chdir(tmp_path)
    by_name = SurveyConfig.read("pipelines/quickstart.yml")  # not in this folder: the shipped one
    assert by_name == SurveyConfig.read(shipped)
    assert by_name.output.directory == str(tmp_path / "quickstart-out")
    assert by_name.images.patterns("g") == (str(shipped.parent / "quickstart" / "quickstart-g.fits"),)
    (tmp_path / "sub").mkdir()
    own = SurveyConfig.read(survey(tmp_path / "sub", shipped.read_text()))
    assert own.output.directory == str(tmp_path / "sub" / "quickstart-out")
