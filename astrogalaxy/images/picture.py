"""Colour pictures of images: bands in units of noise as red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.images import bins
from astrogalaxy.images.align import Aligned
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BAD", "binned", "colour_picture", "colours"]

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Picture = NDArray[np.uint8]

#: Colour of pixels without data, a dull brown that no sky has.
BAD = (66, 56, 50)
# Significance of a preview's pixel at which the stretch turns from linear to logarithmic, and that of white.
_SOFT, _WHITE = 2.5, 700.0
# Level of the sky, so that the noise shows on both sides of it.
_SKY = 0.13
# Colours fade into grey below the first significance, where they would be those of the noise, and
# into white above the second, where the bands saturate. In between they are this much as strong as measured.
_COLOURFUL, _BLINDING, _VIVID = 4.0, 1500.0, 0.8
# Pixels of each band that are read together.
_PIXELS_AT_ONCE = 4_000_000


def colour_picture(
    aligned: Callable[[Section], Aligned], section: Section, *, longest: int = 1400
) -> tuple[Picture, int]:
    """Colour picture of a section of an image; memory does not grow with the image.

    Colours are those of the significance in the bands: the reddest band red, the bluest blue, the middle one
    green. More than three bands are combined into three by signal to noise; of two bands green is the mean; one
    band is grey. The stretch is linear in the noise and logarithmic above (Lupton et al. 2004, PASP 116, 133).

    Parameters
    ----------
    aligned : callable
        Gives the bands of a section, as `Image.aligned` does.
    section : Section
        What to show.
    longest : int, optional
        Longest side that the picture may have, pixels; larger images are averaged in blocks.

    Returns
    -------
    picture : ndarray, shape (ny, nx, 3), uint8
        Row 0 has the lowest y.
    step : int
        Pixels of the image along a side of a pixel of the picture.

    Examples
    --------
    >>> from astrogalaxy.images import Image
    >>> image = Image.read(np.random.default_rng(0).normal(100, 5, (90, 120)))
    >>> picture, step = colour_picture(image.aligned, Section.whole(image.shape), longest=60)
    >>> picture.shape, step
    ((45, 60, 3), 2)
    """
    step = max(1, -(-max(section.shape) // longest))
    rows = max(1, _PIXELS_AT_ONCE // (section.shape[1] * step)) * step
    strips = []
    for y in range(section.y0, section.y1, rows):
        part = Section(section.x0, section.x1, y, min(y + rows, section.y1))
        strips.append(colours(*binned(aligned(part), part, step)))
    return np.concatenate(strips), step


def binned(aligned: Aligned, blocks: Section, step: int) -> tuple[Floats, Bools]:
    """Mean over blocks of pixels, in units of the noise of that mean; 0 where bad.

    Parameters
    ----------
    aligned : Aligned
        Bands in units of noise.
    blocks : Section
        Which pixels. The last blocks may reach over the section's end; there is less to average then.
    step : int
        Side of a block.

    Returns
    -------
    snr, bad : ndarray, shape (bands, ny, nx)
    """
    (ny, nx), section = blocks.shape, aligned.section
    rows, columns = -(-ny // step), -(-nx // step)
    reach = Section(blocks.x0, blocks.x0 + columns * step, blocks.y0, blocks.y0 + rows * step)
    cut = Section(reach.x0, min(reach.x1, section.x1), reach.y0, min(reach.y1, section.y1))
    where = cut.within(section).slices
    snr, bad = aligned.snr[:, *where], aligned.bad[:, *where]
    if step == 1:
        return snr, bad
    inside = np.multiply.outer(_lengths(snr.shape[1], rows, step), _lengths(snr.shape[2], columns, step))
    good = inside - _block_sums(bad, rows, columns, step)
    total = _block_sums(snr, rows, columns, step)
    few = good <= 0.25 * step * step
    # the mean times step, not times the root of the good pixels: light keeps its brightness at holes
    return np.where(few, 0, total * step / np.maximum(good, 1)).astype(np.float32), few


def _lengths(n: int, count: int, step: int) -> Floats:
    """Pixels in each of so many blocks of n pixels, of which the last may be cut off."""
    return np.clip(n - step * np.arange(count), 0, step).astype(np.float32)


def _block_sums(cube: Floats | Bools, rows: int, columns: int, step: int) -> Floats:
    """Sums over blocks of step x step pixels; what is missing at the far ends counts as 0."""
    missing = [(0, count * step - n) for count, n in zip((rows, columns), cube.shape[1:], strict=True)]
    return np.array([bins.binned(np.pad(plane, missing), step, dtype=np.float32) for plane in cube])


def _channels(snr: Floats, bad: Bools) -> tuple[Floats, Bools]:
    """Red, green and blue out of bands that go from blue to red, each with a noise of 1."""
    n = len(snr)
    if n <= 2:
        groups = [[n - 1], list(range(n)), [0]]
    else:
        # the reddest and the bluest bands are the shallow ones of most surveys: they are put together
        red, green = -(-n // 3), n // 3
        blue = n - red - green
        groups = [list(range(n - red, n)), list(range(blue, n - red)), list(range(blue))]
    values, missing = [], []
    for group in groups:
        good = np.sum(~bad[group], axis=0, dtype=np.float32)
        # signal adds up, noise in squares; but the green of two bands lies between them
        power = 1.0 if n == 2 else 0.5
        values.append(snr[group].sum(axis=0) / np.maximum(good, 1) ** power)
        missing.append(good == 0)
    return np.array(values, dtype=np.float32), np.array(missing)


def colours(snr: Floats, bad: Bools) -> Picture:
    """Stretch bands in units of noise into a colour picture.

    Parameters
    ----------
    snr, bad : ndarray, shape (bands, ny, nx)
        From blue to red.

    Returns
    -------
    ndarray, shape (ny, nx, 3), uint8
    """
    channels, missing = _channels(snr, bad)
    known = np.sum(~missing, axis=0, dtype=np.float32)
    light = channels.sum(axis=0) / np.maximum(known, 1)
    channels = np.where(missing, light, channels)
    faint = np.maximum(np.abs(light), 1e-3)
    vivid = _VIVID / (1 + (_COLOURFUL / faint) ** 2) / (1 + faint / _BLINDING)
    channels = light + (channels - light) * vivid
    gain = np.arcsinh(faint / _SOFT) / faint / np.arcsinh(_WHITE / _SOFT)
    scaled = _SKY + (1 - _SKY) * channels * gain
    # too bright: all three channels are reduced alike, which keeps the colour
    scaled /= np.maximum(scaled.max(axis=0), 1.0)
    picture = (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    picture[known == 0] = BAD
    return np.ascontiguousarray(picture)
