"""Boxes from the light of each source alone: isophotes on noise-free images.

Simulations know every source's own light. Astro R-CNN (Burke et al. 2019) makes its instance masks from it: the
pixels where a source's own light is above a limit. Boxes that come from such masks can be predicted from the image,
since their sides depend on the brightness only through its logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ISOPHOTE_DTYPE", "OwnLight", "isophotal_sources"]

#: What `isophotal_sources` says of a source: its box (0-based pixels, sides of the isophote), the matched-filter signal
#: to noise of its own light, and the share in which it is the brightest source: of its isophote, or of its core (down
#: to half of its own peak), whichever is larger.
ISOPHOTE_DTYPE = np.dtype([(n, "f8") for n in ("x_min", "x_max", "y_min", "y_max", "snr", "own")] + [("galaxy", "?")])

Light = NDArray[np.float32]


@dataclass(frozen=True)
class OwnLight:
    """The light of one source, without noise and without its neighbours.

    Attributes
    ----------
    x, y : int
        Pixel of the image on which the first pixel of the patch lies.
    light : ndarray
        ``(ny, nx)`` float32 patch in units of the sky's noise.
    galaxy : bool
        A galaxy, or else a star.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.datasets.isophotes import OwnLight
    >>> star = OwnLight(x=10, y=20, light=np.full((3, 3), 5, np.float32), galaxy=False)
    >>> float(star.light.sum())
    45.0
    """

    x: int
    y: int
    light: Light
    galaxy: bool

    @classmethod
    def from_frame(cls, frame: Light, *, galaxy: bool) -> OwnLight:
        """Cut the patch out of a frame that holds nothing else.

        Parameters
        ----------
        frame : ndarray
            ``(ny, nx)`` float32 light of one source in units of the sky's noise, 0 where there is none.
        galaxy : bool
            A galaxy, or else a star.

        Returns
        -------
        OwnLight
            An empty frame gives an empty patch.

        Examples
        --------
        >>> frame = np.zeros((9, 9), np.float32)
        >>> frame[3:5, 2:7] = 1
        >>> own = OwnLight.from_frame(frame, galaxy=True)
        >>> own.x, own.y, own.light.shape
        (2, 3, (2, 5))
        """
        rows, columns = np.nonzero(frame.any(axis=1))[0], np.nonzero(frame.any(axis=0))[0]
        if not len(rows):
            return cls(0, 0, np.zeros((0, 0), np.float32), galaxy)
        patch = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(int(columns[0]), int(rows[0]), patch.copy(), galaxy)


def isophotal_sources(objects: Sequence[OwnLight], shape: tuple[int, int], *, isophote: float) -> NDArray[np.void]:
    """Boxes of the sources that reach an isophote.

    Parameters
    ----------
    objects : sequence of OwnLight
        All sources of an image.
    shape : (int, int)
        Rows and columns of the image.
    isophote : float
        Limit in units of the sky's noise per pixel.

    Returns
    -------
    ndarray
        Records of `ISOPHOTE_DTYPE` in the order of ``objects``, without those that nowhere reach the isophote. The
        sides lie where the light falls below it, to a fraction of a pixel; on the image's edge where a source is cut.

    Examples
    --------
    >>> light = np.array([[0, 4, 8, 4, 0]], np.float32)
    >>> found = isophotal_sources([OwnLight(10, 20, light, galaxy=False)], (64, 64), isophote=2)
    >>> found["x_min"], found["x_max"]
    (array([10.5]), array([13.5]))
    """
    brightest = np.zeros(shape, np.float32)
    owner = np.full(shape, -1, dtype=np.int32)
    for number, source in enumerate(objects):
        window = _window(source)
        wins = source.light > brightest[window]
        brightest[window][wins] = source.light[wins]
        owner[window][wins] = number
    found = []
    for number, source in enumerate(objects):
        inside = source.light > isophote
        if inside.any():
            x_min, x_max = _sides(source.light.max(axis=0), isophote, source.x, shape[1])
            y_min, y_max = _sides(source.light.max(axis=1), isophote, source.y, shape[0])
            snr = float(np.sqrt(np.sum(source.light.astype(float) ** 2)))
            brightest_here = owner[_window(source)] == number
            core = source.light >= source.light.max() / 2
            own = float(max(brightest_here[inside].mean(), brightest_here[core].mean()))
            found.append((x_min, x_max, y_min, y_max, snr, own, source.galaxy))
    return np.array(found, dtype=ISOPHOTE_DTYPE)


def _window(source: OwnLight) -> tuple[slice, slice]:
    ny, nx = source.light.shape
    return slice(source.y, source.y + ny), slice(source.x, source.x + nx)


def _sides(profile: NDArray[np.floating], limit: float, start: int, size: int) -> tuple[float, float]:
    """Where a profile rises above a limit and falls below it, in pixels of an image of ``size``."""
    above = np.nonzero(profile > limit)[0]
    padded = np.concatenate([[0.0], profile, [0.0]])  # outside its patch a source has no light
    low, high = int(above[0]) + 1, int(above[-1]) + 1
    rise = low - (padded[low] - limit) / (padded[low] - padded[low - 1])
    fall = high + (padded[high] - limit) / (padded[high] - padded[high + 1])
    # a source that is cut by the image's edge ends there
    first = -0.5 if start + low - 1 == 0 else start + rise - 1
    last = size - 0.5 if start + high - 1 == size - 1 else start + fall - 1
    return float(first), float(last)
