"""The VOTable as other programs see it."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io.votable import parse, validate
from astropy.table import Table

from astrogalaxy.catalog import SourceCatalog

stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed")


def run_stilts(*arguments: object) -> str:
    done = subprocess.run(["stilts", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr + (f"exit {done.returncode}" if done.returncode else "")


@pytest.fixture
def path(tmp_path: Path, catalog: SourceCatalog) -> Path:
    catalog.write(tmp_path / "x.vot")
    return tmp_path / "x.vot"


ODD_META = {"A": "<&>\"'", "new\nline": 1, "": None, "TAB": "a\tb", "é": "é", "LONG": "x" * 9999}


@pytest.mark.parametrize("n_rows", [0, 1, 100])
def test_astropy_finds_nothing_to_complain_about(tmp_path: Path, make, n_rows: int) -> None:
    make(n_rows, meta=ODD_META).write(tmp_path / "x.vot")
    report = io.StringIO()
    assert validate(str(tmp_path / "x.vot"), report), report.getvalue()
    document = parse(tmp_path / "x.vot", verify="exception")
    assert document.version == "1.4"
    assert document.get_first_table().nrows == n_rows


@stilts
@pytest.mark.parametrize("n_rows", [0, 1, 100])
def test_votlint_finds_nothing_to_complain_about(tmp_path: Path, make, n_rows: int) -> None:
    catalog = make(n_rows, meta=ODD_META)
    catalog["flag"] = np.arange(n_rows) % 2 == 0
    catalog["two"] = np.zeros((n_rows, 2))
    if n_rows:
        catalog.replace_column("field", catalog["field"].astype("U9"))
        catalog["field"][0] = "Größe"
    catalog.write(tmp_path / "x.vot")
    assert run_stilts("votlint", "ucd=true", "unit=true", tmp_path / "x.vot") == ""


def test_fields_and_infos(path: Path, catalog: SourceCatalog) -> None:
    document = parse(path)
    table = document.get_first_table()
    for field in table.fields:
        column = catalog[field.name]
        assert field.name == field.ID
        assert (field.ucd, field.unit, field.description) == (column.meta["ucd"], column.unit, column.description)
    by_name = {field.name: field for field in table.fields}
    system = next(iter(document.resources[0].coordinate_systems))
    assert system.system == "ICRS" and by_name["ra"].ref == by_name["dec"].ref == system.ID
    infos = {info.name: info.value for info in table.infos}
    assert infos["PIXBASE"] == "0" and infos["NTILES"] == "12" and infos["CREATOR"] == catalog.meta["CREATOR"]


def test_lines_are_short(path: Path) -> None:
    lines = path.read_bytes().split(b'encoding="base64">\n')[1].split(b"\n")
    assert len(lines) > 10 and {len(line) for line in lines[:8]} == {76}


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_reads_every_serialisation(tmp_path: Path, make, same, form: str) -> None:
    catalog = make(9, meta={})
    catalog["match"] = np.arange(9)
    catalog["good"] = np.arange(9) % 2 == 0
    Table(catalog).write(tmp_path / "x.vot", format="votable", tabledata_format=form)
    same(SourceCatalog.read(tmp_path / "x.vot"), catalog)


@stilts
@pytest.mark.parametrize("form", ["fits", "votable-tabledata", "votable-binary-inline", "votable-binary2-inline"])
@pytest.mark.parametrize("source", ["x.fits", "x.vot"])
def test_survives_topcat(tmp_path: Path, make, form: str, source: str) -> None:
    catalog = make(9, meta={"CREATOR": "me", "NTILES": 4, "nested": {"a": [1]}})
    catalog.write(tmp_path / source)
    target = tmp_path / f"y.{'fits' if form == 'fits' else 'vot'}"
    assert run_stilts("tcopy", tmp_path / source, target, f"ofmt={form}") == ""
    back = SourceCatalog.read(target)
    back.validate()
    assert back.bands == catalog.bands and back.classes == catalog.classes
    for name in catalog.colnames:
        np.testing.assert_array_equal(back[name], catalog[name], err_msg=name)
    if source == "x.vot" and form != "fits":
        assert back.meta == catalog.meta


def test_only_the_first_table_is_read(tmp_path: Path, make) -> None:
    make(2).write(tmp_path / "x.vot")
    text = (tmp_path / "x.vot").read_text()
    start, end = text.index("<RESOURCE"), text.index("</VOTABLE>")
    twice = text[:end] + text[start:end].replace("ID=", 'utype="x" ID=').replace('ID="', 'ID="second_') + text[end:]
    (tmp_path / "twice.vot").write_text(twice)
    assert len(SourceCatalog.read(tmp_path / "twice.vot")) == 2


def test_rows_cut_short_are_not_read_as_fewer(path: Path) -> None:
    text = path.read_text()
    end = text.index("</STREAM>")
    path.write_text(text[: end - 41] + "\n" + text[end:])
    with pytest.raises(ValueError, match=r"x\.vot.*damaged"):
        SourceCatalog.read(path)


@pytest.mark.parametrize("form", ["tabledata", "binary"])
def test_strings_of_varying_width(tmp_path: Path, make, form: str) -> None:
    catalog = make(5)
    Table(catalog).write(tmp_path / "x.vot", format="votable", tabledata_format="tabledata")
    text = (tmp_path / "x.vot").read_text().replace('arraysize="7"', 'arraysize="*"')
    (tmp_path / "x.vot").write_text(text)
    parse(tmp_path / "x.vot").to_xml(str(tmp_path / "y.vot"), tabledata_format=form)
    back = SourceCatalog.read(tmp_path / "y.vot")
    assert back["field"].tolist() == catalog["field"].tolist() and back["field"].dtype.kind == "U"


def test_char_with_utf8(tmp_path: Path, make) -> None:
    catalog = make(1)
    catalog["name"] = ["G%%C"]
    catalog.write(tmp_path / "x.vot")
    head, rest = (tmp_path / "x.vot").read_bytes().split(b'base64">\n')
    rows, tail = rest.split(b"</STREAM>")
    changed = base64.encodebytes(base64.decodebytes(rows).replace(b"%%", "é".encode()))
    (tmp_path / "x.vot").write_bytes(head + b'base64">\n' + changed + b"</STREAM>" + tail)
    assert SourceCatalog.read(tmp_path / "x.vot")["name"].tolist() == ["GéC"]
