"""Tests of astrogalaxy.evaluation.truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table

from astrogalaxy.errors import ConfigError
from astrogalaxy.evaluation.truth import read_truth


@pytest.fixture
def truth() -> Table:
    return Table(
        {
            "x": [10.5, 20.25, 30.0], "y": [1.0, 2.0, 3.0], "ra": [150.1, 150.2, 150.3], "dec": [2.1, 2.2, 2.3],
            "class": ["star", "galaxy", "unsure"], "mag_r": [17.5, 18.5, 19.5], "visible": [True, False, True],
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", ["t.csv", "t.ecsv", "t.fits", "t.vot", "t.CSV"])
def test_every_format_reads_alike(tmp_path: Path, truth: Table, name: str) -> None:
    kind = {"csv": "ascii.csv", "vot": "votable"}.get(name[2:].lower())
    truth.write(tmp_path / name, format=kind) if kind else truth.write(tmp_path / name)
    read = read_truth(tmp_path / name)
    for column in ("x", "y", "ra", "dec", "mag_r"):
        np.testing.assert_allclose(np.asarray(read[column]), truth[column])
    assert read["x"].dtype == np.float64
    assert list(read["class"]) == ["star", "galaxy", ""]
    assert read["visible"].dtype == bool
    assert list(read["visible"]) == [True, False, True]


def test_names_in_any_case_and_comments(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# made up\n# by hand\nRA,DEC,Class,Note\n1.5,-2,STAR,a\n359,3, Galaxy ,b\n")
    read = read_truth(tmp_path / "t.csv")
    assert read.colnames == ["ra", "dec", "class", "Note"]
    assert list(read["class"]) == ["star", "galaxy"]
    assert list(read["dec"]) == [-2.0, 3.0]


def test_what_is_visible_may_be_numbers(tmp_path: Path) -> None:
    Table({"x": [1.0, 2.0], "y": [1.0, 2.0], "visible": np.array([1, 0], "f4")}).write(tmp_path / "t.fits")
    assert list(read_truth(tmp_path / "t.fits")["visible"]) == [True, False]


def test_angles_are_in_degrees(tmp_path: Path) -> None:
    table = Table({"ra": [10.0], "dec": [1.0]})
    table["ra"].unit, table["dec"].unit = "hourangle", "rad"
    table.write(tmp_path / "t.ecsv")
    read = read_truth(tmp_path / "t.ecsv")
    assert (read["ra"][0], read["dec"][0]) == pytest.approx((150.0, np.degrees(1.0)))


def test_a_missing_position_is_nan(tmp_path: Path) -> None:
    Table({"x": MaskedColumn([1.0, 2.0], mask=[False, True]), "y": [3.0, 4.0]}).write(tmp_path / "t.ecsv")
    read = read_truth(tmp_path / "t.ecsv")
    assert read["x"][0] == 1.0
    assert np.isnan(read["x"][1])


def test_a_part_of_a_split(tmp_path: Path, truth: Table) -> None:
    truth.write(tmp_path / "t.csv")
    (tmp_path / "s.csv").write_text("# a split\nrow,part\n2,test\n0,test\n1,train\n")
    assert list(read_truth(tmp_path / "t.csv", split=tmp_path / "s.csv")["x"]) == [30.0, 10.5]
    assert list(read_truth(tmp_path / "t.csv", split=str(tmp_path / "s.csv"), part="train")["x"]) == [20.25]
    assert len(read_truth(str(tmp_path / "t.csv"), part="train")) == 3, "no split: all"
    (tmp_path / "s.csv").write_text("row,part\n2,01\n0,1\n")
    assert list(read_truth(tmp_path / "t.csv", split=tmp_path / "s.csv", part="01")["x"]) == [30.0]


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ("row,part\n0,train\n", r"s\.csv: no part 'test'; there are train"),
        ("row,part\n7,test\n0,test\n", r"s\.csv: names row 7, but .*t\.csv has 3 rows"),
        ("row,part\n-1,test\n", r"s\.csv: names row -1"),
        ("line,part\n0,test\n", r"s\.csv: no column 'row'; a split has row and part"),
        (None, r"s\.csv: no such file"),
    ],
)
def test_a_split_that_cannot_be(tmp_path: Path, truth: Table, split: str | None, text: str) -> None:
    truth.write(tmp_path / "t.csv")
    if split is not None:
        (tmp_path / "s.csv").write_text(split)
    with pytest.raises(ConfigError, match=text):
        read_truth(tmp_path / "t.csv", split=tmp_path / "s.csv")


def test_what_is_no_truth(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: no such file"):
        read_truth(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="a folder; give the file of a table"):
        read_truth(tmp_path)
    (tmp_path / "a.csv").write_text("x,ra,class\n1,2,star\n")
    with pytest.raises(ConfigError, match=r"a\.csv: no positions; it needs .* not only x, ra, class"):
        read_truth(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("x,y\n10,20\nhere,there\n")
    with pytest.raises(ConfigError, match=r"b\.csv: column 'x' must hold numbers, but row 1 \(from 0\) has 'here'"):
        read_truth(tmp_path / "b.csv")
    (tmp_path / "d.csv").write_text("RA,Dec\n1,-90\n2,\n3,90.1\n")
    with pytest.raises(ConfigError, match=r"d\.csv: column 'dec' has 90\.1 in row 2 \(from 0\), which is no decl"):
        read_truth(tmp_path / "d.csv")
    Table({"ra": [1.0] * u.mag, "dec": [1.0]}).write(tmp_path / "e.ecsv")
    with pytest.raises(ConfigError, match=r"e\.ecsv: column 'ra' is in mag, which is no unit of an angle"):
        read_truth(tmp_path / "e.ecsv")
    (tmp_path / "c.fits").write_bytes(b"not a table")
    with pytest.raises(ConfigError, match=r"c\.fits: not known as a table by its name or content; give CSV"):
        read_truth(tmp_path / "c.fits")


def test_the_labels_of_the_real_field(shared_data: Path) -> None:
    path = shared_data / "sdss" / "003918-3-0213-truth-west.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    labels = read_truth(path)
    assert len(labels) == 338
    assert set(labels["class"]) == {"star", "galaxy"}
    assert (labels["x"][0], labels["y"][0]) == (22.770, 1071.977)
