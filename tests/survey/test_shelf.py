"""Tests of astrogalaxy.survey.shelf."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.survey.shelf import Tally


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
