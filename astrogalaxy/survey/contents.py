"""Contents of files: their hashes, and what tells without reading them that they have not changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from astrogalaxy.images.fields import Field

__all__ = ["Content", "hashes", "hashing"]

_HASHING_THREADS = 4


class Content(NamedTuple):
    """The content of a file, and what tells without reading it that it has not changed.

    Attributes
    ----------
    bytes, mtime_ns : int
        Size and time of the last change, taken before the file is read, so that a change while it is read shows.
    sha256 : str
        Of the content.
    """

    bytes: int
    mtime_ns: int
    sha256: str

    def is_still_in(self, path: Path) -> bool:
        """Whether a file has not been written to since; true if it is gone."""
        try:
            status = path.stat()
        except OSError:
            return True
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.mtime_ns)


def hashes(field: Field, contents: Mapping[Path, Content]) -> dict[str, dict[str, str]]:
    """SHA-256 of a field's files by role and band (see `Field.roles`); empty text for files that cannot be read."""
    return {
        role: {band: contents[path].sha256 if path in contents else "" for band, path in by_band.items()}
        for role, by_band in field.roles.items()
    }


@contextmanager
def hashing(paths: Iterable[Path], known: Mapping[str, Content]) -> Iterator[Callable[[Path], Content | None]]:
    """Hash files on threads while the block goes on.

    Parameters
    ----------
    paths : iterable of Path
        The files; one that several fields share, such as a mask, is read once.
    known : mapping
        By path, of files that need not be read if they have not changed since.

    Yields
    ------
    callable
        Waits for the content of one of the files; None where it cannot be read, and of any other file.
    """
    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        running = {path: pool.submit(_hash, path, known.get(str(path))) for path in dict.fromkeys(paths)}
        try:
            yield lambda path: running[path].result() if path in running else None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _hash(path: Path, known: Content | None) -> Content | None:
    try:
        status = path.stat()
        if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
            return known
        if not S_ISREG(status.st_mode):
            return None  # to read from a pipe would wait for ever
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Content(status.st_size, status.st_mtime_ns, sha256)
    except OSError:
        return None
