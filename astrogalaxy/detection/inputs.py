"""From aligned bands in units of noise to the network's input channels.

Bands are mapped by the order of their wavelengths, whatever their names: one band
fills every channel; two fill the outer ones, their sum the middle; more than the
channels are summed in neighbouring groups, each sum again in units of its noise.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRETCH", "UNKNOWN_SEEING", "map_bands", "network_input", "pad_to_multiple", "seeing_level"]

#: Signal to noise at which the stretch ``asinh(snr / STRETCH)`` turns from linear to logarithmic.
STRETCH = 3.0
#: Seeing (half-light diameter of stars, pixels) of an image whose seeing is not known.
UNKNOWN_SEEING = float("nan")
# Where the seeing's channel is zero: a common one, so that zero can also stand for "not known".
_COMMON_SEEING = 4.5

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
    edges = np.linspace(0, n, channels + 1)
    groups = [
        range(int(np.floor(low + 1e-9)), max(int(np.ceil(high - 1e-9)), int(low) + 1)) for low, high in pairwise(edges)
    ]
    return np.stack([snr[list(g)].sum(0) / np.float32(np.sqrt(len(g))) for g in groups])


def seeing_level(seeing: float) -> float:
    """Level of the seeing's channel: the logarithm of the seeing over a common one, 0 where unknown.

    Examples
    --------
    >>> seeing_level(float("nan")), round(seeing_level(9.0), 2)
    (0.0, 1.39)
    """
    return float(2 * np.log(np.clip(seeing, 1.0, 30.0) / _COMMON_SEEING)) if np.isfinite(seeing) else 0.0


def network_input(snr: Cube, channels: int, *, seeing: float | None = None) -> Cube:
    """Map and stretch bands: what the network sees, before padding.

    Parameters
    ----------
    snr : ndarray
        ``(n_bands, ny, nx)`` float32 signal to noise.
    channels : int
        Input channels of the bands.
    seeing : float, optional
        Half-light diameter of stars in pixels, NaN where it is not known, for networks that
        have a channel for it: what is a star is told by its width, and a network that sees few
        stars around a source cannot know how wide they are.

    Returns
    -------
    ndarray
        ``(channels, ny, nx)`` float32, contiguous; one channel more if the seeing is given.
    """
    mapped = map_bands(snr, channels)
    made = np.empty((len(mapped) + (seeing is not None), *mapped.shape[1:]), np.float32)
    bands = made[: len(mapped)]
    np.arcsinh(np.multiply(mapped, np.float32(1 / STRETCH), out=bands), out=bands)
    if seeing is not None:
        made[-1] = seeing_level(seeing)
    return made


def pad_to_multiple(cube: Cube, multiple: int) -> Cube:
    """Pad the far edges with empty sky to a multiple of the network's coarsest stride.

    The seeing's channel, too, is 0 there: nobody looks for sources in the padding.
    """
    ny, nx = cube.shape[-2:]
    pad_y, pad_x = -ny % multiple, -nx % multiple
    if not (pad_y or pad_x):
        return np.ascontiguousarray(cube)
    return np.pad(cube, [(0, 0), (0, pad_y), (0, pad_x)])
