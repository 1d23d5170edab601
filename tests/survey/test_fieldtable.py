"""The table of fields of a run."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table, join

from astrogalaxy.images import Image
from astrogalaxy.survey import execute, facts
from astrogalaxy.survey.fieldtable import FIELD_COLUMNS


def test_a_row_for_each_field(survey: Path) -> None:
    for field, mjd in (("north", 58119.25), ("south", 58120.5)):
        for band in "gri":
            path = survey.parent / f"{field}-{band}.fits"
            fits.setval(path, "MJD-OBS", value=mjd)
            fits.setval(path, "EXPTIME", value=90.0)
    (survey.parent / "south-i.fits").unlink()
    summary = execute(survey)
    path = survey.parent / "out" / "fields.ecsv"
    table = Table.read(path)
    wanted = [name.replace("{band}", band) for name in FIELD_COLUMNS for band in ("g", "r", "i")]
    assert table.colnames == list(dict.fromkeys(wanted))
    assert list(table["field"]) == ["north", "south"] and list(table["status"]) == ["done", "partial"]
    assert list(table["mjd_r"]) == [58119.25, 58120.5] and list(table["exptime_r"]) == [90.0, 90.0]
    assert np.isnan(table["mjd_i"][1]) and table["image_i"][1] is np.ma.masked
    assert np.all(table["zeropoint_g"] == 22.5) and np.all(np.isnan(table["gain_g"]))
    rows = [int((summary.catalog["field"] == name).sum()) for name in table["field"]]
    assert list(table["sources"]) == rows
    image = Image.read({"r": survey.parent / "north-r.fits"})
    ny, nx = image.shape
    middle = image.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
    assert (table["ra"][0], table["dec"][0]) == pytest.approx((middle.ra.deg, middle.dec.deg))
    assert (table["nx"][0], table["ny"][0]) == (nx, ny)
    assert table["area"][0] == pytest.approx(nx * ny * image.pixel_scale**2 / 3600**2)
    assert table["seeing"].unit == "arcsec" and table["depth_r"].info.description
    joined = join(summary.catalog["source_id", "field"], table["field", "mjd_r"], keys="field")
    assert len(joined) == len(summary.catalog)
    # nothing is opened again, and the headers are known all the same
    before = path.read_bytes()
    assert execute(survey).tiles["kept"] == 2
    assert path.read_bytes() == before


def test_fields_that_lie_on_each_other_are_equally_deep(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue has the sources of one of them, and the report a sample of it."""
    for band in "gri":
        shutil.copy(survey.parent / f"north-{band}.fits", survey.parent / f"south-{band}.fits")
    calls = Mock(side_effect=facts.field_facts)
    monkeypatch.setattr(import_module("astrogalaxy.survey.run"), "field_facts", calls)
    monkeypatch.setattr("astrogalaxy.survey.shelf._MOST_SAMPLED", 5)
    summary = execute(survey)
    assert calls.call_count == 1
    assert len(set(summary.catalog["field"])) == 1 and summary.counts["duplicates"] == len(summary.catalog)
    table = Table.read(survey.parent / "out" / "fields.ecsv")
    for name in ("depth_g", "depth_r", "depth_i"):
        assert table[name][0] == table[name][1] > 0, name
    assert table["depth_r"][0] == pytest.approx(facts.depth(summary.catalog, "r").value, abs=1e-3)


def test_a_table_that_cannot_be_made_is_a_failure(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "class_counts", lambda *_: 1 / 0)
    summary = execute(survey)
    assert summary.exit_code == 3
    assert [failure.stage for failure in summary.failures] == ["fields", "report"]
    assert [failure.reason.split(":")[0] for failure in summary.failures] == ["no table of fields", "no report"]
    assert not (survey.parent / "out" / "fields.ecsv").exists()
