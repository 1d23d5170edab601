"""Catalogues of finished fields, which wait on the disk until they are joined to one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog, count_flags
from astrogalaxy.survey.facts import field_rows
from astrogalaxy.survey.merge import Claim, best_claims, neighbouring, rank_between
from astrogalaxy.survey.shards import catalog_of, layout_of, opened, read_rows, rows_of

__all__ = ["Shelf", "Tally"]

# Number of fields whose claims are kept in memory for the next of their neighbours.
_AT_HAND = 8
# Most rows of a chunk.
_CHUNK = 100_000
# Fields go into one chunk up to so many rows: to make a table of a few rows takes longer than to read and write them.
_TOGETHER = 20_000
# Prefix of the arrays of a field's claim, which are in one file with its rows.
_OF_CLAIM = "claim."
# Most rows of a sample.
_MOST_SAMPLED = 300_000


class Shelf:
    """Catalogues of finished fields on the disk, for the duration of a ``with`` block.

    Parameters
    ----------
    folder : Path
        Where they wait; emptied first of what an interrupted run left there, and removed in the end.
    given : bool, optional
        Whether rows stand for given positions (``input_row``): the result is then in their order.

    Notes
    -----
    In memory are a few fields at a time, and a byte for each source that another field may have seen, too.
    """

    def __init__(self, folder: Path, *, given: bool = False) -> None:
        self._folder, self._given = folder, given
        self._lengths: dict[int, int] = {}
        self._caps: dict[int, tuple[NDArray[np.float64], float]] = {}
        self._claim = lru_cache(_AT_HAND)(self._read_claim)
        # of all fields, which have the same columns; those of text are as wide as the widest needs
        self._layout: dict[str, Any] = {}
        self._dtype: np.dtype[np.void] | None = None

    def __enter__(self) -> Self:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._lengths)

    def put(self, number: int, catalog: SourceCatalog) -> None:
        """Take a field's catalogue; fields may come in any order, and are joined in that of their numbers."""
        claim, arrays = Claim.of(catalog), rows_of(catalog)
        # not written atomically: it serves this run alone
        np.savez(self._path(number), **arrays, **{_OF_CLAIM + k: v for k, v in asdict(claim).items()})
        self._lengths[number], self._caps[number] = len(catalog), claim.cap
        kind = arrays["rows"].dtype
        self._dtype = kind if self._dtype is None else np.result_type(self._dtype, kind)
        self._layout = self._layout or layout_of(catalog)

    def join(self) -> tuple[int, int, Iterator[SourceCatalog]]:
        """One row per source of all fields, in chunks.

        Returns
        -------
        n : int
            Rows.
        duplicates : int
            Rows left out because another field has the same source.
        chunks : iterator of SourceCatalog
            The rows, field by field, with small fields together and large ones in parts; given positions in the order
            of their table. At least one chunk, if there is a field.
        """
        total, numbers = sum(self._lengths.values()), sorted(self._lengths)
        if self._given:
            field, source = best_claims([self._read_claim(number) for number in numbers])
            return len(field), total - len(field), self._gather(np.array(numbers)[field], source)
        gone = self._given_way()
        lost = sum(int(rows.sum()) for rows in gone.values())
        return total - lost, lost, self._remaining(numbers, gone)

    def _given_way(self) -> dict[int, NDArray[np.bool_]]:
        """Which rows of each field that has neighbours give way to a neighbour's."""
        gone: dict[int, NDArray[np.bool_]] = {}
        numbers = sorted(self._caps)
        for places in neighbouring([self._caps[number] for number in numbers]):
            pair = [numbers[place] for place in places]
            lost = rank_between(*(self._claim(number) for number in pair))
            for number, rows in zip(pair, lost, strict=True):
                gone[number] = gone.get(number, False) | rows
        return gone

    def _remaining(self, numbers: Iterable[int], gone: Mapping[int, NDArray[np.bool_]]) -> Iterator[SourceCatalog]:
        """What is left of each field, in chunks."""
        held: list[NDArray[np.void]] = []
        for number in numbers:
            _, rows = read_rows(self._path(number))
            if number in gone:
                rows = rows[~gone[number]]
            if held and sum(map(len, held)) + len(rows) > _TOGETHER:
                yield from self._chunks(held)
                held.clear()
            held.append(rows)
        if held:
            yield from self._chunks(held)

    def _gather(self, field: NDArray[np.intp], source: NDArray[np.intp]) -> Iterator[SourceCatalog]:
        """Rows by their field's number and their place in it, in chunks.

        They are put in order on the disk, so that each field is read once, and none stays in memory.
        """
        if not len(field):
            yield from self._chunks([np.empty(0, self._dtype)])
            return
        rows = np.memmap(self._folder / "rows", self._dtype, mode="w+", shape=len(field))
        order = np.argsort(field, kind="stable")
        numbers, starts = np.unique(field[order], return_index=True)
        for number, here in zip(numbers, np.split(order, starts[1:]), strict=True):
            rows[here] = read_rows(self._path(int(number)))[1][source[here]]
        yield from self._chunks([rows])

    def _chunks(self, held: list[NDArray[np.void]]) -> Iterator[SourceCatalog]:
        """Rows of a few small fields, or of a large one in parts, since a table is a second copy of its rows."""
        rows = held[0] if len(held) == 1 else np.concatenate(held)
        for start in range(0, max(len(rows), 1), _CHUNK):
            yield catalog_of(rows[start : start + _CHUNK], self._layout)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.npz"

    def _read_claim(self, number: int) -> Claim:
        with opened(self._path(number)) as stored:
            return Claim(**{name: stored[_OF_CLAIM + name] for name in Claim.__dataclass_fields__})


