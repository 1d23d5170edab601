"""The family of light profiles behind the measurements: elliptical Moffat profiles.

One number, the exponent beta, leads from a Gaussian (large beta) over the stars of a
ground-based image (2.5 to 4) to the wide wings of a concentrated galaxy (2.1). Two
quantities that are measured anyway fix a profile: the adaptive moments (the covariance of
the best-matching Gaussian weight, Bernstein & Jarvis 2002, AJ 123, 583) give the size, and
the Kron radius in units of that size gives beta. The profile then says how much light lies
outside an aperture and how much of a neighbour reaches into it. Lengths here are in units
of the adaptive rms size, sigma.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["BETA_LIMITS", "KRON_LIMIT", "Moffat", "exponent"]

KRON_LIMIT = 6.0
"""Radius, in sigma, out to which the Kron radius of the tables is summed."""

BETA_LIMITS = (2.1, 20.0)
"""Exponents between which the family is used."""

_GRID = np.geomspace(*BETA_LIMITS, 40)


@lru_cache(maxsize=1)
def _tables() -> dict[str, np.ndarray]:
    """Quantities of the family along the grid of exponents, from sums over rings."""
    edges = np.concatenate([np.linspace(0.0, 12.0, 2401), np.geomspace(12.0, 200.0, 400)[1:]])
    radius = (edges[1:] + edges[:-1]) / 2
    names = ("scale", "core", "kron")
    rows = []
    for beta in _GRID:
        light = -np.diff((1.0 + edges**2) ** (1.0 - beta))
        size2 = 1.0 / beta
        for _ in range(200):
            weight = np.exp(-(radius**2) / (2.0 * size2))
            size2 = np.sum(light * weight * radius**2) / np.sum(light * weight)
        size = np.sqrt(size2)
        core = 2.0 * np.sum(light * np.exp(-(radius**2) / (2.0 * size2)))
        inside = radius < KRON_LIMIT * size
        kron = np.sum((light * radius)[inside]) / np.sum(light[inside]) / size
        rows.append((1.0 / size, core, kron))
    return dict(zip(names, np.array(rows).T, strict=True))


def exponent(kron_radius: ArrayLike) -> np.ndarray:
    """Exponent beta of the profile with a given Kron radius.

    Parameters
    ----------
    kron_radius : array_like
        First moment of the radius within `KRON_LIMIT`, in units of sigma: 1.25 for a
        Gaussian, about 1.5 for stars, up to 2 and more for concentrated galaxies.

    Returns
    -------
    ndarray
        Beta, same shape, within `BETA_LIMITS`.
    """
    kron = _tables()["kron"]
    return np.interp(kron_radius, kron[::-1], _GRID[::-1])


class Moffat:
    """Properties of circular Moffat profiles of total light 1 and adaptive size 1.

    Parameters
    ----------
    beta : array_like
        Exponents; clipped to `BETA_LIMITS`.

    Examples
    --------
    >>> from astrogalaxy.measurement.profiles import Moffat
    >>> round(float(Moffat(3.0).enclosed(4.0)), 2)
    0.96
    """

    def __init__(self, beta: ArrayLike) -> None:
        self.beta = np.clip(np.asarray(beta, dtype=np.float64), *BETA_LIMITS)

    def _interpolate(self, name: str) -> np.ndarray:
        return np.interp(np.log(self.beta), np.log(_GRID), _tables()[name])

    @property
    def scale(self) -> np.ndarray:
        """Scale radius alpha of ``(1 + r**2 / alpha**2) ** -beta``."""
        return self._interpolate("scale")

    @property
    def core(self) -> np.ndarray:
        """Light that the matched Gaussian weight sees (twice the weighted sum): below 1 as wings are missed."""
        return self._interpolate("core")

    @property
    def fwhm(self) -> np.ndarray:
        """Full width at half maximum."""
        return 2.0 * self.scale * np.sqrt(2.0 ** (1.0 / self.beta) - 1.0)

    @property
    def peak(self) -> np.ndarray:
        """Central surface brightness."""
        return (self.beta - 1.0) / (np.pi * self.scale**2)

    def enclosed(self, radius: ArrayLike) -> np.ndarray:
        """Share of the light within a radius, 0 to 1."""
        return 1.0 - (1.0 + (np.asarray(radius) / self.scale) ** 2) ** (1.0 - self.beta)

    def radius_of(self, brightness: ArrayLike) -> np.ndarray:
        """Radius at which the surface brightness falls to `brightness`; 0 where it is nowhere so high."""
        ratio = np.maximum(self.peak / np.asarray(brightness, dtype=np.float64), 1.0)
        return self.scale * np.sqrt(ratio ** (1.0 / self.beta) - 1.0)
