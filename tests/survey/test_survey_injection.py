"""Injections into a whole survey: files, failures, tiles, options, and the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from astrogalaxy.cli import app
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.evaluation.injection import Injection, Recovery, Round
from astrogalaxy.images.fields import Field, find_fields
from astrogalaxy.models import load_weights, save_weights
from astrogalaxy.simulation import PROFILES, Conditions, Scene, simulate_scene
from astrogalaxy.survey.injection import _chosen, _jobs, _opened, inject_survey
from astrogalaxy.survey.report.injection import write_injection_report
from astrogalaxy.survey.rounds import read_round, write_round

FILES = {
    "report.html", "injection.json", "completeness.ecsv", "classification.ecsv", "photometry.ecsv", "positions.ecsv",
    "purity.ecsv", "injected.ecsv",
}  # fmt: skip


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Two fields far apart, with stars enough to show the seeing."""
    conditions = Conditions(
        seeing={"g": 1.3, "r": 1.2, "i": 1.15}, noise={"g": 0.015, "r": 0.02, "i": 0.03}, beta=3.0, shear=(0.0, 0.0),
        crowding=5.0, clustering=0.6,
    )  # fmt: skip
    return [
        simulate_scene(
            PROFILES["sdss"],
            size=(192, 224),
            seed=seed,
            centre=(10.0 * seed, 5.0),
            artefacts=False,
            conditions=conditions,
        )
        for seed in (1, 2)
    ]


