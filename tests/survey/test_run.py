"""Whole runs: the result, what goes wrong and how it is said, and what a rerun does."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import logging
import os
import shutil
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from astrogalaxy.catalog import SourceCatalog, decode_flags
from astrogalaxy.cli import app
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ArchiveError, ConfigError, ImageError, RunError
from astrogalaxy.images import Image, Tile
from astrogalaxy.images.sky import shifted
from astrogalaxy.measurement import astrometry
from astrogalaxy.models import bundled, load_weights
from astrogalaxy.simulation import PROFILES, draw_conditions, simulate_scene
from astrogalaxy.survey import Failure, execute, report, run, scheduling, tasks
from astrogalaxy.survey.cluster import Crew, hired
from astrogalaxy.survey.opening import open_inputs, remarks
from astrogalaxy.survey.plan import make_plan
from astrogalaxy.survey.preview import Preview
from astrogalaxy.survey.reading import forget_fields
from astrogalaxy.survey.shards import peek_shard, read_shard, write_shard
from astrogalaxy.survey.stages import TileResult
from astrogalaxy.survey.store import RunDirectory, tile_path
from astrogalaxy.survey.tasks import TileTask, _open, kept_tile, measure_sky, process_tile


def change(path: Path, old: str, new: str) -> Path:
    """Edit a survey.yml."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def bands_of(directory: Path) -> dict[str, list[str]]:
    """Bands of each field, as the record has them."""
    return {field["name"]: field["bands"] for field in json.loads((directory / "run.json").read_text())["fields"]}


def test_whole_run(survey: Path, scenes: list) -> None:
    summary = execute(survey)
    out = survey.parent / "out"
    assert summary.exit_code == 0
    assert summary.directory == out
    names = {p.name for p in out.iterdir()}
    assert {"pair.fits", "pair.vot", "report.html", "survey.yml", "run.json", "failures.ecsv", "run.log"} <= names
    catalog = SourceCatalog.read(out / "pair.fits")
    catalog.validate()
    assert set(catalog["field"]) == {"north", "south"}
    assert len(np.unique(catalog["source_id"])) == len(catalog)
    bright = scenes[0].truth[(scenes[0].truth["snr"] > 40) & scenes[0].truth["visible"]]
    north = catalog[catalog["field"] == "north"]
    gaps = [np.hypot(north["x"] - t["x"], north["y"] - t["y"]).min() for t in bright]
    assert np.mean(np.array(gaps) < 2) > 0.85
    assert len(Table.read(out / "failures.ecsv")) == 0


def test_fits_and_votable_hold_the_same_rows(survey: Path) -> None:
    execute(survey)
    first = SourceCatalog.read(survey.parent / "out/pair.fits")
    second = SourceCatalog.read(survey.parent / "out/pair.vot")
    assert first.colnames == second.colnames
    for name in first.colnames:
        np.testing.assert_array_equal(np.asarray(first[name]), np.asarray(second[name]), err_msg=name)
        assert first[name].unit == second[name].unit
        assert first[name].meta["ucd"] == second[name].meta["ucd"]


def test_record_sums_up(survey: Path) -> None:
    summary = execute(survey)
    record = json.loads((survey.parent / "out/run.json").read_text())
    assert record["status"] == "complete"
    assert record["counts"]["sources"] == len(summary.catalog)
    assert [f["status"] for f in record["fields"]] == ["done", "done"]
    assert record["weights"]["name"] == "astroyolo-nano"
    assert {"read", "align", "detect", "measure", "write", "merge", "catalog", "report"} <= set(record["seconds"])
    assert all(len(e["sha256"]) == 64 for f in record["fields"] for e in f["inputs"].values())
    config = SurveyConfig.read(survey.parent / "out/survey.yml")
    assert config.name == "pair"
    assert record["config_sha256"] == summary.catalog.meta["CFGHASH"] == SurveyConfig.read(survey).digest()


def test_shifts_of_bands_are_told(survey: Path) -> None:
    conditions = draw_conditions(PROFILES["sdss"], np.random.default_rng(1))
    conditions = replace(conditions, crowding=6.0, clustering=0.5, pairs=0.0, nearby=0.0)
    scene = simulate_scene(PROFILES["sdss"], size=(260, 320), seed=11, artefacts=False, conditions=conditions)
    beside = scene.wcs | {"i": shifted(scene.wcs["i"], -0.9, 0.6)}
    for band, pixels in scene.images.items():
        path = survey.parent / f"north-{band}.fits"
        fits.PrimaryHDU(pixels, beside[band].to_header()).writeto(path, overwrite=True)
    change(survey, "workers: 1", "workers: 2")
    change(survey, "compute:", "tiles: {size: 192, overlap: 64}\ncompute:")
    out = survey.parent / "out"
    for status in ("done", "kept"):
        assert execute(survey).tiles[status] > 2
        north, south = (f["measured"]["shifts"] for f in json.loads((out / "run.json").read_text())["fields"])
        assert north == {"i": pytest.approx((0.9, -0.6), abs=0.05)}
        assert south == {}
        assert "field north: the WCS of band i was shifted by +0." in (out / "run.log").read_text(), status
        assert (out / "report.html").read_text().count(", i shifted 1.") == 1, status
        (out / "run.log").unlink()


