"""Tests of astrogalaxy.survey.shelf."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from astrogalaxy.catalog import SourceCatalog
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
    """As they come, and what cannot be put under each other stays apart."""
    monkeypatch.setattr("astrogalaxy.survey.shelf._TOGETHER", 10)
    monkeypatch.setattr("astrogalaxy.survey.shelf._CHUNK", 20)
    far = 1000  # rows between fields, so that none has neighbours
    fields = [chunk_of(i * far, i * far + n, field=f"f{i}") for i, n in enumerate([4, 0, 5, 3, 45, 2])]
    other = SourceCatalog.from_columns({"ra": [50.0], "dec": [50.0], "field": "other"}, bands=["g", "r"])
    with Shelf(tmp_path / "waiting") as shelf:
        for number, catalog in enumerate([*fields, other]):
            shelf.put(number, catalog)
        n, duplicates, chunks = shelf.join()
        chunks = list(chunks)
    assert (n, duplicates, [len(chunk) for chunk in chunks]) == (60, 0, [9, 3, 20, 20, 5, 2, 1])
    assert [chunk.calibrated for chunk in chunks] == [("r",)] * 6 + [("g", "r")]
    expected = SourceCatalog.stack(fields)
    joined = SourceCatalog.stack(chunks[:-1])
    for name in expected.colnames:
        np.testing.assert_array_equal(np.asarray(joined[name]), np.asarray(expected[name]), err_msg=name)
    assert not (tmp_path / "waiting").exists()
