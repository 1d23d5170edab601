"""Cutouts of galaxies from files: JPEG, PNG or FITS, as colour pictures."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.detection.inputs import map_bands
from astrogalaxy.errors import ImageError
from astrogalaxy.morphology.pictures import colour_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["CUTOUTS", "PICTURES", "PictureFiles", "bands_in_noise", "read_picture"]

logger = logging.getLogger(__name__)

#: Endings of the files that are read as colour pictures.
PICTURES = (".jpg", ".jpeg", ".png")
_FITS = (".fits", ".fit", ".fts", ".fz", ".gz", ".bz2")
#: Endings of all files that `read_picture` reads.
CUTOUTS = (*PICTURES, *_FITS)
# A cutout of fewer pixels on a side holds no galaxy.
_SMALLEST = 8
# Words in the names of extensions that hold no light, but weights, masks or errors of another one.
_NO_LIGHT = {
    *("WHT", "WGT", "WEIGHT", "WEIGHTS", "IVAR", "INVVAR", "EXP", "EXPTIME", "EXPOSURE", "PSF"),
    *("MASK", "MSK", "BPM", "DQ", "FLAG", "FLAGS", "CON", "CTX"),
    *("ERR", "ERROR", "ERRORS", "UNCERT", "UNCERTAINTY", "VAR", "VARIANCE", "SIGMA", "STD", "RMS", "NOISE"),
}
# Share of the shorter side within which the galaxy must have pixels.
_MIDDLE = 0.1
# Pixels brighter than the sky at the edge by so many of its sigma are of a galaxy.
_CLIP = 2.5


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """Read a cutout as a colour picture.

    Parameters
    ----------
    path : path
        A JPEG or PNG, of 8 bits or 16; or a FITS file with one image, images of several bands in extensions, or a cube,
        shortest wavelength first and on one grid of pixels: they are laid on each other as they are, whatever their WCS
        says. Of FITS images the sky is subtracted and the noise measured at their edges. Extensions that are named
        as weights, masks, errors or exposures are no bands, nor is what has one value everywhere.

    Returns
    -------
    ndarray
        ``(ny, nx, 3)`` uint8, the longest wavelength as red; row 0 first as stored.

    Raises
    ------
    ImageError
        If the file is missing, damaged, of another format, too small, or holds no image or none of its middle.

    Examples
    --------
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.pictures import read_picture
    >>> Picture.new("RGB", (32, 24), "red").save("red.png")
    >>> read_picture("red.png")[0, 0].tolist()
    [255, 0, 0]
    """
    path = Path(path)
    return read_rgb(path) if _is_picture(path) else colour_picture(map_bands(bands_in_noise(path), 3))


def read_cutout(path: Path) -> NDArray[np.uint8]:
    """Read a picture that is to be classified: as `read_picture`, but an ImageError if all of it has one colour."""
    picture = read_picture(path)
    if (picture == picture[0, 0]).all():
        msg = f"{path}: no usable pixels; all have one colour"
        raise ImageError(msg)
    return picture


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a JPEG or PNG ``(ny, nx, 3)`` as it is, or raise ImageError."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as picture:
            rgb = np.asarray(_eight_bits(picture).convert("RGB"), dtype=np.uint8)
    except Exception as error:  # decoders raise errors of many unrelated kinds on damaged files
        msg = f"{path}: cannot be read as an image: {_in_a_line(error)}"
        raise ImageError(msg) from error
    if min(rgb.shape[:2]) < _SMALLEST:
        ny, nx = rgb.shape[:2]
        msg = f"{path}: {nx} x {ny} pixels are too few to show a galaxy; give at least {_SMALLEST} x {_SMALLEST}"
        raise ImageError(msg)
    return rgb


def _is_picture(path: Path) -> bool:
    """Whether a file is read as a picture, or else as FITS; refuse what is neither by its name."""
    ending = path.suffix.lower()
    if ending not in CUTOUTS:
        msg = f"{path}: cutouts are read as JPEG, PNG or FITS; the name must end in {', '.join(CUTOUTS)}"
        raise ImageError(msg)
    return ending in PICTURES


def _eight_bits(picture: Picture) -> Picture:
    """A picture whose full range is 0 to 255; Pillow would clip what is brighter."""
    from PIL import Image as Pillow

    # a PNG of 16 bits is I;16, or in older versions of Pillow I
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG"):
        return Pillow.fromarray(np.rint(np.asarray(picture, np.float32) / 257).astype(np.uint8))
    if picture.mode in {"I", "F"}:
        kind = "integers of 32 bits" if picture.mode == "I" else "floats"
        msg = f"its pixels are {kind}, of which white is not known; save it with 8 or 16 bits, or as FITS"
        raise ValueError(msg)
    return picture


def _in_a_line(error: Exception) -> str:
    """An error's message in one line, after its type where the message alone means little (``KeyError: 17``)."""
    text = " ".join(str(error).split())[:200]
    return text if text and isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}".rstrip(": ")