def test_bands_that_no_star_corrects_are_told(survey: Path) -> None:
    conditions = draw_conditions(PROFILES["sdss"], np.random.default_rng(1))
    conditions = replace(conditions, crowding=6.0, clustering=0.5, pairs=0.0, nearby=0.0)
    scene = simulate_scene(PROFILES["sdss"], size=(260, 320), seed=11, artefacts=False, conditions=conditions)
    empty = np.random.default_rng(2).normal(0, 0.03, scene.images["i"].shape).astype(np.float32)
    for band, pixels in (scene.images | {"i": empty}).items():
        path = survey.parent / f"north-{band}.fits"
        fits.PrimaryHDU(pixels, scene.wcs[band].to_header()).writeto(path, overwrite=True)
    execute(survey)
    out = survey.parent / "out"
    north = json.loads((out / "run.json").read_text())["fields"][0]["measured"]
    assert north["corrections"]["r"]["stars"] >= 6
    assert north["uncorrected"] == {"flux_apcor": ["g", "i"], "flux_psf": ["g", "i"]}
    told = f"field north: {north['stars']} clear stars, but too few are of use to correct flux_apcor in g, i; flux_psf"
    assert (out / "run.log").read_text().count(told) == 1
    assert (out / "report.html").read_text().count(", no flux_apcor in g i, no flux_psf in g i") == 1


def test_rerun_does_nothing_again(survey: Path) -> None:
    first = execute(survey)
    again = execute(survey)
    assert again.tiles == {"done": 0, "kept": 2, "failed": 0}
    assert list(again.catalog["source_id"]) == list(first.catalog["source_id"])


def test_parts_of_a_survey_may_be_run_apart_and_put_together(survey: Path) -> None:
    """As docs/howto/slurm.rst says."""
    for name in ("north", "south"):
        (survey.parent / name).mkdir()
        for path in survey.parent.glob(f"{name}-?.fits"):
            path.rename(survey.parent / name / path.name)
    text = survey.read_text().replace("{field}-", "*/{field}-")
    whole = change(survey, '"{field}', '"*/{field}')
    at_once = execute(whole).catalog
    for name in ("north", "south"):
        part = survey.parent / f"{name}.yml"
        part.write_text(text.replace("*", name) + f"output: {{directory: part-{name}}}\n")
        assert execute(part).tiles["done"] == 1
        shutil.copytree(survey.parent / f"part-{name}" / "tiles", survey.parent / "all/tiles", dirs_exist_ok=True)
    together = survey.parent / "together.yml"
    together.write_text(text + "output: {directory: all}\n")
    summary = execute(together)
    assert summary.tiles == {"done": 0, "kept": 2, "failed": 0}
    assert list(summary.catalog["source_id"]) == list(at_once["source_id"])


def test_changed_input_redoes_only_its_field(survey: Path) -> None:
    execute(survey)
    with fits.open(survey.parent / "north-r.fits", mode="update") as hdus:
        hdus[0].data[0, 0] += 1
    assert execute(survey).tiles == {"done": 1, "kept": 1, "failed": 0}


def test_changed_sky_of_a_tiled_field_is_measured_anew(survey: Path) -> None:
    change(survey, "compute:", "tiles: {size: 128, overlap: 64}\ncompute:")
    first = execute(survey).catalog
    with fits.open(survey.parent / "north-r.fits", mode="update") as hdus:
        hdus[0].data += 1000 * np.std(hdus[0].data)
    again = execute(survey)
    assert again.tiles["done"] == again.tiles["kept"] == 2
    assert np.nanmedian(again.catalog["flux_r"]) == pytest.approx(np.nanmedian(first["flux_r"]), rel=0.2)
    assert len(again.catalog) == pytest.approx(len(first), abs=3)
    assert len(list((survey.parent / "out/tiles/north").glob("sky-*.npz"))) == 1, "that of before is removed"


