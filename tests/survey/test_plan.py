"""What a run will do: what is opened for it, and what is said of what cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from astrogalaxy.cli import app
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.models import load_weights
from astrogalaxy.survey import contents, execute, plan, record
from astrogalaxy.survey.opening import open_inputs
from astrogalaxy.survey.plan import make_plan
from astrogalaxy.survey.store import RunDirectory


@pytest.fixture
def one(tmp_path: Path):
    """A file of one band whose header has these cards, and its survey."""

    def make(**cards: object) -> SurveyConfig:
        sky = np.random.default_rng(0).normal(100, 5, (100, 120)).astype("f4")
        header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
        header.update({"CRPIX1": 50.0, "CRPIX2": 50.0, "CDELT1": -1e-4, "CDELT2": 1e-4, **cards})
        fits.writeto(tmp_path / "a-r.fits", sky, header, overwrite=True)
        images = {"path": f"{tmp_path}/{{field}}-{{band}}.fits", "bands": ["r"]}
        output = {"directory": str(tmp_path / "out")}
        return SurveyConfig.from_dict(
            {"name": "test", "images": images, "output": output, "compute": {"workers": 1, "device": "cpu"}}
        )

    return make


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        ({"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN"}, "its WCS is left out, since it is in ELON and ELAT"),
        ({"CDELT1": 0.0}, "its WCS cannot be read and is left out"),
        ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, "no celestial WCS in the header"),
    ],
)
def test_why_a_wcs_is_not_used_stands_in_the_failures(one, cards: dict[str, object], why: str) -> None:
    made = make_plan(one(**cards), load_weights("default"), memory=4e9)
    assert f"a-r.fits: {why}" in made.failures[0].reason
    assert "sky positions need one" in made.failures[0].reason


@pytest.mark.parametrize(("memory", "told"), [("100 MB", True), ("4 GB", False)])
def test_check_warns_where_a_worker_may_take_more_than_it_may_have(
    one, tmp_path: Path, memory: str, told: bool
) -> None:
    (tmp_path / "survey.yml").write_text(one().to_yaml().replace("memory: auto", f"memory: {memory}"))
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "survey.yml")])
    assert checked.exit_code == 0, checked.output
    assert ("warning: a worker may need more memory than it may have" in checked.stderr) == told


def test_check_does_not_read_all_of_every_file(one, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plan has no use for what takes hours on a large survey."""
    (tmp_path / "survey.yml").write_text(one().to_yaml())
    hashed = []
    monkeypatch.setattr(contents, "_hash", lambda path, known: hashed.append(path))
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "survey.yml")])
    assert checked.exit_code == 0, checked.output
    assert "1 field, 1 tile" in checked.output
    assert not hashed
    made = make_plan(one(), load_weights("default"), memory=4e9)
    assert made.n_tiles == len(hashed) == 1


