"""FITS files in: finding the image in a file, and reading sections of it."""

from __future__ import annotations

import errno
import logging
import lzma
import os
import shutil
import tempfile
import threading
import zlib
from collections import ChainMap, OrderedDict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO, FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from astrogalaxy.errors import ImageError
from astrogalaxy.images.bits import Bits
from astrogalaxy.images.extensions import (
    OPENERS,
    check_file,
    find_in_index,
    image_shape,
    look_for_hdu,
    missing,
    one_line,
    packing_of,
    readable,
)
from astrogalaxy.images.fileindex import file_index, needs_tables, opened_alone
from astrogalaxy.images.fitscheck import (
    FITS_BLOCK,
    PIXEL_TYPES,
    check_axes,
    check_size,
    check_tiles,
    truncated,
)
from astrogalaxy.images.quiet import quiet
from astrogalaxy.images.tiling import Section
from astrogalaxy.images.wcs import find_wcs, read_wcs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from astropy.wcs import WCS
    from numpy.typing import NDArray

__all__ = ["FitsPlane", "find_plane", "to_float32", "wcs_of"]

logger = logging.getLogger(__name__)

# A compressed file has to be unpacked whole. Up to this size it is kept in memory as
# float32, beyond it is unpacked to a temporary file so that memory stays bounded.
_IN_MEMORY_BYTES = 64 * 2**20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# Images unpacked last are shared by all bands of a process, up to this much; each that is open keeps its own.
_RECENT_BYTES = 256 * 2**20
# Tile-compressed images up to this size are decoded once rather than section by section.
_DECODE_WHOLE_BYTES = 64 * 2**20
# Bytes of a plain file that are read at a time: they stay in the processor's cache.
_READ_BYTES = 256 * 2**10
# Of larger ones this many pixels are decoded at a time.
_STRIP_PIXELS = 4 * 2**20


