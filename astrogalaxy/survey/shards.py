"""Catalogues on their way through a run: rows on the disk that are quick to write and to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.files import atomic_path

__all__ = ["catalog_of", "peek_shard", "read_rows", "read_shard", "rows_of", "words_of", "write_shard"]


def write_shard(path: Path, catalog: SourceCatalog) -> None:
    """Write a catalogue, whole or not at all.

    Not as FITS: a survey has as many shards as tiles, and describing each column to each of them costs more than the
    rows. What the columns are follows from a few words by the registry.

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
    """What a shard holds: the rows, and a note that says what they are."""
    note = {"n": len(catalog), "meta": dict(catalog.meta), "columns": words_of(catalog)}
    return {"note": np.array(json.dumps(note)), "rows": catalog.as_array()}


def read_shard(path: Path) -> SourceCatalog:
    """Read a catalogue.

    Raises
    ------
    OSError, EOFError, ValueError, zipfile.BadZipFile
        If the file is not whole, which its checksums tell.
    """
    note, rows = read_rows(path)
    return catalog_of(rows, note["columns"], meta=note["meta"])


def read_rows(path: Path) -> tuple[dict[str, Any], NDArray[np.void]]:
    """Read a catalogue's note, in which ``columns`` are its `words_of`, and its rows; else as `read_shard`."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return json.loads(str(stored["note"])), stored["rows"]


def words_of(catalog: SourceCatalog) -> dict[str, Any]:
    """The few words from which the registry tells what a catalogue's columns are."""
    return {name: getattr(catalog, name) for name in ("bands", "calibrated", "classes", "apertures")}


def catalog_of(
    rows: NDArray[np.void], words: Mapping[str, Any], *, meta: Mapping[str, Any] | None = None
) -> SourceCatalog:
    """The catalogue of rows (``catalog.as_array()``), by its `words_of`; a copy."""
    columns = {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}
    return SourceCatalog.from_columns(columns, **words, meta=meta)


def peek_shard(path: Path) -> tuple[int, dict[str, Any]]:
    """Number of rows and ``meta`` of a catalogue, without its rows.

    Raises
    ------
    OSError, EOFError, ValueError, zipfile.BadZipFile
        If there is no such file, or it was cut off.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        note = json.loads(str(stored["note"]))
    return note["n"], note["meta"]
