"""Iterate over a catalogue's rows in blocks, so that no more than a block is in memory.

A file's header needs what is only known from all rows: their number, the width of the strings, whether
there are holes. So writers iterate twice, and rows that come in chunks wait in a temporary file.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import IO, NamedTuple, Protocol

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from astrogalaxy.catalog.io.cells import plain_table
from astrogalaxy.catalog.values import check_alike
from astrogalaxy.errors import RunError

__all__ = ["BLOCK", "Block", "FilledRows", "Rows", "Spool", "TableRows", "grouped", "joined"]

BLOCK = 32768
"""Rows that are in memory at a time."""

Block = dict[str, np.ndarray]
"""Values of some rows by column, native byte order; masked arrays where integers or booleans have holes."""

# The wider type of an integer column with holes in which every value of its own type occurs.
_ROOMIER = {"u1": "i2", "i2": "i4", "i4": "i8"}


class Rows(Protocol):
    """All rows of a catalogue, which can be iterated over any number of times."""

    @property
    def head(self) -> Table:
        """No rows: columns as wide as the widest string, masked where there are holes, and the meta."""

    def __len__(self) -> int:
        """Number of rows."""

    def blocks(self, names: Sequence[str] | None = None) -> Iterator[Block]:
        """Some columns (default: all) in blocks of at most `BLOCK` rows."""


class TableRows:
    """Rows of a table in memory.

    Parameters
    ----------
    table : astropy.table.Table
        Not copied; must not change while it is in use.
    only : sequence of str, optional
        The columns to look at, as far as they are there; default: all.
    """

    def __init__(self, table: Table, only: Sequence[str] | None = None) -> None:
        self._table = _bare_table(table, table.colnames if only is None else [n for n in only if n in table.colnames])
        parts = (_without_rows(part) for part in self._parts(None))
        self.head = _merged(list(parts))
        self.head.meta = dict(table.meta)

    def __len__(self) -> int:
        return len(self._table)

    def blocks(self, names: Sequence[str] | None = None) -> Iterator[Block]:
        """Some columns (default: all) in blocks of at most `BLOCK` rows."""
        for part in self._parts(names):
            yield {name: _bare(part[name]) for name in part.colnames}

    def _parts(self, names: Sequence[str] | None) -> Iterator[Table]:
        if names is not None and not names:
            return
        table = self._table if names is None else _bare_table(self._table, names)
        for start in range(0, max(len(table), 1), BLOCK):
            yield plain_table(table[start : start + BLOCK])


class FilledRows:
    """Rows for a format that marks a hole among integers by a value.

    Parameters
    ----------
    rows : Rows
        Integer columns with holes are read at once, to find a value that does not occur in them.

    Attributes
    ----------
    head : astropy.table.Table
        That of the rows; an integer column with holes whose type has no value left is of a wider type.
    nulls : dict of str to int
        What stands for a hole, for each integer column that has some.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.nulls: dict[str, int] = {}
        columns = [self._roomy(column) for column in rows.head.columns.values()]
        self.head = Table(columns, names=rows.head.colnames, meta=rows.head.meta, copy=False)

    def _roomy(self, column: Column) -> Column:
        if not isinstance(column, MaskedColumn) or column.dtype.kind not in "iu":
            return column
        null = _unused(self._rows, column.name, column.dtype)
        if null is None:
            column = column.astype(_ROOMIER[column.dtype.str[1:]])
            null = int(np.iinfo(column.dtype).min)
        self.nulls[column.name] = null
        return column

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self, names: Sequence[str] | None = None) -> Iterator[Block]:
        """Some columns (default: all) in blocks of at most `BLOCK` rows; only booleans may be masked."""
        for block in self._rows.blocks(names):
            for name, null in self.nulls.items():
                if name in block:
                    block[name] = np.ma.filled(block[name].astype(self.head[name].dtype, copy=False), null)
            yield block


def _unused(rows: Rows, name: str, dtype: np.dtype) -> int | None:
    """A value that occurs nowhere in an integer column, at the end of its type if possible; None if there is none."""
    limits = np.iinfo(dtype)
    for start in range(int(limits.min), int(limits.max) + 1, BLOCK):
        free = start + np.arange(min(BLOCK, int(limits.max) + 1 - start))
        for block in rows.blocks([name]):
            free = free[~np.isin(free, np.ma.compressed(block[name]))]
        if len(free):
            return int(free[0 if limits.min else -1])
    return None


def _bare_table(table: Table, names: Sequence[str]) -> Table:
    """Some columns of a table, not copied, without the rules of a subclass."""
    return Table([table[name] for name in names], names=names, copy=False)


def _bare(column: Column) -> np.ndarray:
    return column.data if isinstance(column, MaskedColumn) else np.asarray(column)


_Layout = tuple[tuple[str, np.dtype, tuple[int, ...], bool], ...]
"""Name, type and shape of the cells of each column of a part of the file, and whether a mask follows them."""


class _Part(NamedTuple):
    """Some rows in the file, column after column."""

    offset: int
    n_rows: int
    layout: _Layout


