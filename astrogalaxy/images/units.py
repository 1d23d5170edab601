"""Units in which pixels are near 1: 32 bits do not hold the squares of fluxes in cgs or SI units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["pixel_unit"]

# Noise between these numbers needs no other unit.
_LEAST, _MOST = 1e-12, 1e12
# So many rows tell how large the noise is, roughly.
_ROWS = 16


def pixel_unit(read: Callable[[Section], NDArray[np.float32]], shape: tuple[int, int]) -> float:
    """Power of two near the noise of an image, or 1 where that is not far from 1 itself.

    Parameters
    ----------
    read : callable
        Gives the pixels of a section, shape (ny, nx).
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    float
        In image units. To divide by it costs no digits.

    Examples
    --------
    >>> sky = np.random.default_rng(0).normal(5, 1, (60, 80)).astype("float32")
    >>> [pixel_unit(lambda section: unit * sky[section.slices], sky.shape) for unit in (1.0, 2.0**-80)]
    [1.0, 8.271806125530277e-25]
    """
    ny, nx = shape
    rows = np.unique(np.linspace(0, ny - 1, _ROWS).astype(int))
    lines = np.concatenate([read(Section(0, nx, int(y), int(y) + 1)) for y in rows]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        steps = np.abs(np.diff(lines, axis=1))
    # areas of one value have no noise
    steps = steps[np.isfinite(steps) & (steps > 0)]
    typical = float(np.median(steps)) if len(steps) else 1.0
    return 1.0 if _LEAST < typical < _MOST else float(2.0 ** np.rint(np.log2(typical)))
