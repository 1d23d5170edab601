"""Surveys with hostile names and settings: nothing is run, nothing leaves the output directory, nothing gets onto the page."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from damage import Damage, damages, fuzz
from hypothesis import given

from astrogalaxy.config import RecipeConfig, SurveyConfig, pipelines_folder
from astrogalaxy.errors import AstrogalaxyError, ConfigError
from astrogalaxy.survey import execute
from astrogalaxy.survey.store import RunDirectory

SURVEY = """\
name: m31
images:
  path: "{field}-{band}.fits"
  bands: [g, r]
  zeropoint: {g: 22.5, r: 1e1}
detection: {threshold: 0.25}
tiles: {size: 1024, overlap: 0.3 arcmin}
output: {directory: there, formats: [fits]}
"""
TAGS = [
    '!!python/object/apply:os.mkdir ["pwned"]',
    '!!python/object/new:os.mkdir ["pwned"]',
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object/apply:builtins.eval [\"open('pwned', 'w')\"]",
    "!!binary aGVsbG8=",
    "!!timestamp 2024-01-01",
    "!!set {a, b}",
    "!secret x",
]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("key", ["name", "output.directory", "detection.threshold", "<<"])
@pytest.mark.parametrize("kind", [SurveyConfig, RecipeConfig])
def test_no_tag_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str, key: str, kind: type) -> None:
    monkeypatch.chdir(tmp_path)
    section, _, name = key.partition(".")
    line = f"{section}: {{{name}: {tag}}}" if name else f"{section}: {tag}"
    (tmp_path / "survey.yml").write_text(f"images: {{path: '{{band}}', bands: [g]}}\n{line}\n")
    with pytest.raises(ConfigError, match=r"survey\.yml"):
        kind.read(tmp_path / "survey.yml")
    assert [entry.name for entry in tmp_path.iterdir()] == ["survey.yml"]


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "a: &a [*a]\n",
        "a: " + "[" * 5000,
        "a: " + "{b: " * 2000,
        "? " * 5000,
        "a: " + "9" * 200_000,
        "x" * 300_000,
    ],
    ids=["laughs", "itself", "lists", "mappings", "keys", "digits", "long"],
)
def test_bombs_are_refused_at_once(tmp_path: Path, bomb: str) -> None:
    (tmp_path / "survey.yml").write_text(bomb)
    begin = time.process_time()
    with pytest.raises(ConfigError, match=r"survey\.yml"):
        SurveyConfig.read(tmp_path / "survey.yml")
    assert time.process_time() - begin < 10


@fuzz
@given(damage=damages())
def test_a_damaged_configuration_is_valid_or_refused(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "survey.yml"
    path.write_bytes(damage(SURVEY.encode()))
    try:
        config = SurveyConfig.read(path)
    except ConfigError as error:
        assert all(row.startswith(str(path)) for row in str(error).split("\n"))
    else:
        inside = RunDirectory(Path(config.output.directory), config.name).catalog("fits")
        assert inside.parent == Path(config.output.directory)


@pytest.mark.parametrize(
    "name", ["../m31", "/tmp/m31", "a/b", "a\\b", "..", ".hidden", "-rf", "", "a\0b", "a\nb", "<b>", "x" * 200, "CON\t"]
)
def test_names_of_surveys_name_files_and_no_places(name: str) -> None:
    images = {"path": "{band}.fits", "bands": ["g"]}
    with pytest.raises(ConfigError, match="name"):
        SurveyConfig.from_dict({"name": name, "images": images})


# The last two would share a folder if it were called after what is harmless in them.
EVIL = ["<script>alert(1)<", "\"'><img src=x onerror=alert(2)>", "a\n..b", "$(touch pwned)", "%s n", "%s_n"]


def test_names_of_fields_stay_inside_and_off_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    y, x = np.mgrid[:128, :128]
    sky = np.random.default_rng(1).normal(100, 5, x.shape)
    for place in (30, 64, 97):
        sky += 900 * np.exp(-((x - place) ** 2 + (y - 1.1 * place) ** 2) / 6)
    header = fits.getheader(pipelines_folder() / "quickstart" / "quickstart-r.fits", 1)
    for number, name in enumerate(EVIL):
        header["CRVAL1"] = 10.0 + number
        fits.writeto(folder / f"{name}-r.fits", sky.astype(np.float32), WCS(header).to_header())
    (folder / "survey.yml").write_text(
        'name: s\nimages: {path: "{field}-{band}.fits", bands: [r]}\ncompute: {workers: 1, device: cpu}\n'
    )
    before = {entry.name for entry in folder.iterdir()}
    summary = execute(folder / "survey.yml")
    assert not summary.failures
    assert set(summary.catalog["field"]) == set(EVIL)
    assert {entry.name for entry in tmp_path.iterdir()} == {"work"}
    assert {entry.name for entry in folder.iterdir()} - before == {"out"}
    again = execute(folder / "survey.yml")
    assert again.tiles["kept"] == len(EVIL)
    page = (folder / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page


def test_names_of_bands_are_words() -> None:
    for band in ("../r", "r/../..", "<b>", "a b", ""):
        with pytest.raises(AstrogalaxyError, match="bands"):
            SurveyConfig.from_dict({"name": "a", "images": {"path": "{band}.fits", "bands": [band]}})
