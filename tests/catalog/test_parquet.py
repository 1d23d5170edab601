"""Parquet and HATS as other libraries see them."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse
from astropy.table import MaskedColumn, Table

from astrogalaxy.catalog import CatalogError, SourceCatalog
from astrogalaxy.errors import RunError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    import hats
    from hats.io.validation import is_valid_catalog


def test_header_is_a_votable_without_data(tmp_path: Path, catalog) -> None:
    catalog.write(tmp_path / "x.parquet")
    metadata = pq.read_schema(tmp_path / "x.parquet").metadata
    assert metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    content = metadata[b"IVOA.VOTable-Parquet.content"]
    document = parse(io.BytesIO(content), verify="exception")
    table = next(document.iter_tables())
    assert [field.name for field in table.fields] == catalog.colnames and b"<DATA>" not in content
    for field in table.fields:
        column = catalog[field.name]
        assert (field.ucd, field.unit, field.description) == (column.meta["ucd"], column.unit, column.description)
    assert {info.name: info.value for info in table.infos}["CREATOR"] == catalog.meta["CREATOR"]


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed")
def test_votlint_takes_the_header(tmp_path: Path, catalog) -> None:
    catalog.write(tmp_path / "x.parquet")
    content = pq.read_schema(tmp_path / "x.parquet").metadata[b"IVOA.VOTable-Parquet.content"]
    (tmp_path / "head.vot").write_bytes(content)
    done = subprocess.run(
        ["stilts", "votlint", "ucd=true", "unit=true", tmp_path / "head.vot"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout + done.stderr).strip() == ""


def test_types_and_nulls(tmp_path: Path, catalog) -> None:
    catalog["match"] = MaskedColumn(np.arange(7), mask=np.arange(7) == 2)
    catalog.write(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    kinds = {name: str(table.schema.field(name).type) for name in ("source_id", "ra", "mag_g", "class", "flags")}
    assert kinds == {"source_id": "int64", "ra": "double", "mag_g": "float", "class": "string", "flags": "int32"}
    assert table["match"].to_pylist() == [0, 1, None, 3, 4, 5, 6]
    assert table["ra_err"].null_count == 0 and np.isnan(table["ra_err"][0].as_py())


def test_astropys_own_reader_knows_units(tmp_path: Path, catalog) -> None:
    pytest.importorskip("pandas")
    catalog.write(tmp_path / "x.parquet")
    table = Table.read(tmp_path / "x.parquet")
    assert table["ra"].unit == "deg" and table["ra"].meta == catalog["ra"].meta
    assert table.meta == catalog.meta and table["class"].tolist() == catalog["class"].tolist()


def test_row_groups_are_large(tmp_path: Path) -> None:
    SourceCatalog({"ra": np.zeros(150_000)}).write(tmp_path / "x.parquet")
    found = pq.ParquetFile(tmp_path / "x.parquet").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [131072, 18928]


def test_reads_what_others_wrote(tmp_path: Path) -> None:
    plain = pa.table({
        "ra": [1.5, None], "n": pa.array([1, None], pa.int16()), "name": pa.array(["a", None]).dictionary_encode(),
        "good": [True, None], "pair": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    })  # fmt: skip
    pq.write_table(plain, tmp_path / "x.parquet")
    back = SourceCatalog.read(tmp_path / "x.parquet")
    assert back["ra"][0] == 1.5 and np.isnan(back["ra"][1])
    assert back["n"].tolist() == [1, None] and back["good"].tolist() == [True, None]
    assert back["name"].tolist() == ["a", ""] and back["pair"].shape == (2, 2)
    pq.write_table(pa.table({"when": pa.array([0], pa.timestamp("s"))}), tmp_path / "y.parquet")
    with pytest.raises(CatalogError, match=r"y\.parquet: column 'when' has the type timestamp"):
        SourceCatalog.read(tmp_path / "y.parquet")


def test_complex_columns_are_refused(tmp_path: Path, catalog) -> None:
    catalog["z"] = np.ones(7, complex)
    with pytest.raises(CatalogError, match="'z' is complex"):
        catalog.write(tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_hats_library_finds_it_valid(tmp_path: Path, make) -> None:
    catalog = make(300)
    catalog.write(tmp_path / "sky.hats", max_rows=40)
    assert is_valid_catalog(tmp_path / "sky.hats", strict=True)
    found = hats.read_hats(tmp_path / "sky.hats")
    info = found.catalog_info
    assert (info.total_rows, info.ra_column, info.catalog_name) == (300, "ra", "sky")
    assert info.astrogalaxy_cfghash == catalog.meta["CFGHASH"]
    assert len(found.get_healpix_pixels()) == len(list((tmp_path / "sky.hats/dataset").rglob("Npix=*.parquet"))) > 8
    assert found.moc.contains_lonlat(catalog.coords.ra, catalog.coords.dec).all()
    cone = found.filter_by_cone(float(catalog["ra"][3]), float(catalog["dec"][3]), 10.0)
    assert 0 < len(cone.get_healpix_pixels()) < len(found.get_healpix_pixels())


def test_hats_rows_are_in_their_cells_in_order(tmp_path: Path, make) -> None:
    make(300).write(tmp_path / "x.hats", max_rows=40)
    for file in (tmp_path / "x.hats/dataset").rglob("Npix=*.parquet"):
        order, pixel = (int(part.partition("=")[2].split(".")[0]) for part in (file.parts[-3], file.name))
        index = pq.ParquetFile(file).read(columns=["_healpix_29"])["_healpix_29"].to_numpy()
        assert (index >> 2 * (29 - order) == pixel).all() and (np.diff(index) >= 0).all() and 0 < len(index) <= 40


def test_plain_tables_learn_hats(tmp_path: Path) -> None:
    Table({"ra": [1.0, 2.0], "dec": [3.0, 4.0]}).write(tmp_path / "x.hats", format="hats")
    back = Table.read(tmp_path / "x.hats", format="hats")
    assert type(back) is Table and back.colnames == ["ra", "dec"] and sorted(back["ra"]) == [1.0, 2.0]


def test_hats_replaces_only_hats(tmp_path: Path, make) -> None:
    path = tmp_path / "x.hats"
    make(3).write(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        make(5).write(path)
    make(5).write(path, overwrite=True)
    assert len(SourceCatalog.read(path)) == 5 and os.listdir(tmp_path) == ["x.hats"]
    (tmp_path / "y.hats").mkdir()
    (tmp_path / "y.hats" / "thesis.tex").write_text("x")
    with pytest.raises(CatalogError, match="not a HATS folder"):
        make(5).write(tmp_path / "y.hats", overwrite=True)
    assert (tmp_path / "y.hats" / "thesis.tex").is_file()


def test_hats_needs_positions(tmp_path: Path, make) -> None:
    catalog = make(5)
    catalog["ra"][2] = np.nan
    with pytest.raises(CatalogError, match="1 sources have no position"):
        catalog.write(tmp_path / "x.hats")
    with pytest.raises(CatalogError, match="no column 'dec'"):
        SourceCatalog({"ra": [1.0]}).write(tmp_path / "x.hats")
    with pytest.raises(RunError, match="does not exist"):
        make(2).write(tmp_path / "none" / "x.hats")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_hats_leaves_the_old_one(tmp_path: Path, make, monkeypatch) -> None:
    path = tmp_path / "x.hats"
    make(3).write(path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(5).write(path, overwrite=True)
    monkeypatch.undo()
    assert len(SourceCatalog.read(path)) == 3 and os.listdir(tmp_path) == ["x.hats"]
