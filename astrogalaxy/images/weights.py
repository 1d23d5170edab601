"""Weight maps beside the pixels they are made for: by what factor their noise is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from astrogalaxy.images.background import Mesh

    Read = Callable[[Section], tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]]

__all__ = ["WeightSample", "usable"]

# One pixel in so many rows and columns: some for each box of the mesh.
_SPARSE = 16


class WeightSample:
    """Reads pixels for a mesh and keeps a few of their weights, so that no map is read twice.

    Parameters
    ----------
    read : callable
        Gives the pixels of a section, which of them are bad, and their weights.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._rows: dict[int, tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]] = {}

    def read(self, section: Section) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Pixels of whole rows, and which of them are bad."""
        arrays = self._read(section)
        for y in range(-section.y0 % _SPARSE, section.shape[0], _SPARSE):
            self._rows[section.y0 + y] = tuple(array[y, ::_SPARSE].copy() for array in arrays)
        return arrays[:2]

    def ratio(self, mesh: Mesh) -> float:
        """Noise of the weights in units of that of the mesh: the median of what was read; NaN where all is bad."""
        ratios = [np.zeros(0)]
        for y, (data, bad, weight) in self._rows.items():
            good = ~bad if mesh.blank is None else ~bad & (data != mesh.blank)
            noise = mesh.noise(Section(0, mesh.shape[1], y, y + 1))[0, ::_SPARSE]
            ratios.append(1 / np.sqrt(weight[good]) / noise[good])
        known = np.concatenate(ratios)
        return float(np.median(known)) if len(known) else float("nan")


def usable(weight: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which weights say something about their pixels: positive and finite ones."""
    return (weight > 0) & np.isfinite(weight)
