"""What a run may replace or remove: its own files, and nothing else."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.cli import app
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.survey import execute
from astrogalaxy.survey.leftovers import Earlier, listing
from astrogalaxy.survey.store import RunDirectory
from astrogalaxy.survey.view import find_results


@pytest.fixture
def one_band(survey: Path) -> Callable[..., SurveyConfig]:
    """Surveys of the image ``pair.fits``, in whose folder they write ``pair.fits``, but for the keys that are given."""
    (survey.parent / "north-r.fits").rename(survey.parent / "pair.fits")
    survey.unlink()

    def make(images: dict | None = None, **keys: object) -> SurveyConfig:
        images = {"path": "pair.fits", "bands": ["r"], "zeropoint": 22.5, **(images or {})}
        data = {"name": "pair", "images": images, "compute": {"workers": 1, "device": "cpu"}, **keys}
        data["output"] = {"directory": ".", "formats": ["fits"], **keys.get("output", {})}
        return SurveyConfig.from_dict(data, folder=survey.parent)

    return make


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.fits")}


# -- what is read is not replaced --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "keys", "read"),
    [
        ({}, {}, "pair.fits"),
        ({"path": "{field}.fits"}, {}, r"(link|pair)\.fits"),
        ({"path": "*air.fits"}, {}, "pair.fits"),
        ({"path": "link.fits"}, {}, "link.fits"),
        ({"path": "north-{band}.fits", "bands": ["g"], "mask": "pair.fits"}, {}, "pair.fits"),
        ({"path": "north-{band}.fits", "bands": ["g"], "weight": "pair.fits"}, {}, "pair.fits"),
        ({"path": "north-{band}.fits", "bands": ["g"]}, {"detection": {"positions": "pair.fits"}}, "pair.fits"),
        ({"path": "tiles/north.fits"}, {}, "tiles/north.fits"),
    ],
)
def test_no_input_is_replaced(tmp_path: Path, one_band: Callable, images: dict, keys: dict, read: str) -> None:
    (tmp_path / "link.fits").symlink_to("pair.fits")
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "north.fits").write_bytes((tmp_path / "north-g.fits").read_bytes())
    before, config = bytes_of(tmp_path), one_band(images, **keys)
    with pytest.raises(ConfigError, match=rf"output.directory: the run would write .* over what it reads, .*{read}"):
        execute(config)
    assert bytes_of(tmp_path) == before
    (tmp_path / "other.yml").write_text(config.to_yaml())
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "other.yml")])
    assert isinstance(checked.exception, ConfigError) and "over what it reads" in str(checked.exception)


def test_a_hard_link_is_the_same_file(tmp_path: Path, one_band: Callable) -> None:
    os.link(tmp_path / "pair.fits", tmp_path / "other.fits")
    with pytest.raises(ConfigError, match=r"pair\.fits over what it reads, .*other\.fits"):
        execute(one_band({"path": "other.fits"}))


@pytest.mark.parametrize("name", ["fields", "failures", "FIELDS"])
def test_no_catalogue_takes_the_place_of_a_table_of_every_run(survey: Path, name: str) -> None:
    survey.write_text(survey.read_text().replace("pair", name) + "output: {formats: [fits, ecsv]}\n")
    with pytest.raises(ConfigError, match=rf"survey\.yml:1: name: the catalogue would be {name}\.ecsv"):
        execute(survey)
    assert not (survey.parent / "out").exists()
    checked = CliRunner().invoke(app, ["check", str(survey)])
    assert isinstance(checked.exception, ConfigError)
    survey.write_text(survey.read_text().replace(", ecsv", ""))
    assert CliRunner().invoke(app, ["check", str(survey)]).exit_code == 0


def test_the_runs_own_catalogue_is_no_field(tmp_path: Path, one_band: Callable) -> None:
    (tmp_path / "pair.fits").rename(tmp_path / "m31.fits")
    for path in tmp_path.glob("*-?.fits"):
        path.unlink()
    config = one_band({"path": "{field}.fits"})
    for status in ("done", "kept"):
        summary = execute(config)
        assert (summary.exit_code, summary.tiles[status], set(summary.catalog["field"])) == (0, 1, {"m31"})
    # an image that has come into the place of the catalogue is the user's
    (tmp_path / "pair.fits").write_bytes((tmp_path / "m31.fits").read_bytes())
    with pytest.raises(ConfigError, match="over what it reads"):
        execute(config)


def test_a_survey_file_is_replaced_only_if_a_run_wrote_it(survey: Path) -> None:
    text = survey.read_text() + "output: {directory: .}\n# mine\n"
    survey.write_text(text)
    for path in (survey, survey.with_name("other.yml")):
        path.write_text(text)
        with pytest.raises(
            ConfigError, match=r"output.directory: .*settings over .*survey\.yml, which is not of a run"
        ):
            execute(path)
        checked = CliRunner().invoke(app, ["check", str(path)])
        assert isinstance(checked.exception, ConfigError)
        assert survey.read_text() == text
    assert not (survey.parent / "run.log").exists()


def test_the_settings_of_a_run_can_be_run(survey: Path) -> None:
    first = execute(survey)
    frozen = survey.parent / "out" / "survey.yml"
    text = frozen.read_text()
    assert text.startswith("# The settings of a run")
    again = execute(frozen)
    assert again.directory == first.directory and again.tiles["kept"] == 2
    assert frozen.read_text() == text


# -- what is old does not pass for new ---------------------------------------------------------------


def test_what_a_run_has_not_written_is_removed_or_told(survey: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = survey.parent / "out"

    def with_output(**keys: object) -> SurveyConfig:
        config = SurveyConfig.read(survey)
        name = keys.pop("name", config.name)
        return config.model_copy(update={"name": name, "output": config.output.model_copy(update=keys)})

    execute(with_output(formats=("fits", "votable", "ecsv")))
    (out / "mine.vot").write_text("mine")
    (out / "pair.ecsv").write_text("changed by hand")
    execute(with_output(formats=("fits",)))
    assert not (out / "pair.vot").exists()
    assert (out / "mine.vot").exists() and (out / "pair.ecsv").read_text() == "changed by hand"
    found = find_results(out)
    assert found.catalogs == {"fits": out / "pair.fits"} and found.status == "complete"

    with caplog.at_level(logging.WARNING, "astrogalaxy"):
        execute(with_output(name="other", formats=("fits",)))
    assert (out / "pair.fits").exists() and f"{out / 'pair.fits'}: of an earlier run" in caplog.text
    record = json.loads((out / "run.json").read_text())
    assert {entry["name"] for entry in record["files"]} == {
        "other.fits", "survey.yml", "failures.ecsv", "report.html", "fields.ecsv"
    }  # fmt: skip
    assert [entry["name"] for entry in record["earlier_files"]] == ["pair.fits"]
    for path in survey.parent.glob("south-?.fits"):
        path.unlink()
    assert execute(with_output(name="third", formats=("fits",))).exit_code == 0
    assert list((out / "tiles" / "south").glob("*.rows.npz")), "tiles of another survey"


def test_a_run_that_fails_keeps_what_was_there_and_does_not_show_it(survey: Path) -> None:
    execute(survey)
    out = survey.parent / "out"
    images = {path: path.read_bytes() for path in survey.parent.glob("*-r.fits")}
    for path, whole in images.items():
        path.write_bytes(whole[:5000])
    assert execute(survey).exit_code == 1
    assert (out / "pair.fits").exists() and (out / "report.html").exists()
    found = find_results(out)
    assert (found.report, found.catalogs, found.status) == (None, {}, "failed")
    viewed = CliRunner().invoke(app, ["view", str(out)])
    assert "the run is failed" in viewed.stderr
    for path, whole in images.items():
        path.write_bytes(whole)
    assert execute(survey).tiles["kept"] == 2
    assert set(find_results(out).catalogs) == {"fits", "votable"}


def test_tiles_that_are_no_more_are_removed(survey: Path) -> None:
    config = SurveyConfig.read(survey)
    tiled = config.model_copy(update={"tiles": config.tiles.model_copy(update={"size": 128, "overlap": 32})})
    execute(tiled)
    tiles = survey.parent / "out" / "tiles"
    (tiles / "south" / "mine.npz").write_text("mine")
    assert len(list((tiles / "north").glob("*.rows.npz"))) > 1 and list((tiles / "north").glob("sky-*.npz"))
    (survey.parent / "south-r.fits").rename(survey.parent / "away.fits")
    assert execute(config).exit_code == 3
    assert list((tiles / "south").glob("*.rows.npz")), "what is away for now may come back"
    for path in survey.parent.glob("south-?.fits"):
        path.unlink()
    said = "1 field of the last run has no images any more: south; the catalogue goes without"
    checked = CliRunner().invoke(app, ["check", str(survey)])
    assert checked.exit_code == 0 and f"warning: {said}" in checked.stderr
    summary = execute(config)
    assert summary.exit_code == 0 and summary.remarks == [said]
    assert said in (survey.parent / "out" / "run.log").read_text()
    assert list((tiles / "south").glob("*.rows.npz")), "its images may be away for the moment"
    summary = execute(config)
    assert summary.exit_code == 0 and not summary.remarks
    assert sorted(path.name for path in (tiles / "north").iterdir()) == [
        "x00000y00000.preview.npz",
        "x00000y00000.rows.npz",
    ]
    assert [path.name for path in (tiles / "south").iterdir()] == ["mine.npz"]


def test_tiles_go_when_all_is_done(survey: Path) -> None:
    survey.write_text(f"{survey.read_text()}output: {{keep_tiles: false}}\n")
    reference, out = survey.parent / "north-r.fits", survey.parent / "out"
    whole = reference.read_bytes()
    reference.write_bytes(whole[:5000])
    assert execute(survey).exit_code == 3
    reference.write_bytes(whole)
    assert execute(survey).tiles == {"done": 1, "kept": 1, "failed": 0}, "what is missing, and no more"
    assert not (out / "tiles").exists()
    assert set(SourceCatalog.read(out / "pair.fits")["field"]) == {"north", "south"}


def test_a_record_names_nothing_outside_its_directory(tmp_path: Path) -> None:
    outside = tmp_path / "precious.fits"
    outside.write_text("mine")
    directory = RunDirectory(tmp_path / "out", "pair")
    directory.path.mkdir()
    (entry,) = listing([outside])
    directory.write_json(
        {"name": "pair", "files": [{**entry, "name": str(outside)}, {**entry, "name": "../precious.fits"}]}
    )
    earlier = Earlier.of(directory)
    assert earlier.files == []
    assert earlier.remove("pair", [], [], made=True) == []
    assert outside.exists()


def test_what_a_run_reads_is_not_removed(survey: Path) -> None:
    config = SurveyConfig.read(survey)
    execute(config)
    table = survey.parent / "out" / "pair.vot"
    update = {
        "detection": config.detection.model_copy(update={"positions": str(table)}),
        "output": config.output.model_copy(update={"formats": ("fits",)}),
    }
    n = len(SourceCatalog.read(table))
    summary = execute(config.model_copy(update=update))
    assert summary.counts["positions"] == n and len(SourceCatalog.read(table)) == n
    assert np.isfinite(summary.catalog["ra"]).all()
