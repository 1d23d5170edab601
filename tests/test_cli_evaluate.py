"""``astrogalaxy evaluate CATALOG TRUTH``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table, vstack
from typer.testing import CliRunner, Result

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.cli import app
from astrogalaxy.errors import AstrogalaxyError


def _evaluate(*args: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, args)])


def _number(ran: Result, quantity: str) -> float:
    """A value of the printed table."""
    assert ran.exit_code == 0, ran.exception
    return float(next(line.split(quantity)[1].split()[0] for line in ran.output.splitlines() if quantity in line))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run directory with a catalogue, where ra = 0 goes through its field; and truth tables beside it."""
    x, y = 20.0 * (np.arange(40) % 10), 20.0 * (np.arange(40) // 10)
    truth = Table({"x": x, "y": y, "ra": ((x - 90) * 0.4 / 3600) % 360, "dec": y * 0.4 / 3600, "class": ["star"] * 40})
    truth["x", "y", "class"].write(tmp_path / "xy.csv")
    truth["ra", "dec", "class"].write(tmp_path / "sky.csv")
    truth["x", "y"][:0].write(tmp_path / "none.csv")
    Table({"ra": truth["ra"] + 20, "dec": truth["dec"]}).write(tmp_path / "away.csv")
    Table({"x": x + 300, "y": y}).write(tmp_path / "aside.csv")
    Table({"x": x, "y": y, "class": [0, 1] * 20}).write(tmp_path / "numbered.csv")
    truth["x"][5] = np.nan
    truth["x", "y", "class"].write(tmp_path / "nan.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text('{"format": 1, "name": "sky"}')
    found = {
        "x": x + 2,
        "y": y,
        "ra": (truth["ra"] + 0.8 / 3600) % 360,
        "dec": truth["dec"],
        "det_score": 0.9 - x / 999,
    }
    SourceCatalog.from_columns({**found, "field": "a"}, bands=["r"])[:30].write(tmp_path / "out" / "sky.fits")
    return tmp_path


@pytest.mark.parametrize("catalogue", ["out/sky.fits", "out"])
@pytest.mark.parametrize(("truth", "unit", "offset"), [("xy.csv", "pix", 2.0), ("sky.csv", "arcsec", 0.8)])
def test_truth_in_pixels_or_on_the_sky(folder: Path, catalogue: str, truth: str, unit: str, offset: float) -> None:
    ran = _evaluate(folder / catalogue, folder / truth)
    assert _number(ran, "completeness") == 0.75
    assert _number(ran, "purity") == 1.0
    assert _number(ran, f"offset_median [{unit}]") == pytest.approx(offset, abs=1e-3)
    assert _number(_evaluate(folder / catalogue, folder / truth, "--radius", 0.7), "completeness") == 0.0


def test_a_plain_table_is_a_catalogue_too(folder: Path) -> None:
    assert _number(_evaluate(folder / "xy.csv", folder / "xy.csv"), "completeness") == 1.0


def test_completeness_by_magnitude_of_those_that_are_asked_for(folder: Path) -> None:
    truth = Table.read(folder / "xy.csv")
    truth["mag"] = np.linspace(18.01, 21.99, 40)
    truth.write(folder / "mag.csv")
    truth[:30].write(folder / "found.csv")
    ran = _evaluate(folder / "found.csv", folder / "mag.csv", "--magnitudes", 18, 21)
    assert _number(ran, "completeness") == 1.0
    assert "completeness by mag\n" in ran.output
    assert ran.output.splitlines()[-1].split()[:3] == ["20.5", "21.0", "5"]
    assert "no column mag" in str(_evaluate(folder / "out", folder / "xy.csv", "--magnitudes", 18, 21).exception)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("out", "xy.csv", "--rounds", 3), "--rounds: only with --inject SURVEY.yml"),
        (("--inject", "survey.yml", "--split", "split.csv"), "--split: only with CATALOG and TRUTH"),
        (("recipe.yml", "--field", "a"), "--field: only with CATALOG and TRUTH or --inject SURVEY.yml"),
    ],
)
def test_options_of_another_use_are_refused(args: tuple[object, ...], text: str) -> None:
    assert text in str(_evaluate(*args).exception)


def test_classes_that_are_none_are_told(folder: Path) -> None:
    ran = _evaluate(folder / "out", folder / "numbered.csv")
    assert ran.exit_code == 0
    assert "numbered.csv: its column 'class' has neither star nor galaxy in any row" in ran.stderr
    assert not _evaluate(folder / "out", folder / "xy.csv").stderr


def test_a_missed_source_is_no_other_place(folder: Path) -> None:
    Table({"x": [50.0], "y": [30.0]}).write(folder / "one.csv")
    assert _number(_evaluate(folder / "out", folder / "one.csv"), "completeness") == 0.0


@pytest.mark.parametrize(
    ("catalogue", "truth", "options", "text"),
    [
        ("none.fits", "xy.csv", (), "none.fits: no such run directory or catalogue"),
        ("", "xy.csv", (), "not a run directory"),
        ("damaged.csv", "xy.csv", (), "damaged.csv: cannot be read as a catalogue: "),
        ("out", "none.csv", (), "none.csv: the truth has no rows"),
        ("out", "out", (), "out: a folder; give the file of a table"),
        ("out", "nan.csv", (), "nan.csv: the truth's row 5 (from 0) has no x and y"),
        ("out", "away.csv", (), "away.csv: no source of the catalogue lies in the area of the truth: "),
        ("out", "aside.csv", (), "the area of the truth: its first is at x 2, y 0, the truth's at x 300, y 0"),
        ("out", "xy.csv", ("--field", "b"), "the catalogue has no field 'b'; it has a"),
        ("out", "xy.csv", ("--radius", "nan"), "give a number above 0, in pixels"),
        ("out", "sky.csv", ("--radius", "-1"), "give a number above 0, in arcsec"),
    ],
)
def test_what_cannot_be_compared_is_said(
    folder: Path, catalogue: str, truth: str, options: tuple[str, ...], text: str
) -> None:
    (folder / "damaged.csv").write_bytes(bytes(range(256)))
    ran = _evaluate(folder / catalogue, folder / truth, *options)
    assert isinstance(ran.exception, AstrogalaxyError)
    assert text in str(ran.exception)


def test_a_truth_wider_than_the_images_is_told(folder: Path) -> None:
    truth = Table.read(folder / "sky.csv")
    other = truth.copy()
    other["ra"] += 1
    vstack([truth, other]).write(folder / "wide.csv")
    ran = _evaluate(folder / "out", folder / "wide.csv")
    assert _number(ran, "completeness") == 0.375
    assert "wide.csv: 40 of the 80 true sources are far from any source of the catalogue" in ran.output
    assert "warning" not in _evaluate(folder / "out", folder / "sky.csv").output


def test_a_truth_that_is_written_twice_is_told(folder: Path) -> None:
    truth = Table.read(folder / "xy.csv")
    vstack([truth, truth]).write(folder / "twice.csv")
    ran = _evaluate(folder / "out", folder / "twice.csv")
    assert _number(ran, "completeness") == 0.375
    assert "twice.csv: 40 of the 80 true sources are at the position of another" in ran.stderr
