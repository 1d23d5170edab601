"""Open what a catalogue is written to, and turn what goes wrong in reading one into a clear error."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TypeAlias

from astrogalaxy.errors import CatalogError
from astrogalaxy.files import atomic_path

__all__ = ["Source", "Target", "check_free", "name_of", "open_target", "reading"]

#: What a catalogue is read from, and what it is written to: a path, or an open binary file.
Source: TypeAlias = str | os.PathLike[str] | IO[bytes]
Target: TypeAlias = Source


@contextmanager
def open_target(target: Target, *, overwrite: bool) -> Iterator[IO[bytes]]:
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
    check_free(target, overwrite=overwrite)
    with atomic_path(target) as temporary, open(temporary, "wb") as raw:
        if temporary.suffix.lower() == ".gz":
            # No file name and no clock in the gzip header: the same catalogue gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                yield packed
        else:
            yield raw


def check_free(target: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Refuse to replace what is there already, unless it may be replaced."""
    if not overwrite and os.path.lexists(target):
        msg = f"{os.fspath(target)} exists; pass overwrite=True to replace it"
        raise FileExistsError(msg)


def name_of(source: Source) -> str:
    """Name of a path or open file, for messages."""
    return str(source if isinstance(source, str | os.PathLike) else getattr(source, "name", source))


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a reader raise into one sentence.

    Raises
    ------
    CatalogError
        Naming the file and what it should have been; errors of the operating system pass through.
    """
    try:
        yield
    except CatalogError as error:
        if name in str(error):
            raise
        msg = f"cannot read the catalogue {name}: {error}"
        raise CatalogError(msg) from error
    except Exception as error:
        if getattr(error, "errno", None) is not None:
            # No such file, no permission: the operating system's own words are clear.
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"cannot read the catalogue {name}: {reason}; the file is damaged or not {what}"
        raise CatalogError(msg) from error
