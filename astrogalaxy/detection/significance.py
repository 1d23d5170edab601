"""How significant the light at a position is, all bands together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["significance"]

# A Gaussian about as wide as a star in common seeing; the result depends little on it. How far out it is summed.
_SIGMA, _REACH = 1.4, 2.0


def significance(
    snr: NDArray[np.float32],
    x: ArrayLike,
    y: ArrayLike,
    *,
    sigma: float = _SIGMA,
    bad: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Signal to noise of a matched filter at given positions.

    Parameters
    ----------
    snr : ndarray
        ``(n_bands, ny, nx)`` signal to noise per pixel, 0 where bad.
    x, y : array-like
        ``(n,)`` positions in 0-based pixels; off the image nothing is added.
    sigma : float, optional
        Width of the filter, a Gaussian, in pixels.
    bad : ndarray, optional
        ``(n_bands, ny, nx)`` pixels without data. Bands that have none at all where the filter is do not count; by
        default all do.

    Returns
    -------
    ndarray
        ``(n,)`` in units of sigma, at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> snr = np.zeros((1, 9, 9), np.float32)
    >>> snr[0, 4, 4] = 10
    >>> float(significance(snr, [4.0], [4.0])[0].round(1))
    4.0
    """
    x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    _, ny, nx = snr.shape
    reach = int(np.ceil(_REACH * sigma))
    step = np.arange(-reach, reach + 1)
    columns = np.rint(x).astype(int)[:, None, None] + step
    rows = np.rint(y).astype(int)[:, None, None] + step[:, None]
    kernel = np.exp(-0.5 * ((columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2) / sigma**2)
    kernel /= np.sqrt((kernel**2).sum(axis=(1, 2), keepdims=True))
    inside = (columns >= 0) & (columns < nx) & (rows >= 0) & (rows < ny)
    pixels = np.s_[:, np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)]
    n_bands = len(snr) if bad is None else np.maximum((~bad[pixels]).any(axis=(2, 3)).sum(axis=0), 1)
    signal = (snr[pixels].sum(axis=0) * kernel * inside).sum(axis=(1, 2)) / np.sqrt(n_bands)
    return np.maximum(signal, 0.0)