@dataclass(frozen=True)
class PictureFiles:
    """Reads the pictures of a set by their index; a class, so that it can be sent to another process.

    Attributes
    ----------
    paths : list of Path
        Files that `read_picture` reads.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.pictures import PictureFiles
    >>> Picture.new("RGB", (32, 24)).save("first.png")
    >>> PictureFiles([Path("first.png")])(0).shape
    (24, 32, 3)
    """

    paths: list[Path]

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Read one; see `read_picture`."""
        return read_picture(self.paths[index])


def bands_in_noise(path: str | Path) -> NDArray[np.float32]:
    """Bands of a FITS cutout, less their sky, in units of its noise.

    Parameters
    ----------
    path : path
        See `read_picture`; sky and noise are measured at the edges.

    Returns
    -------
    ndarray
        ``(n_bands, ny, nx)`` float32, shortest wavelength first; without those that have one value everywhere.

    Raises
    ------
    ImageError
        If the file is missing, damaged, of another format, too small, or holds no image, nothing but one value, or
        nothing in its middle.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astrogalaxy.datasets.pictures import bands_in_noise
    >>> sky = np.random.default_rng(1).normal(100, 5, (3, 64, 64)).astype("float32")
    >>> fits.writeto("cube.fits", sky)
    >>> bands = bands_in_noise("cube.fits")
    >>> bands.shape, bool(abs(bands.std() - 1) < 0.2)
    ((3, 64, 64), True)
    """
    path = Path(path)
    if _is_picture(path):
        msg = f"{path}: a picture has no noise to measure; give a FITS file"
        raise ImageError(msg)
    return _in_noise(_planes(path))


def _planes(path: Path) -> NDArray[np.float32]:
    """Bands ``(n, ny, nx)`` of a FITS file."""
    from astropy.io import fits

    planes: list[NDArray[np.float32]] = []
    try:
        with fits.open(path) as hdus:
            for hdu in hdus:
                if _NO_LIGHT.intersection(re.split(r"[^A-Z]+", hdu.name.upper())):
                    logger.info("%s: extension %s is no band, by its name", path, hdu.name)
                    continue
                if not getattr(hdu, "is_image", False) or hdu.data is None or hdu.data.ndim not in {2, 3}:
                    continue
                data = np.asarray(hdu.data, np.float32)
                planes += [*data] if data.ndim == 3 else [data]
                if data.ndim == 3:
                    break
    except Exception as error:  # headers and decompressors raise errors of many unrelated kinds on damaged files
        msg = f"{path}: cannot be read as a FITS file: {_in_a_line(error)}"
        raise ImageError(msg) from error
    planes = [plane for plane in planes if plane.shape == planes[0].shape]
    if not planes or min(planes[0].shape) < _SMALLEST:
        msg = f"{path}: holds no image of at least {_SMALLEST} x {_SMALLEST} pixels"
        raise ImageError(msg)
    bands = [plane for plane in planes if _varies(plane)]
    if not bands:
        msg = f"{path}: no usable pixels; all are NaN or have one value"
        raise ImageError(msg)
    if len(bands) < len(planes):
        logger.info(
            "%s: %d of %d planes are no bands: all NaN or of one value", path, len(planes) - len(bands), len(planes)
        )
    result = np.stack(bands)
    if not _has_middle(result):
        msg = f"{path}: no data in the middle, where the galaxy must be; cut it out anew, or fill the masked pixels"
        raise ImageError(msg)
    return result


def _has_middle(bands: NDArray[np.float32]) -> bool:
    """Whether more than half of the pixels around the centre are there, in some band."""
    ny, nx = bands.shape[1:]
    half = max(int(min(ny, nx) * _MIDDLE / 2), 1)
    middle = bands[:, ny // 2 - half : ny // 2 + half, nx // 2 - half : nx // 2 + half]
    return bool((np.isfinite(middle).mean(axis=(1, 2)) > 0.5).any())


def _varies(plane: NDArray[np.float32]) -> bool:
    good = plane[np.isfinite(plane)]
    return bool((good != good[:1]).any())


def _in_noise(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each band less its sky, over its noise, both of the pixels at the edge; bad pixels are 0."""
    ny, nx = planes.shape[1:]
    margin = max(min(ny, nx) // 10, 1)
    edge = np.ones((ny, nx), dtype=bool)
    edge[margin:-margin, margin:-margin] = False
    result = np.zeros_like(planes)
    for band, plane in enumerate(planes):
        good = np.isfinite(plane)
        sky = plane[edge & good] if (edge & good).any() else plane[good]
        if not sky.size:
            continue
        level, noise = _sky(sky)
        result[band] = np.where(good, (plane - level) / noise, 0)
    return result


def _sky(pixels: NDArray[np.float32]) -> tuple[float, float]:
    """Level and noise of the sky; pixels that are too bright for it are clipped until there are none."""
    while True:
        level = np.median(pixels)
        # the lower half of the pixels: the galaxy and its neighbours make the upper half wide
        noise = np.sqrt(np.mean((level - pixels[pixels <= level]) ** 2)) or 1.0
        sky = pixels <= level + _CLIP * noise
        if sky.all():
            return float(level), float(noise)
        pixels = pixels[sky]
