"""Astro R-CNN's layout of simulated fields: images in several bands, and the light of every source by itself.

A set is a folder (``set_0``, ``set_1``, ...) with one image per band (``img_g.fits``, ``img_r.fits``, ``img_z.fits``;
or one without a band, ``..._img.fits``), and the sources' own light: one FITS file for each, named after its class
(``..._star....fits``, ``..._gal....fits``), or a file with an extension for each (``masks.fits``) whose ``CLASS_ID``
is 1 for a star and 2 for a galaxy. Files may be compressed. Burke et al. (2019).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy import ndimage

from astrogalaxy.datasets.isophotes import OwnLight
from astrogalaxy.datasets.splits import Part, part_of
from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image
from astrogalaxy.simulation.profiles import BAND_WAVELENGTHS

__all__ = ["FieldSet", "find_sets", "read_objects", "read_set"]

_FITS = re.compile(r"\.fits?(\.(gz|bz2|fz))?$", re.IGNORECASE)
# A file's name without its ending: an image of a band, or of no named band; a star; a galaxy.
_IMAGE = re.compile(r"(?:.*_)?img(?:_([A-Za-z]+))?", re.IGNORECASE)
_NAMED = {"star": re.compile(r"(^|[^a-z])star", re.IGNORECASE), "galaxy": re.compile(r"(^|[^a-z])gal", re.IGNORECASE)}
_CLASS_ID = {1: "star", 2: "galaxy"}
# Folders between the root and a set that say which part it belongs to.
_PARTS: dict[str, Part] = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "test"}
# The light of a source was made of photons: smoothed by so many pixels its outline does not follow single ones.
_SMOOTH = 1.0


@dataclass(frozen=True)
class FieldSet:
    """One field: where its files are, and to which part it belongs.

    Attributes
    ----------
    name : str
        Path below the root.
    images : dict
        Path of the image of each band, shortest wavelength first.
    objects : tuple of Path
        Files with the sources' own light.
    part : {'train', 'val', 'test'}
        As a folder above it says (``train``, ``validation``, ...), else by `~astrogalaxy.datasets.splits.part_of`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.datasets.astrorcnn import FieldSet
    >>> field = FieldSet("set_0", {"g": Path("set_0/img_g.fits")}, (Path("set_0/masks.fits"),), "train")
    >>> list(field.images), field.part
    (['g'], 'train')
    """

    name: str
    images: dict[str, Path]
    objects: tuple[Path, ...]
    part: Part


def find_sets(root: str | Path) -> list[FieldSet]:
    """Find the sets below a folder, in the order of their names; those without any source are left out.

    Parameters
    ----------
    root : path
        Folder of the data set.

    Returns
    -------
    list of FieldSet
        One or more; nothing but their names was read.

    Raises
    ------
    ImageError
        If there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from astropy.io import fits
    >>> from astrogalaxy.datasets.astrorcnn import find_sets
    >>> folder = Path("phosim", "train", "set_0")
    >>> folder.mkdir(parents=True)
    >>> light = np.zeros((64, 64), np.float32)
    >>> for name in ("img_g", "img_r", "star0"):
    ...     fits.writeto(folder / f"{name}.fits", light)
    >>> [(field.name, list(field.images), field.part) for field in find_sets("phosim")]
    [('train/set_0', ['g', 'r'], 'train')]
    """
    root = Path(root)
    folders = sorted({path.parent for path in root.rglob("*") if _FITS.search(path.name)}, key=_natural)
    sets = [found for folder in folders if (found := _as_set(folder, root))]
    if not sets:
        msg = f"{root}: no set of images and sources there; expected folders with img_g.fits, ... and masks"
        raise ImageError(msg)
    return sets


def _natural(path: Path) -> list[tuple[int, str]]:
    """Key that puts set_2 before set_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _as_set(folder: Path, root: Path) -> FieldSet | None:
    images, objects = {}, []
    for path in sorted(folder.iterdir()):
        if not _FITS.search(path.name):
            continue
        stem = _FITS.sub("", path.name)
        image = _IMAGE.fullmatch(stem)
        if image:
            images[image[1] or "image"] = path
        elif "mask" in stem.lower() or _class_by_name(stem):
            objects.append(path)
    if not images or not objects:
        return None
    name = folder.relative_to(root).as_posix()
    bands = sorted(images, key=lambda band: BAND_WAVELENGTHS.get(band, np.inf))
    named = (_PARTS.get(re.sub(r"[^a-z].*|_?sets?$", "", level.lower())) for level in name.split("/"))
    part = next((p for p in named if p), None) or part_of(name)
    return FieldSet(name, {band: images[band] for band in bands}, tuple(objects), part)


