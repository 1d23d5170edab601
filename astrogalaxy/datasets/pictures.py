"""Cutouts of galaxies from files: JPEG, PNG or FITS, as colour pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.detection.inputs import map_bands
from astrogalaxy.errors import ImageError
from astrogalaxy.morphology.pictures import colour_picture

__all__ = ["PICTURES", "PictureFiles", "bands_in_noise", "read_picture"]

#: Endings of the files that are read as colour pictures.
PICTURES = (".jpg", ".jpeg", ".png")
_FITS = (".fits", ".fit", ".fts", ".fz", ".gz", ".bz2")
# A FITS cutout of fewer pixels holds no galaxy.
_SMALLEST = 8


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """Read a cutout as a colour picture.

    Parameters
    ----------
    path : path
        A JPEG or PNG; or a FITS file with one image, images of several bands in extensions, or a cube, shortest
        wavelength first. Of FITS images the sky is subtracted and the noise measured at their edges.

    Returns
    -------
    ndarray
        ``(ny, nx, 3)`` uint8, the longest wavelength as red; row 0 first as stored.

    Raises
    ------
    ImageError
        If the file is missing, damaged, of another format or holds no image.

    Examples
    --------
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.pictures import read_picture
    >>> Picture.new("RGB", (32, 24), "red").save("red.png")
    >>> read_picture("red.png")[0, 0].tolist()
    [255, 0, 0]
    """
    path = Path(path)
    if path.suffix.lower() in _FITS:
        return colour_picture(map_bands(bands_in_noise(path), 3))
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as picture:
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read as an image: {error}"
        raise ImageError(msg) from error


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
        ``(n_bands, ny, nx)`` float32, shortest wavelength first.

    Raises
    ------
    ImageError
        If the file is missing, damaged or holds no image.

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
    return _in_noise(_planes(Path(path)))


def _planes(path: Path) -> NDArray[np.float32]:
    """Bands ``(n, ny, nx)`` of a FITS file."""
    from astropy.io import fits

    planes: list[NDArray[np.float32]] = []
    try:
        with fits.open(path) as hdus:
            for hdu in hdus:
                if not getattr(hdu, "is_image", False) or hdu.data is None or hdu.data.ndim not in {2, 3}:
                    continue
                data = np.asarray(hdu.data, np.float32)
                planes += [*data] if data.ndim == 3 else [data]
                if data.ndim == 3:
                    break
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path}: cannot be read as a FITS file: {error}"
        raise ImageError(msg) from error
    planes = [plane for plane in planes if plane.shape == planes[0].shape]
    if not planes or min(planes[0].shape) < _SMALLEST:
        msg = f"{path}: holds no image of at least {_SMALLEST} x {_SMALLEST} pixels"
        raise ImageError(msg)
    return np.stack(planes)


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
        middle = np.median(sky)
        # the lower half of the pixels: neighbours at the edge make the upper half wide
        below = middle - sky[sky <= middle]
        noise = np.sqrt(np.mean(below**2)) if below.any() else 1.0
        result[band] = np.where(good, (plane - middle) / max(noise, 1e-12), 0)
    return result