def test_a_file_of_several_fields_is_hashed_once(one, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = one()
    (tmp_path / "b-r.fits").write_bytes((tmp_path / "a-r.fits").read_bytes())
    fits.writeto(tmp_path / "mask.fits", np.zeros((100, 120), "u1"))
    images = config.images.model_copy(update={"mask": str(tmp_path / "mask.fits")})
    hashed = []
    real = contents._hash
    monkeypatch.setattr(contents, "_hash", lambda path, known: hashed.append(path.name) or real(path, known))
    made = make_plan(config.model_copy(update={"images": images}), load_weights("default"), memory=4e9)
    assert (made.n_tiles, made.failures) == (2, [])
    assert sorted(hashed) == ["a-r.fits", "b-r.fits", "mask.fits"]


def test_what_has_not_changed_is_not_opened_again(one, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = one()
    assert execute(config).exit_code == 0
    opened = []
    real = plan.open_bands
    monkeypatch.setattr(plan, "open_bands", lambda field, config: opened.append(field.name) or real(field, config))

    def again(config: SurveyConfig = config) -> tuple[int, dict[str, int]]:
        opened.clear()
        summary = execute(config)
        assert summary.exit_code == 0
        return len(opened), summary.tiles

    kept = {"done": 0, "kept": 1, "failed": 0}
    assert again() == (0, kept)
    assert again() == (0, kept), "the second record tells it, too"
    more = config.model_copy(update={"output": config.output.model_copy(update={"formats": ("fits", "moc")})})
    assert again(more) == (0, kept), "what is written does not matter"
    images = config.images.model_copy(update={"gain": {"r": 2.0}})
    assert again(config.model_copy(update={"images": images}))[0] == 1
    again()
    with monkeypatch.context() as patched:
        patched.setattr(record, "_versions", lambda: {"astrogalaxy": "another"})
        assert again() == (1, kept), "it may see more in them"
    os.utime(tmp_path / "a-r.fits", ns=(1, 1))
    assert again() == (1, kept), "it may have changed"
    config = one(CRVAL1=151.0)
    assert again() == (1, {"done": 1, "kept": 0, "failed": 0})


def test_a_tile_of_the_same_name_is_another_where_what_makes_it_is(
    one, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, weights = one(), load_weights("default")
    header = fits.getheader(tmp_path / "a-r.fits")
    sky = np.random.default_rng(0).normal(100, 5, (60, 1500)).astype("f4")
    fits.writeto(tmp_path / "a-r.fits", sky, header, overwrite=True)

    def first_tile(memory: float = 4e9) -> tuple[int, str]:
        (field,) = make_plan(config, weights, memory=memory).fields
        return field.tiles[0].core.shape[1], field.keys["x00000y00000"]

    width, key = first_tile()
    assert first_tile() == (width, key)
    narrow, other = first_tile(4.5e8)
    assert narrow < width and other != key, "workers with less memory"
    monkeypatch.setattr(plan, "version", lambda _: "another")
    assert first_tile()[1] != key, "another astrogalaxy"


def test_a_tile_of_the_same_pixels_is_another_where_it_owns_others(one, tmp_path: Path) -> None:
    """Where tiles overlap by much, workers of any memory read all of a small image."""
    config = one()
    header = fits.getheader(tmp_path / "a-r.fits")
    sky = np.random.default_rng(0).normal(100, 5, (60, 1500)).astype("f4")
    fits.writeto(tmp_path / "a-r.fits", sky, header, overwrite=True)
    config = config.model_copy(update={"tiles": config.tiles.model_copy(update={"overlap": 1000})})
    made = []
    for memory in (4.5e8, 6e10):
        (field,) = make_plan(config, load_weights("default"), memory=memory).fields
        made.append((field.tiles[0], field.keys["x00000y00000"]))
    (small, key), (large, other) = made
    assert small.outer == large.outer
    assert small.core != large.core
    assert key != other


def test_formats_that_do_not_hold_the_columns_are_refused_before_the_run() -> None:
    bands = [f"n{i}" for i in range(64)]
    settings = {
        "name": "nights", "images": {"path": "{band}.fits", "bands": bands},
        "measurement": {"apertures": ["1 arcsec", "2 arcsec", "3 arcsec", "4 arcsec"]},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"output\.formats: fits tables have at most 999 columns"):
        open_inputs(SurveyConfig.from_dict(settings))
    open_inputs(SurveyConfig.from_dict({**settings, "output": {"formats": ["votable"]}}))


def test_the_key_of_a_field_is_made_once_for_all_of_its_tiles(one, monkeypatch: pytest.MonkeyPatch) -> None:
    (field,) = make_plan(one(), load_weights("default"), memory=4e9).fields
    key = field.key
    monkeypatch.setattr(plan, "_digest", lambda _: pytest.fail("made again"))
    assert field.key == key


def test_the_outline_is_known_to_the_next_run_and_an_older_record_has_none(one) -> None:
    config = one()
    execute(config)
    earlier = RunDirectory.of(config).read_json()
    (field,) = record.known_fields(earlier, config).values()
    (planned,) = make_plan(config, load_weights("default"), memory=4e9).fields
    assert field.headers == planned.headers and np.shape(field.headers.outline) == (32, 2)
    del earlier["fields"][0]["outline"]
    assert record.known_fields(earlier, config) == {}


def test_a_part_of_the_edge_without_sky_leaves_no_outline(one) -> None:
    """NaN would not go into run.json."""
    config = one(CTYPE1="RA---AIT", CTYPE2="DEC--AIT", CRVAL1=0.0, CRVAL2=0.0, CDELT1=-3.2, CDELT2=1.7)
    (field,) = make_plan(config, load_weights("default"), memory=4e9).fields
    assert field.tiles and field.headers.outline == []
