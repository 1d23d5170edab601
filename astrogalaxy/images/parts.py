"""Other parts of the sky in the file of an image."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from astrogalaxy.errors import ImageError
from astrogalaxy.images.extensions import image_shape, opened
from astrogalaxy.images.fitscheck import FITS_BLOCK, walk_hdus
from astrogalaxy.images.fitsfile import FitsPlane
from astrogalaxy.images.sky import is_off
from astrogalaxy.images.wcs import read_wcs

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["elsewhere"]


def elsewhere(plane: FitsPlane) -> tuple[str, str] | None:
    """An extension of the same file that shows another part of the sky: what it is called, and a pattern for both."""
    # damage behind the image is told where it matters: as its pixels are read
    with suppress(ImageError, OSError):
        if plane.wcs is not None and _goes_on(plane):
            return _elsewhere(plane, plane.wcs)
    return None


def _elsewhere(plane: FitsPlane, here: WCS) -> tuple[str, str] | None:
    with opened(plane.path) as (hdus, ahead):
        for index, hdu in enumerate(walk_hdus(hdus, str(plane.path), ahead)):
            shape = image_shape(hdu)
            if index == plane.index or shape is None or "CTYPE1" not in hdu.header:
                continue
            wcs = read_wcs(hdu.header, shape, origin=f"{plane.path}[{index}]", hdus=hdus)
            if wcs is not None and is_off(wcs, shape, here, plane.shape):
                name = str(plane.header.get("EXTNAME", "")).strip()
                return f"{index} {hdu.name}".rstrip(), f"{name}*" if name and hdu.name == name else "*"
    return None


def _goes_on(plane: FitsPlane) -> bool:
    """Whether the file may have more HDUs than that of its image; only those are worth another look."""
    if plane.index or plane.tiled or plane.layer is not None:
        return True
    if plane.packing not in ("", "gzip"):
        # nothing says how long it is: to look further would unpack all of it
        return False
    end = plane.offset + abs(plane.bitpix) // 8 * plane.shape[0] * plane.shape[1]
    size = plane.path.stat().st_size
    if plane.packing:
        # the last four bytes say how much was packed, without what is beyond 32 bits
        with plane.path.open("rb") as stream:
            stream.seek(-4, os.SEEK_END)
            packed = int.from_bytes(stream.read(4), "little")
        size = end + (packed - end) % 2**32
    # at most one block is filled up, and nothing that is shorter is an HDU
    return size >= end + FITS_BLOCK