@dataclass(frozen=True)
class FitsPlane:
    """One 2-D image within a FITS file, read by section; the file is opened for each read.

    Parameters
    ----------
    path : pathlib.Path
        The file: plain, or compressed with gzip, bzip2 or xz.
    index : int
        Number of the HDU.
    shape : (int, int)
        Rows and columns.
    header, primary : astropy.io.fits.Header
        Headers of that HDU and of the primary HDU.
    wcs : astropy.wcs.WCS or None
        Celestial WCS, None where there is none that works.
    packing : str
        '', 'gzip', 'bzip2' or 'xz': compression of the file as a whole.
    tiled : bool
        Whether the HDU is tile-compressed (Rice, gzip, Hcompress, ...).
    offset : int
        Bytes from the start of the (unpacked) file to the pixels.
    scaling : (float, float, int or None)
        BSCALE, BZERO and BLANK.
    bitpix : int
        BITPIX of the pixels as stored.
    bits : Bits or None
        What its bits mean, where it is a mask: its pixels are what they say, for float32 would not keep all bits apart.
    layer : int or None
        Plane of a cube, from 0; None for an image that is no cube.
    no_wcs : str
        Why there is no WCS, where the headers have one.
    """

    path: Path
    index: int
    shape: tuple[int, int]
    header: fits.Header
    primary: fits.Header
    wcs: WCS | None
    packing: str
    tiled: bool
    offset: int
    scaling: tuple[float, float, int | None]
    bitpix: int
    bits: Bits | None = None
    layer: int | None = None
    no_wcs: str = ""
    # Pixels of a compressed file once decoded; never pickled.
    _kept: list[NDArray[Any]] = field(default_factory=list, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": []}

    @property
    def place(self) -> tuple[Path, int, int | None]:
        """File, HDU and plane: what tells one image from another."""
        return self.path, self.index, self.layer

    @property
    def origin(self) -> str:
        """The file and HDU, for messages."""
        return f"{self.path}[{self.index}]" if self.index else str(self.path)

    @property
    def keywords(self) -> Mapping[str, Any]:
        """Cards of both headers; the image's own come first."""
        return ChainMap(self.header, self.primary)

    def read(self, section: Section, *, unit: float = 1.0) -> NDArray[np.float32]:
        """Pixels of a section in so many image units, as a new native float32 array; BLANK becomes NaN.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the file is gone, truncated or damaged.
        """
        try:
            return self._read(section, unit)
        except (ImageError, MemoryError):
            raise
        except FileNotFoundError as error:
            raise ImageError(missing(self.path)) from error
        except Exception as error:
            # Decompressors raise errors of many unrelated kinds on damaged files.
            msg = f"{self.origin}: its pixels cannot be read, the file is damaged"
            raise ImageError(f"{msg} ({type(error).__name__}: {one_line(error)})") from error

    def _read(self, section: Section, unit: float) -> NDArray[np.float32]:
        whole_bytes = 4 * self.shape[0] * self.shape[1]
        if self.tiled and not self.packing and whole_bytes > _DECODE_WHOLE_BYTES:
            with self._opened(lambda stack: stack.enter_context(fits.open(self.path))[self.index], section) as hdu:
                return self._by_strips(hdu, section, unit)
        if self.packing or self.tiled:
            pixels = self._unpacked()
            part = pixels[section.slices]
            decoded = pixels.dtype.kind == "f" and pixels.dtype.isnative
            return to_float32(part, unit) if decoded else self._decode(part, unit)
        return self._by_reads(section, unit)

    def _by_reads(self, section: Section, unit: float) -> NDArray[np.float32]:
        """Pixels of a plain file, some rows at a time.

        They are read and not mapped: a disk that fails, or somebody who cuts the file off, would end the process.
        """
        check_file(self.path)
        pixels = np.empty(section.shape, dtype=np.float32)
        stored = np.dtype(PIXEL_TYPES[self.bitpix])
        width = stored.itemsize * self.shape[1]
        first = self.offset + width * section.y0 + stored.itemsize * section.x0
        rows = max(_READ_BYTES // (stored.itemsize * section.shape[1]), 1)
        raw = np.empty((rows, section.shape[1]), dtype=stored)
        # whole rows lie one behind the other
        together = section.shape[1] == self.shape[1]
        with self.path.open("rb", buffering=0) as file:
            for start in range(0, section.shape[0], rows):
                part = raw[: section.shape[0] - start]
                for number, row in enumerate(part.reshape(1, -1) if together else part, start):
                    file.seek(first + width * number)
                    _fill(row, file, self.origin)
                pixels[start : start + rows] = self._decode(part, unit)
        return pixels

    def _raw(self, file: Any) -> NDArray[Any]:
        """Pixels as they are stored, mapped from the file that they were unpacked to."""
        mapped = np.memmap(file, dtype=PIXEL_TYPES[self.bitpix], mode="r", offset=self.offset, shape=self.shape)
        return mapped.view(np.ndarray)

    def _float32(self, values: Any, unit: float = 1.0) -> NDArray[np.float32]:
        """Values as float32, or of a mask what its bits say."""
        return to_float32(values if self.bits is None else self.bits.say(values), unit)

    def _decode(self, raw: NDArray[Any], unit: float) -> NDArray[np.float32]:
        return self._float32(self._scaled(raw), unit)

    def _scaled(self, raw: NDArray[Any]) -> NDArray[Any]:
        scale, zero, blank = self.scaling
        if (scale, zero) == (1.0, 0.0) and blank is None:
            return raw
        # 16-bit integers with an offset are exact in float32; the rest needs more digits.
        exact = self.bitpix in (8, 16) and scale == 1.0 and zero == int(zero) and abs(zero) < 2**23
        values = raw.astype(np.float32 if exact else np.float64)
        values *= scale
        values += zero
        if blank is not None:
            values[raw == blank] = np.nan
        return values

    def _held(self, values: Any) -> NDArray[Any]:
        """Decoded values in memory: float32, but for those of 64 bits, which may not fit before a unit is given."""
        if self.bits is None and self.bitpix == -64:
            return np.array(values, dtype=np.float64)
        return self._float32(values)

    def _unpacked(self) -> NDArray[Any]:
        """The whole image of a compressed file, unpacked once per process and file."""
        if not self._kept:
            stat = self.path.stat()
            key = (str(self.path), self.index, self.bits, self.layer, stat.st_mtime_ns, stat.st_size)
            self._kept[:] = [_RECENT.get(key, self._unpack)]
        return self._kept[0]

    def _unpack(self) -> NDArray[Any]:
        ny, nx = self.shape
        if not self.packing:
            with self._hdu() as hdu:
                return self._held(self._part(hdu.section, Section.whole(self.shape)))
        large = 4 * ny * nx > _IN_MEMORY_BYTES
        with OPENERS[self.packing](self.path, "rb") as packed, _scratch(large, self.origin) as unpacked:
            _copy_whole(packed, unpacked, self.origin)
            if self.tiled:
                unpacked.seek(0)
                # astropy refuses to read only what is open for writing, too
                stream = os.fdopen(unpacked.fileno(), "rb", closefd=False) if large else unpacked
                with self._opened(lambda stack: stack.enter_context(fits.open(stream))[self.index]) as hdu:
                    return self._held(self._part(hdu.section, Section.whole(self.shape)))
            size = self.offset + abs(self.bitpix) // 8 * ny * nx
            if unpacked.seek(0, 2) < size:
                raise ImageError(truncated(self.origin, unpacked.tell(), size))
            if large:
                return self._raw(unpacked)
            raw = np.frombuffer(unpacked.getbuffer(), dtype=PIXEL_TYPES[self.bitpix], offset=self.offset, count=ny * nx)
            pixels = self._held(self._scaled(raw.reshape(self.shape)))
            del raw
            return pixels

    @contextmanager
    def _hdu(self) -> Iterator[Any]:
        """The HDU of a tile-compressed file that is not packed as a whole."""
        index = file_index(self.path) if self.index else ()
        if self.index < len(index):
            with self.path.open("rb") as stream:
                alone = partial(opened_alone, stream, index, self.index)
                with self._opened(lambda stack: stack.enter_context(alone())[0][1]) as hdu:
                    yield hdu
        else:
            with self._opened(lambda stack: stack.enter_context(fits.open(self.path))[self.index]) as hdu:
                yield hdu

    @contextmanager
    def _opened(self, open_: Callable[[ExitStack], Any], section: Section | None = None) -> Iterator[Any]:
        """The HDU that a function opens, of which all is read that may give warnings: headers, and how tiles lie.

        That is done one thread at a time, see `quiet`; the other pixels of the section (default all) are decoded later,
        by many threads at once.
        """
        section = section or Section.whole(self.shape)
        first = section._replace(x1=section.x0 + 1, y1=section.y0 + 1)
        with ExitStack() as stack:
            with quiet():
                hdu = open_(stack)
                self._part(hdu.section, first)
            yield hdu

    def _part(self, pixels: Any, section: Section) -> Any:
        """Cut a section out of the image, which may have leading axes of length 1, or be a plane of a cube."""
        leading = [0] * (len(pixels.shape) - 2)
        if self.layer is not None:
            leading[-1] = self.layer
        return pixels[(*leading, *section.slices)]

    def _by_strips(self, hdu: fits.CompImageHDU, section: Section, unit: float) -> NDArray[np.float32]:
        """Decode a section of a tile-compressed image strip by strip.

        Tiles are decoded whole, and most are rows of the whole image: all at once they would need many times the
        memory of the section.
        """
        height, width = hdu.tile_shape[-2:]
        across = (section.shape[1] // width + 2) * width
        rows = max(_STRIP_PIXELS // (across * height), 1) * height
        pixels = np.empty(section.shape, dtype=np.float32)
        start = section.y0
        while start < section.y1:
            stop = min(start // height * height + rows, section.y1)
            strip = self._part(hdu.section, section._replace(y0=start, y1=stop))
            as_is = unit == 1.0 and self.bits is None
            pixels[start - section.y0 : stop - section.y0] = strip if as_is else self._float32(strip, unit)
            start = stop
        return pixels


class _Recent:
    """The images unpacked last, up to a number of bytes: bands are pickled and copied, files are not."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[Any, NDArray[Any]] = OrderedDict()
        self._making: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Any, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What `make` gave for this key; threads that ask for one key wait for each other."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._held:
                    self._held.move_to_end(key)
                    return self._held[key]
            pixels = make()
            with self._lock:
                self._making.pop(key, None)
                if pixels.nbytes <= self._limit:
                    self._held[key] = pixels
                while sum(held.nbytes for held in self._held.values()) > self._limit:
                    self._held.popitem(last=False)
            return pixels


_RECENT = _Recent(_RECENT_BYTES)


def find_plane(path: str | Path, *, hdu: str | int = "auto", layer: int | None = None) -> FitsPlane:
    """Find the image in a FITS file; pixels are not read yet.

    Parameters
    ----------
    path : str or pathlib.Path
        A FITS file: plain, gzip, bzip2 or xz (told by content, not by name).
    hdu : str or int, optional
        Number or name of the HDU, or 'auto': the first 2-D image, or, if there are
        several, the first one with a celestial WCS. Leading axes of length 1 are dropped. A name with a
        version (``SCI,2``) is one of several of this name, ``*`` and ``?`` in a name stand for
        anything and for one letter.
    layer : int, optional
        Which plane of a cube of images, from 0; by default there must be no cube.

    Returns
    -------
    FitsPlane
        Of the HDU that was chosen.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the file is missing, not FITS, truncated, or has no such image.
    """
    path = Path(path).expanduser()
    with readable(path):
        packing = packing_of(path)
        with quiet(str(path)), OPENERS.get(packing, open)(path, "rb") as stream:
            check_axes(stream, str(path))
            stream.seek(0)
            first = packing and hdu in ("auto", 0) and layer is None
            plane = _first_of_packed(path, packing, stream) if first else None
            if plane is not None:
                return plane
            entries = () if packing or hdu == "auto" else file_index(path)
            number = find_in_index(entries, hdu, layer)
            if number is not None:
                with opened_alone(stream, entries, number) as (hdus, left_out):
                    return _plane(path, packing, hdus, number, layer, {}, at=1, left_out=left_out)
            stream.seek(0)
            with fits.open(stream, memmap=False, lazy_load_hdus=True, ignore_missing_simple=False) as hdus:
                ahead = None if packing else stream
                index, tried = look_for_hdu(hdus, hdu, origin=str(path), ahead=ahead, layer=layer)
                return _plane(path, packing, hdus, index, layer, tried)


def to_float32(values: Any, unit: float = 1.0) -> NDArray[np.float32]:
    """Copy, in so many units, into a new, native, contiguous float32 array; what does not fit becomes infinite."""
    if unit != 1.0:
        # the numbers may be beyond 32 bits as they are
        values = np.asarray(values, dtype=np.float64) / unit
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(values, dtype=np.float32, order="C", copy=True)


def _fill(row: NDArray[Any], file: FileIO, origin: str) -> None:
    """Read pixels from where a file stands; networks may give them in pieces."""
    read = file.readinto(row)
    while read < row.nbytes:
        more = file.read(row.nbytes - read)
        if not more:
            end = file.tell()
            raise ImageError(truncated(origin, end, end - read + row.nbytes))
        row.view(np.uint8)[read : read + len(more)] = np.frombuffer(more, np.uint8)
        read += len(more)


def _first_of_packed(path: Path, packing: str, stream: IO[bytes]) -> FitsPlane | None:
    """Primary image of a compressed file from its header alone; None if it takes more than that.

    astropy unpacks the pixels, too, on its way to the next header.
    """
    header = fits.Header.fromfile(stream)
    shape = tuple(header.get(f"NAXIS{i}", 0) for i in range(header.get("NAXIS", 0), 0, -1))
    if len(shape) != 2 or min(shape) < 2 or "CTYPE1" not in header or needs_tables(header):
        return None
    wcs = read_wcs(header, shape, origin=str(path))
    if wcs is None:
        return None
    bitpix = int(header["BITPIX"])
    check_size(path, packing, stream.tell() + abs(bitpix) // 8 * shape[0] * shape[1])
    return FitsPlane(path, 0, shape, header, header, wcs, packing, False, stream.tell(), _scaling(header), bitpix)


def _plane(
    path: Path,
    packing: str,
    hdus: fits.HDUList,
    index: int,
    layer: int | None,
    tried: Mapping[int, tuple[WCS | None, str]],
    *,
    at: int | None = None,
    left_out: int = 0,
) -> FitsPlane:
    """Describe the image in one HDU of an opened file, of which some WCS are known.

    Where `opened_alone` has opened it, the HDU is ``at`` another place, and ``left_out`` bytes further on in the file.
    """
    hdu = hdus[index if at is None else at]
    header = hdu.header.copy()
    primary = hdus[0].header.copy() if index else header
    shape = image_shape(hdu, layer)
    offset, span = (hdu.fileinfo()[key] for key in ("datLoc", "datSpan"))
    offset += left_out
    tiled = isinstance(hdu, fits.CompImageHDU)
    bitpix = int(header["BITPIX"])
    if tiled:
        check_tiles(hdu, span, str(path))
    if layer is not None and not tiled:
        offset += layer * abs(bitpix) // 8 * shape[0] * shape[1]
    # Many writers leave out the padding behind the last pixels; no harm in that.
    check_size(path, packing, offset + (span - FITS_BLOCK + 1 if tiled else abs(bitpix) // 8 * shape[0] * shape[1]))
    wcs, no_wcs = tried[index] if index in tried else wcs_of(header, shape, origin=str(path), hdus=hdus)
    return FitsPlane(
        path, index, shape, header, primary, wcs, packing, tiled, offset, _scaling(header), bitpix, layer=layer,
        no_wcs=no_wcs,
    )  # fmt: skip


def wcs_of(header: fits.Header, shape: tuple[int, int], *, origin: str, hdus: fits.HDUList) -> tuple[WCS | None, str]:
    """Celestial WCS of an image in a file: its own, or that of a primary header which it says it inherits.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Header of the image.
    shape : (int, int)
        Rows and columns of the image.
    origin : str
        What to call the image in the log.
    hdus : astropy.io.fits.HDUList
        The file.

    Returns
    -------
    wcs : astropy.wcs.WCS or None
        See `~astrogalaxy.images.wcs.read_wcs`; with a warning in the log, too, where only the primary header has one
        and nothing says that it is the image's.
    no_wcs : str
        Why there is none, where there is one in a header.
    """
    primary = hdus[0].header
    if "CTYPE1" in header or primary["NAXIS"] > 0 or "CTYPE1" not in primary:
        return find_wcs(header, shape, origin=origin, hdus=hdus)
    wcs, problem = find_wcs(primary, shape, origin=origin, hdus=hdus)
    if wcs is None or header.get("INHERIT") is True:
        return wcs, problem
    problem = "the image has no celestial WCS, and does not inherit (INHERIT) that of the primary header"
    logger.warning("%s: %s", origin, problem)
    return None, problem


def _scaling(header: fits.Header) -> tuple[float, float, int | None]:
    """BSCALE, BZERO and (for integers) BLANK, as long as astropy has not read the pixels."""
    blank = int(header["BLANK"]) if header["BITPIX"] > 0 and "BLANK" in header else None
    return float(header.get("BSCALE", 1)), float(header.get("BZERO", 0)), blank


@contextmanager
def _scratch(large: bool, origin: str) -> Iterator[Any]:
    """Somewhere to unpack a file to: memory, or a temporary file that vanishes with its last use."""
    if large:
        try:
            # The mapping made from it stays valid after the name is gone.
            with tempfile.TemporaryFile() as file:
                yield file
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            msg = f"no room in {tempfile.gettempdir()} ({error.strerror}) to unpack it; set TMPDIR to a folder with"
            raise ImageError(f"{origin}: {msg} more, or unpack the file beforehand") from error
    else:
        yield BytesIO()


def _copy_whole(packed: IO[bytes], unpacked: IO[bytes], origin: str) -> None:
    """Unpack to the very end, where the checksums are."""
    try:
        shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        msg = f"{origin}: truncated or damaged ({error}); copy or download the file again"
        raise ImageError(msg) from error
