"""Sources as the network sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detections"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Detections:
    """Sources as the network sees them, best first.

    Attributes
    ----------
    x, y : ndarray
        Centres in 0-based pixels of the whole reference image.
    x_min, x_max, y_min, y_max : ndarray
        Sides of the boxes, same pixels.
    significance : ndarray
        Signal to noise of a matched filter at the centre, all bands together.
    det_score, p_star, p_galaxy, p_smooth, p_disk : ndarray
        Calibrated probabilities. ``p_star + p_galaxy = 1``; ``p_smooth`` and
        ``p_disk`` hold if the source is a galaxy, and add up to 1.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import find, open_runtime
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2)
    >>> found = find(ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}), open_runtime())
    >>> bright = found.take(found.significance > 20)
    >>> len(bright) <= len(found) == len(found.det_score)
    True
    """

    x: Floats
    y: Floats
    x_min: Floats
    x_max: Floats
    y_min: Floats
    y_max: Floats
    significance: Floats
    det_score: Floats
    p_star: Floats
    p_galaxy: Floats
    p_smooth: Floats
    p_disk: Floats

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def none(cls) -> Detections:
        """No sources."""
        return cls.from_array(np.zeros((len(cls.__dataclass_fields__), 0)))

    @classmethod
    def from_array(cls, values: Floats) -> Detections:
        """Sources out of what `to_array` gave."""
        return cls(*values)

    def to_array(self) -> Floats:
        """Plain numbers, one row for each attribute, for ``np.savez``."""
        return np.array([getattr(self, name) for name in self.__dataclass_fields__])

    @property
    def boxes(self) -> Floats:
        """Sides of the boxes, shape (n, 4): x_min, x_max, y_min, y_max."""
        return np.column_stack([self.x_min, self.x_max, self.y_min, self.y_max])

    def __iter__(self) -> Iterator[Detections]:
        """One after the other."""
        return (self.take(np.array([number])) for number in range(len(self)))

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Return a selection of the sources."""
        return Detections(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def join(self, other: Detections) -> Detections:
        """Put other sources after these."""
        names = self.__dataclass_fields__
        return Detections(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))
