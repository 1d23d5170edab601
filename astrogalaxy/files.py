"""Files that are either whole or not there: write beside the target, flush to disk, rename; and logs."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astrogalaxy.errors import RunError

__all__ = ["DISK_ERRORS", "LogHandler", "atomic_folder", "atomic_path", "remove_unfinished", "write_text"]

# End of the name of a hidden folder in which something is being written.
_PART = ".part"
_OURS = re.compile(rf"\..+\.[a-z0-9_]{{8}}{re.escape(_PART)}")
# End of the name under which a folder that is being replaced waits beside the new one.
_OLD = ".old"

#: Error numbers of the operating system that blame the disk, not the caller.
DISK_ERRORS = frozenset(
    code
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM", "ENAMETOOLONG", "ENOTDIR")
    if (code := getattr(errno, name, None)) is not None
)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in the place of ``path`` when all went well.

    Parameters
    ----------
    path : path-like
        The file to make or to replace. Its folder must exist. A symbolic link is followed, so
        that the file it points to is replaced and the link stays.

    Yields
    ------
    pathlib.Path
        A path on the same file system with the same file name (so that writers which look at
        the suffix work), inside a hidden folder beside ``path``.

    Raises
    ------
    RunError
        If the folder is missing or not writable, the disk is full, ``path`` is a folder, or
        nothing was written. The message names ``path``. Errors of the caller's own code pass
        through unchanged. In every case the old file, if any, is untouched and the temporary
        file is removed.

    Notes
    -----
    The file and its folder are flushed to disk (``fsync``) before and after the rename, so
    that after a power cut the target is the old file or the new one, never a part of one.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from astrogalaxy.files import atomic_path
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_path(target) as temporary:
    ...     size = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        msg = f"cannot write {path}: it is a folder; give the name of a file"
        raise RunError(msg)
    folder = _make_folder(target, path)
    try:
        with _disk_errors(path, folder):
            temporary = folder / target.name
            yield temporary
            if not temporary.is_file():
                msg = f"cannot write {path}: nothing was written to its temporary file"
                raise RunError(msg)
            _flush(temporary)
            os.replace(temporary, target)
            _flush_folder(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, with `atomic_path`.

    Parameters
    ----------
    path : path-like
        The file to make or to replace.
    text : str
        What it is to hold.

    Raises
    ------
    RunError
        If the folder or the disk does not take the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.files import write_text
    >>> write_text("note.txt", "whole")
    >>> Path("note.txt").read_text()
    'whole'
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder to fill, and put it in the place of ``path`` when all went well.

    Parameters
    ----------
    path : path-like
        The folder to make or to replace; the one that holds it must exist.

    Yields
    ------
    pathlib.Path
        An empty folder of the same name on the same file system, inside a hidden folder beside ``path``.

    Raises
    ------
    RunError
        If the surrounding folder is missing or not writable, the disk is full, or ``path`` is a
        file. The message names ``path``. Errors of the caller's own code pass through unchanged;
        the old folder is then untouched.

    Notes
    -----
    Files and folders are flushed to disk before the rename. An old folder is moved aside first and removed
    last: after a power cut between the two renames, `remove_unfinished` puts the new one in its place.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from astrogalaxy.files import atomic_folder
    >>> target = Path(tempfile.mkdtemp()) / "notes"
    >>> with atomic_folder(target) as temporary:
    ...     size = (temporary / "one.txt").write_text("whole")
    >>> [entry.name for entry in target.iterdir()]
    ['one.txt']
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        msg = f"cannot write {path}: it is a file; give the name of a folder"
        raise RunError(msg)
    hidden = _make_folder(target, path)
    try:
        with _disk_errors(path, hidden):
            temporary = hidden / target.name
            temporary.mkdir()
            yield temporary
            for entry in (temporary, *temporary.rglob("*")):
                (_flush_folder if entry.is_dir() else _flush)(entry)
            _exchange(temporary, target, hidden / (target.name + _OLD))
            _flush_folder(target.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Remove what processes left in a folder when they were killed while writing.

    Nobody else may be writing there. A new folder whose predecessor was already moved aside is
    whole, and is put in its place.

    Parameters
    ----------
    folder : path-like
        It may be missing.

    Examples
    --------
    >>> from astrogalaxy.files import remove_unfinished
    >>> remove_unfinished("out")
    """
    for hidden in [entry for entry in Path(folder).glob(f".*{_PART}") if _OURS.fullmatch(entry.name)]:
        for old in list(hidden.glob(f"*{_OLD}")):
            name = old.name.removesuffix(_OLD)
            if (hidden / name).is_dir() and not (hidden.parent / name).exists():
                os.replace(hidden / name, hidden.parent / name)
        shutil.rmtree(hidden, ignore_errors=True)


class LogHandler(logging.FileHandler):
    """A log file that falls silent when its disk is full, instead of printing a traceback for every line.

    Parameters
    ----------
    path : path-like
        Lines are appended to it, with time, level and logger.

    Examples
    --------
    >>> from astrogalaxy.files import LogHandler
    >>> handler = LogHandler("/dev/null")
    >>> handler.close()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is that of logging)
        """Drop what the disk does not take."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whether or not the disk takes its last lines."""
        with suppress(OSError):
            super().close()


def _exchange(new: Path, target: Path, aside: Path) -> None:
    """Put a folder in the place of another, which is moved back if that fails."""
    if not target.exists():
        os.replace(new, target)
        return
    os.replace(target, aside)
    try:
        os.replace(new, target)
    except BaseException:
        os.replace(aside, target)
        raise


def _make_folder(target: Path, path: str | os.PathLike[str]) -> Path:
    """Make the hidden folder beside ``target`` that holds the temporary file."""
    try:
        # A folder, not a file: a half-written "x.fits" can then never match the pattern "*.fits".
        return Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=_PART, dir=target.parent))
    except OSError as error:
        # in /proc and the like, "no such file" is said of a folder that exists
        if target.parent.exists():
            msg = f"cannot write {path}: {error.strerror or error} (folder {target.parent})"
        else:
            msg = f"cannot write {path}: the folder {target.parent} does not exist; make it first"
        raise RunError(msg) from error


@contextmanager
def _disk_errors(path: str | os.PathLike[str], folder: Path) -> Iterator[None]:
    """Turn a disk's errors about our temporary file into a RunError that names ``path``."""
    try:
        yield
    except OSError as error:
        # An OSError about another file (an input, say) belongs to the caller. Errors of copying name the input
        # first, and the copy second.
        about = [str(os.fsdecode(name)) for name in (error.filename, error.filename2) if name is not None]
        ours = not about or any(name.startswith(str(folder)) for name in about)
        # Some libraries raise an OSError without a number while they handle the one that has it.
        code = error.errno or getattr(error.__context__, "errno", None)
        if not ours or code not in DISK_ERRORS:
            raise
        msg = f"cannot write {path}: {os.strerror(code)}; free some space or choose another folder"
        raise RunError(msg) from error


def _flush(path: Path) -> None:
    """Wait until the file's content is on the disk."""
    # a copy of a file that may not be written to may not either; Windows flushes only what it may write to
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Wait until the folder's entries are on the disk; where a system cannot (Windows), do nothing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not flush folders; the rename itself is done.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