def _class_by_name(stem: str) -> str | None:
    return next((name for name, pattern in _NAMED.items() if pattern.search(stem)), None)


def read_set(field: FieldSet) -> tuple[Image, list[OwnLight]]:
    """Read a set: its image, and its sources' own light in units of the sky's noise.

    Parameters
    ----------
    field : FieldSet
        One of `find_sets`.

    Returns
    -------
    image : Image
        All bands; the middle one is the reference.
    sources : list of OwnLight
        In units of the noise of a pixel of the reference band.

    Raises
    ------
    ImageError
        If a file cannot be read, or does not say whether it is of a star or a galaxy.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from astropy.io import fits
    >>> from astrogalaxy.datasets.astrorcnn import FieldSet, read_set
    >>> light = np.zeros((64, 64), np.float32)
    >>> light[30:33, 30:33] = 900
    >>> sky = np.random.default_rng(1).normal(100, 3, light.shape).astype("float32")
    >>> fits.writeto("seen_img_r.fits", sky + light)
    >>> fits.writeto("seen_gal1.fits", light)
    >>> field = FieldSet("seen", {"r": Path("seen_img_r.fits")}, (Path("seen_gal1.fits"),), "test")
    >>> image, sources = read_set(field)
    >>> image.shape, len(sources), sources[0].galaxy
    ((64, 64), 1, True)
    """
    bands = list(field.images)
    image = Image.read({band: str(path) for band, path in field.images.items()}, reference=bands[len(bands) // 2])
    noise = float(np.median(image.bands[image.reference].pixels().noise))
    return image, [
        OwnLight.from_frame(light / np.float32(noise), galaxy=galaxy)
        for light, galaxy in read_objects(field, image.shape)
    ]


def read_objects(field: FieldSet, shape: tuple[int, int]) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """Read the light of each source by itself.

    Parameters
    ----------
    field : FieldSet
        One of `find_sets`.
    shape : (int, int)
        Rows and columns of its images.

    Yields
    ------
    light : ndarray
        ``(ny, nx)`` float32 in image units, smoothed by a pixel; 0 where there is none, and for NaN.
    galaxy : bool
        A galaxy, or else a star.

    Raises
    ------
    ImageError
        As `read_set`, or if an image is not of the field's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from astropy.io import fits
    >>> from astrogalaxy.datasets.astrorcnn import FieldSet, read_objects
    >>> light = np.zeros((32, 32), np.float32)
    >>> light[16, 16] = 900
    >>> fits.writeto("star0.fits", light)
    >>> field = FieldSet("set_0", {}, (Path("star0.fits"),), "train")
    >>> [(bool(light[16, 16] > 0), galaxy) for light, galaxy in read_objects(field, (32, 32))]
    [(True, False)]
    """
    for path in field.objects:
        try:
            with fits.open(path, memmap=False) as hdus:
                frames = [(hdu.header, hdu.data) for hdu in hdus if hdu.is_image and hdu.data is not None]
        except (OSError, TypeError, ValueError) as error:
            msg = f"{path}: cannot be read as FITS: {error}"
            raise ImageError(msg) from error
        for header, data in frames:
            name = _CLASS_ID.get(header.get("CLASS_ID"), _class_by_name(_FITS.sub("", path.name)))
            if name is None:
                msg = f"{path}: neither its name (star, gal) nor CLASS_ID (1, 2) says what it is"
                raise ImageError(msg)
            if data.shape != shape:
                msg = f"{path}: has the shape {data.shape}, the images of its set {shape}"
                raise ImageError(msg)
            light = np.nan_to_num(np.asarray(data, np.float32))
            yield _without_specks(ndimage.gaussian_filter(light, _SMOOTH)), name == "galaxy"


def _without_specks(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Zero where there is less than a photon, so that a source's patch is no larger than its light."""
    return np.where(light > 0.05, light, np.float32(0))
