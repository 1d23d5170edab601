"""Surveys whose point spreads are given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from astrogalaxy.cli import app
from astrogalaxy.config import SurveyConfig
from astrogalaxy.images.fields import find_fields
from astrogalaxy.simulation import PROFILES
from astrogalaxy.simulation.render import point_spread
from astrogalaxy.survey import execute
from astrogalaxy.survey.stages import QUALITY

BANDS = ("g", "r", "i")


def change(path: Path, old: str, new: str) -> None:
    """Edit a survey.yml."""
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def given(survey: Path, scenes: list) -> Path:
    """A survey whose fields have point spreads of their own."""
    import galsim

    scale = PROFILES["sdss"].pixel_scale
    for name, scene in zip(("north", "south"), scenes, strict=True):
        for band in BANDS:
            seen = galsim.Convolve(point_spread(scene.conditions, band), galsim.Pixel(scale))
            image = seen.drawImage(nx=61, ny=61, scale=scale, method="no_pixel").array
            fits.writeto(survey.parent / f"{name}-{band}.psf.fits", image)
    change(survey, "images:\n", 'images:\n  psf: "{field}-{band}.psf.fits"\n')
    return survey


def test_psf_fluxes_of_all_fields(given: Path) -> None:
    """The small fields have too few stars to show one."""
    summary = execute(given)
    assert summary.exit_code == 0
    for band in BANDS:
        assert np.isfinite(summary.catalog[f"flux_psf_{band}"]).mean() > 0.95
    assert np.isfinite(summary.catalog["spread"]).mean() > 0.95
    assert not {QUALITY, "TILEPSF"} & set(summary.catalog.meta)
    record = json.loads((summary.directory / "run.json").read_text())
    for field in record["fields"]:
        assert {Path(entry["path"]).name for entry in field["psfs"].values()} == {
            f"{field['name']}-{band}.psf.fits" for band in BANDS
        }
        assert all(entry["sha256"] for entry in field["psfs"].values())
    assert "point spread given in g r i" in (summary.directory / "report.html").read_text()


def test_tiles_and_workers_have_the_same(given: Path) -> None:
    whole = execute(given).catalog
    change(given, "workers: 1", "workers: 2")
    change(given, "compute:", "tiles: {size: 128, overlap: 64}\ncompute:")
    tiled = execute(given)
    assert tiled.tiles["done"] > 2
    both = set(whole["source_id"]) & set(tiled.catalog["source_id"])
    assert len(both) > 0.9 * len(whole)
    first, second = (c[np.isin(c["source_id"], list(both))] for c in (whole, tiled.catalog))
    for table in (first, second):
        table.sort("source_id")
    close = np.isclose(first["flux_psf_r"], second["flux_psf_r"], rtol=0.01, atol=0.1 * first["flux_psf_r_err"])
    assert close.mean() > 0.95


def test_a_changed_point_spread_redoes_its_field(given: Path) -> None:
    execute(given)
    assert execute(given).tiles == {"done": 0, "kept": 2, "failed": 0}
    with fits.open(given.parent / "north-r.psf.fits", mode="update") as hdus:
        hdus[0].data[30, 30] *= 1.01
    assert execute(given).tiles == {"done": 1, "kept": 1, "failed": 0}


def test_bands_without_one_are_measured_by_their_stars_and_told(given: Path) -> None:
    (given.parent / "south-i.psf.fits").unlink()
    summary = execute(given)
    (failure,) = summary.failures
    assert (failure.field, failure.band) == ("south", "i")
    assert "south-i.fits: used without a psf; no file matches" in failure.reason
    assert np.isfinite(summary.catalog["flux_i"][summary.catalog["field"] == "south"]).any()
    change(given, '"{field}-{band}.psf.fits"', '{g: "{field}-g.psf.fits", r: "north-r.psf.fits"}')
    assert execute(given).failures == []
    assert [set(field.psfs) for field in find_fields(SurveyConfig.read(given).images)] == [{"g", "r"}] * 2


def test_check_opens_them(given: Path) -> None:
    fits.writeto(given.parent / "north-r.psf.fits", np.ones((21, 21)), overwrite=True)
    result = CliRunner().invoke(app, ["check", str(given)])
    assert result.exit_code != 0
    assert "north-r.psf.fits: this 21 x 21 image is none of a point spread" in " ".join(result.output.split())


def test_positions_on_a_field_without_stars(given: Path, scenes: list) -> None:
    change(given, "compute:", "detection: {positions: wanted.csv}\ncompute:")
    faint = scenes[0].truth[np.argsort(scenes[0].truth["snr"])[:5]]
    Table({"ra": faint["ra"], "dec": faint["dec"]}).write(given.parent / "wanted.csv")
    catalog = execute(given).catalog
    assert len(catalog) == 5
    assert np.isfinite(catalog["flux_psf_r"]).all()
    assert (np.abs(catalog["flux_psf_r"]) < 10 * catalog["flux_psf_r_err"]).all()
