"""Tests of astrogalaxy.survey.shelf."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.survey.shards import read_rows
from astrogalaxy.survey.shelf import Shelf, Tally


def chunk_of(start: int, stop: int, *, field: str = "a") -> SourceCatalog:
    n = np.arange(start, stop)
    columns = {"ra": n / 1000, "dec": n / 1000, "flags": n % 2, "field": np.full(len(n), field)}
    kinds = np.array(["star", "galaxy", "unsure"])[n % 3]
    return SourceCatalog.from_columns({**columns, "class": kinds}, bands=["g", "r"], calibrated=["r"])


@pytest.mark.parametrize(("most", "step"), [(1000, 1), (30, 4), (7, 15)])
def test_a_sample_is_of_even_steps_whatever_the_chunks(most: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.survey.shelf._MOST_SAMPLED", most)
    whole = chunk_of(0, 100)
    tally = Tally(100)
    edges = (0, 0, 3, 4, 40, 41, 100)
    chunks = [chunk_of(a, b) for a, b in pairwise(edges)]
    passed = list(tally.watch(iter(chunks)))
    assert all(a is b for a, b in zip(passed, chunks, strict=True))
    assert tally.step == step
    assert tally.counts == {"sources": 100, "stars": 34, "galaxies": 33, "unsure": 33, "flags": tally.counts["flags"]}
    sample, expected = tally.sample, whole[::step]
    sample.validate()
    assert sample.calibrated == ("r",)
    assert sample.colnames == expected.colnames
    for name in expected.colnames:
        np.testing.assert_array_equal(np.asarray(sample[name]), np.asarray(expected[name]), err_msg=name)
    assert len(tally.sample) == len(expected), "asked for again"


def test_longer_names_of_later_fields_are_whole() -> None:
    tally = Tally(4)
    names = ["a", "a-field-with-a-long-name", "b"]
    for _ in tally.watch(chunk_of(i, i + 1, field=name) for i, name in enumerate(names)):
        pass
    assert list(tally.sample["field"]) == names


@pytest.mark.parametrize(("chunks", "rows"), [(200, 2), (10, 2000)])
def test_memory_is_that_of_the_sample(chunks: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a table for each of many fields is kept, nor the rows between those of the sample."""
    monkeypatch.setattr("astrogalaxy.survey.shelf._MOST_SAMPLED", 400)
    tally = Tally(chunks * rows)
    width = chunk_of(0, 1).as_array().dtype.itemsize
    tracemalloc.start()
    try:
        for _ in tally.watch(chunk_of(i * rows, (i + 1) * rows) for i in range(chunks)):
            pass
        del _
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(tally.sample) == 400
    assert held < 400 * width + 1_000_000


def test_no_chunk_has_no_sample() -> None:
    assert len(Tally(0).sample) == 0


def test_small_fields_go_together_and_large_ones_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they come."""
    monkeypatch.setattr("astrogalaxy.survey.shelf._TOGETHER", 10)
    monkeypatch.setattr("astrogalaxy.survey.shelf._CHUNK", 20)
    far = 1000  # rows between fields, so that none has neighbours
    fields = [chunk_of(i * far, i * far + n, field=f"f{i}") for i, n in enumerate([4, 0, 5, 3, 45, 2])]
    with Shelf(tmp_path / "waiting") as shelf:
        for number, catalog in enumerate(fields):
            shelf.put(number, catalog)
        n, duplicates, chunks = shelf.join()
        chunks = list(chunks)
    assert (n, duplicates, [len(chunk) for chunk in chunks]) == (59, 0, [9, 3, 20, 20, 5, 2])
    assert [chunk.calibrated for chunk in chunks] == [("r",)] * 6
    expected = SourceCatalog.stack(fields)
    joined = SourceCatalog.stack(chunks)
    for name in expected.colnames:
        np.testing.assert_array_equal(np.asarray(joined[name]), np.asarray(expected[name]), err_msg=name)
    assert not (tmp_path / "waiting").exists()


def test_given_positions_are_in_their_order_and_each_field_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrogalaxy.survey.shelf._CHUNK", 20)
    reads: list[Path] = []

    def counted(path: Path) -> tuple[Any, Any]:
        reads.append(path)
        return read_rows(path)

    monkeypatch.setattr("astrogalaxy.survey.shelf.read_rows", counted)
    order = np.random.default_rng(1).permutation(95)
    with Shelf(tmp_path / "waiting", given=True) as shelf:
        for number, rows in enumerate(np.array_split(order, 8)):
            columns = {"ra": rows / 1000, "dec": 0.0, "field": "a" * (number + 1), "input_row": rows}
            shelf.put(number, SourceCatalog.from_columns(columns, bands=["g"], calibrated=False))
        n, duplicates, chunks = shelf.join()
        chunks = list(chunks)
    assert (n, duplicates, [len(chunk) for chunk in chunks]) == (95, 0, [20, 20, 20, 20, 15])
    joined = SourceCatalog.stack(chunks)
    joined.validate()
    assert joined.calibrated == ()
    assert joined["input_row"].tolist() == list(range(95))
    np.testing.assert_allclose(joined["ra"], np.arange(95) / 1000)
    of_row = {row: "a" * (n + 1) for n, rows in enumerate(np.array_split(order, 8)) for row in rows}
    assert joined["field"].tolist() == [of_row[row] for row in range(95)]
    assert len(reads) == 8


def test_given_positions_without_rows_are_a_chunk(tmp_path: Path) -> None:
    with Shelf(tmp_path / "waiting", given=True) as shelf:
        shelf.put(0, SourceCatalog.from_columns({"ra": [], "dec": [], "input_row": []}, bands=["g"]))
        n, duplicates, chunks = shelf.join()
        assert (n, duplicates, [len(chunk) for chunk in chunks]) == (0, 0, [0])
