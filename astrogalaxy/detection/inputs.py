"""From aligned bands in units of noise to the network's input channels.

Bands are mapped by the order of their wavelengths, whatever their names: one band
fills every channel; two fill the outer ones, their sum the middle; more than the
channels are summed in neighbouring groups, each sum again in units of its noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRETCH", "UNKNOWN_SEEING", "map_bands", "network_input", "seeing_level", "seeing_shift"]

#: Signal to noise at which the stretch ``asinh(snr / STRETCH)`` turns from linear to logarithmic.
STRETCH = 3.0
#: Seeing (half-light diameter of stars, pixels) of an image whose seeing is not known.
UNKNOWN_SEEING = float("nan")
# Where the seeing's channel is zero: a common one, so that zero can also stand for "not known".
_COMMON_SEEING = 4.5
_SEEING_SCALE = 2.0
# Signal to noise of a pixel up to which padding mirrors it: much of the noise, and next to nothing of any source.
_NOISE = 1.0

Cube = NDArray[np.float32]


def map_bands(snr: Cube, channels: int) -> Cube:
    """Map bands onto input channels.

    Parameters
    ----------
    snr : ndarray
        ``(n_bands, ny, nx)`` float32 signal to noise, shortest wavelength first, 0 where bad.
    channels : int
        Input channels of the network.

    Returns
    -------
    ndarray
        ``(channels, ny, nx)`` float32, each channel in units of its own noise.
    """
    n = len(snr)
    if n == channels:
        return snr
    # each channel is fed by the bands whose share of the wavelength order overlaps its own
    groups = [snr[i * n // channels : -(-(i + 1) * n // channels)] for i in range(channels)]
    return np.stack([g[0] if len(g) == 1 else g.sum(0) / np.float32(np.sqrt(len(g))) for g in groups])


def seeing_level(seeing: float) -> float:
    """Level of the seeing's channel: the logarithm of the seeing over a common one, 0 where unknown.

    Examples
    --------
    >>> seeing_level(float("nan")), round(seeing_level(9.0), 2)
    (0.0, 1.39)
    """
    return float(_SEEING_SCALE * np.log(np.clip(seeing, 1.0, 30.0) / _COMMON_SEEING)) if np.isfinite(seeing) else 0.0


def seeing_shift(zoom: float) -> float:
    """By how much the seeing's level rises where an image is magnified.

    Examples
    --------
    >>> round(seeing_level(6.0) - seeing_level(3.0) - seeing_shift(2.0), 6)
    0.0
    """
    return float(_SEEING_SCALE * np.log(zoom))


def network_input(snr: Cube, channels: int, *, seeing: float | None = None, multiple: int = 1) -> Cube:
    """Map, stretch and pad bands: what the network sees.

    Parameters
    ----------
    snr : ndarray
        ``(n_bands, ny, nx)`` float32 signal to noise.
    channels : int
        Input channels of the bands.
    seeing : float, optional
        Half-light diameter of stars in pixels, NaN where it is not known, for networks that
        have a channel for it: stars are recognised by their width, and a network that sees few
        stars around a source cannot know how wide they are.
    multiple : int, optional
        The sides are padded to multiples of this at the far edges, with mirrored noise from there: a border with
        perfectly flat sky would look like a source. The light of sources is not mirrored.

    Returns
    -------
    ndarray
        ``(channels, ny, nx)`` float32, contiguous; one channel more if the seeing is given.

    Examples
    --------
    >>> import numpy as np
    >>> network_input(np.ones((1, 30, 40), np.float32), 3, seeing=4.5, multiple=16).shape
    (4, 32, 48)
    """
    mapped = map_bands(snr, channels)
    ny, nx = mapped.shape[1:]
    made = np.empty((len(mapped) + (seeing is not None), ny + -ny % multiple, nx + -nx % multiple), np.float32)
    if seeing is not None:
        made[-1] = seeing_level(seeing)
    bands = made[: len(mapped)]
    np.multiply(mapped, np.float32(1 / STRETCH), out=bands[:, :ny, :nx])
    rows, columns = (_mirrored(length, whole) for length, whole in zip((ny, nx), bands.shape[1:], strict=True))
    bands[:, ny:, :nx] = _noise(bands[:, rows, :nx])
    bands[:, :, nx:] = _noise(bands[:, :, columns])
    np.arcsinh(bands, out=bands)
    return made


def _mirrored(length: int, whole: int) -> NDArray[np.intp]:
    """Indices of the pixels, mirrored at the last one, that pad an axis of a length to the whole length."""
    back = np.arange(whole - length) % (2 * length)
    return length - 1 - np.minimum(back, 2 * length - 1 - back)


def _noise(scaled: Cube) -> Cube:
    """Pixels, in units of the stretch, without the light of sources."""
    return np.clip(scaled, -_NOISE / STRETCH, _NOISE / STRETCH)