def test_same_images_in_another_place(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for path in survey.parent.glob("north-*.fits"):
        path.unlink()
    other = tmp_path_factory.mktemp("other")
    for path in (survey, *survey.parent.glob("*.fits")):
        (other / path.name).write_bytes(path.read_bytes())
    first = execute(survey)
    for path in survey.parent.glob("*.fits"):
        path.unlink()
    second = execute(other / survey.name)
    assert second.exit_code == 0
    assert list(second.catalog["source_id"]) == list(first.catalog["source_id"])


def test_least_signal_to_noise_of_a_morphology(survey: Path) -> None:
    change(survey, "compute:", "morphology: {min_snr: 1e5}\ncompute:")
    assert set(execute(survey).catalog["morphology"]) <= {"", "unsure"}


def test_changed_setting_redoes_all(survey: Path) -> None:
    usual = execute(survey).catalog
    change(survey, "compute:", "measurement: {apertures: 2 arcsec}\ndetection: {threshold: 0.9}\ncompute:")
    again = execute(survey)
    assert again.tiles == {"done": 2, "kept": 0, "failed": 0}
    strict = again.catalog
    assert usual["det_score"].min() < 0.9 <= strict["det_score"].min()
    same = usual[np.isin(usual["source_id"], strict["source_id"]) & (usual["snr"] > 20)]
    inner = strict[np.isin(strict["source_id"], same["source_id"])]
    assert len(inner) == len(same) > 5
    assert (inner["flux_aper_r"] < same["flux_aper_r"]).all()


def test_how_fields_are_finished_redoes_no_tile(survey: Path) -> None:
    first = execute(survey).catalog
    survey.write_text(f"{survey.read_text()}detection: {{field_prior: false}}\n")
    again = execute(survey)
    assert again.tiles == {"done": 0, "kept": 2, "failed": 0}
    assert not np.array_equal(first["p_galaxy"], again.catalog["p_galaxy"], equal_nan=True)


def test_damaged_shard_is_made_again(survey: Path) -> None:
    execute(survey)
    shard = next((survey.parent / "out/tiles/north").glob("*.rows.npz"))
    shard.write_bytes(shard.read_bytes()[:3000])
    assert execute(survey).tiles["done"] == 1


def test_a_tile_that_fails_costs_itself_only(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(survey, "compute:", "tiles: {size: 128, overlap: 64}\ncompute:")
    find = tasks.find_in_tile

    def too_much(image: Image, tile: Tile, *settings: object, **options: object) -> TileResult:
        """Search a tile, but for one of the four."""
        if (image.name, tile.name) == ("north", "x00000y00000"):
            raise MemoryError
        return find(image, tile, *settings, **options)

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "find_in_tile", too_much)
        summary = execute(survey)
    assert summary.exit_code == 3
    assert summary.tiles == {"done": 3, "kept": 0, "failed": 1}
    (failure,) = summary.failures
    assert (failure.field, failure.tile, failure.stage) == ("north", "x00000y00000", "tile")
    assert "not enough memory; give smaller tiles.size" in failure.reason
    assert set(summary.catalog["field"]) == {"north", "south"}
    assert execute(survey).tiles == {"done": 1, "kept": 3, "failed": 0}
    # the picture of an earlier run is not shown for a tile that fails now
    shown: dict[str, list[Preview]] = {}
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "find_in_tile", too_much)
        patched.setattr(report, "write_report", lambda *_, previews, **__: shown.update(previews))
        change(survey, "{size: 128,", "{size: 128, overlap: 32} #")
        assert execute(survey).tiles["failed"] == 1
    assert {name: len(list(tiles)) for name, tiles in shown.items()} == {"north": 1, "south": 2}


def test_on_a_full_disk_no_more_tiles_are_sent(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(survey, "compute:", "tiles: {size: 128, overlap: 64}\ncompute:")
    write, tried = tasks.write_shard, []

    def full(path: Path, catalog: SourceCatalog) -> None:
        """Have room for one tile."""
        tried.append(path)
        if len(tried) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, catalog)

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "write_shard", full)
        patched.setattr(scheduling, "_MOST_FULL", 1)
        patched.setattr(Crew, "in_flight", lambda _crew: 1)
        summary = execute(survey)
    assert summary.exit_code == 3 and len(tried) == 2
    assert summary.tiles == {"done": 1, "kept": 0, "failed": 3}
    said = [failure.reason for failure in summary.failures]
    assert said[0].startswith("the disk takes nothing more (No space left on device)")
    assert said[1:] == [
        "the disk is full: 2 tiles were not tried, this is the first; make room and run again, finished tiles are kept"
    ]
    fields = json.loads((survey.parent / "out" / "run.json").read_text())["fields"]
    assert {field["status"] for field in fields} <= {"partial", "failed"}
    assert execute(survey).tiles == {"done": 3, "kept": 1, "failed": 0}


