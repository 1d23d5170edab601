"""Catalogues that come in chunks: the same files as in one go, and memory that does not grow with the rows."""

from __future__ import annotations

import gc
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn

from astrogalaxy.catalog import CatalogError, CatalogWriter, SourceCatalog
from astrogalaxy.catalog.io import ecsv, hats, registry, rows
from astrogalaxy.errors import RunError

NAMES = ["x.fits", "x.vot", "x.vot.gz", "x.parquet", "x.ecsv", "x.reg"]


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    """Blocks so small that a few rows are many of them."""
    monkeypatch.setattr(rows, "BLOCK", 7)


@pytest.mark.parametrize("name", NAMES)
def test_chunks_make_the_same_file_as_one_table(tmp_path: Path, make, same, small_blocks, name: str) -> None:
    catalog = make(50)
    catalog["match"] = MaskedColumn(np.arange(50), mask=np.arange(50) == 33)
    catalog.write(tmp_path / f"one-{name}")
    with CatalogWriter(tmp_path / f"two-{name}") as writer:
        for start in (0, 3, 20, 44):
            stop = {0: 3, 3: 20, 20: 44, 44: 50}[start]
            writer.write(catalog[start:stop])
    assert len(writer) == 50
    if name.endswith("parquet"):  # its row groups are those of the chunks
        same(SourceCatalog.read(tmp_path / f"one-{name}"), SourceCatalog.read(tmp_path / f"two-{name}"))
    else:
        assert (tmp_path / f"one-{name}").read_bytes() == (tmp_path / f"two-{name}").read_bytes()


def test_hats_is_cut_by_cells(tmp_path: Path, make, same, small_blocks) -> None:
    catalog = make(200)
    catalog["match"] = MaskedColumn(np.arange(200), mask=np.arange(200) == 33)
    catalog.write(tmp_path / "x.hats", max_rows=20)
    files = sorted((tmp_path / "x.hats" / "dataset").rglob("*.parquet"))
    assert len(files) > 10
    back, expected = SourceCatalog.read(tmp_path / "x.hats"), catalog[np.argsort(catalog["source_id"])]
    assert back["match"].tolist() == expected["match"].tolist() and back["match"].mask.sum() == 1
    back.remove_column("match")
    expected.remove_column("match")
    same(back, expected)


def test_hats_has_one_file_for_each_cell_while_it_is_written(tmp_path: Path, make, monkeypatch, small_blocks) -> None:
    monkeypatch.setattr(hats, "BLOCK", 7)
    seen = []

    def look(cell: object, path: Path, *rest: object) -> None:
        """How many files wait when the first cell is written."""
        seen.append(len(list(path.parent.iterdir())))
        write_cell(cell, path, *rest)

    write_cell = hats._write_cell
    monkeypatch.setattr(hats, "_write_cell", look)
    make(200).write(tmp_path / "x.hats", max_rows=20)  # 15 pairs of blocks, whose rows are all over the sky
    assert seen == list(range(len(seen), 0, -1)) and len(seen) > 10


def test_one_pass_writes_many_formats(tmp_path: Path, make, same) -> None:
    catalog = make(20)
    paths = [tmp_path / name for name in ("x.fits", "x.vot", "x.parquet", "x.ecsv", "x.hats")]
    with CatalogWriter(*paths) as writer:
        writer.write(catalog[:12])
        writer.write(catalog[12:])
    for path in paths[:-1]:
        same(SourceCatalog.read(path), catalog)
    assert len(SourceCatalog.read(paths[-1])) == 20


def test_strings_grow_from_chunk_to_chunk(tmp_path: Path, make, small_blocks) -> None:
    fields = ["a", "Größe", "x" * 40, "🌌 sky"]
    for name in ("x.fits", "x.vot", "x.parquet", "x.ecsv"):
        with CatalogWriter(tmp_path / name) as writer:
            for field in fields:
                chunk = make(9)
                chunk.replace_column("field", np.full(9, field))
                chunk["field"].meta["ucd"] = "meta.id;obs.field"
                writer.write(chunk)
        assert SourceCatalog.read(tmp_path / name)["field"].tolist() == np.repeat(fields, 9).tolist(), name


@pytest.mark.parametrize("name", ["x.fits", "x.vot", "x.parquet", "x.ecsv", "x.hats"])
def test_holes_of_some_chunks(tmp_path: Path, make, small_blocks, name: str) -> None:
    whole = make(40)["source_id", "ra", "dec"]
    whole["n"] = MaskedColumn(np.resize([255, 0, 7], 40), mask=np.arange(40) % 11 == 5, dtype="u1")
    whole["good"] = MaskedColumn(np.arange(40) % 2 == 0, mask=np.arange(40) == 12)
    with CatalogWriter(tmp_path / name) as target:
        for start in range(0, 40, 5):
            target.write(whole[start : start + 5])
    back = SourceCatalog.read(tmp_path / name)
    whole, back = (table[np.argsort(table["source_id"])] for table in (whole, back))
    assert back["n"].dtype == "u1" and back["n"].tolist() == whole["n"].tolist()
    assert back["good"].tolist() == whole["good"].tolist()


def test_meta_may_come_last(tmp_path: Path, make) -> None:
    with CatalogWriter(tmp_path / "x.fits", meta={"A": 1}) as writer:
        writer.write(make(2))
        writer.meta["N"] = 2
    assert SourceCatalog.read(tmp_path / "x.fits").meta == {"A": 1, "N": 2}
    with CatalogWriter(tmp_path / "y.fits") as writer:
        writer.write(make(2, meta={"B": 1}))
    assert SourceCatalog.read(tmp_path / "y.fits").meta == {"B": 1}


