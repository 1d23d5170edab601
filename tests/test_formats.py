"""The registry of formats, and what hangs on it."""

from __future__ import annotations

import pytest

import astrogalaxy.extras
from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.catalog.io.registry import READERS, WRITERS
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError, MissingExtraError
from astrogalaxy.formats import FORMATS, format_of, format_rows


def test_readers_and_writers_are_those_of_the_registry() -> None:
    assert set(WRITERS) == {name for name, form in FORMATS.items() if form.holds != "area"}
    assert set(READERS) == {name for name, form in FORMATS.items() if form.reads_back}


def test_names_of_files_tell_formats_apart() -> None:
    suffixes = [suffix for form in FORMATS.values() for suffix in form.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    for form in FORMATS.values():
        assert all(format_of(f"a.b{suffix.upper()}") is form for suffix in form.suffixes)
    assert format_of("x.moc.fits").name == "moc"
    assert format_of("folder/x.hats/").name == "hats"
    assert format_of("x.csv") is None


def test_rows_say_something_of_every_format() -> None:
    assert [row[0] for row in format_rows()] == list(FORMATS)
    assert all(text.endswith(".") for row in format_rows() for text in row[3:])


def config_of(formats: list[str]) -> SurveyConfig:
    images = {"path": "x.fits", "bands": ["r"]}
    return SurveyConfig.from_dict({"name": "x", "images": images, "output": {"formats": formats}})


def test_configuration_takes_every_format() -> None:
    assert config_of(list(FORMATS)).output.formats == tuple(FORMATS)


@pytest.mark.parametrize(("name", "extra"), [("parquet", "formats"), ("moc", "formats"), ("hats", "hats")])
def test_a_missing_module_is_told_before_the_run(monkeypatch, name: str, extra: str) -> None:
    monkeypatch.setattr(astrogalaxy.extras, "find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=rf"output.formats: .*{name!r} needs .*'astrogalaxy\[{extra}\]'"):
        config_of(["fits", name])
    assert config_of(["fits", "votable", "ecsv", "regions"]).output.formats[0] == "fits"
    assert FORMATS["fits"].missing is None


@pytest.mark.parametrize(("name", "extra"), [("x.parquet", "formats"), ("x.hats", "hats")])
def test_a_missing_module_is_told_by_write_and_read(monkeypatch, tmp_path, name: str, extra: str) -> None:
    catalog = SourceCatalog.from_columns({"ra": [1.0], "dec": [2.0]}, bands=["r"])
    catalog.write(tmp_path / name)
    monkeypatch.setattr(astrogalaxy.extras, "find_spec", lambda module: None)
    for attempt in (lambda: catalog.write(tmp_path / f"2{name}"), lambda: SourceCatalog.read(tmp_path / name)):
        with pytest.raises(MissingExtraError, match=rf"astrogalaxy\[{extra}\]"):
            attempt()
