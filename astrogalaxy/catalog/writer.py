"""Write a catalogue that comes in chunks, in any number of formats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from astropy.table import Table

from astrogalaxy.catalog.io.registry import WRITERS, write_rows
from astrogalaxy.catalog.io.rows import Spool
from astrogalaxy.catalog.io.target import check_free
from astrogalaxy.errors import CatalogError
from astrogalaxy.formats import FORMATS, format_of

__all__ = ["CatalogWriter"]


class CatalogWriter:
    """Write rows that come in chunks to one file or several, with no more than a part of them in memory.

    Parameters
    ----------
    *targets : path-like
        Files to write. Each one's format is told by the end of its name (`astrogalaxy.formats.FORMATS`).
    meta : mapping, optional
        Provenance; default: that of the first chunk. `meta` may be changed until the end.
    overwrite : bool, optional
        Replace existing files.
    keep_going : bool, optional
        Write the other files even if one cannot be written; what was wrong with it is in `errors`.

    Attributes
    ----------
    meta : dict
        Provenance to be written.
    errors : dict of Path to Exception
        Files that could not be written, with ``keep_going``.

    Raises
    ------
    CatalogError
        If a format is not known from a name, or holds no rows; when writing, if chunks differ in their columns,
        units or types, or one cannot be written.
    FileExistsError
        If a file exists and ``overwrite`` is false.
    MissingExtraError
        If a format needs a module that is not installed.
    RunError
        If the folder or the disk does not take the files.

    Notes
    -----
    A header needs what is only known from all rows: how many there are, how wide the strings are, and whether
    integers have holes. So chunks wait in a temporary file without a name beside the first target, about as large as
    the FITS file, and the files are written at the end of the ``with`` block. Each appears
    whole or not at all; after an exception none does.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from astrogalaxy.catalog import CatalogWriter, SourceCatalog
    >>> folder = Path(tempfile.mkdtemp())
    >>> with CatalogWriter(folder / "sky.fits", folder / "sky.vot") as writer:
    ...     for ra in (10.0, 20.0, 30.0):
    ...         writer.write(SourceCatalog.from_columns({"ra": [ra], "dec": [1.0]}, bands=["r"]))
    >>> len(writer), len(SourceCatalog.read(folder / "sky.vot"))
    (3, 3)
    """

    def __init__(
        self,
        *targets: str | os.PathLike[str],
        meta: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        keep_going: bool = False,
    ) -> None:
        if not targets:
            msg = "there is no file to write to; give at least one path"
            raise CatalogError(msg)
        self._keep_going = keep_going
        self.errors: dict[Path, Exception] = {}
        self._targets = [(Path(target), _format(target)) for target in targets]
        for target, name in self._targets:
            with self._noted(target):
                FORMATS[name].need()
        for target, _ in self._targets:
            check_free(target, overwrite=overwrite)
        self._overwrite = overwrite
        self._spool = Spool(self._targets[0][0].absolute().parent)
        self._given = meta is not None
        self.meta: dict[str, Any] = dict(meta or {})

    def __len__(self) -> int:
        return len(self._spool)

    def write(self, chunk: Table) -> None:
        """Take the next rows.

        Parameters
        ----------
        chunk : SourceCatalog
            With the columns, units and types of the first chunk; strings may be wider. Not kept.
        """
        if not self._given and not len(self._spool):
            self.meta = dict(chunk.meta)
        self._spool.add(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._spool.close()

    def _finish(self) -> None:
        """Write the files."""
        head = self._spool.head
        if not head.colnames:
            msg = f"cannot write {self._targets[0][0]}: no chunk came, so the columns are not known"
            raise CatalogError(msg)
        head.meta = self.meta
        for target, name in self._targets:
            if target not in self.errors:
                with self._noted(target):
                    write_rows(self._spool, target, name, overwrite=self._overwrite)

    @contextmanager
    def _noted(self, target: Path) -> Iterator[None]:
        """Note what is wrong with a file, if the others are to be written all the same."""
        try:
            yield
        except Exception as error:
            if not self._keep_going:
                raise
            self.errors[target] = error


def _format(target: str | os.PathLike[str]) -> str:
    form = format_of(target)
    if form is None:
        known = ", ".join(FORMATS[name].suffix for name in WRITERS)
        msg = f"{os.fspath(target)}: the end of the name tells no format; use one of {known}"
        raise CatalogError(msg)
    if form.name not in WRITERS:
        msg = f"{os.fspath(target)}: the format {form.name!r} holds no sources; choose another"
        raise CatalogError(msg)
    return form.name
