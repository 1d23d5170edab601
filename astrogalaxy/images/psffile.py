"""Files of point spreads: images, the models of PSFEx, and grids of images from STScI."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.extensions import image_shape, opened
from astrogalaxy.images.fitscheck import walk_hdus
from astrogalaxy.images.givenpsf import GivenPsf
from astrogalaxy.images.inputs import as_plane
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from astropy.io import fits
    from numpy.typing import NDArray

__all__ = ["list_psfs", "read_psf"]

# Column of the tables of PSFEx, and cards of grids: STScI's standard ones, and those of WebbPSF.
_MASK = "PSF_MASK"
_GRIDS = ("NXPSFS", "DET_YX0")
# Places along an axis of the band at which a model that changes over it is looked at.
_PLACES = 5
# No image of a point spread has a longer side: it is that of a field.
_LARGEST = 2500


def read_psf(source: Any, shape: tuple[int, int], *, hdu: str | int = "auto", origin: str = "psf") -> GivenPsf:
    """Read the point spread of a band: an image of it, a model of PSFEx, or a grid of images from STScI.

    Parameters
    ----------
    source : path, (path, hdu) or image
        A file, or an image as `~astrogalaxy.Image.read` takes it. Images with OVERSAMP in their header have so many
        pixels along one of the band; all hold what a pixel of the band sees, centred at theirs.
    shape : (int, int)
        Rows and columns of the band.
    hdu : str or int, optional
        HDU of files: number, name, or 'auto' for the only one with a point spread.
    origin : str, optional
        What to call an image that has no file name.

    Returns
    -------
    GivenPsf
        Images of it, with their places in the band.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If there is no point spread, or it is not clear which is meant.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.images import read_psf
    >>> y, x = np.mgrid[-10:11, -10:11]
    >>> given = read_psf(np.exp(-(x**2 + y**2) / (2 * 1.5**2)), (90, 120))
    >>> round(given.seeing, 1), given.places.tolist()
    (3.6, [[59.5, 44.5]])
    """
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], str | os.PathLike):
        source, hdu = source
    if not isinstance(source, str | os.PathLike):
        return _image(source, "auto", shape, origin)
    path = Path(source).expanduser()
    with opened(path) as (hdus, ahead):
        number = _chosen(hdus, ahead, hdu, str(path))
        chosen, name = hdus[number], f"{path}[{number}]" if number else str(path)
        if _is_model(chosen):
            return _model(chosen, shape, name)
        if image_shape(chosen) is not None:
            return _image(path, number, shape, name)
        return _grid(chosen, path)


def list_psfs(path: str | Path) -> list[int]:
    """Numbers of the HDUs of a file that hold point spreads: its models if it has any, else its images and grids.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the file cannot be read.
    """
    with opened(Path(path).expanduser()) as (hdus, ahead):
        return _numbers(hdus, ahead, str(path))


def _numbers(hdus: fits.HDUList, ahead: IO[bytes] | None, origin: str) -> list[int]:
    found = list(enumerate(walk_hdus(hdus, origin, ahead)))
    return [n for n, hdu in found if _is_model(hdu)] or [n for n, hdu in found if _holds_psf(hdu)]


def _chosen(hdus: fits.HDUList, ahead: IO[bytes] | None, wanted: str | int, origin: str) -> int:
    """Number of the HDU that is wanted, or the only one."""
    found = _numbers(hdus, ahead, origin)
    names = ", ".join(f"{n} {hdus[n].name}".strip() for n in found)
    if wanted == "auto":
        if len(found) == 1:
            return found[0]
        what = f"several ({names}); images.psf_hdu says which is meant" if found else "none"
        msg = f"{origin}: a file with one point spread is wanted (an image, or a model of PSFEx), this has {what}"
        raise ImageError(msg)
    try:
        number = hdus.index_of(int(wanted) if str(wanted).isdigit() else wanted)
        if _holds_psf(hdus[number]):
            return int(number)
    except (KeyError, IndexError):
        pass
    msg = f"{origin}: HDU {wanted!r} is no point spread (an image, or a model of PSFEx); it has {names or 'none'}"
    raise ImageError(msg)


def _holds_psf(hdu: Any) -> bool:
    return image_shape(hdu) is not None or _is_model(hdu) or _is_grid(hdu)


def _is_model(hdu: Any) -> bool:
    return _MASK in getattr(getattr(hdu, "columns", None), "names", ())


def _is_grid(hdu: Any) -> bool:
    return hdu.header.get("NAXIS") == 3 and any(card in hdu.header for card in _GRIDS)


def _image(source: Any, hdu: str | int, shape: tuple[int, int], origin: str) -> GivenPsf:
    """The same everywhere."""
    plane = as_plane(source, hdu=hdu, origin=origin)
    if max(plane.shape) > _LARGEST:
        msg = f"{plane.origin}: an image of {plane.shape[1]} x {plane.shape[0]} pixels is none of a point spread"
        raise ImageError(msg)
    step = 1 / _positive(plane.keywords.get("OVERSAMP", 1), "OVERSAMP", origin)
    image = plane.read(Section.whole(plane.shape)).astype(float)
    return GivenPsf(image[None], _places(shape, 1), step, plane.origin)


def _model(hdu: fits.BinTableHDU, shape: tuple[int, int], origin: str) -> GivenPsf:
    """A model of PSFEx: images that add up with the terms of a polynomial of the position, which counts from 1."""
    header = hdu.header
    axes = [str(header.get(f"POLNAME{n + 1}")) for n in range(header.get("POLNAXIS", 0))]
    degree = header.get("POLDEG1", 0) if axes else 0
    if degree and not re.fullmatch(r"X\w*_IMAGE Y\w*_IMAGE", " ".join(axes)):
        msg = f"{origin}: this point spread varies with {' and '.join(axes)}; it may vary with X_IMAGE and Y_IMAGE"
        raise ImageError(msg)
    masks = np.asarray(hdu.data[_MASK][:1], dtype=float)
    terms = masks.reshape(-1, *masks.shape[-2:])
    if 2 * len(terms) != (degree + 1) * (degree + 2):
        msg = f"{origin}: {_MASK} of this point spread is of shape {masks.shape[1:]}, and POLDEG1 {degree}"
        raise ImageError(msg)
    places = _places(shape, _PLACES if degree else 1)
    cards = [(header.get(f"POLZERO{n}", 0), header.get(f"POLSCAL{n}", 1)) for n in (1, 2)]
    u, v = ((places[:, n] + 1 - zero) / scale for n, (zero, scale) in enumerate(cards))
    factors = [u**i * v**j for j in range(degree + 1) for i in range(degree + 1 - j)]
    step = _positive(header.get("PSF_SAMP"), "PSF_SAMP", origin)
    return GivenPsf(np.einsum("tn,tyx->nyx", factors, terms), places, step, origin)


def _places(shape: tuple[int, int], n: int) -> NDArray[np.float64]:
    """So many places along both axes of a band, evenly, x and y; of one its middle."""
    y, x = (size * (np.arange(n) + 0.5) / n - 0.5 for size in shape)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _grid(hdu: Any, path: Path) -> GivenPsf:
    """A grid of images; their places are pixels of the whole detector."""
    planes, header = np.asarray(hdu.data, dtype=float), hdu.header
    if "DET_YX0" not in header:
        return _standard_grid(path)
    # read here, since photutils 3.0 takes the one for the other
    texts = [str(header.get(f"DET_YX{n}", "")).strip("() ").split(",") for n in range(len(planes))]
    try:
        places = np.array(texts, dtype=float)[:, ::-1]
    except ValueError:
        msg = f"{path}: DET_YX of these {len(planes)} point spreads must be pairs of numbers"
        raise ImageError(msg) from None
    return GivenPsf(planes, places, 1 / _positive(header.get("OVERSAMP"), "OVERSAMP", str(path)), str(path))


def _standard_grid(path: Path) -> GivenPsf:
    """A grid in STScI's standard format."""
    from photutils.psf import GriddedPSFModel

    try:
        model = GriddedPSFModel.read(str(path), format="stdpsf")
    except ValueError as error:
        msg = f"{path}: photutils does not read this grid of point spreads: {error}"
        raise ImageError(msg) from error
    return GivenPsf(
        np.asarray(model.data, float), np.array(model.grid_xypos, float), 1 / model.oversampling[0], str(path)
    )


def _positive(value: Any, card: str, origin: str) -> float:
    """The value of a card that is a number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        msg = f"{origin}: {card} of a point spread must be a number above 0, not {value!r}"
        raise ImageError(msg)
    return float(value)
