"""Pictures of galaxies: from aligned bands in units of noise to the colour cutouts that classifiers know.

Classifiers learn from the colour images of the surveys, 8 bits in red, green, blue. Pixels of a survey are brought to
the same look: the longest of three bands as red, and the stretch of Lupton et al. (2004) with one scale for the noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FIELD_OF_VIEW", "MEAN", "SIDES", "SPREAD", "brought", "colour_picture", "cut", "network_input", "resized", "views",
]  # fmt: skip

#: Side of a Galaxy Zoo 2 cutout in half-light radii of its galaxy: 8.48 radii of 90 % of the light, each of 2.3.
FIELD_OF_VIEW = 19.5
#: Smallest and largest side in pixels of the image: what shows a shape, and twice what every tile reaches into its
#: neighbours by default.
SIDES = (16.0, 256.0)
#: ImageNet's mean and standard deviation of red, green, blue.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Brightness of one sigma of the sky, the strength of the stretch, and how much of the colours is left, so that pixels
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

    Examples
    --------
    >>> colour_picture(np.array([0.0, 5.0, 500.0]).reshape(3, 1, 1)).tolist()
    [[[255, 57, 55]]]
    """
    light = np.nan_to_num(np.asarray(snr, np.float32)) * np.float32(_SIGMA)
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
        Side of the middle, in shorter sides of the picture.

    Returns
    -------
    ndarray
        ``(side, side, 3)`` uint8.
    """
    from PIL import Image as Pillow

    ny, nx = picture.shape[:2]
    half = min(ny, nx) * centre / 2
    box = (nx / 2 - half, ny / 2 - half, nx / 2 + half, ny / 2 + half)
    small = Pillow.fromarray(picture).resize((side, side), Pillow.Resampling.BICUBIC, box=box)
    return np.asarray(small)


def brought(normalise: str) -> tuple[Floats, Floats]:
    """Gain and offset, by channel, that bring pixels of 0 to 255 to a network's input.

    Parameters
    ----------
    normalise : {'symmetric', 'imagenet', 'unit'}
        From -1 to 1; by ImageNet's mean and deviation; from 0 to 1.

    Returns
    -------
    gain, offset : ndarray
        ``(3,)`` float32 each.

    Examples
    --------
    >>> gain, offset = brought("symmetric")
    >>> (255 * gain + offset).tolist()
    [1.0, 1.0, 1.0]
    """
    if normalise == "imagenet":
        mean, spread = np.array(MEAN), np.array(SPREAD)
    elif normalise == "symmetric":
        mean, spread = np.full(3, 0.5), np.full(3, 0.5)
    else:
        mean, spread = np.zeros(3), np.ones(3)
    return (1 / (255 * spread)).astype(np.float32), (-mean / spread).astype(np.float32)


def network_input(pictures: NDArray[np.uint8], normalise: str) -> Floats:
    """From pictures ``(n, side, side, 3)`` to input ``(n, 3, side, side)`` float32."""
    gain, offset = brought(normalise)
    return np.ascontiguousarray((pictures * gain + offset).transpose(0, 3, 1, 2), np.float32)


def views(pictures: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """Turned and flipped copies of square pictures ``(n, side, side, 3)``: 1 or all 8."""
    turned = [np.rot90(pictures, number, axes=(1, 2)) for number in range(4)]
    return [pictures] if count == 1 else [*turned, *(t[:, :, ::-1] for t in turned)]
