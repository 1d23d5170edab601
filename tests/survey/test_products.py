"""What a run writes at its end."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from mocpy import MOC

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.catalog.io.registry import WRITERS
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import RunError
from astrogalaxy.formats import FORMATS
from astrogalaxy.images.fields import find_fields, open_field
from astrogalaxy.models import load_weights
from astrogalaxy.survey import execute
from astrogalaxy.survey.plan import make_plan
from astrogalaxy.survey.products import footprints, searched_area
from astrogalaxy.survey.tasks import TileOutcome


def with_formats(survey: Path, *names: str) -> SurveyConfig:
    config = SurveyConfig.read(survey)
    return config.model_copy(update={"output": config.output.model_copy(update={"formats": names})})


def test_every_format(survey: Path) -> None:
    summary = execute(with_formats(survey, *FORMATS))
    out = survey.parent / "out"
    assert summary.exit_code == 0, summary.failures
    assert summary.files == [out / f"pair{form.suffix}" for form in FORMATS.values()]
    first = SourceCatalog.read(out / "pair.fits")
    for name, form in FORMATS.items():
        if form.reads_back:
            back = SourceCatalog.read(out / f"pair{form.suffix}")
            back.validate()
            assert sorted(back["source_id"]) == sorted(first["source_id"]), name
            assert back.meta == first.meta and len(back.meta["INHASHES"].split(",")) == 6
    assert sum(line.startswith(("circle", "ell")) for line in (out / "pair.reg").read_text().splitlines()) == len(first)
    area = MOC.from_fits(out / "pair.moc.fits")
    assert area.contains_lonlat(first.coords.ra, first.coords.dec).all()
    assert fits.getheader(out / "pair.moc.fits", 1)["CFGHASH"] == first.meta["CFGHASH"]
    # the MOC has every cell that a field touches, and those are wide for such small ones
    record = json.loads((out / "run.json").read_text())
    pixels = sum(np.prod(field["shape"]) * field["pixel_scale"] ** 2 for field in record["fields"])
    assert record["area"] == pytest.approx(pixels / 3600**2, rel=1e-3)
    assert 0.85 < record["area"] / (area.sky_fraction * 41252.96) < 1


def test_the_area_is_that_of_the_fields_in_the_catalogue(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from astrogalaxy.survey import finish

    def broken(catalog: SourceCatalog, *args: object, **settings: object) -> SourceCatalog:
        """Join the first field only."""
        fields.append(str(catalog["field"][0]))
        if len(fields) > 1:
            raise ZeroDivisionError
        return done(catalog, *args, **settings)

    done, fields = finish.classify, []
    monkeypatch.setattr(finish, "classify", broken)
    summary = execute(with_formats(survey, "fits", "moc"))
    assert summary.exit_code == 3
    assert {str(name) for name in summary.catalog["field"]} == set(fields[:1])
    area = MOC.from_fits(survey.parent / "out" / "pair.moc.fits")
    plan = make_plan(SurveyConfig.read(survey), load_weights(), memory=4e9)
    centres = {field.name: field_centre(survey, field.name) for field in plan.fields}
    assert {name for name, centre in centres.items() if area.contains_lonlat(*centre)[0]} == set(fields[:1])


def field_centre(survey: Path, name: str) -> tuple[u.Quantity, u.Quantity]:
    config = SurveyConfig.read(survey)
    (field,) = (field for field in find_fields(config.images) if field.label == name)
    image = open_field(field, config.images)
    ny, nx = image.shape
    sky = image.wcs.pixel_to_world([nx / 2], [ny / 2]).icrs
    return sky.ra, sky.dec


@pytest.mark.parametrize("broken", ["astrogalaxy.survey.products.covered_area", "astrogalaxy.catalog.io.votable.write"])
def test_whatever_goes_wrong_in_a_format_the_others_are_there(
    survey: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken.endswith("votable.write"):
        monkeypatch.setitem(WRITERS, "votable", Mock(side_effect=MemoryError))
    else:
        monkeypatch.setattr(broken, Mock(side_effect=MemoryError))
    summary = execute(with_formats(survey, "votable", "fits", "moc"))
    assert (summary.exit_code, len(summary.files)) == (3, 2)
    assert "not enough memory" in str(summary.failures[0])
    assert (survey.parent / "out" / "pair.fits") in summary.files


def test_a_format_that_fails_is_listed_and_the_others_are_written(survey: Path) -> None:
    out = survey.parent / "out"
    (out / "pair.hats").mkdir(parents=True)  # not ours, so it stays
    (out / "pair.hats" / "mine.txt").write_text("x")
    summary = execute(with_formats(survey, "hats", "fits"))
    assert summary.exit_code == 3 and summary.files == [out / "pair.fits"]
    (failure,) = summary.failures
    assert failure.stage == "write" and "pair.hats" in str(failure) and "not a HATS folder" in str(failure)
    assert "not a HATS folder" in (out / "failures.ecsv").read_text()
    assert (out / "pair.hats" / "mine.txt").is_file()


def test_a_report_that_cannot_be_written_is_a_failure(survey: Path) -> None:
    out = survey.parent / "out"
    (out / "report.html" / "mine").mkdir(parents=True)
    summary = execute(survey)
    assert summary.exit_code == 3
    (failure,) = summary.failures
    assert failure.stage == "report" and "report.html" in str(failure)
    # neither the command nor a notebook names it among what was written
    assert summary.written == [out / "pair.fits", out / "pair.vot", out / "fields.ecsv"]
    assert 'report.html"' not in summary._repr_html_()
    assert "report.html" in (out / "failures.ecsv").read_text()
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "partial" and record["failures"][0]["stage"] == "report"
    assert (out / "pair.fits").is_file()


def test_a_report_is_told_where_only_the_table_of_fields_could_not_be_written(survey: Path) -> None:
    out = survey.parent / "out"
    (out / "fields.ecsv").mkdir(parents=True)
    with pytest.raises(RunError, match="fields.ecsv"):  # told before the run, unless it comes during it
        execute(survey)
    (out / "fields.ecsv").rmdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(import_module("astrogalaxy.survey.run"), "write_fields", Mock(side_effect=MemoryError))
        summary = execute(survey)
    assert [(failure.stage, failure.field) for failure in summary.failures] == [("fields", "(report)")]
    assert summary.written == [out / "pair.fits", out / "pair.vot", out / "report.html"]
    assert 'report.html"' in summary._repr_html_() and (out / "report.html").is_file()
    assert execute(survey).written == [*summary.written, out / "fields.ecsv"]


@pytest.mark.parametrize(
    ("broken", "stage", "code"),
    [
        ("astrogalaxy.survey.report.write.all_charts", "report", 3),
        ("astrogalaxy.survey.fieldtable.field_table", "fields", 3),
        ("astrogalaxy.survey.shelf.Shelf.join", "write", 1),
        ("astrogalaxy.survey.finish.classify", "merge", 1),
    ],
)
@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), OSError(errno.ENOSPC, "No space left on device")])
def test_whatever_goes_wrong_at_the_end_is_recorded(
    survey: Path, monkeypatch: pytest.MonkeyPatch, broken: str, stage: str, code: int, error: Exception
) -> None:
    out = survey.parent / "out"
    with monkeypatch.context() as patched:
        patched.setattr(broken, Mock(side_effect=error))
        summary = execute(survey)
    assert summary.exit_code == code
    assert {failure.stage for failure in summary.failures} == {stage}
    known = "the disk takes nothing more (No space left on device); free some space, then run again"
    words = known if isinstance(error, OSError) else "unexpected ZeroDivisionError: a bug; please report this"
    assert words in str(summary.failures[0])
    assert ("Traceback" in (out / "run.log").read_text()) == isinstance(error, ZeroDivisionError)
    assert words in (out / "failures.ecsv").read_text()
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == ("partial" if code == 3 else "failed")
    assert [failure["stage"] for failure in record["failures"]] == [failure.stage for failure in summary.failures]
    assert (out / "pair.fits").is_file() == (code == 3)
    again = execute(survey)
    assert (again.exit_code, again.tiles["kept"]) == (0, 2)


def test_footprints_leave_out_tiles_that_failed(survey: Path) -> None:
    config = SurveyConfig.read(survey)
    config = config.model_copy(update={"tiles": config.tiles.model_copy(update={"size": 128, "overlap": 32})})
    plan = make_plan(config, load_weights("default"), memory=4e9)
    tiles = [(f.name, tile.name) for f in plan.fields for tile in f.tiles]
    done = [TileOutcome(field, tile, "", "done", 0, 1) for field, tile in tiles]
    assert len(tiles) > 2
    whole = list(footprints(plan, done, config))
    assert len(whole) == 2 and all(outline.shape == (32, 2) for outline in whole)
    partly = list(footprints(plan, [replace(done[0], status="failed"), *done[1:]], config))
    assert len(partly) == len(plan.fields[0].tiles) - 1 + 1
    assert np.ptp(partly[0], axis=0).prod() < 0.9 * np.ptp(whole[0], axis=0).prod(), "not the whole field"
    np.testing.assert_array_equal(partly[-1], whole[1])
    assert list(footprints(plan, [replace(o, status="failed") for o in done], config)) == []


def test_a_whole_field_is_not_opened_for_its_outline(survey: Path) -> None:
    config = SurveyConfig.read(survey)
    plan = make_plan(config, load_weights("default"), memory=4e9)
    done = [TileOutcome(f.name, tile.name, "", "done", 0, 1) for f in plan.fields for tile in f.tiles]
    for path in survey.parent.glob("*.fits"):
        path.unlink()
    assert [outline.shape for outline in footprints(plan, done, config)] == [(32, 2)] * 2
    assert searched_area(plan, done, config) > 0


def test_footprint_is_the_outer_edge_of_the_pixels(survey: Path, scenes: list) -> None:
    config = SurveyConfig.read(survey)
    plan = make_plan(config, load_weights("default"), memory=4e9)
    done = [TileOutcome(f.name, tile.name, "", "done", 0, 1) for f in plan.fields for tile in f.tiles]
    outline = next(footprints(plan, done, config))
    x, y = scenes[0].wcs["r"].world_to_pixel_values(outline[:, 0], outline[:, 1])
    ny, nx = plan.fields[0].headers.shape
    assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((-0.5, nx - 0.5, -0.5, ny - 0.5), abs=1e-3)
    assert np.ptp(outline[:, 1]) > 0
