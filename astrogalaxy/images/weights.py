"""Weight maps beside the pixels they are made for: by what factor their noise is off, and whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from astrogalaxy.images.background import Mesh

    Read = Callable[[Section], tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]]

__all__ = ["WEIGHT_TYPES", "WeightSample", "as_inverse_variance", "usable"]

WEIGHT_TYPES = {"inverse_variance": -2, "relative": -2, "variance": 2, "rms": 1}
"""What maps of weights hold, and which power of the image unit that is."""

# One pixel in so many rows and columns: some for each box of the mesh.
_SPARSE = 16
# Where the logarithm of the noise scatters by so much, a map that runs against it (correlation) is turned over.
_VARIES, _TURNED = 0.1, -0.8
# The brightest pixels, one in so many of each of so many rows, tell whether the map has the noise of their light, too:
# those that are so many times as bright as the noise, if there are so many of them, where their light adds so much to
# the variance of the sky. Of what is not photons, brighter pixels do not have more in proportion, to the last factor.
_BRIGHTEST, _BRIGHT_ROWS = 64, 4
_BRIGHT, _FEWEST, _MATTERS, _ALIKE = 20.0, 30, 0.2, 1.6
# In images of so few rows every row is looked at. Weights so much smaller than most of the largest stand for no data.
_FEW_ROWS, _NEGLIGIBLE = 256, 1e-9


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
        self._bright: dict[int, tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]] = {}  # x first

    def read(self, section: Section) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Pixels of whole rows, and which of them are bad."""
        pixels, bad_pixels, weights = self._read(section)
        sparse = np.s_[::_SPARSE, ::_SPARSE]
        known = weights[sparse][~bad_pixels[sparse]]
        least = _NEGLIGIBLE * np.percentile(known, 99) if known.size else 0.0
        arrays = pixels, bad_pixels | ~(weights > least), weights
        for y in range(-section.y0 % _SPARSE, section.shape[0], _SPARSE):
            self._rows[section.y0 + y] = tuple(array[y, ::_SPARSE].copy() for array in arrays)
        step = _BRIGHT_ROWS if section.shape[0] > _FEW_ROWS else 1
        for y in range(-section.y0 % step, section.shape[0], step):
            data, bad, weight = (array[y] for array in arrays)
            count = -(-len(data) // _BRIGHTEST)
            x = np.argpartition(np.where(bad, -np.inf, data), -count)[-count:]
            x = x[~bad[x]]
            self._bright[section.y0 + y] = x, data[x], weight[x]
        return pixels, arrays[1]

    def ratio(self, mesh: Mesh) -> tuple[float, bool]:
        """Noise of the weights in units of that of the mesh, and whether it is less where that is more.

        The first is the median of what was read; NaN where all is bad.
        """
        noises = [np.zeros((2, 0))]
        for y, (data, bad, weight) in self._rows.items():
            good = ~bad if mesh.blank is None else ~bad & (data != mesh.blank)
            noise = mesh.noise(Section(0, mesh.shape[1], y, y + 1))[0, ::_SPARSE]
            noises.append(np.log([1 / np.sqrt(weight[good]), noise[good]]))
        weighted, measured = np.concatenate(noises, axis=1)
        if not len(measured):
            return float("nan"), False
        spread = weighted.std() * measured.std()
        turned = measured.std() > _VARIES and spread > 0 and np.cov(weighted, measured, ddof=0)[0, 1] / spread < _TURNED
        return float(np.exp(np.median(weighted - measured))), bool(turned)

    def photon(self, mesh: Mesh, factor: float, ratio: float) -> float:
        """What a unit of light adds to the variance of the map, image units; 0 if that is the variance of the sky.

        Parameters
        ----------
        mesh : Mesh
            Of the pixels.
        factor : float
            By what the noise of the map is to be multiplied, in image units.
        ratio : float
            See `ratio`.
        """
        added = [np.zeros((3, 0))]
        for y, (x, data, weight) in self._bright.items():
            row = Section(0, mesh.shape[1], y, y + 1)
            light, noise = data - mesh.background(row)[0, x], mesh.noise(row)[0, x].astype(float)
            usual = (factor * ratio * noise) ** 2
            more = factor**2 / weight.astype(float) - usual
            clear = light > _BRIGHT * np.sqrt(usual)
            added.append(np.stack([light[clear], more[clear] / usual[clear], more[clear] / light[clear]]))
        light, share, photon = np.concatenate(added, axis=1)
        if len(light) < _FEWEST or np.median(share) < _MATTERS:
            return 0.0
        brighter = light > np.median(light)
        change = np.median(photon[brighter]) / np.median(photon[~brighter])
        return float(np.median(photon)) if 1 / _ALIKE < change < _ALIKE else 0.0


def as_inverse_variance(values: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Weights from the values of a map of one of `WEIGHT_TYPES`; what is not positive and finite has none.

    Examples
    --------
    >>> as_inverse_variance(np.array([2.0, 0.0, np.inf, np.nan], dtype="float32"), "rms").tolist()
    [0.25, 0.0, 0.0, 0.0]
    """
    if WEIGHT_TYPES[kind] < 0:
        return values
    good = usable(values)
    with np.errstate(over="ignore", under="ignore"):
        weight = np.divide(1, values, where=good, out=np.zeros_like(values))
        if kind == "rms":
            weight *= weight
    # a noise that large, or none at all, is how these maps say that there is no data
    weight[~(weight > np.finfo(weight.dtype).tiny)] = 0
    return weight


def usable(weight: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which weights say something about their pixels: positive and finite ones."""
    return (weight > 0) & np.isfinite(weight)
