"""Files from archives: retried with back-off, looked at before they are kept, and kept once."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from astrogalaxy.errors import ArchiveError, RunError
from astrogalaxy.files import atomic_path
from astrogalaxy.images.archives.archive import BusyError, NoImageError, Remote, UnreachableError, words_of
from astrogalaxy.images.quiet import quiet

if TYPE_CHECKING:
    import requests

__all__ = ["cache_folder", "check_answer", "download", "made_folder", "retried"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds to connect, and to wait for the next bytes: services that cut images take their time.
_TIMEOUT = (15, 180)
_CHUNK = 1 << 20
_LONGEST_WAIT = 60.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


def cache_folder() -> Path:
    """Folder of the answers: ``archives`` in ``$ASTROGALAXY_CACHE``, or in ``astrogalaxy`` in the user's caches."""
    own = os.environ.get("ASTROGALAXY_CACHE")
    if own:
        return Path(own).expanduser() / "archives"
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "astrogalaxy" / "archives"


def made_folder(folder: Path, remedy: str) -> None:
    """Make a folder if need be.

    Raises
    ------
    RunError
        If it cannot be made; ``remedy`` says what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: the folder cannot be made ({error.strerror}); {remedy}"
        raise RunError(msg) from error


def retried(task: Callable[[], T], *, retries: int, backoff: float, what: str) -> T:
    """Do something again, after longer and longer waits, as long as it fails for a passing reason.

    Parameters
    ----------
    task : callable
        Raises `ArchiveError`; `NoImageError` is never tried again.
    retries : int
        How often it is tried again.
    backoff : float
        Seconds before the first of these; doubled each time.
    what : str
        For the log.

    Returns
    -------
    object
        What the task gives in the end.

    Raises
    ------
    ArchiveError
        The last one.
    """
    for attempt in range(retries):
        try:
            return task()
        except NoImageError:
            raise
        except ArchiveError as error:
            asked = error.wait if isinstance(error, BusyError) and backoff else 0.0
            wait = min(max(backoff * 2**attempt, asked), _LONGEST_WAIT)
            logger.warning("%s: %s; trying again in %.0f s", what, error, wait)
            time.sleep(wait)
    return task()


def download(remote: Remote, *, cache: Path, title: str, retries: int, backoff: float) -> tuple[Path, bool]:
    """The answer for one image, from the cache or from the archive.

    Parameters
    ----------
    remote : Remote
        What to get.
    cache : Path
        Folder of the answers.
    title : str
        What the archive is called in messages.
    retries : int
        See `retried`.
    backoff : float
        Seconds; see `retried`.

    Returns
    -------
    path : Path
        In the cache, and known to be a whole FITS file with an image.
    fetched : bool
        Whether it came just now.

    Raises
    ------
    NoImageError
        The archive has no such image.
    ArchiveError
        It could not be had.
    RunError
        The cache cannot be written to.
    """
    path = cache / hashlib.sha256(remote.key.encode()).hexdigest()[:32]
    if path.is_file():
        return path, False
    made_folder(cache, "set ASTROGALAXY_CACHE to another folder")
    retried(lambda: _get(remote.url, path, title), retries=retries, backoff=backoff, what=remote.url)
    return path, True


def _get(url: str, path: Path, title: str) -> None:
    """Bring one file into the cache, if it is what it should be."""
    import requests

    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT, headers={"User-Agent": "astrogalaxy"}) as answer:
            _check_status(answer, title)
            with atomic_path(path) as temporary:
                with temporary.open("wb") as file:
                    for chunk in answer.iter_content(_CHUNK):
                        file.write(chunk)
                check_answer(temporary, title)
    except requests.exceptions.ChunkedEncodingError as error:
        raise ArchiveError(f"{title} broke off in the middle of the file") from error
    except requests.exceptions.ContentDecodingError as error:
        raise ArchiveError(f"{title} sent a damaged file") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        if "IncompleteRead" in str(error):
            raise ArchiveError(f"{title} broke off in the middle of the file") from error
        raise UnreachableError(f"{title} cannot be reached ({type(error).__name__}); is there a network?") from error
    except requests.RequestException as error:
        raise ArchiveError(f"{title} did not answer as it should ({type(error).__name__})") from error


def _check_status(answer: requests.Response, title: str) -> None:
    status = answer.status_code
    if status < 400:
        return
    reason = f"{title} answered with status {status} ({answer.reason})"
    if status not in _AGAIN:
        raise NoImageError(reason)
    after = answer.headers.get("Retry-After", "")
    raise BusyError(reason, wait=float(after) if after.isdigit() else 0.0)


def check_answer(path: Path, title: str) -> None:
    """Look whether a file is a whole FITS file with an image in it.

    Parameters
    ----------
    path : Path
        The file; gzip and bzip2 are looked into.
    title : str
        What the archive is called in messages.

    Raises
    ------
    NoImageError
        The image holds no value, or nothing but one: there is no sky in it.
    ArchiveError
        It is something else, such as a page that tells of an error, or cut short.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise ArchiveError(f"{title} sent an empty answer")
    try:
        if head.startswith(b"BZh"):
            with bz2.open(path) as file:
                head = file.read(80)
        elif head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as file:
                head = file.read(80)
    except (OSError, EOFError) as error:
        raise ArchiveError(f"{title} sent a damaged file") from error
    if not head.startswith(b"SIMPLE  ="):
        raise ArchiveError(f"{title} sent no FITS file but {words_of(head.decode(errors='replace'))}")
    _check_pixels(path, title)


def _check_pixels(path: Path, title: str) -> None:
    from astropy.io import fits

    damage, images = "", []
    with quiet() as told:
        try:
            with fits.open(path, memmap=False) as hdus:
                images = [hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2]
        except (OSError, EOFError, ValueError, TypeError) as error:
            damage = f"a damaged file ({type(error).__name__})"
    if any("truncated" in message for message in told):
        damage = "a file that is cut short"
    if damage:
        raise ArchiveError(f"{title} sent {damage}")
    if not images:
        raise NoImageError(f"{title} sent a FITS file without an image")
    values = images[0][np.isfinite(images[0])]
    if values.size == 0 or values.min() == values.max():
        raise NoImageError(f"{title} has no data there: its image is empty")