class Tally:
    """Counts of a catalogue that passes in chunks, and an even sample of its rows.

    Parameters
    ----------
    n : int
        Number of rows that will pass.

    Attributes
    ----------
    step : int
        One of every so many rows is in the sample; 1 if it is all of them.
    """

    def __init__(self, n: int) -> None:
        self._n, self.step = n, max(-(-n // _MOST_SAMPLED), 1)
        self._seen = 0
        self._classes = dict.fromkeys(("star", "galaxy", "unsure"), 0)
        self._flags: dict[str, int] = {}
        #: Rows by field.
        self.fields: dict[str, int] = {}
        self._layout: dict[str, Any] = {}
        # the rows of all chunks in one array: tables of a few rows would take more memory than the rows
        self._rows: NDArray[np.void] | None = None

    def watch(self, chunks: Iterator[SourceCatalog]) -> Iterator[SourceCatalog]:
        """Pass chunks on, and count their rows."""
        for chunk in chunks:
            kind = np.asarray(chunk["class"])
            for name in self._classes:
                self._classes[name] += int((kind == name).sum())
            for name, number in count_flags(chunk["flags"]).items():
                self._flags[name] = self._flags.get(name, 0) + int(number)
            for name, rows in field_rows(chunk).items():
                self.fields[name] = self.fields.get(name, 0) + len(rows)
            self._keep(chunk[-self._seen % self.step :: self.step].as_array())
            self._layout = self._layout or layout_of(chunk)
            self._seen += len(chunk)
            yield chunk

    def _keep(self, rows: NDArray[np.void]) -> None:
        """Copy rows to the sample, whose columns of text grow to the width of theirs."""
        if self._rows is None:
            self._rows = np.empty(self._upto(self._n), rows.dtype)
        wider = np.result_type(self._rows, rows)
        if wider != self._rows.dtype:
            self._rows = self._rows.astype(wider)
        start = self._upto(self._seen)
        self._rows[start : start + len(rows)] = rows

    def _upto(self, n: int) -> int:
        """How many of the first n rows are in the sample."""
        return -(-n // self.step)

    @property
    def counts(self) -> dict[str, Any]:
        """Sources, stars, galaxies, unsure, and how many sources have each flag."""
        stars, galaxies, unsure = self._classes.values()
        kinds = {"stars": stars, "galaxies": galaxies, "unsure": unsure}
        return {"sources": self._seen, **kinds, "flags": dict(self._flags)}

    @property
    def sample(self) -> SourceCatalog:
        """Rows at even steps; all of them if there are not many."""
        if self._rows is None:
            return SourceCatalog()
        return catalog_of(self._rows[: self._upto(self._seen)], self._layout)
