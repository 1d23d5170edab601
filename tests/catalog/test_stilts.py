"""The files as TOPCAT reads them, through its own command line."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest
from astropy import units as u

from astrogalaxy.catalog import SourceCatalog

pytestmark = pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed")


def stilts(*arguments: object) -> str:
    done = subprocess.run(["stilts", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["x.fits", "x.vot", "x.ecsv"])
def test_columns_have_units_ucds_and_descriptions(tmp_path: Path, catalog: SourceCatalog, name: str) -> None:
    catalog.write(tmp_path / name)
    text = stilts("tpipe", f"in={tmp_path / name}", "cmd=meta Name Units UCD Description", "omode=out", "ofmt=csv")
    seen = list(csv.DictReader(io.StringIO(text)))
    assert [row["Name"] for row in seen] == catalog.colnames
    for row in seen:
        column = catalog[row["Name"]]
        assert u.Unit(row["Units"]) == (column.unit or u.one), row["Name"]
        assert (row["UCD"], row["Description"]) == (column.meta["ucd"], column.description)


@pytest.mark.parametrize("name", ["x.fits", "x.vot", "x.ecsv"])
def test_values_and_provenance(tmp_path: Path, make, name: str) -> None:
    catalog = make(50)
    catalog.write(tmp_path / name)
    text = stilts("tpipe", f"in={tmp_path / name}", "cmd=keepcols 'source_id dec class field'", "omode=out", "ofmt=csv")
    seen = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["source_id"]) for row in seen] == catalog["source_id"].tolist()
    assert [float(row["dec"]) for row in seen] == catalog["dec"].tolist()
    assert [(row["class"], row["field"]) for row in seen] == list(zip(catalog["class"], catalog["field"], strict=True))
    assert catalog.meta["CFGHASH"] in stilts("tpipe", f"in={tmp_path / name}", "omode=meta")
