"""Where the HDUs of a file lie, and opening one of them alone.

To get at an extension, astropy reads the headers of all before it, and converts those of compressed images, which takes
longest. A camera of 60 detectors has as many extensions, and each of them is opened several times.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from astropy.io import fits

from astrogalaxy.images.fitscheck import check_axes, walk_hdus
from astrogalaxy.images.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Entry", "file_index", "needs_tables", "opened_alone"]

# The files of a field, with maps, in ten bands.
_MOST_FILES = 32


@dataclass(frozen=True)
class Entry:
    """What it takes to choose an HDU without opening it.

    Attributes
    ----------
    name, ver, is_image, shape
        As those of an HDU of astropy.
    start, end : int
        Where it lies in the file, bytes.
    alone : bool
        Whether its WCS needs no table of another HDU.
    """

    name: str
    ver: int
    is_image: bool
    shape: tuple[int, ...]
    start: int
    end: int
    alone: bool


def file_index(path: Path) -> tuple[Entry, ...]:
    """The HDUs of a file that is not packed, from their headers; none where anything about them is odd.

    They are looked at once per process, until the file changes.
    """
    status = path.stat()
    return _index(path, status.st_size, status.st_mtime_ns)


@contextmanager
def opened_alone(stream: IO[bytes], index: Sequence[Entry], number: int) -> Iterator[tuple[fits.HDUList, int]]:
    """The primary HDU of a file and one more, as if there were no others; and how many bytes are left out between."""
    first, wanted = index[0], index[number]
    parts = _Parts(stream, first.end, wanted.start, wanted.end)
    with fits.open(io.BufferedReader(parts), memmap=False, lazy_load_hdus=True, ignore_missing_simple=False) as hdus:
        yield hdus, wanted.start - first.end


def needs_tables(header: fits.Header) -> bool:
    """Whether a WCS has tables of distortions or of coordinates, which lie in other HDUs."""
    tabled = any("-TAB" in str(header.get(key)) for key in ("CTYPE1", "CTYPE2"))
    return tabled or any(key.startswith(("CPDIS", "D2IM")) for key in header)


@lru_cache(maxsize=_MOST_FILES)
def _index(path: Path, _size: int, _mtime_ns: int) -> tuple[Entry, ...]:
    try:
        with quiet(), path.open("rb") as stream:
            check_axes(stream, str(path))
            stream.seek(0)
            with fits.open(stream, memmap=False, lazy_load_hdus=True, disable_image_compression=True) as hdus:
                return tuple(map(_entry, walk_hdus(hdus, str(path), stream)))
    except Exception:  # noqa: BLE001 (opening the file as a whole says what is wrong with it)
        return ()


def _entry(hdu: Any) -> Entry:
    header, place = hdu.header, hdu.fileinfo()
    packed = header.get("XTENSION") == "BINTABLE" and header.get("ZIMAGE") is True
    if packed:
        if not header.get("EXTNAME"):
            msg = "versions of astropy give compressed images without a name different ones"
            raise ValueError(msg)
        shape = tuple(int(header[f"ZNAXIS{axis}"]) for axis in range(int(header["ZNAXIS"]), 0, -1))
    else:
        shape = tuple(getattr(hdu, "shape", None) or ())
    end = place["datLoc"] + place["datSpan"]
    image = packed or bool(getattr(hdu, "is_image", False))
    return Entry(hdu.name, hdu.ver, image, shape, place["hdrLoc"], end, not needs_tables(header))


class _Parts(io.RawIOBase):
    """A file without what lies between the end of a first part and the start of a second one."""

    def __init__(self, stream: IO[bytes], first: int, start: int, end: int) -> None:
        super().__init__()
        self._stream, self._first, self._left_out = stream, first, start - first
        self._size = first + max(min(end, stream.seek(0, io.SEEK_END)) - start, 0)
        self._place = 0

    def readable(self) -> bool:
        """As `io.IOBase` wants it, like all that follow."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the two parts as if they were one."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        """The place in the two parts."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of the part that the place is in."""
        within = self._place < self._first
        most = min(len(buffer), (self._first if within else self._size) - self._place)
        if most <= 0:
            return 0
        self._stream.seek(self._place + (0 if within else self._left_out))
        read = self._stream.read(most)
        buffer[: len(read)] = read
        self._place += len(read)
        return len(read)
