"""Pictures of galaxies: from aligned bands in units of noise to the colour cutouts that classifiers know.

Classifiers learn from the colour images of the surveys, 8 bits in red, green, blue. Pixels of a survey are brought to
the same look: the longest of three bands as red, and the stretch of Lupton et al. (2004) with one scale for the noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.errors import ImageError, WeightsError

__all__ = [
    "FIELD_OF_VIEW",
    "MEAN",
    "SIDES",
    "SPREAD",
    "checked_pictures",
    "colour_picture",
    "cut",
    "network_input",
    "normalisation",
    "resized",
    "views",
]

#: Side of a Galaxy Zoo 2 cutout in half-light radii of its galaxy: 8.48 radii of 90 % of the light, each of 2.3.
FIELD_OF_VIEW = 19.5
#: Smallest and largest side of a cutout in pixels of the image: fewer pixels show no shape, and half of the largest is
#: what a tile reaches into its neighbours by default.
SIDES = (16.0, 256.0)
#: ImageNet's mean and standard deviation of red, green, blue.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Brightness of one sigma of the sky, strength of the stretch, and share of the colours that is kept: with these, pixels
# of SDSS frames look like its colour images.
_SIGMA, _STRETCH, _VIVID = 0.06, 3.0, 0.55

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


def colour_picture(snr: NDArray[np.floating]) -> Picture:
    """Stretch three bands to a colour picture.

    Parameters
    ----------
    snr : ndarray
        ``(..., 3, ny, nx)`` signal to noise, shortest wavelength first; NaN counts as 0.

    Returns
    -------
    ndarray
        ``(..., ny, nx, 3)`` uint8, the longest wavelength as red. Colours are kept where the light saturates.

    Raises
    ------
    ImageError
        If there are not three bands.

    Examples
    --------
    >>> colour_picture(np.array([0.0, 5.0, 500.0]).reshape(3, 1, 1)).tolist()
    [[[255, 57, 55]]]
    """
    snr = np.asarray(snr, np.float32)
    if snr.ndim < 3 or snr.shape[-3] != 3:
        msg = f"a colour picture is made of three bands, (..., 3, ny, nx), not of {snr.shape}; map_bands makes three"
        raise ImageError(msg)
    light = np.nan_to_num(snr) * np.float32(_SIGMA)
    mean = light.mean(axis=-3, keepdims=True)
    light = mean + _VIVID * (light - mean)
    mean = np.maximum(mean, 1e-6)
    light = light * (np.arcsinh(_STRETCH * mean) / (_STRETCH * mean))
    light /= np.maximum(light.max(axis=-3, keepdims=True), 1.0)
    rgb = np.moveaxis(np.flip(light, axis=-3), -3, -1)
    return np.asarray(np.clip(rgb * 255, 0, 255), np.uint8)


def cut(snr: Floats, x: ArrayLike, y: ArrayLike, side: ArrayLike, *, pixels: int) -> Floats:
    """Cut squares out of an image and bring them to one number of pixels.

    Parameters
    ----------
    snr : ndarray
        ``(n_bands, ny, nx)`` float32.
    x, y : array-like
        ``(n,)`` centres, 0-based pixels; fractions are respected.
    side : array-like
        ``(n,)`` sides of the squares in pixels of the image.
    pixels : int
        Side to which they are brought. Smaller ones are interpolated, larger ones averaged.

    Returns
    -------
    ndarray
        ``(n, n_bands, pixels, pixels)`` float32; 0 outside the image.
    """
    from PIL import Image as Pillow

    x, y, side = (np.asarray(a, float).reshape(-1) for a in (x, y, side))
    result = np.zeros((len(x), len(snr), pixels, pixels), np.float32)
    ny, nx = snr.shape[1:]
    for number, (cx, cy, width) in enumerate(zip(x + 0.5, y + 0.5, side, strict=True)):
        # a little more than the square, so that the interpolation has what it needs
        reach = int(np.ceil(width / 2)) + 2
        x0, y0 = int(np.floor(cx)) - reach, int(np.floor(cy)) - reach
        stamp = np.zeros((len(snr), 2 * reach + 1, 2 * reach + 1), np.float32)
        rows, columns = slice(max(y0, 0), min(y0 + 2 * reach + 1, ny)), slice(max(x0, 0), min(x0 + 2 * reach + 1, nx))
        if rows.start < rows.stop and columns.start < columns.stop:
            stamp[:, rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0] = snr[:, rows, columns]
        left, top = cx - width / 2 - x0, cy - width / 2 - y0
        box = (max(left, 0.0), max(top, 0.0), min(left + width, stamp.shape[2]), min(top + width, stamp.shape[1]))
        for band, plane in enumerate(stamp):
            small = Pillow.fromarray(plane).resize((pixels, pixels), Pillow.Resampling.BILINEAR, box=box)
            result[number, band] = np.asarray(small)
    return result


def resized(picture: Picture, side: int, *, centre: float = 1.0) -> Picture:
    """The middle of a picture, brought to a side.

    Parameters
    ----------
    picture : ndarray
        ``(ny, nx, 3)`` uint8.
    side : int
        Pixels wanted.
    centre : float
        Side of the middle, in shorter sides of the picture; what is more than the picture is black, as no light is.

    Returns
    -------
    ndarray
        ``(side, side, 3)`` uint8.
    """
    from PIL import Image as Pillow

    ny, nx = picture.shape[:2]
    half = min(ny, nx) * centre / 2
    more = [max(int(np.ceil(half - n / 2)), 0) for n in (ny, nx)]
    if any(more):
        picture = np.pad(picture, [(more[0],) * 2, (more[1],) * 2, (0, 0)])
        ny, nx = picture.shape[:2]
    box = (nx / 2 - half, ny / 2 - half, nx / 2 + half, ny / 2 + half)
    small = Pillow.fromarray(picture).resize((side, side), Pillow.Resampling.BICUBIC, box=box)
    return np.asarray(small)


def normalisation(normalise: str) -> tuple[Floats, Floats]:
    """Gain and offset of each channel that turn pixels of 0 to 255 into a network's input.

    Parameters
    ----------
    normalise : {'symmetric', 'imagenet', 'unit'}
        From -1 to 1; by ImageNet's mean and deviation; from 0 to 1.

    Returns
    -------
    gain, offset : ndarray
        ``(3,)`` float32 each.

    Raises
    ------
    WeightsError
        If it is none of these.

    Examples
    --------
    >>> gain, offset = normalisation("symmetric")
    >>> (255 * gain + offset).tolist()
    [1.0, 1.0, 1.0]
    """
    if normalise == "imagenet":
        mean, spread = np.array(MEAN), np.array(SPREAD)
    elif normalise == "symmetric":
        mean, spread = np.full(3, 0.5), np.full(3, 0.5)
    elif normalise == "unit":
        mean, spread = np.zeros(3), np.ones(3)
    else:
        msg = f"normalise: there is no {normalise!r}; choose from symmetric, imagenet, unit, as the weight card says"
        raise WeightsError(msg)
    return (1 / (255 * spread)).astype(np.float32), (-mean / spread).astype(np.float32)


def checked_pictures(pictures: ArrayLike, side: int) -> NDArray[np.uint8]:
    """Pictures that a network of a side can be given.

    Parameters
    ----------
    pictures : array-like
        ``(n, side, side, 3)`` uint8, or a list of ``(side, side, 3)``; empty if there are none.
    side : int
        Of the network's input in pixels.

    Returns
    -------
    ndarray
        ``(n, side, side, 3)`` uint8.

    Raises
    ------
    ImageError
        If they are of another shape or type: what is not of 8 bits has a white that is not known.

    Examples
    --------
    >>> from astrogalaxy.morphology.pictures import checked_pictures
    >>> checked_pictures([np.zeros((32, 32, 3), np.uint8)] * 2, 32).shape
    (2, 32, 32, 3)
    """
    try:
        given = np.asarray(pictures)
    except (TypeError, ValueError, RuntimeError) as error:  # of lists of several shapes, of tensors elsewhere
        msg = f"pictures cannot be made one array: {error}"
        raise ImageError(msg) from error
    if given.shape[:1] == (0,):
        return np.zeros((0, side, side, 3), np.uint8)
    if given.shape[1:] != (side, side, 3):
        msg = f"pictures must be of {side} x {side} pixels in colour, (n, {side}, {side}, 3), not {given.shape}"
        raise ImageError(msg)
    if given.dtype != np.uint8:
        msg = f"pictures must be of 8 bits, uint8 from 0 to 255, not {given.dtype}; colour_picture makes such of bands"
        raise ImageError(msg)
    return given


def network_input(pictures: NDArray[np.uint8], normalise: str) -> Floats:
    """From pictures ``(n, side, side, 3)`` to input ``(n, 3, side, side)`` float32."""
    gain, offset = normalisation(normalise)
    return np.ascontiguousarray((pictures * gain + offset).transpose(0, 3, 1, 2), np.float32)


def views(pictures: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """Turned and flipped copies of square pictures ``(n, side, side, 3)``: 1 or all 8."""
    turned = [np.rot90(pictures, number, axes=(1, 2)) for number in range(4)]
    return [pictures] if count == 1 else [*turned, *(t[:, :, ::-1] for t in turned)]