def change(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_whole_survey(survey: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    summary = inject_survey(survey, rounds=2, density=8.0, progress=lambda *what: seen.append(what))
    assert summary.exit_code == 0
    assert summary.directory == survey.parent / "out" / "injection"
    assert {path.name for path in summary.directory.iterdir()} == FILES | {"rounds"}
    assert {path.name for path in summary.files} == FILES
    assert seen[-2][:2] == (6, 6)
    injected = Table.read(summary.directory / "injected.ecsv")
    assert set(injected["field"]) == {"north", "south"}
    assert set(injected["round"]) == {0, 1}
    assert len(injected) == len(summary.recovery.injected)
    assert injected["found"].dtype == bool
    completeness = Table.read(summary.directory / "completeness.ecsv")
    whole = completeness[np.isnan(completeness["radius_low"])]
    assert whole["n_injected"].sum() == len(injected)
    assert whole["n_found"].sum() == injected["found"].sum()
    assert injected.meta["reference"] == "r"
    record = json.loads((summary.directory / "injection.json").read_text())
    assert record["status"] == "complete"
    assert record["settings"] == {
        "rounds": 2,
        "density": 8.0,
        "magnitudes": None,
        "like": None,
        "seeing": None,
        "seed": 0,
    }
    assert [field["name"] for field in record["fields"]] == ["north", "south"]
    assert record["weights"]["sha256"]
    page = (summary.directory / "report.html").read_text()
    assert page.count("<svg") + page.count("image/svg+xml") >= 5
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", re.sub(r"base64,[^\"]*", "", page))


def test_finished_rounds_are_kept(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inject_survey(survey, rounds=2, density=8.0, field_name="north")
    folder = first.directory / "rounds" / "north"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(before) == 4
    (folder / "0001-injected.ecsv").write_text("cut short")
    again = inject_survey(survey, rounds=3, density=8.0, field_name="north")
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    kept = {name for name in before if after[name] == before[name]}
    assert kept == {"0000-injected.ecsv", "0000-extra.ecsv"}
    assert set(again.recovery.injected["round"]) == {0, 1, 2}
    same = again.recovery.injected[again.recovery.injected["round"] < 2]
    for name in ("x", "mag_r", "found_det_score", "found_class"):
        np.testing.assert_array_equal(same[name], first.recovery.injected[name])
    other = inject_survey(survey, rounds=1, density=4.0, field_name="north")
    assert len(other.recovery.injected) < (same["round"] == 0).sum()


def test_a_round_comes_back_as_it_was(tmp_path: Path) -> None:
    injected, extra = Table({"x": [1.5, np.nan], "found": [True, False]}), Table({"mag": [20.25]})
    write_round(tmp_path / "north", "key", Round(3, injected, extra, 0.25))
    back = read_round(tmp_path / "north", "key", 3)
    assert back is not None and (back.number, back.near) == (3, 0.25)
    for told, expected in ((back.injected, injected), (back.extra, extra)):
        assert told.colnames == expected.colnames and not told.meta
        for name in told.colnames:
            np.testing.assert_array_equal(told[name], expected[name])
    assert read_round(tmp_path / "north", "another", 3) is None
    path = tmp_path / "north" / "0003-injected.ecsv"
    text = path.read_text()
    for damaged in (
        text[:3],
        text[: len(text) // 3],
        text.replace("datatype", "dat"),
        text.replace("near: 0.25", "near: x"),
    ):
        assert damaged != text
        path.write_text(damaged)
        assert read_round(tmp_path / "north", "key", 3) is None
    path.write_text(text)
    assert read_round(tmp_path / "north", "key", 4) is None
    (tmp_path / "north" / "0003-extra.ecsv").unlink()
    assert read_round(tmp_path / "north", "key", 3) is None


def test_rounds_are_kept_as_long_as_nothing_changes_them(survey: Path, tmp_path: Path) -> None:
    config = SurveyConfig.read(survey)
    fields = find_fields(config.images)

    def key(**changes: object) -> str:
        """Of the first field's rounds, with some of the survey's sections or of what is injected changed."""
        sections = {name: changes.pop(name) for name in ("detection", "measurement", "compute") if name in changes}
        injected = Injection(**{"density": 8.0} | changes)
        return _jobs(fields, config.model_copy(update=sections), injected, tmp_path)[0].key

    usual = key()
    assert key() == key(compute=config.compute.model_copy(update={"workers": 7})) == usual
    others = [
        key(density=4.0), key(magnitudes=(20.0, 24.0)), key(like={"g": "u"}), key(seeing=1.5), key(seed=1),
        key(detection=config.detection.model_copy(update={"field_prior": False})),
        key(detection=config.detection.model_copy(update={"threshold": 0.9})),
    ]  # fmt: skip
    weights, path = load_weights(), tmp_path / "mine.safetensors"
    for threshold in (0.4, 0.5):
        card = weights.card.model_copy(update={"threshold": threshold})
        save_weights(path, card, weights.tensors, weights.graph)
        others.append(key(detection=config.detection.model_copy(update={"model": str(path)})))
    with fits.open(survey.parent / f"{fields[0].name}-i.fits", mode="update") as hdus:
        hdus[0].data[0, 0] += 1
    assert len({usual, key(), *others}) == len(others) + 2


def test_a_worker_that_stays_reads_a_changed_image_anew(survey: Path, tmp_path: Path) -> None:
    """Workers of a cluster keep the field that they worked on last, and outlive a call."""
    config = SurveyConfig.read(survey)
    fields = find_fields(config.images)[:1]

    def sky() -> float:
        """What a worker sees of the field's first job."""
        (job,) = _jobs(fields, config, Injection(), tmp_path)
        image, failures = _opened(job)
        assert image is not None and not failures and _opened(job)[0] is image
        return float(np.median(image.bands["r"].mesh.background_mesh))

    before = sky()
    with fits.open(survey.parent / f"{fields[0].name}-r.fits", mode="update") as hdus:
        hdus[0].data += 50
    assert sky() == pytest.approx(before + 50, abs=0.1)


def test_a_bad_field_costs_only_itself(survey: Path) -> None:
    (survey.parent / "north-r.fits").write_bytes(b"SIMPLE  = nonsense")
    summary = inject_survey(survey, rounds=1)
    assert summary.exit_code == 3
    assert any("north" in str(failure) for failure in summary.failures)
    assert [field["name"] for field in summary.recovery.fields] == ["south"]
    record = json.loads((summary.directory / "injection.json").read_text())
    assert record["status"] == "partial"
    assert record["failures"]
    assert "Not everything could be done" in (summary.directory / "report.html").read_text()


def test_a_missing_band_is_said_and_the_rest_is_done(survey: Path) -> None:
    survey.write_text(f"{survey.read_text()}output: {{keep_tiles: false}}\n")
    (survey.parent / "south-g.fits").unlink()
    summary = inject_survey(survey, rounds=1, field_name="south")
    assert summary.exit_code == 3
    assert (summary.directory / "rounds" / "south").exists(), "kept until all is done"
    (failure,) = summary.failures
    assert (failure.field, failure.band) == ("south", "g")
    assert summary.recovery.bands == ("r", "i")


def test_nothing_could_be_done(survey: Path) -> None:
    for path in survey.parent.glob("*-r.fits"):
        path.write_bytes(b"")
    summary = inject_survey(survey, rounds=1)
    assert summary.exit_code == 1
    assert summary.recovery is None
    assert {failure.field for failure in summary.failures} == {"north", "south"}
    for path in survey.parent.glob("*.fits"):
        path.unlink()
    with pytest.raises(ImageError, match="no image matches"):
        inject_survey(survey, rounds=1)


def test_tiles_change_nothing(survey: Path) -> None:
    whole = inject_survey(survey, rounds=1, field_name="north", density=8.0).recovery.injected
    change(survey, "compute:", "tiles: {size: 128, overlap: 96}\ncompute:")
    tiled = inject_survey(survey, rounds=1, field_name="north", density=8.0).recovery.injected
    np.testing.assert_array_equal(whole["x"], tiled["x"])
    np.testing.assert_array_equal(whole["found"], tiled["found"])
    # faint sources feel what the network makes of a neighbour far away: by less than their errors say
    assert np.sum(whole["found"]) > 10
    change_in_errors = np.asarray(np.abs(whole["found_flux_r"] - tiled["found_flux_r"]) / whole["found_flux_r_err"])
    assert np.nanmax(change_in_errors) < 0.3
    assert np.nanmedian(change_in_errors) < 0.01


def test_a_closed_folder_beside_the_fields_is_a_failure(survey: Path) -> None:
    folder = survey.parent / "night"
    folder.mkdir()
    for path in survey.parent.glob("north-*.fits"):
        path.rename(folder / path.name)
    (survey.parent / "other").symlink_to("nowhere")
    change(survey, "{field}-{band}", "*/{field}-{band}")
    summary = inject_survey(survey, rounds=1, density=8.0)
    assert summary.exit_code == 3
    (failure,) = summary.failures
    assert str(failure.reason).startswith(f"{survey.parent / 'other'}: cannot be looked into")


def test_settings_of_the_survey_count(survey: Path) -> None:
    usual = inject_survey(survey, rounds=1, field_name="north", density=8.0).recovery
    change(survey, "compute:", "detection: {threshold: 0.995}\ncompute:")
    strict = inject_survey(survey, rounds=1, field_name="north", density=8.0).recovery
    assert strict.injected["found"].sum() < usual.injected["found"].sum()


def test_fields_that_are_drawn() -> None:
    fields = [Field(name, {}) for name in "abcdefgh"]
    drawn = [[field.name for field in _chosen(fields, None, 3, seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(names == sorted(set(names)) and len(names) == 3 for names in drawn)
    assert _chosen(fields, None, 20, 0) == _chosen(fields, None, None, 0) == fields
    assert _chosen([Field("", {})], "field", None, 0)[0].name == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rounds": 0}, "rounds must be 1 or more"),
        ({"density": -1.0}, "density must be a positive number"),
        ({"magnitudes": (24.0, 20.0)}, "brightest and the faintest"),
        ({"seeing": 0.0}, "seeing must be a positive number of arcsec"),
        ({"field_name": "west"}, "no field 'west'; there are north, south"),
        ({"like": {"w": "r"}}, "like 'w=r'"),
    ],
)
def test_options_that_make_no_sense(survey: Path, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        inject_survey(survey, **options)
    assert not (survey.parent / "out" / "injection").exists()


def test_command(survey: Path) -> None:
    survey.write_text(f"{survey.read_text()}output: {{keep_tiles: false}}\n")
    ran = CliRunner().invoke(app, ["evaluate", "--inject", str(survey), "--rounds", "1", "--field", "north", "-q"])
    assert ran.exit_code == 0, ran.output
    assert "sources injected into one field" in ran.output
    assert "report.html" in ran.output
    assert not (survey.parent / "out" / "injection" / "rounds").exists()


def test_command_called_wrongly(survey: Path) -> None:
    for arguments in ([], ["only.fits"], ["cat.fits", "truth.csv", "--inject", str(survey)]):
        ran = CliRunner().invoke(app, ["evaluate", *arguments])
        assert isinstance(ran.exception, ConfigError)
    ran = CliRunner().invoke(app, ["evaluate", "--inject", str(survey), "--like", "r"])
    assert "give BAND=KNOWN" in str(ran.exception)


@pytest.fixture
def recovery() -> Recovery:
    """The least that there can be: one field of a strange name, nothing found."""
    n = 6
    nan = np.full(n, np.nan)
    injected = Table(
        {
            "field": np.full(n, "<b>odd</b>"), "round": np.zeros(n, int), "class": np.resize(["star", "galaxy"], n),
            "x": nan, "y": nan, "ra": nan, "dec": nan, "mag_r": np.linspace(20, 22, n), "flux_r": np.ones(n),
            "half_light_radius": np.resize([0.0, 0.5], n), "snr": np.ones(n), "found": np.zeros(n, bool),
            "confused": np.zeros(n, bool), "found_class": np.full(n, "", dtype="U8"), "found_flux_r": nan,
            "found_flux_r_err": nan, "found_ra": nan, "found_dec": nan,
        }
    )  # fmt: skip
    brief = Table({"field": ["<b>odd</b>"], "mag": [np.nan], "det_score": [0.9], "class": ["star"]})
    empty = brief[:0].copy()
    false = empty.copy()
    false["weight"] = np.zeros(0)
    extra = empty.copy()
    extra["near"] = np.zeros(0, bool)
    spread = {"r": {"fwhm": 1.0, "beta": 3.0, "shear": 0.0, "stars": 0}}
    field = {
        "name": "<b>odd</b>", "area": 3.0, "sources": 1, "rounds": 1, "injected": n, "density": 2.0, "found": 0,
        "depth": 22.0, "point_spread": spread, "photon_noise": {"r": False}, "star_width": None, "false": 0,
        "free": 0.5, "mirror": "gaps", "near": 0.1, "zeropoints": {"r": None},
    }  # fmt: skip
    return Recovery(injected, brief, false, extra, [field], ("r",), "r", calibrated=False)


def test_page_of_almost_nothing(recovery: Recovery, tmp_path: Path) -> None:
    record = {"name": "a & b", "settings": {}, "failures": [], **recovery.summary()}
    path = tmp_path / "report.html"
    write_injection_report(path, record=record, recovery=recovery)
    page = path.read_text()
    assert "a &amp; b" in page
    assert "<b>odd</b>" not in page
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert "instrumental" in page
    assert "Too few sources for a curve" in page
    assert "not quite as wide" in page
    assert "Photon noise" in page
    assert "gaps between blended sources" in page
