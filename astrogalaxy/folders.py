"""Folders of results: each is locked by one run or training at a time, and what is wrong with it is one clear line."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astrogalaxy.errors import RunError

__all__ = ["FULL", "LOCK", "locked", "unwritable"]

logger = logging.getLogger(__name__)

#: Name of the lock file in a folder of results.
LOCK = ".lock"
# Error numbers of a lock that another process holds, and of a file system without locks.
_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK})
#: Error numbers of a disk that takes nothing more, whatever the file.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
# Error numbers of a file that belongs to somebody else, or that has a folder in its place.
_BARRED = frozenset({errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST})


@contextmanager
def locked(folder: Path, *, name: str = LOCK, wait: bool = False) -> Iterator[None]:
    """Hold a folder of results for one run or one training.

    Parameters
    ----------
    folder : Path
        It is made if it is missing.
    name : str, optional
        Name of the lock file in it: another one where only one of the folder's files is held.
    wait : bool, optional
        Whether to wait for another process that holds it.

    Yields
    ------
    None

    Raises
    ------
    RunError
        If another process holds it and is not waited for, or it cannot be made or written to, now or while it is held.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.folders import locked
    >>> with locked(Path("out")), locked(Path("out")):
    ...     pass
    Traceback (most recent call last):
    ...
    astrogalaxy.errors.RunError: out: another run is at work in this directory; wait for it or set output.directory
    """
    lock = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(folder, error.errno, lock if os.path.lexists(lock) else None) from None
    try:
        _claim(handle, folder, wait=wait)
        yield
    except OSError as error:
        if barred := _barred(error, folder):
            raise unwritable(folder, error.errno, barred) from error
        if error.errno not in FULL:
            raise
        what = f"{folder}: cannot be written to ({error.strerror})"
        msg = f"{what}; free some space or set output.directory to another folder, then run again"
        raise RunError(msg) from error
    finally:
        os.close(handle)


def _claim(handle: int, folder: Path, *, wait: bool) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            msg = f"{folder}: another run is at work in this directory; wait for it or set output.directory"
            raise RunError(msg) from None
        if error.errno not in _NO_LOCKS:
            raise unwritable(folder, error.errno) from None
        msg = "%s: its file system has no locks (%s): no second run in this directory would be noticed"
        logger.warning(msg, folder, error.strerror)


def _barred(error: OSError, folder: Path) -> Path | None:
    """What is in the way in a folder: the file that an error names, or else the nearest folder above it that exists."""
    if error.errno not in _BARRED or not isinstance(error.filename, str | os.PathLike):
        return None
    path = Path(error.filename)
    existing = next(path for path in (path, *path.parents) if os.path.lexists(path))
    return existing if path.is_relative_to(folder) else None


def unwritable(folder: Path, number: int | None, path: Path | None = None) -> RunError:
    """The error to raise where a folder of results cannot be made or written to.

    Parameters
    ----------
    folder : Path
        The folder.
    number : int or None
        The error number of the operating system.
    path : Path, optional
        What is in the way in it.

    Returns
    -------
    RunError

    Examples
    --------
    >>> import errno
    >>> from pathlib import Path
    >>> from astrogalaxy.folders import unwritable
    >>> print(unwritable(Path("out"), errno.EACCES))
    out: cannot be written to (Permission denied); set output.directory to another folder
    """
    why, removed = os.strerror(number or errno.EIO), "" if path is None else "remove it, or "
    what = folder if path is None else path
    return RunError(f"{what}: cannot be written to ({why}); {removed}set output.directory to another folder")
