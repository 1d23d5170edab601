"""Configurations document themselves: rows of every key, and commented templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from configurations import read, template_keys

from astrogalaxy.config import RecipeConfig, SurveyConfig, commented_yaml, config_rows, presets
from astrogalaxy.errors import ConfigError


@pytest.mark.parametrize("cls", [SurveyConfig, RecipeConfig])
def test_every_key_is_documented(cls: type) -> None:
    rows = {row.key: row for row in config_rows(cls)}
    assert len(rows) == len(config_rows(cls))
    for row in rows.values():
        assert row.description.endswith("."), row
        assert "typing" not in row.type, row
        assert "Annotated" not in row.type, row


def test_rows_name_type_and_default() -> None:
    rows = {row.key: row for row in config_rows()}
    assert rows["images.path"].default == "required"
    assert rows["tiles.overlap"][1:3] == ("auto | angle | pixels", "auto")
    assert rows["measurement.apertures"].default == "3 arcsec"
    assert rows["output.formats"].default == "[fits, votable]"
    assert rows["images"][1:3] == ("section", "required")
    assert {row.key: row for row in config_rows(RecipeConfig)}["data.labels[].truth"].default == "required"


@pytest.mark.parametrize("preset", [None, *presets()])
def test_the_template_has_every_key_with_a_comment(tmp_path: Path, preset: str | None) -> None:
    text = commented_yaml(preset)
    found = template_keys(text)
    empty = [key for key, (_, value) in found.items() if value == "null"]
    for row in config_rows():
        # what a section that is left out would hold is told in its comment and in the reference
        if not any(row.key.startswith(f"{section}.") for section in empty):
            assert found[row.key][0], f"{row.key} has no comment"
    assert max(map(len, text.splitlines())) < 130
    read(tmp_path, text)


def test_the_template_is_the_defaults(tmp_path: Path) -> None:
    given = {"name": "my-survey", "images": {"path": "frame-{band}-{field}.fits", "bands": ["g", "r", "i"]}}
    assert read(tmp_path, commented_yaml()) == SurveyConfig.from_dict(given, folder=tmp_path)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no pipeline 'sds'; did you mean 'sdss'\?"):
        commented_yaml("sds")
    with pytest.raises(ConfigError, match="there are .*sdss"):
        commented_yaml("nothing-like-it")