def test_empty_chunks(tmp_path: Path, make) -> None:
    with CatalogWriter(tmp_path / "x.fits", tmp_path / "x.vot", tmp_path / "x.hats") as writer:
        writer.write(make(0))
        writer.write(make(0))
    for name in ("x.fits", "x.vot", "x.hats"):
        assert len(SourceCatalog.read(tmp_path / name)) == 0


def test_an_error_leaves_nothing(tmp_path: Path, make) -> None:
    with pytest.raises(ZeroDivisionError), CatalogWriter(tmp_path / "x.fits") as writer:
        writer.write(make(5))
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_chunks_that_differ_are_refused(tmp_path: Path, make) -> None:
    other = make(3)
    other["ra"].unit = "arcsec"
    for chunk, message in [
        (make(3, bands=["g", "r"]), "only the first has the column 'flags_F160W'"),
        (other, "unit of column 'ra' is deg in the first, arcsec in chunk 2"),
    ]:
        with pytest.raises(CatalogError, match=message), CatalogWriter(tmp_path / "x.fits") as writer:
            writer.write(make(3))
            writer.write(chunk)
    assert list(tmp_path.iterdir()) == []


def test_wrong_targets(tmp_path: Path, make) -> None:
    make(1).write(tmp_path / "x.fits")
    for names, error, message in [
        ([], CatalogError, "at least one path"),
        (["x.fits"], FileExistsError, "overwrite=True"),
        (["x.txt"], CatalogError, r"tells no format; use one of \.fits, \.vot"),
        (["x.moc.fits"], CatalogError, "holds no sources"),
        (["none/x.fits"], RunError, "cannot write to the folder .*none"),
    ]:
        with pytest.raises(error, match=message):
            CatalogWriter(*[tmp_path / name for name in names])
    with pytest.raises(CatalogError, match="no chunk came"), CatalogWriter(tmp_path / "y.fits"):
        pass


def test_checksums_are_right_for_any_number_of_bytes(tmp_path: Path, small_blocks) -> None:
    for n_rows in range(1, 23):
        table = SourceCatalog(
            {"a": np.arange(n_rows, dtype="u1"), "b": np.full(n_rows, "abc"), "c": np.ones(n_rows, "f4")}
        )
        table.write(tmp_path / "x.fits", overwrite=True)
        with fits.open(tmp_path / "x.fits", checksum=True) as hdus:  # a wrong sum is a warning, which is an error
            hdus.verify("exception")
            assert hdus[1].verify_checksum() == hdus[1].verify_datasum() == 1
            assert hdus[1].data["a"].tolist() == list(range(n_rows))


def peak_of(path: Path, chunk: SourceCatalog, n_chunks: int) -> int:
    """Most bytes that Python and Arrow had at a time while the chunk was written again and again."""
    gc.collect()
    usual, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    tracemalloc.start()
    try:
        with CatalogWriter(path, overwrite=True) as target:
            for _ in range(n_chunks):
                target.write(chunk)
        return tracemalloc.get_traced_memory()[1] + counted.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


@pytest.mark.parametrize("name", ["x.fits", "x.vot", "x.parquet", "x.hats", "x.reg", "x.ecsv"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, make, monkeypatch, name: str) -> None:
    monkeypatch.setattr(rows, "BLOCK", 1024)
    monkeypatch.setitem(registry.WRITERS, "hats", partial(hats.write, max_rows=1000))
    chunk = make(1024, bands=["g"], classes=())
    size = sum(column.nbytes for column in chunk.columns.values())
    few, many = peak_of(tmp_path / name, chunk, 5), peak_of(tmp_path / name, chunk, 25)
    assert many - few < 8 * size, f"a chunk has {size} bytes; {few} for 5 chunks, {many} for 25"


def test_memory_of_reading_ecsv_is_that_of_the_numbers(tmp_path: Path, make, monkeypatch) -> None:
    monkeypatch.setattr(ecsv, "BLOCK", 1024)

    def peak_of_reading(n_rows: int) -> int:
        """Most memory while a file of so many rows is read."""
        make(n_rows, bands=["g"], classes=()).write(tmp_path / f"{n_rows}.ecsv")
        gc.collect()
        tracemalloc.start()
        try:
            SourceCatalog.read(tmp_path / f"{n_rows}.ecsv")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    size = sum(column.nbytes for column in make(4096, bands=["g"], classes=()).columns.values())
    few, many = peak_of_reading(4096), peak_of_reading(12288)
    assert many - few < 4 * size, f"{size} bytes of numbers more take {(many - few) // 2} more"


def test_more_columns_than_a_format_holds_are_refused(tmp_path: Path) -> None:
    wide = SourceCatalog.from_columns({"ra": [10.0], "dec": [1.0]}, bands=[f"n{i}" for i in range(64)], apertures=4)
    with pytest.raises(CatalogError, match="fits tables have at most 999 columns, not 11.*: take another format"):
        wide.write(tmp_path / "wide.fits")
    assert not list(tmp_path.iterdir())
    wide.write(tmp_path / "wide.vot")
    assert SourceCatalog.read(tmp_path / "wide.vot").colnames == wide.colnames
