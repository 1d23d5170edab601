"""Pixels of a section of one band, ready to use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images.tiling import Section

__all__ = ["Pixels"]


@dataclass(frozen=True)
class Pixels:
    """A section of one band, ready to use: native, contiguous, and without NaN.

    Parameters
    ----------
    data : ndarray, shape (ny, nx), float32
        Background-subtracted pixels; 0 where bad. In image units, or larger or smaller ones where the noise is very far
        from 1 (`Band.unit`).
    noise : ndarray, shape (ny, nx), float32
        One sigma of the sky in a pixel, in the same units, positive everywhere: from the weight
        map if there is one (brought to the noise of the mesh, `Mesh.weight_factor`), else from the mesh.
    bad : ndarray, shape (ny, nx), bool
        NaN, infinite or as large as numbers that stand for no data (1e29), of the value that fills areas
        without data (`Mesh.blank`), masked, or of weight zero.
    saturated : ndarray, shape (ny, nx), bool
        At or above the saturation level, or saturated by the mask. Such pixels are bad only if they are masked, too.
    section : Section
        Where these pixels lie in the band.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy import Image
    >>> sky = np.random.default_rng(0).normal(100, 5, (90, 120))
    >>> sky[3, 4] = np.nan
    >>> pixels = Image.read({"r": sky}).bands["r"].pixels()
    >>> bool(pixels.bad[3, 4]), float(pixels.data[3, 4]), bool((pixels.noise > 0).all())
    (True, 0.0, True)
    """

    data: NDArray[np.float32]
    noise: NDArray[np.float32]
    bad: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    section: Section

    def part(self, section: Section) -> Pixels:
        """Pixels of a section within this one; the same arrays where it is all of it."""
        if section == self.section:
            return self
        cut = section.within(self.section).slices
        arrays = (self.data, self.noise, self.bad, self.saturated)
        return Pixels(*(np.ascontiguousarray(array[cut]) for array in arrays), section)
