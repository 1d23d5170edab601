"""Headers of FITS files that cannot be true, looked at before anyone acts on them."""

from __future__ import annotations

import math
import re
from typing import IO, TYPE_CHECKING, Any

from astrogalaxy.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from astropy.io import fits

__all__ = ["FITS_BLOCK", "PIXEL_TYPES", "check_axes", "check_size", "check_tiles", "truncated", "walk_hdus"]

FITS_BLOCK = 2880
"""Bytes of a block of a FITS file."""
PIXEL_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""Types of pixels as they are stored, by BITPIX."""

# How much a file can be packed at most: a header that promises more is damaged.
_PACKED_MOST = {"": 1, "gzip": 1100, "bzip2": 2_000_000, "xz": 10_000}
# Each compressed tile has a row of the table, which says at least where its bytes are.
_TILE_BYTES = 8
# What the FITS standard allows: more axes would keep astropy busy for hours.
_MOST_AXES = 999


def walk_hdus(hdus: fits.HDUList, origin: str, ahead: IO[bytes] | None) -> Iterator[Any]:
    """HDUs one after the other; where one has a negative size, the next would be the same again, without end."""
    for hdu in hdus:
        yield hdu
        place = hdu.fileinfo()
        if place is None:
            continue
        if place["datSpan"] < 0:
            msg = f"{origin}: the pixels of an HDU have a negative size; the file is damaged"
            raise ImageError(msg)
        if ahead is not None:
            ahead.seek(place["datLoc"] + place["datSpan"])
            check_axes(ahead, origin)


def check_axes(stream: IO[bytes], origin: str) -> None:
    """Refuse a header, at the place of a file, whose first block gives pixels of no kind or of no number."""
    block = stream.read(FITS_BLOCK)
    for start in range(0, len(block), 80):
        key = block[start : start + 8].decode("latin-1").rstrip()
        if key == "END":
            return
        if not re.fullmatch(r"BITPIX|NAXIS\d*", key):
            continue
        text = block[start + 10 : start + 80].partition(b"/")[0].decode("latin-1").strip()
        value = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else None
        allowed = value in PIXEL_TYPES if key == "BITPIX" else value is not None and value >= 0
        if not allowed or (key == "NAXIS" and int(text) > _MOST_AXES):
            msg = f"{origin}: not a readable FITS file: {key} is {text or 'empty'} in a header; the file is damaged"
            raise ImageError(msg)


def check_size(path: Path, packing: str, end: int) -> None:
    """Refuse a file that cannot hold this many bytes, whatever they are."""
    size = path.stat().st_size
    if size * _PACKED_MOST[packing] < end:
        raise ImageError(truncated(str(path), size, end))


def check_tiles(hdu: Any, span: int, origin: str) -> None:
    """Refuse a compressed image of more tiles than its table of ``span`` bytes can have rows for."""
    tiles = [-(-length // max(side, 1)) for length, side in zip(hdu.shape, hdu.tile_shape, strict=True)]
    if math.prod(tiles) * _TILE_BYTES > span:
        size = " x ".join(map(str, hdu.shape[::-1]))
        msg = f"{origin}: its {size} pixels are more than its compressed tiles hold; the file is damaged"
        raise ImageError(msg)


def truncated(origin: str, size: int, wanted: int) -> str:
    """What is said of a file that is shorter than it must be."""
    return f"{origin}: truncated, {size} bytes of at least {wanted}; copy or download the file again"