class Spool:
    """Rows that come in chunks and wait in a temporary file without a name, which no crash can leave behind.

    Parameters
    ----------
    folder : path-like
        Where the temporary file is made; it grows as large as the catalogue.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed by close()
        except OSError as error:
            msg = f"cannot write to the folder {os.fspath(folder)}: {error.strerror}"
            raise RunError(msg) from error
        self._parts: list[_Part] = []
        # Nearly all parts have the same layout: kept once, it leaves a part a few numbers.
        self._layouts: dict[_Layout, _Layout] = {}
        self._head: Table | None = None
        self._n_chunks = self._n_rows = 0

    @property
    def head(self) -> Table:
        """No rows: columns as wide as the widest string, masked where there are holes."""
        return Table() if self._head is None else self._head

    def __len__(self) -> int:
        return self._n_rows

    def add(self, chunk: Table) -> None:
        """Put rows at the end.

        Parameters
        ----------
        chunk : astropy.table.Table
            With the columns, units and types of those before; strings may be wider.

        Raises
        ------
        CatalogError
            If the columns differ, or one cannot be written.
        RunError
            If the disk is full.
        """
        rows = TableRows(chunk)
        head = rows.head
        if self._head is not None:
            check_alike(self._head, head, f"chunk {self._n_chunks + 1}")
            head = _merged([self._head, head[self._head.colnames]])
        try:
            for block in rows.blocks():
                self._append(block)
        except OSError as error:
            msg = f"cannot keep the catalogue's rows in a temporary file: {error.strerror or error}"
            raise RunError(msg) from error
        self._head = head
        self._n_chunks += 1

    def _append(self, block: Block) -> None:
        layout = tuple((name, v.dtype, v.shape[1:], np.ma.isMaskedArray(v)) for name, v in block.items())
        n_rows = len(next(iter(block.values()), ()))
        self._parts.append(_Part(self._file.tell(), n_rows, self._layouts.setdefault(layout, layout)))
        self._n_rows += n_rows
        for values in block.values():
            self._keep(np.ma.getdata(values))
            if np.ma.isMaskedArray(values):
                self._keep(np.ma.getmaskarray(values))

    def _keep(self, values: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(values).view(np.uint8).reshape(-1).data if values.size else b"")

    def blocks(self, names: Sequence[str] | None = None) -> Iterator[Block]:
        """Some columns (default: all) in blocks of at most `BLOCK` rows; small chunks are put together."""
        waiting: list[_Part] = []
        n_rows = 0
        for part in self._parts:
            if waiting and n_rows + part.n_rows > BLOCK:
                yield self._joined(waiting, names)
                waiting, n_rows = [], 0
            waiting.append(part)
            n_rows += part.n_rows
        if waiting:
            yield self._joined(waiting, names)

    def _joined(self, parts: Sequence[_Part], names: Sequence[str] | None) -> Block:
        blocks = [self._values(part, names) for part in parts]
        return blocks[0] if len(blocks) == 1 else {n: joined([b[n] for b in blocks]) for n in blocks[0]}

    def _values(self, part: _Part, names: Sequence[str] | None) -> Block:
        found, offset = {}, part.offset
        for name, dtype, shape, masked in part.layout:
            n_cells = part.n_rows * int(np.prod(shape))
            size = n_cells * dtype.itemsize
            if names is None or name in names:
                self._file.seek(offset)
                values = np.frombuffer(self._file.read(size), dtype=np.uint8).view(dtype).reshape(part.n_rows, *shape)
                if masked:
                    mask = np.frombuffer(self._file.read(n_cells), dtype=bool).reshape(values.shape)
                    values = np.ma.MaskedArray(values, mask)
                found[name] = values
            offset += size + masked * n_cells
        return found if names is None else {name: found[name] for name in names}

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


def grouped(blocks: Iterable[Block], number: int) -> Iterator[list[Block]]:
    """So many blocks at a time."""
    blocks = iter(blocks)
    while group := list(islice(blocks, number)):
        yield group


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays under each other; masked where any is, which numpy's own function forgets."""
    together: np.ndarray = (np.ma if any(map(np.ma.isMaskedArray, parts)) else np).concatenate(parts)
    return together


def _without_rows(table: Table) -> Table:
    head = table[:0]
    # A slice without rows has no holes; that a column is masked says that there are some.
    return Table([head[name].copy() for name in head.colnames], names=head.colnames, copy=False)


def _merged(heads: Sequence[Table]) -> Table:
    """Columns as wide as the widest and masked where any is."""
    *_, merged = accumulate(heads, _wider)
    return merged


def _wider(first: Table, second: Table) -> Table:
    columns = []
    for name in first.colnames:
        mine, theirs = first[name], second[name]
        dtype = np.promote_types(mine.dtype, theirs.dtype)
        kind = MaskedColumn if isinstance(mine, MaskedColumn) or isinstance(theirs, MaskedColumn) else Column
        if isinstance(mine, kind) and mine.dtype == dtype:
            columns.append(mine)
            continue
        shape = (0, *mine.shape[1:])
        columns.append(
            kind(np.zeros(shape, dtype), name=name, unit=mine.unit, description=mine.description, meta=mine.meta)
        )
    return Table(columns, names=first.colnames, meta=first.meta, copy=False)
