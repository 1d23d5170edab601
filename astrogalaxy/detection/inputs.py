"""From aligned bands in units of noise to the network's input channels.

Bands are mapped by the order of their wavelengths, whatever their names: one band
fills every channel; two fill the outer ones, their sum the middle; more than the
channels are summed in neighbouring groups, each sum again in units of its noise.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRETCH", "map_bands", "network_input", "pad_to_multiple"]

#: Signal to noise at which the stretch ``asinh(snr / STRETCH)`` turns from linear to logarithmic.
STRETCH = 3.0

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


def network_input(snr: Cube, channels: int) -> Cube:
    """Map and stretch bands: what the network sees, before padding.

    Parameters
    ----------
    snr : ndarray
        ``(n_bands, ny, nx)`` float32 signal to noise.
    channels : int
        Input channels.

    Returns
    -------
    ndarray
        ``(channels, ny, nx)`` float32, contiguous.
    """
    stretched = map_bands(snr, channels) * np.float32(1 / STRETCH)
    return np.arcsinh(stretched, out=stretched)


def pad_to_multiple(cube: Cube, multiple: int) -> Cube:
    """Pad the far edges with empty sky to a multiple of the network's coarsest stride."""
    ny, nx = cube.shape[-2:]
    pad_y, pad_x = -ny % multiple, -nx % multiple
    if not (pad_y or pad_x):
        return np.ascontiguousarray(cube)
    return np.pad(cube, [(0, 0), (0, pad_y), (0, pad_x)])
