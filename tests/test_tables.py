"""Tests of astrogalaxy.tables, and of readers of data sets that use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from astropy.table import Table

from astrogalaxy.datasets.galaxyzoo import read_galaxy_zoo
from astrogalaxy.datasets.votes import read_votes
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.tables import numbers_of, read_table

DAMAGED = [b"iauname,x\nJ1,2,3,4\n", b"\x00\x01\xff\xfe" * 50]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_table_is_an_error_of_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    for kind in (ConfigError, ImageError):
        with pytest.raises(kind, match=r"t\.csv: cannot be read as a table: .") as error:
            read_table(path, error=kind)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("read", [read_galaxy_zoo, read_votes])
def test_damaged_votes_are_an_error_of_one_line(tmp_path: Path, read: Callable[[Path], object], content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ImageError, match=r"labels\.csv: cannot be read as a table: ."):
        read(tmp_path)


def test_what_is_no_file_and_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="a folder; give the file of a table"):
        read_table(tmp_path)
    (tmp_path / "t.txt").write_text("x,y\n1,2\n")
    with pytest.raises(ConfigError, match=r"t\.txt: not known as a table .*; give CSV"):
        read_table(tmp_path / "t.txt")


def test_texts_are_read_as_str_and_masked_numbers_are_nan(tmp_path: Path) -> None:
    Table({"name": ["a"], "x": [1.5]}).write(tmp_path / "t.fits")
    table = read_table(tmp_path / "t.fits")
    assert table["name"].dtype.kind == "U"
    assert numbers_of(table, "x").tolist() == [1.5]
    with pytest.raises(ValueError, match="could not convert"):
        numbers_of(table, "name")


def test_texts_that_are_not_utf8_are_an_error_of_one_line(tmp_path: Path) -> None:
    Table({"class": [b"\xe9toile"]}).write(tmp_path / "t.fits")
    with pytest.raises(ConfigError, match=r"t\.fits: cannot be read as a table: .*codec"):
        read_table(tmp_path / "t.fits")


def test_columns_of_names_keep_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# by hand\nname,x\n0001,0002\n1e5,3\n,4\n99999999999999999999.0,5\n")
    table = read_table(tmp_path / "t.csv", text=("NAME", "nowhere"))
    assert [str(name) for name in table["name"]] == ["0001", "1e5", "--", "99999999999999999999.0"]
    assert table["x"].tolist() == [2, 3, 4, 5]


def test_what_is_no_plain_csv_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('name\n0001\n""\n0002\n')
    assert [str(name) for name in read_table(tmp_path / "t.csv", text=("name",))["name"]] == ["0001", "--", "0002"]


def test_names_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('name,note\n7,"a\n# b"\n08,c\n')
    with pytest.raises(
        ConfigError, match=r"t\.csv: cannot be read as a table: a cell goes on in a line that begins with #"
    ):
        read_table(tmp_path / "t.csv", text=("name",))


@pytest.mark.parametrize(
    "rows",
    [
        "7,12,a\n08,13,b\n  \n",
        "7,12,a\n08,13,b\n\t\n",
        ' "7",12,a\n"08",13,b\n',
        '7,12,5" wide\n# c\n08,13,b\n',
        '7,12,""\n# "c\n08,13,"b, c"\n',
    ],
    ids=["blanks", "tab", "quotes", "inches", "nothing in quotes"],
)
def test_names_are_those_of_their_rows(tmp_path: Path, rows: str) -> None:
    (tmp_path / "t.csv").write_text(f"# by hand\nname,x,note\n{rows}")
    table = read_table(tmp_path / "t.csv", text=("name",))
    assert [str(name) for name in table["name"][:2]] == ["7", "08"]
    assert table["x"][:2].tolist() == [12, 13]
