"""Catalogues on their way through a run: files of rows that are quick to write and to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.files import atomic_path

__all__ = ["catalog_of", "layout_of", "opened", "peek_shard", "read_rows", "read_shard", "rows_of", "write_shard"]

# Bytes that the names and types of the columns may take: numpy stops at 10000, which 30 bands exceed, because what
# strangers wrote might take long to parse.
_LONGEST_HEADER = 1_000_000


def write_shard(path: Path, catalog: SourceCatalog) -> None:
    """Write a catalogue, whole or not at all.

    Not as FITS: a survey has as many shards as tiles, and to describe the columns in each takes longer than to write
    the rows. Here a few words say which columns of the registry they are.

    Parameters
    ----------
    path : Path
        The file.
    catalog : SourceCatalog
        Columns of the contract; ``meta`` of plain values.

    Raises
    ------
    RunError
        If the folder or the disk does not take the file.
    """
    with atomic_path(path) as temporary:
        np.savez(temporary, **rows_of(catalog))


def rows_of(catalog: SourceCatalog) -> dict[str, NDArray[Any]]:
    """Arrays of a shard: the rows, and a note that says what they are."""
    note = {"n": len(catalog), "meta": dict(catalog.meta), "columns": layout_of(catalog)}
    return {"note": np.array(json.dumps(note)), "rows": catalog.as_array()}


def read_shard(path: Path) -> SourceCatalog:
    """Read a catalogue.

    Raises
    ------
    OSError, EOFError, ValueError, zipfile.BadZipFile
        If the file is damaged, by its checksums.
    """
    note, rows = read_rows(path)
    return catalog_of(rows, note["columns"], meta=note["meta"])


def read_rows(path: Path) -> tuple[dict[str, Any], NDArray[np.void]]:
    """Read a catalogue's note, whose ``columns`` are its `layout_of`, and its rows; raises as `read_shard` does."""
    with opened(path) as stored:
        return json.loads(str(stored["note"])), stored["rows"]


@contextmanager
def opened(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of a shard, each of which is read when it is asked for.

    Yields
    ------
    mapping of str to ndarray
        By name.
    """
    # opened here: of a damaged file numpy would leave it open
    with path.open("rb") as file, np.load(file, allow_pickle=False, max_header_size=_LONGEST_HEADER) as stored:
        yield stored


def layout_of(catalog: SourceCatalog) -> dict[str, Any]:
    """What the registry needs to tell what a catalogue's columns are."""
    return {name: getattr(catalog, name) for name in ("bands", "calibrated", "classes", "apertures")}


def catalog_of(
    rows: NDArray[np.void], layout: Mapping[str, Any], *, meta: Mapping[str, Any] | None = None
) -> SourceCatalog:
    """The catalogue whose rows (``catalog.as_array()``) and `layout_of` are given; a copy."""
    columns = {name: rows[name] for name in rows.dtype.names or ()}
    return SourceCatalog.from_columns(columns, **layout, meta=meta)


def peek_shard(path: Path) -> tuple[int, dict[str, Any]]:
    """Number of rows and ``meta`` of a catalogue; its rows are not read.

    Raises
    ------
    OSError, EOFError, ValueError, zipfile.BadZipFile
        If there is no such file, or it was cut off.
    """
    with opened(path) as stored:
        note = json.loads(str(stored["note"]))
    return note["n"], note["meta"]
