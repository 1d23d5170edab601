"""Which extension of a FITS file holds an image."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from astropy.io import fits

from astrogalaxy.errors import ImageError
from astrogalaxy.images.fileindex import file_index
from astrogalaxy.images.fitscheck import check_axes, walk_hdus
from astrogalaxy.images.quiet import quiet
from astrogalaxy.images.wcs import find_wcs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from astropy.wcs import WCS

    from astrogalaxy.images.fileindex import Entry

__all__ = [
    "OPENERS", "check_file", "choose_hdu", "find_in_index", "image_shape", "is_pattern", "list_hdus", "look_for_hdu",
    "missing", "one_line", "opened", "packing_of", "readable",
]  # fmt: skip

OPENERS: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
"""What unpacks a file, by how it is packed as a whole."""

_VERSIONED = re.compile(r"(.+?)\s*,\s*(\d+)")
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


def is_pattern(hdu: Any) -> bool:
    """Whether the name of an extension is a pattern of names."""
    return isinstance(hdu, str) and re.search(r"[*?]", hdu) is not None


def choose_hdu(
    hdus: fits.HDUList, wanted: str | int, *, origin: str, ahead: IO[bytes] | None = None, layer: int | None = None
) -> int:
    """Number of the HDU to read: `wanted`, or for 'auto' the first image, rather one with a WCS.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        HDUs, of a file or of the user.
    wanted : str or int
        Number or name of the HDU, or 'auto'.
    origin : str
        What to call them, for messages.
    ahead : binary file, optional
        Their file, where headers are looked at before astropy reads them.
    layer : int, optional
        Plane of a cube that is wanted.

    Returns
    -------
    int
        From 0.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If there is no such HDU, or it is not a 2-D image; the message lists what there is.
    """
    return look_for_hdu(hdus, wanted, origin=origin, ahead=ahead, layer=layer)[0]


def look_for_hdu(
    hdus: fits.HDUList, wanted: str | int, *, origin: str, ahead: IO[bytes] | None, layer: int | None
) -> tuple[int, dict[int, tuple[WCS | None, str]]]:
    """Number of the HDU, as `choose_hdu` gives it, and by their numbers the WCS of those that were looked at for it.

    These are as `find_wcs` gives them.
    """
    if wanted != "auto":
        index = _number_of(walk_hdus(hdus, origin, ahead), wanted, layer)
        if index is None:
            msg = f"{origin}: no HDU {wanted!r}; it has {_contents(walk_hdus(hdus, origin, ahead))}"
            raise ImageError(msg)
        shape = image_shape(hdus[index], layer)
        if shape is None:
            contents = _contents(walk_hdus(hdus, origin, ahead))
            msg = f"{origin}: HDU {wanted!r} is not a 2-D image; the file has {contents}{_of_cubes(hdus, layer)}"
            raise ImageError(msg)
        return index, {}
    first, tried = None, {}
    for index, hdu in enumerate(walk_hdus(hdus, origin, ahead)):
        shape = image_shape(hdu, layer)
        if shape is None:
            continue
        if "CTYPE1" in hdu.header:
            tried[index] = find_wcs(hdu.header, shape, origin=origin, hdus=hdus)
            if tried[index][0] is not None:
                return index, tried
        first = index if first is None else first
    if first is None:
        contents = _contents(walk_hdus(hdus, origin, ahead))
        msg = f"{origin}: no 2-D image with pixels; it has {contents}{_of_cubes(hdus, layer)}"
        raise ImageError(msg)
    return first, tried


def list_hdus(path: str | Path, wanted: str, *, layer: int | None = None) -> dict[str, int]:
    """Images of a file whose extension's name matches a pattern.

    Parameters
    ----------
    path : str or pathlib.Path
        A FITS file.
    wanted : str
        Pattern of names, as in `find_plane`.
    layer : int, optional
        Plane of cubes.

    Returns
    -------
    dict of str to int
        Numbers of HDUs, in their order, by their names; by name and version where several have one name, and by number
        where they have none.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the file cannot be read.
    """
    path = Path(path).expanduser()
    with readable(path):
        if not packing_of(path) and (entries := file_index(path)):
            return _listed(entries, wanted, layer)
    with opened(path) as (hdus, ahead):
        return _listed(walk_hdus(hdus, str(path), ahead), wanted, layer)


def _listed(hdus: Iterable[Any], wanted: str, layer: int | None) -> dict[str, int]:
    found = [
        (index, hdu)
        for index, hdu in enumerate(hdus)
        if image_shape(hdu, layer) is not None and _is_called(hdu, wanted)
    ]
    names = [hdu.name for _, hdu in found]
    return {
        (f"{hdu.name}-{hdu.ver}" if names.count(hdu.name) > 1 else hdu.name) or str(index): index
        for index, hdu in found
    }


def find_in_index(entries: Sequence[Entry], wanted: str | int, layer: int | None) -> int | None:
    """Number of an extension that can be opened alone; None where the file has to be opened to know it."""
    if wanted == "auto" or not entries or not entries[0].alone:
        return None
    number = _number_of(entries, wanted, layer)
    return number if number and entries[number].alone and image_shape(entries[number], layer) is not None else None


def check_file(path: Path) -> None:
    """Refuse what is there, but is no file: to read from a pipe would wait for ever."""
    if path.exists() and not path.is_file():
        msg = f"{path}: not a readable FITS file but a folder or a device"
        raise ImageError(msg)


def packing_of(path: Path) -> str:
    """How a file is packed as a whole, by its first bytes: a key of `OPENERS`, or nothing."""
    check_file(path)
    with path.open("rb") as stream:
        start = stream.read(6)
    if not start:
        msg = f"{path}: the file is empty"
        raise ImageError(msg)
    if start.startswith(b"#ASDF"):
        msg = f"{path}: an ASDF file (Roman's, for instance), and only FITS is read; from Python give its array and WCS"
        raise ImageError(f"{msg} as a pair to Image.read")
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say of a file what is wrong with it, whatever library finds it out."""
    try:
        yield
    except FileNotFoundError as error:
        raise ImageError(missing(path)) from error
    except PermissionError as error:
        msg = f"{path}: cannot be opened ({error.strerror})"
        raise ImageError(msg) from error
    except (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        fits.VerifyError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        msg = f"{path}: not a readable FITS file, or truncated ({one_line(error)})"
        raise ImageError(msg) from error


@contextmanager
def opened(path: Path) -> Iterator[tuple[fits.HDUList, IO[bytes] | None]]:
    """All HDUs of a file, and the file to look ahead in where it is not packed."""
    with readable(path):
        packing = packing_of(path)
        with quiet(str(path)), OPENERS.get(packing, open)(path, "rb") as stream:
            check_axes(stream, str(path))
            stream.seek(0)
            with fits.open(stream, memmap=False, lazy_load_hdus=True, ignore_missing_simple=False) as hdus:
                yield hdus, None if packing else stream


def image_shape(hdu: Any, layer: int | None = None) -> tuple[int, int] | None:
    """Rows and columns of an image HDU; None if it is no image, or empty, or not 2-D, or has no such plane."""
    if not getattr(hdu, "is_image", False):
        return None
    shape = tuple(hdu.shape or ())
    while len(shape) > 2 + (layer is not None) and shape[0] == 1:
        shape = shape[1:]
    if layer is not None:
        shape = shape[1:] if len(shape) == 3 and 0 <= layer < shape[0] else ()
    if len(shape) != 2 or min(shape) < 1 or max(shape) < 2:
        return None
    return int(shape[0]), int(shape[1])


def _contents(hdus: Iterable[Any]) -> str:
    lines = [f"{i} {h.name or type(h).__name__} {getattr(h, 'shape', ()) or 'empty'}" for i, h in enumerate(hdus)]
    return ", ".join(lines[:8]) + (", ..." if len(lines) > 8 else "")


def _of_cubes(hdus: fits.HDUList, layer: int | None) -> str:
    """What to do about images of three axes."""
    if layer is not None:
        return f", and plane {layer} of a cube is wanted"
    if any(getattr(hdu, "is_image", False) and len(hdu.shape or ()) > 2 for hdu in hdus):
        return "; images.plane names the plane of a cube"
    return ""


def _number_of(hdus: Iterable[Any], wanted: str | int, layer: int | None) -> int | None:
    """Number of the HDU of a number, a name, a name and version, or the first image of a pattern of names."""
    if isinstance(wanted, str) and wanted.isdigit():
        wanted = int(wanted)
    if not isinstance(wanted, str):
        if wanted < 0:  # from the end
            hdus = list(hdus)
            wanted += len(hdus)
        return next((number for number, _ in enumerate(hdus) if number == wanted), None)
    if is_pattern(wanted):
        found = (n for n, hdu in enumerate(hdus) if image_shape(hdu, layer) is not None and _is_called(hdu, wanted))
        return next(found, None)
    match = _VERSIONED.fullmatch(wanted)
    name, version = (match[1], int(match[2])) if match else (wanted, None)
    name = name.strip().upper()
    for number, hdu in enumerate(hdus):
        named = hdu.name.strip().upper() == name or (number == 0 and name == "PRIMARY")
        if named and version in (None, hdu.ver):
            return number
    return None


def _is_called(hdu: Any, pattern: str) -> bool:
    """Whether an HDU's name, or its name and version, match a pattern."""
    return any(fnmatchcase(name, pattern.upper()) for name in (hdu.name.upper(), f"{hdu.name},{hdu.ver}".upper()))


def missing(path: Path) -> str:
    """What is said of a file that is not there."""
    return f"{path}: no such file"


def one_line(error: Exception) -> str:
    """First sentence of an error: astropy goes on with advice about its own settings."""
    return " ".join(str(error).split()).split(". ")[0].rstrip(".") or type(error).__name__
