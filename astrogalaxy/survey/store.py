"""The run directory: what is in it, and how it is written so that nothing is half there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrogalaxy.errors import RunError
from astrogalaxy.files import atomic_path
from astrogalaxy.formats import FORMATS

__all__ = ["RunDirectory", "safe_name"]

logger = logging.getLogger(__name__)

# What a lock says that another process holds, and a file system that has none.
_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK})
# What a disk says that takes no more, whatever the file.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
# What is said of a file that is somebody else's, or of a folder in its place.
_BARRED = frozenset({errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST})

# So a survey.yml begins that may be replaced.
_FROZEN = "# The settings of a run, every key written out; written anew by each run into this folder.\n"


def safe_name(field: str) -> str:
    """A field's name as that of a folder: it comes from a file's name, and must not lead out of the directory."""
    safe = re.sub(r"[^\w.+-]", "_", field).lstrip(".")
    if safe == field:
        return safe or "field"
    # two names that differ in what is left out must not share a folder
    return f"{safe[:50]}-{hashlib.sha256(os.fsencode(field)).hexdigest()[:8]}".lstrip("-")


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run's results.

    Parameters
    ----------
    path : Path
        The directory.
    name : str
        Name of the survey: the catalogues are ``<name>.fits`` and ``<name>.vot``.
    """

    path: Path
    name: str

    @property
    def report(self) -> Path:
        """The report for the browser."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What happened, line by line."""
        return self.path / "run.log"

    @property
    def lock(self) -> Path:
        """Held by the run that is at work."""
        return self.path / ".lock"

    @property
    def record(self) -> Path:
        """What was done, for programs."""
        return self.path / "run.json"

    @property
    def failures(self) -> Path:
        """What could not be done."""
        return self.path / "failures.ecsv"

    @property
    def settings(self) -> Path:
        """The settings of the run, every key written out."""
        return self.path / "survey.yml"

    @property
    def tiles(self) -> Path:
        """Folder of the shards of all fields."""
        return self.path / "tiles"

    @property
    def waiting(self) -> Path:
        """Where finished fields wait for each other."""
        return self.path / ".fields"

    def catalog(self, format_: str) -> Path:
        """The catalogue in one of its formats."""
        return self.path / f"{self.name}{FORMATS[format_].suffix}"

    def shards(self, field: str) -> Path:
        """Folder of a field's shards; made when asked for."""
        folder = self.tiles / safe_name(field)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def targets(self, formats: Iterable[str]) -> list[Path]:
        """Every file that a run with these formats replaces, and every folder that it empties."""
        catalogs = [self.catalog(name) for name in formats]
        return [
            *catalogs, self.report, self.settings, self.record, self.failures, self.log, self.tiles, self.waiting,
        ]  # fmt: skip

    def has_foreign_settings(self) -> bool:
        """Whether a survey.yml lies here that no run has written."""
        if not os.path.isfile(self.settings):
            return False
        try:
            with self.settings.open("rb") as file:
                return file.read(len(_FROZEN)) != _FROZEN.encode()
        except OSError:  # what may not be looked at is not to be replaced either
            return True

    def write_settings(self, text: str) -> None:
        """Write ``survey.yml`` atomically, with a comment by which the next run knows it as a run's."""
        self.write_text(self.settings, _FROZEN + text)

    def check(self) -> None:
        """Say what `locked` would say of a directory that cannot be made or written to; nothing is made.

        Raises
        ------
        RunError
            If it is, or lies in, what is no folder or may not be written to.
        """
        nearest = next(path for path in (self.path, *self.path.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise self._unwritable(errno.EEXIST if nearest == self.path else errno.ENOTDIR)
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise self._unwritable(errno.EACCES)
        # of somebody else who may write to the folder, too
        for path in (self.lock, self.log, self.tiles):
            if path.exists() and not os.access(path, os.W_OK):
                raise self._unwritable(errno.EACCES, path)

    def _unwritable(self, number: int | None, path: Path | None = None) -> RunError:
        why, removed = os.strerror(number or errno.EIO), "" if path is None else "remove it, or "
        return RunError(
            f"{path or self.path}: cannot be written to ({why}); {removed}set output.directory to another folder"
        )

    def _barred(self, error: OSError) -> Path | None:
        """What is in the way here by an error: the file that it names, or the folder in which that cannot be made."""
        if error.errno not in _BARRED or not isinstance(error.filename, str | os.PathLike):
            return None
        path = Path(error.filename)
        there = next(path for path in (path, *path.parents) if os.path.lexists(path))
        return there if path.is_relative_to(self.path) else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one run.

        Raises
        ------
        RunError
            If another run holds it, or it cannot be made or written to, now or while it is held.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._unwritable(error.errno, self.lock if os.path.lexists(self.lock) else None) from None
        try:
            self._claim(handle)
            yield
        except OSError as error:
            if barred := self._barred(error):
                raise self._unwritable(error.errno, barred) from error
            if error.errno not in _FULL:
                raise
            what = f"{self.path}: cannot be written to ({error.strerror})"
            msg = f"{what}; free some space or set output.directory to another folder, then run again"
            raise RunError(msg) from error
        finally:
            os.close(handle)

    def _claim(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                msg = f"{self.path}: another run is at work in this directory; wait for it or set output.directory"
                raise RunError(msg) from None
            if error.errno not in _NO_LOCKS:
                raise self._unwritable(error.errno) from None
            msg = "%s: its file system has no locks (%s): no second run in this directory would be noticed"
            logger.warning(msg, self.path, error.strerror)

    def write_json(self, record: Mapping[str, Any]) -> None:
        """Write ``run.json`` atomically."""
        self.write_text(self.record, json.dumps(record, indent=1, allow_nan=False) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Write a text file atomically."""
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def read_json(self) -> dict[str, Any]:
        """What an earlier run recorded; empty if none did, or none that can be read."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}