def test_a_file_that_goes_away_between_two_tiles_costs_its_band_only(
    survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrogalaxy.images.band._KEPT", 0)  # pixels of images as small as these are read once
    config = SurveyConfig.read(change(survey, "compute:", "tiles: {size: 128, overlap: 16}\ncompute:"))
    (north, _) = make_plan(config, load_weights("default"), memory=4e9).fields
    first, second = (
        TileTask(north.field, tile, north.keys[tile.name], north.key, config, survey.parent, 1, alone=False)
        for tile in north.tiles
    )
    path = survey.parent / "north-g.fits"
    try:
        measure_sky(first)
        outcome = process_tile(first)
        assert (outcome.status, outcome.failures) == ("done", [])
        path.unlink()
        outcome = process_tile(second)
    finally:
        forget_fields()
    assert outcome.status == "done"
    assert [(f.band, f.reason) for f in outcome.failures] == [("g", f"{path}: no such file")]
    assert np.isfinite(read_shard(first.path("rows"))["flux_g"]).any()
    sources = read_shard(second.path("rows"))
    assert np.isnan(sources["flux_g"]).all() and np.isfinite(sources["flux_r"]).any()


def test_a_pipe_is_no_image(survey: Path) -> None:
    (survey.parent / "north-g.fits").unlink()
    os.mkfifo(survey.parent / "north-g.fits")
    summary = execute(survey)
    assert [(f.field, f.band) for f in summary.failures] == [("north", "g")]
    assert "north-g.fits: not a readable FITS file but a folder or a device" in str(summary.failures[0])


def test_a_shard_that_is_damaged_during_a_run_is_told_and_done_again(survey: Path) -> None:
    change(survey, "compute:", "tiles: {size: 128, overlap: 64}\ncompute:")

    def damage(done: int, _total: int, what: str) -> None:
        """Change a byte of the first shard's rows before its field is joined."""
        if done == 1 and what == "north":
            (shard,) = (survey.parent / "out/tiles/north").glob("*.rows.npz")
            content = bytearray(shard.read_bytes())
            content[-2000] ^= 1
            shard.write_bytes(content)

    summary = execute(survey, progress=damage)
    assert summary.exit_code == 3
    (failure,) = summary.failures
    assert (failure.field, failure.stage) == ("north", "merge")
    assert "damaged after it was written; run again to do just this tile" in failure.reason
    assert set(summary.catalog["field"]) == {"north", "south"}, "its other tile is there"
    again = execute(survey)
    assert again.failures == []
    assert again.tiles == {"done": 1, "kept": 3, "failed": 0}
    assert len(again.catalog) > len(summary.catalog)


def test_missing_band_is_named_and_the_rest_finished(survey: Path) -> None:
    (survey.parent / "north-g.fits").unlink()
    summary = execute(survey)
    assert summary.exit_code == 3
    (failure,) = summary.failures
    assert (failure.field, failure.band) == ("north", "g")
    assert "north-g.fits" in str(failure)
    north = summary.catalog[summary.catalog["field"] == "north"]
    assert len(north) > 0
    assert np.isnan(north["flux_g"]).all()
    assert np.isfinite(north["flux_r"]).any()
    assert all("missing_band" in decode_flags(f) for f in north["flags"])
    south = summary.catalog[summary.catalog["field"] == "south"]
    assert np.isfinite(south["flux_g"]).any()
    assert (summary.catalog.meta["NFIELDS"], summary.catalog.meta["NFAILED"]) == (2, 1)
    assert bands_of(summary.directory) == {"north": ["r", "i"], "south": ["g", "r", "i"]}
    record = json.loads((survey.parent / "out/run.json").read_text())
    assert {field["name"]: field["status"] for field in record["fields"]} == {"north": "partial", "south": "done"}


def test_truncated_reference_loses_its_field_only(survey: Path) -> None:
    path = survey.parent / "north-r.fits"
    path.write_bytes(path.read_bytes()[: 2880 * 5])
    summary = execute(survey)
    assert summary.exit_code == 3
    assert set(summary.catalog["field"]) == {"south"}
    assert any("north-r.fits" in f.reason for f in summary.failures)
    listed = Table.read(survey.parent / "out/failures.ecsv")
    assert set(listed["field"]) == {"north"}


def test_a_failure_of_before_is_not_told_again(survey: Path) -> None:
    band = survey.parent / "north-g.fits"
    pixels = band.read_bytes()
    band.unlink()
    band.mkdir()
    (before,) = execute(survey).failures
    assert "not a readable FITS file" in before.reason
    band.rmdir()
    band.symlink_to("nowhere")
    again = execute(survey)
    assert again.tiles["kept"] == 2
    (now,) = again.failures
    assert "no such file" in now.reason
    # a tile must not be kept without a band that was away while it was done
    band.unlink()
    band.write_bytes(pixels)
    whole = make_plan(SurveyConfig.read(survey), load_weights("default"), memory=4e9)
    (field,) = (f for f in whole.fields if f.name == "north")
    (tile,) = field.tiles
    shards = survey.parent / "out/tiles/north"
    key = peek_shard(tile_path(shards, tile.name, "rows"))[1]["TILEKEY"]
    assert kept_tile("north", tile, str(key), shards, ["r", "i"]) is not None
    assert kept_tile("north", tile, str(key), shards, field.bands) is None


def test_truncated_bzip2_is_found_when_its_pixels_are_read(survey: Path) -> None:
    import bz2

    path = survey.parent / "north-i.fits"
    packed = bz2.compress(path.read_bytes())
    path.unlink()
    (survey.parent / "north-i.fits.bz2").write_bytes(packed[: len(packed) // 2])
    change(survey, "{field}-{band}.fits", "{field}-{band}.fits*")
    summary = execute(survey)
    assert summary.exit_code == 3
    assert [(f.field, f.band) for f in summary.failures] == [("north", "i")]
    assert np.isnan(summary.catalog["flux_i"][summary.catalog["field"] == "north"]).all()
    assert bands_of(summary.directory) == {"north": ["g", "r"], "south": ["g", "r", "i"]}
    again = execute(survey)
    assert again.tiles["kept"] == 2
    assert again.failures == summary.failures
    assert bands_of(again.directory) == {"north": ["g", "r"], "south": ["g", "r", "i"]}


def test_a_band_that_could_not_be_read_for_a_while_is_read_by_the_next_run(
    survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = survey.parent / "south-i.fits"
    packed = gzip.compress(path.read_bytes(), mtime=0)
    path.unlink()
    path = survey.parent / "south-i.fits.gz"
    path.write_bytes(packed)
    change(survey, "{field}-{band}.fits", "{field}-{band}.fits*")

    def cut_off(*args, **settings):
        """Truncate the file after it was hashed, before any tile is worked on."""
        path.write_bytes(packed[: len(packed) // 2])
        return hired(*args, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(import_module("astrogalaxy.survey.run"), "hired", cut_off)
        first = execute(survey)
    assert {(f.field, f.band, f.stage) for f in first.failures} == {("south", "i", "read")}
    assert bands_of(first.directory) == {"north": ["g", "r", "i"], "south": ["g", "r"]}
    path.write_bytes(packed)
    again = execute(survey)
    assert again.tiles == {"done": 1, "kept": 1, "failed": 0}
    assert again.failures == []
    assert np.isfinite(again.catalog["flux_i"][again.catalog["field"] == "south"]).any()


def test_a_worker_that_stays_looks_again_in_the_next_run(survey: Path) -> None:
    """Equal keys do not tell that what could not be read for a while has come back."""
    config = SurveyConfig.read(survey)
    (field, *_) = make_plan(config, load_weights("default"), memory=4e9).fields
    (tile,) = field.tiles
    task = TileTask(
        field.field, tile, field.keys[tile.name], field.key, config, survey.parent, 1, alone=True, run="first"
    )
    path = survey.parent / "north-g.fits"
    path.rename(survey.parent / "away")
    try:
        image, failures = _open(task)
        assert image is not None and tuple(image.bands) == ("r", "i") and len(failures) == 1
        (survey.parent / "away").rename(path)
        image, failures = _open(replace(task, run="second"))
        assert image is not None and tuple(image.bands) == ("g", "r", "i") and failures == []
    finally:
        forget_fields()


def test_a_tile_is_done_again_where_a_band_can_be_read_after_all(survey: Path) -> None:
    execute(survey)
    shards = survey.parent / "out/tiles/north"
    (shard,) = shards.glob("*.rows.npz")
    catalog = read_shard(shard)
    catalog.meta["TILEFAIL"] = json.dumps([asdict(Failure("north", "read", "north-i.fits: input/output error", "i"))])
    write_shard(shard, catalog)
    again = execute(survey)
    assert again.tiles == {"done": 1, "kept": 1, "failed": 0}
    assert again.failures == []


def test_an_input_that_changes_during_a_run_is_told_and_done_again(survey: Path) -> None:
    path = survey.parent / "north-r.fits"
    hashed = hashlib.sha256(path.read_bytes()).hexdigest()

    def deliver_again(done: int, _total: int, what: str) -> None:
        """Replace an image of the field that is just finished."""
        if done == 1 and what == "north":
            with fits.open(path, mode="update") as hdus:
                hdus[0].data *= 2

    changed = execute(survey, progress=deliver_again)
    assert changed.exit_code == 3
    (failure,) = changed.failures
    assert (failure.field, failure.band) == ("north", "r")
    assert "north-r.fits: changed while the run was at work; run again" in str(failure)
    entry = json.loads((survey.parent / "out/run.json").read_text())["fields"][0]["inputs"]["r"]
    assert entry["sha256"] == hashed and entry["mtime_ns"] != path.stat().st_mtime_ns
    again = execute(survey)
    assert again.failures == [] and again.tiles == {"done": 1, "kept": 1, "failed": 0}
    entry = json.loads((survey.parent / "out/run.json").read_text())["fields"][0]["inputs"]["r"]
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_that_change_during_a_run_are_told_and_all_is_done_again(survey: Path) -> None:
    weights = survey.parent / "mine.safetensors"
    shutil.copy(bundled()["astroyolo-nano"], weights)
    change(survey, "compute:", f"detection: {{model: {weights}}}\ncompute:")

    def train_again(done: int, _total: int, _what: str) -> None:
        """Write the same path anew."""
        if done == 1:
            shutil.copy(bundled()["astroyolo-nano"], weights)

    changed = execute(survey, progress=train_again)
    assert changed.exit_code == 3
    assert {failure.field for failure in changed.failures} == {"north", "south"}
    assert "mine.safetensors: changed while the run was at work; run again" in str(changed.failures[0])
    assert execute(survey).tiles == {"done": 2, "kept": 0, "failed": 0}


def test_a_mask_that_is_of_another_band_now_redoes_its_field(survey: Path) -> None:
    bad = np.zeros(fits.getdata(survey.parent / "north-g.fits").shape, dtype=np.uint8)
    bad[40:80, 40:80] = 1
    fits.writeto(survey.parent / "north-g.mask.fits", bad)
    change(survey, "images:\n", 'images:\n  mask: "{field}-{band}.mask.fits"\n')
    execute(survey)
    (survey.parent / "north-g.mask.fits").rename(survey.parent / "north-r.mask.fits")
    assert execute(survey).tiles == {"done": 1, "kept": 1, "failed": 0}


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_empty_frame_is_refused(survey: Path, value: float) -> None:
    with fits.open(survey.parent / "north-i.fits", mode="update") as hdus:
        hdus[0].data[:] = value
    summary = execute(survey)
    assert summary.exit_code == 3
    assert [(f.field, f.band) for f in summary.failures] == [("north", "i")]
    assert "north-i.fits" in summary.failures[0].reason


def test_a_band_that_lies_elsewhere_loses_itself_only(survey: Path) -> None:
    with fits.open(survey.parent / "north-i.fits", mode="update") as hdus:
        hdus[0].header["CRVAL1"] += 10
    summary = execute(survey)
    assert summary.exit_code == 3
    assert [(f.field, f.band) for f in summary.failures] == [("north", "i")]
    assert "it does not overlap" in summary.failures[0].reason
    assert np.isnan(summary.catalog["flux_i"][summary.catalog["field"] == "north"]).all()
    assert set(summary.catalog["field"]) == {"north", "south"}


def test_a_band_without_the_mask_that_is_asked_for_is_used_and_told(survey: Path) -> None:
    bad = np.zeros(fits.getdata(survey.parent / "south-i.fits").shape, dtype=np.uint8)
    for name in ("north-g", "north-r", "north-i", "south-g", "south-r"):
        fits.writeto(survey.parent / f"{name}.mask.fits", bad)
    change(survey, "images:\n", 'images:\n  mask: "{field}-{band}.mask.fits"\n')
    summary = execute(survey)
    assert summary.exit_code == 3
    (failure,) = summary.failures
    assert (failure.field, failure.band) == ("south", "i")
    assert "south-i.fits: used without a mask" in failure.reason
    assert np.isfinite(summary.catalog["flux_i"][summary.catalog["field"] == "south"]).any()
    assert bands_of(summary.directory) == {"north": ["g", "r", "i"], "south": ["g", "r", "i"]}
    again = execute(survey)
    assert again.tiles["kept"] == 2
    assert again.failures == summary.failures


def test_detectors_of_one_file_are_told_and_may_be_fields(survey: Path, scenes: list) -> None:
    for band in "gri":
        parts = [fits.ImageHDU(scene.images[band], scene.wcs[band].to_header()) for scene in scenes]
        for name, part in zip(("CCD1", "CCD2"), parts, strict=True):
            part.name = name
        fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(survey.parent / f"exposure-{band}.fits")
        for name in ("north", "south"):
            (survey.parent / f"{name}-{band}.fits").unlink()
    summary = execute(survey)
    assert summary.exit_code == 3
    assert len(summary.failures) == 3
    assert "is read alone, though extension 2 CCD2 of the file shows another part" in summary.failures[0].reason
    assert set(summary.catalog["field"]) == {"exposure"}
    change(survey, "images:\n", 'images:\n  hdu: "CCD*"\n')
    summary = execute(survey)
    assert summary.exit_code == 0
    assert set(summary.catalog["field"]) == {"exposure-CCD1", "exposure-CCD2"}
    again = execute(survey)
    assert again.tiles["kept"] == 2


def test_a_zero_point_that_the_unit_denies_is_logged(survey: Path) -> None:
    for band in "gri":
        fits.setval(survey.parent / f"north-{band}.fits", "BUNIT", value="nanomaggy" if band == "g" else "nJy")
    execute(survey)
    said = [line for line in (survey.parent / "out" / "run.log").read_text().splitlines() if "zeropoint says" in line]
    assert len(said) == 2
    assert "north-r.fits: zeropoint says 22.50, but its unit is that of zero point 31.40" in said[0]


def test_zero_points_that_cannot_be_are_failures_and_odd_ones_are_told(survey: Path) -> None:
    change(survey, "22.5", "MAGZP\n  gain: GAIN")
    for field, band, zeropoint, gain in [
        ("north", "g", -999.0, 4.0), ("north", "r", 22.5, 4.0), ("north", "i", 22.5, 1e-9),
        ("south", "g", 22.5, 4.0), ("south", "r", 22.6, 4.0), ("south", "i", 0.0, 4.0),
    ]:  # fmt: skip
        path = survey.parent / f"{field}-{band}.fits"
        fits.setval(path, "MAGZP", value=zeropoint)
        fits.setval(path, "GAIN", value=gain)
    checked = CliRunner().invoke(app, ["check", str(survey)])
    assert "north-g.fits: zeropoint, the header's MAGZP, must be a magnitude" in checked.stderr
    assert "zero points in r: 22.50 to 22.60\n" in checked.output
    odd = "zero points more than 3 mag from the median of their band: 2, of field north, band i (22.5, median 11.25); "
    assert f"warning: {odd}field south, band i (0, median 11.25)" in checked.stderr
    assert "gains more than a factor of 100 from the median of their band: 1, of field north, band i (1e-09" in (
        checked.stderr
    )
    summary = execute(survey)
    assert [(failure.field, failure.band) for failure in summary.failures] == [("north", "g")]
    assert summary.remarks[0].startswith(odd)
    assert odd in (survey.parent / "out" / "run.log").read_text()
    fields = json.loads((survey.parent / "out" / "run.json").read_text())["fields"]
    headers = [field["headers"] for field in fields]
    assert {band: header["zeropoint"] for band, header in headers[0].items()} == {"r": 22.5, "i": 22.5}
    assert {band: header["gain"] for band, header in headers[1].items()} == {"g": 4.0, "r": 4.0, "i": 4.0}


def test_no_wcs_is_refused(survey: Path) -> None:
    for band in ("g", "r"):
        data = fits.getdata(survey.parent / f"{'north' if band == 'g' else 'south'}-{band}.fits")
        fits.PrimaryHDU(data).writeto(
            survey.parent / f"{'north' if band == 'g' else 'south'}-{band}.fits", overwrite=True
        )
    summary = execute(survey)
    assert summary.exit_code == 3
    assert set(summary.catalog["field"]) == {"north"}
    reasons = {(f.field, f.band): f.reason for f in summary.failures}
    assert "WCS" in reasons["north", "g"]
    assert "WCS" in reasons["south", "r"]


def test_nothing_could_be_done(survey: Path) -> None:
    for path in survey.parent.glob("*-r.fits"):
        path.unlink()
    summary = execute(survey)
    assert summary.exit_code == 1
    assert not (survey.parent / "out/pair.fits").exists()
    assert json.loads((survey.parent / "out/run.json").read_text())["status"] == "failed"
    with pytest.raises(RunError, match=r"nothing could be done.*run\.log"):
        run(survey)


def test_fields_in_a_folder_that_is_away_are_missed_and_their_tiles_stay(survey: Path) -> None:
    for name in ("north", "south"):
        (survey.parent / name).mkdir()
        for band in "gri":
            (survey.parent / f"{name}-{band}.fits").rename(survey.parent / name / f"{band}.fits")
    change(survey, "{field}-{band}", "{field}/{band}")
    assert execute(survey).exit_code == 0
    south = survey.parent / "south"
    away = south.rename(survey.parent / "away.d")
    south.symlink_to("nowhere")
    summary = execute(survey)
    assert summary.exit_code == 3
    assert [(f.field, f.stage, f.reason.split(":")[0]) for f in summary.failures] == [("(images)", "open", str(south))]
    result = CliRunner().invoke(app, ["check", str(survey)])
    assert result.exit_code == 3
    assert f"{south}: cannot be looked into" in result.stderr
    south.unlink()
    away.rename(south)
    assert execute(survey).tiles == {"done": 0, "kept": 2, "failed": 0}


def test_no_files_at_all(survey: Path) -> None:
    change(survey, "{field}-{band}.fits", "nowhere-{field}-{band}.fits")
    with pytest.raises(ImageError, match="no image matches"):
        execute(survey)


def test_a_directory_that_is_removed_under_a_run_is_named(survey: Path) -> None:
    out = survey.parent / "out"

    def remove(done: int, _total: int, _what: str) -> None:
        """Remove the run directory after the first tile."""
        if done == 1:
            shutil.rmtree(out)

    with pytest.raises(RunError, match=f"^{out}: was removed while the run was at work; run again$"):
        execute(survey, progress=remove)
    assert execute(survey).exit_code == 0


def test_typo_is_one_clear_line(survey: Path) -> None:
    change(survey, "zeropoint", "zeropint")
    with pytest.raises(ConfigError, match=r"survey\.yml:5: images\.zeropint: .*did you mean 'zeropoint'") as error:
        execute(survey)
    assert len(str(error.value).splitlines()) == 1


def test_second_run_into_the_same_directory_stops(survey: Path) -> None:
    config = SurveyConfig.read(survey)
    directory = RunDirectory(Path(config.output.directory), config.name)
    with directory.locked(), pytest.raises(RunError, match="another run"):
        execute(survey)


def test_read_only_output_is_said(survey: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (survey.parent / "out").mkdir(mode=0o500)
    with pytest.raises(RunError, match="cannot be written"):
        execute(survey)


def test_field_names_cannot_leave_the_directory(tmp_path: Path) -> None:
    folder = RunDirectory(tmp_path, "x").shards("../../etc")
    assert folder.parent == tmp_path / "tiles"


def test_with_a_users_client(survey: Path) -> None:
    from distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        catalog = run(survey, client=client)
    assert set(catalog["field"]) == {"north", "south"}


def test_progress_is_told(survey: Path) -> None:
    seen = []
    execute(survey, progress=lambda done, total, what: seen.append((done, total, what)))
    assert seen[-1][:2] == (2, 2)
    assert any(what == "merging" for _, _, what in seen)


def test_fields_that_differ_in_odd_letters_alone_have_folders_of_their_own(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, "x")
    names = ("a b", "a_b", "a:b", ".a_b", "..", "", "A_b", "A_B")
    folders = {directory.shards(name) for name in names}
    assert len({str(folder).lower() for folder in folders}) == len(names), "on disks that take A for a, too"
    assert all(folder.parent == tmp_path / "tiles" for folder in folders)
    assert directory.shards("frame-003918-3") == tmp_path / "tiles" / "frame-003918-3"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("detection: {model: nope}", r"detection.model: nope: no such weights; known are .*astroyolo-nano"),
        ("morphology: {model: nope}", r"morphology.model: nope: no such weights"),
        ("morphology: {model: default}", r"morphology.model: .*these weights are for detection"),
        ("detection: {model: ./astroyolo-nano.safetensors}", r"detection.model: .*do not match the card's SHA-256"),
        ("morphology: {model: ./galaxyzoo-fine.safetensors}", r"morphology.model: .*do not match the card's SHA-256"),
        ("detection: {positions: nothere.csv}", r"detection.positions: .*nothere.csv: no such file"),
        ("astrometry: {check: nothere.csv, apply: true}", r"astrometry.check: .*nothere.csv: no such file"),
        ("astrometry: {check: north-g.fits}", r"astrometry.check: .*north-g.fits: "),
    ],
)
def test_what_is_named_must_be_there_and_whole(survey: Path, lines: str, message: str) -> None:
    for name in ("astroyolo-nano", "galaxyzoo-fine"):
        whole = bundled()[name].read_bytes()
        (survey.parent / f"{name}.safetensors").write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    survey.write_text(f"{survey.read_text()}{lines}\n")
    with pytest.raises(ConfigError, match=rf"^{survey}:7: {message}[^\n]*$"):
        execute(survey)
    checked = CliRunner().invoke(app, ["check", str(survey)])
    assert isinstance(checked.exception, ConfigError)
    assert not (survey.parent / "out").exists()


def test_bands_in_another_order_are_told_once(survey: Path) -> None:
    assert remarks(SurveyConfig.read(survey)) == []
    survey.write_text(survey.read_text().replace("[g, r, i]", "[i, r, g]"))
    told = f"warning: {survey}:4: images.bands: the network expects the shortest wavelength first, and i comes before r"
    checked = CliRunner().invoke(app, ["check", str(survey)])
    assert (checked.exit_code, checked.stderr) == (0, f"{told}\n")
    ran = CliRunner().invoke(app, ["run", str(survey)])
    assert ran.exit_code == 0
    assert ran.stderr.count(told) == 1
    assert "WARNING astrogalaxy.survey.run" in (survey.parent / "out" / "run.log").read_text()


def test_a_device_must_be_where_networks_run(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.devices._torch_sees_gpu", lambda: False)
    survey.write_text(survey.read_text().replace("device: cpu", "device: cuda"))
    with pytest.raises(ConfigError, match=rf"^{survey}:6: compute.device: the device cuda needs a GPU, and torch "):
        execute(survey)
    config = SurveyConfig.read(survey)
    assert open_inputs(config, here=False).card.name == "astroyolo-nano"


def test_an_archive_that_does_not_answer_is_told(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_catalog: SourceCatalog, *, mjd: float | None) -> None:
        assert mjd is None
        msg = "Gaia's archive did not answer (timed out)"
        raise ArchiveError(msg)

    monkeypatch.setattr(astrometry, "gaia_positions", silent)
    survey.write_text(survey.read_text() + "astrometry: {check: gaia, apply: true}\n")
    summary = execute(survey)
    assert summary.exit_code == 3
    assert [failure.stage for failure in summary.failures] == ["astrometry", "astrometry"]
    assert "Gaia's archive did not answer (timed out); positions are not corrected" in str(summary.failures[0])
    told = Table.read(summary.directory / "failures.ecsv")
    assert sorted(told["field"]) == ["north", "south"]
    assert json.loads((summary.directory / "run.json").read_text())["failures"]


def test_check_and_run_refuse_a_directory_alike(survey: Path) -> None:
    (survey.parent / "taken").write_text("a file")
    for directory in ("taken", "taken/below"):
        path = survey.with_name("other.yml")
        path.write_text(f"{survey.read_text()}output: {{directory: {directory}}}\n")
        with pytest.raises(RunError, match="cannot be written to .*; set output.directory to another folder") as error:
            execute(path)
        checked = CliRunner().invoke(app, ["check", str(path)])
        assert str(checked.exception) == str(error.value)
    for name in ("survey.yml", "run.json", "failures.ecsv"):
        (survey.parent / "out" / name).mkdir(parents=True)
        with pytest.raises(RunError, match=rf"out/{name}: cannot be written to \(Is a directory\); remove it") as error:
            execute(survey)
        checked = CliRunner().invoke(app, ["check", str(survey)])
        assert str(checked.exception) == str(error.value)
        assert [path.name for path in (survey.parent / "out").iterdir()] == [name]
        (survey.parent / "out" / name).rmdir()
    free = RunDirectory(survey.parent / "not" / "yet", "pair")
    free.check()
    assert not free.path.parent.exists()


def test_handlers_of_the_user_hear_what_they_are_to_hear(survey: Path) -> None:
    """The level that is set for the package holds for them, and run.log has everything."""
    package, root, told = logging.getLogger("astrogalaxy"), logging.getLogger(), []
    listener = logging.Handler()
    listener.emit = lambda record: told.append((record.name, record.levelname))
    level = package.level
    package.setLevel(logging.WARNING)
    root.addHandler(listener)
    try:
        execute(survey, progress=lambda *_: logging.getLogger("theirs").warning("their own"))
        assert package.level == logging.WARNING
        assert {name for name, _ in told} >= {"theirs"}
        assert not [name for name, _ in told if name.startswith("astrogalaxy")]
        package.setLevel(logging.INFO)
        execute(survey)
    finally:
        root.removeHandler(listener)
        package.setLevel(level)
    assert ("astrogalaxy.survey.run", "INFO") in told
    assert not listener.filters
    assert "INFO astrogalaxy.survey.run: run pair in" in (survey.parent / "out" / "run.log").read_text()
