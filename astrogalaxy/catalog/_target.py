"""Where a catalogue is written to: a path, whole or not at all, or an open file."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from astrogalaxy.files import atomic_path

__all__ = ["name_of", "open_target"]


@contextmanager
def open_target(target: str | os.PathLike[str] | IO[bytes], *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Open a target for writing bytes; a path appears only when the block ends well.

    Raises
    ------
    FileExistsError
        If the path exists and ``overwrite`` is false.
    RunError
        If the folder or the disk does not take the file.
    """
    if not isinstance(target, str | os.PathLike):
        yield target
        return
    if not overwrite and os.path.lexists(target):
        msg = f"{os.fspath(target)} exists; pass overwrite=True to replace it"
        raise FileExistsError(msg)
    with atomic_path(target) as temporary, open(temporary, "wb") as raw:
        if temporary.suffix == ".gz":
            # No file name and no clock in the gzip header: the same catalogue gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                yield packed
        else:
            yield raw


def name_of(source: Any) -> str:
    """Name of a path or open file, for messages."""
    return str(source if isinstance(source, str | os.PathLike) else getattr(source, "name", source))
