from __future__ import annotations

import tracemalloc
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pytest

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.survey.shards import catalog_of, layout_of, peek_shard, read_shard, write_shard
from astrogalaxy.survey.tasks import tile_catalog


@pytest.fixture
def catalog() -> SourceCatalog:
    columns = {
        "ra": [10.0, 11.0, np.nan],
        "dec": [0.5, -0.6, np.nan],
        "field": ["north", "Südfeld", ""],
        "class": ["star", "galaxy", "unsure"],
        "flux_g": [1.5, np.nan, -2.0],
        "flags": [0, 5, 1],
        "input_row": [2, -1, 0],
    }
    return SourceCatalog.from_columns(
        columns,
        bands=["g", "r"],
        calibrated=["r"],
        classes=["spiral"],
        apertures=2,
        meta={"TILEKEY": "k", "FIELDQ": '{"seeing": 1.2}'},
    )


@pytest.mark.parametrize("rows", [slice(None), slice(0)])
def test_comes_back_as_it_was(catalog: SourceCatalog, rows: slice, tmp_path: Path) -> None:
    path, written = tmp_path / "x00000y00000.rows.npz", catalog[rows]
    write_shard(path, written)
    back = read_shard(path)
    assert back.colnames == written.colnames
    assert back.meta == written.meta
    for name in back.colnames:
        np.testing.assert_array_equal(np.asarray(back[name]), np.asarray(written[name]))
        assert (back[name].unit, back[name].description) == (written[name].unit, written[name].description)
    assert (back.bands, back.calibrated, back.classes) == (("g", "r"), ("r",), ("spiral",))
    assert peek_shard(path) == (len(written), written.meta)


@pytest.mark.parametrize("cut", [0, 10, -30])
def test_a_part_of_a_file_is_refused(catalog: SourceCatalog, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "tile.rows.npz"
    write_shard(path, catalog)
    path.write_bytes(path.read_bytes()[:cut])
    for read in (read_shard, peek_shard):
        with pytest.raises((OSError, EOFError, ValueError, BadZipFile)):
            read(path)


def test_a_changed_byte_is_noticed(catalog: SourceCatalog, tmp_path: Path) -> None:
    path = tmp_path / "tile.rows.npz"
    write_shard(path, catalog)
    content = bytearray(path.read_bytes())
    content[-2 * catalog.as_array().itemsize] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadZipFile):
        read_shard(path)


def test_only_a_shard_of_the_same_content_is_taken(catalog: SourceCatalog, tmp_path: Path) -> None:
    path = tmp_path / "tile.rows.npz"
    assert tile_catalog(path, "k") is None
    write_shard(path, catalog)
    assert len(tile_catalog(path, "k") or ()) == len(catalog)
    assert tile_catalog(path, "another") is None


def test_as_many_bands_as_a_survey_may_have(tmp_path: Path) -> None:
    bands = [f"night_of_2018_{number:04d}" for number in range(64)]
    wide = SourceCatalog.from_columns({"ra": [10.0], f"flux_{bands[63]}": [2.0]}, bands=bands, apertures=4)
    path = tmp_path / "tile.rows.npz"
    write_shard(path, wide)
    assert read_shard(path)[f"flux_{bands[63]}"].tolist() == [2.0]
    assert peek_shard(path)[0] == 1


def test_a_catalogue_of_rows_is_the_only_copy_of_them() -> None:
    n = np.arange(100_000)
    rows = SourceCatalog.from_columns({"ra": n * 1e-3, "dec": n * 0.0, "field": "north"}, bands=["g", "r"]).as_array()
    layout = layout_of(catalog_of(rows[:1], {"bands": ["g", "r"]}))
    tracemalloc.start()
    made = catalog_of(rows, layout)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.3 * rows.nbytes
    rows["ra"] = -1
    assert (made["ra"] == n * 1e-3).all(), "but it is a copy"
