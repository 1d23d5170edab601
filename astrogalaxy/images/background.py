"""The sky of one band: background and noise on a coarse mesh, computed once per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.lattice import expand
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Mesh", "make_mesh"]

# Boxes with a smaller fraction of good pixels take the value of their nearest neighbour.
_MIN_GOOD = 0.1
_CLIP_SIGMA = 3.0
_CLIP_ROUNDS = 12
# Root mean square of the half of a Gaussian between -3 sigma and its centre, in sigma.
_CLIPPED_RMS = 0.98658
# Pixels read at a time while the mesh is made: bounds the memory, whatever the image.
_BLOCK_PIXELS = 2 * 2**20


@dataclass(frozen=True)
class Mesh:
    """Background and noise of the sky at the centres of a mesh of boxes.

    Values between the centres are interpolated linearly; outside the outermost centres
    they stay constant. A pixel gets the same value whatever section it is asked for in.

    Parameters
    ----------
    background_mesh, noise_mesh : ndarray, shape (n_boxes_y, n_boxes_x), float32
        In image units; the noise is one sigma of a pixel and positive.
    box : (int, int)
        Height and width of a box in pixels.
    shape : (int, int)
        Rows and columns of the image.
    """

    background_mesh: NDArray[np.float32]
    noise_mesh: NDArray[np.float32]
    box: tuple[int, int]
    shape: tuple[int, int]

    def background(self, section: Section | None = None) -> NDArray[np.float32]:
        """Background of a section (default: the whole image), shape (ny, nx), image units."""
        return self._expand(self.background_mesh, section)

    def noise(self, section: Section | None = None) -> NDArray[np.float32]:
        """Noise of a pixel (1 sigma) in a section, shape (ny, nx), image units, > 0."""
        return self._expand(self.noise_mesh, section)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays that `from_arrays` turns into an equal mesh, for ``np.savez``."""
        return {
            "background": self.background_mesh,
            "noise": self.noise_mesh,
            "box": np.asarray(self.box, dtype=np.int64),
            "shape": np.asarray(self.shape, dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Any) -> Mesh:
        """Mesh out of what `to_arrays` gave (a mapping of arrays, such as an opened npz file)."""
        box, shape = (tuple(int(n) for n in arrays[key]) for key in ("box", "shape"))
        background, noise = (np.array(arrays[key], dtype=np.float32) for key in ("background", "noise"))
        return cls(background, noise, box, shape)

    @classmethod
    def constant(cls, background: float, noise: float, shape: tuple[int, int]) -> Mesh:
        """Mesh of one box: the same background and noise everywhere."""
        values = (np.full((1, 1), value, dtype=np.float32) for value in (background, noise))
        return cls(*values, box=shape, shape=shape)

    def _expand(self, mesh: NDArray[np.float32], section: Section | None) -> NDArray[np.float32]:
        section = Section.whole(self.shape) if section is None else section
        if mesh.size == 1:
            return np.full(section.shape, mesh[0, 0], dtype=np.float32)
        centres = (self.box[0] - 1) / 2, (self.box[1] - 1) / 2
        return expand(mesh, self.box, centres, section)


def make_mesh(
    read: Callable[[Section], tuple[NDArray[np.float32], NDArray[np.bool_] | None]],
    shape: tuple[int, int],
    *,
    box: int = 64,
    filter_size: int = 3,
    origin: str = "image",
) -> Mesh:
    """Measure the sky of a whole image, reading it by blocks of rows.

    In each box pixels are clipped at 3 sigma around the centre until nothing changes;
    the background is SExtractor's mode, 2.5 median - 1.5 mean, with the mean of the
    middle 40 % in place of the median; the noise is the root mean square of the pixels
    below the background, where few sources reach. Both meshes are then median filtered.

    Parameters
    ----------
    read : callable
        Gives the pixels of a section, shape (ny, nx), and which of them are bad (bool,
        or None); NaN and infinities are bad without being told. Neither is modified.
    shape : (int, int)
        Rows and columns of the image.
    box : int, optional
        Wished side of a box in pixels; boxes shrink in images smaller than that.
    filter_size : int, optional
        Side of the median filter in boxes; 1 for none.
    origin : str, optional
        What to call the image in errors.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the image has no usable pixels: all bad, or all of one value.
    """
    ny, nx = shape
    height, width = _box_side(ny, box), _box_side(nx, box)
    step = max(1, _BLOCK_PIXELS // (height * nx)) * height
    parts = []
    spread = _Spread()
    for y0 in range(0, ny, step):
        pixels, bad = read(Section(0, nx, y0, min(y0 + step, ny)))
        boxes = _boxes(pixels, bad, height, width)
        spread.add(boxes)
        parts.append(_box_statistics(boxes))
    if not spread.usable:
        msg = f"{origin}: no usable pixels, {spread.reason}"
        raise ImageError(msg)
    columns = -(-nx // width)
    background = np.concatenate([part[0] for part in parts]).reshape(-1, columns)
    noise = np.concatenate([part[1] for part in parts]).reshape(-1, columns)
    background, noise = _fill(background, noise, spread)
    if filter_size > 1:
        background, noise = (_smooth(values, filter_size) for values in (background, noise))
    return Mesh(background.astype(np.float32), noise.astype(np.float32), (height, width), (ny, nx))


class _Spread:
    """What is known of the whole image's values: whether it is an image at all."""

    def __init__(self) -> None:
        self.low, self.high, self.count = np.inf, -np.inf, 0

    def add(self, boxes: NDArray[np.float32]) -> None:
        finite = np.isfinite(boxes)
        self.count += int(np.count_nonzero(finite))
        self.low = min(self.low, float(np.min(boxes, where=finite, initial=np.inf)))
        self.high = max(self.high, float(np.max(boxes, where=finite, initial=-np.inf)))

    @property
    def usable(self) -> bool:
        return self.count > 1 and self.high > self.low

    @property
    def reason(self) -> str:
        return "all are NaN or masked" if self.count == 0 else f"all good ones have the value {self.low:g}"


def _smooth(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Median filter that leaves planes as they are; alone it would flatten their corners."""
    from scipy import ndimage

    rows, columns = np.indices(values.shape)
    terms = np.stack([np.ones(values.size), rows.ravel(), columns.ravel()], axis=1)
    plane = (terms @ np.linalg.lstsq(terms, values.ravel(), rcond=None)[0]).reshape(values.shape)
    filtered = plane + ndimage.median_filter(values - plane, size=size, mode="nearest")
    # A plane through outliers must not carry a filtered value out of the range of all.
    return np.clip(filtered, values.min(), values.max())


def _box_side(length: int, wished: int) -> int:
    """Side of the boxes along an axis: near the wished one, so that they nearly fill the axis."""
    count = max(1, round(length / wished))
    return -(-length // count)


def _boxes(
    pixels: NDArray[np.float32], bad: NDArray[np.bool_] | None, height: int, width: int
) -> NDArray[np.float32]:
    """Pixels sorted within each box, shape (n_boxes, height * width); bad and absent ones NaN at the end."""
    ny, nx = pixels.shape
    rows, columns = -(-ny // height), -(-nx // width)
    padded = np.full((rows * height, columns * width), np.nan, dtype=np.float32)
    image = padded[:ny, :nx]
    image[...] = pixels
    image[~np.isfinite(image)] = np.nan
    if bad is not None:
        image[bad] = np.nan
    boxes = padded.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(rows * columns, -1)
    boxes.sort(axis=1)
    return boxes


def _box_statistics(boxes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Background and noise of boxes of sorted pixels; NaN where too few are good."""
    n_boxes, area = boxes.shape
    good = np.count_nonzero(~np.isnan(boxes), axis=1)
    background, noise = np.full(n_boxes, np.nan), np.full(n_boxes, np.nan)
    enough = np.flatnonzero(good >= max(_MIN_GOOD * area, 4))
    if enough.size:
        background[enough], noise[enough] = _Sorted(boxes[enough], good[enough]).sky()
    return background, noise


class _Sorted:
    """Boxes of sorted pixels, with running sums that give the mean of any range of ranks at once.

    Means over ranges of ranks stand in for the median and its like: as robust, and not
    stuck on the steps of data that came from small integers.
    """

    def __init__(self, boxes: NDArray[np.float32], good: NDArray[np.intp]) -> None:
        self._rows = np.arange(len(boxes))
        self._boxes, self._good = boxes, good
        self._origin = boxes[self._rows, good // 2].astype(np.float64)
        values = np.where(np.isnan(boxes), 0.0, boxes - self._origin[:, None])
        self._sum = np.zeros((len(boxes), boxes.shape[1] + 1))
        self._square = np.zeros_like(self._sum)
        np.cumsum(values, axis=1, out=self._sum[:, 1:])
        np.cumsum(np.square(values, out=values), axis=1, out=self._square[:, 1:])

    def sky(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Background and noise of each box."""
        low, high = np.zeros_like(self._good), self._good
        for _ in range(_CLIP_ROUNDS):
            centre, sigma = self._centre(low, high)
            new_low = np.minimum(self._rank(centre - _CLIP_SIGMA * sigma), self._good - 2)
            new_high = np.maximum(self._rank(centre + _CLIP_SIGMA * sigma), new_low + 2)
            unchanged = np.array_equal(new_low, low) and np.array_equal(new_high, high)
            low, high = new_low, new_high
            if unchanged:
                break
        centre, _ = self._centre(low, high)
        mode = 2.5 * centre - 1.5 * self._mean(low, high)
        below = np.clip(self._rank(mode), low + 1, high)
        count = below - low
        first, second = self._range(self._sum, low, below), self._range(self._square, low, below)
        variance = second / count - 2 * mode * first / count + mode**2
        return self._origin + mode, np.sqrt(np.maximum(variance, 0)) / _CLIPPED_RMS

    def _centre(self, low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Centre (mean of the middle 40 %) and sigma (from the mean of the lower half)."""
        count = high - low
        trim = (0.3 * count).astype(np.intp)
        centre = self._mean(low + trim, high - trim)
        lower = self._mean(low, low + np.maximum(count // 2, 1))
        return centre, (centre - lower) / np.sqrt(2 / np.pi)

    def _mean(self, low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.float64]:
        return self._range(self._sum, low, high) / (high - low)

    def _range(self, sums: NDArray[np.float64], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.float64]:
        return sums[self._rows, high] - sums[self._rows, low]

    def _rank(self, value: NDArray[np.float64]) -> NDArray[np.intp]:
        """Number of good pixels below `value` (counted from the origin) in each box, by bisection."""
        low, high = np.zeros_like(self._good), self._good.copy()
        for _ in range(int(self._boxes.shape[1]).bit_length()):
            middle = (low + high) // 2
            at = self._boxes[self._rows, np.minimum(middle, self._good - 1)] - self._origin
            below = (at < value) & (middle < high)
            low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
        return low


def _fill(
    background: NDArray[np.float64], noise: NDArray[np.float64], spread: _Spread
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give boxes without good pixels the values of the nearest box that has them."""
    from scipy import ndimage

    # Boxes filled with one value, as outside a mosaic's coverage, keep it as their background.
    levels, noises = np.isfinite(background), noise > 0
    if not noises.any():
        # Few pixels, or few distinct values: one noise for all, from the whole range.
        noise, noises = np.full_like(noise, (spread.high - spread.low) / 2), np.ones_like(noises)
    if not levels.any():
        background, levels = np.full_like(background, (spread.high + spread.low) / 2), np.ones_like(levels)
    filled = []
    for values, known in ((background, levels), (noise, noises)):
        if not known.all():
            nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
            values = values[tuple(nearest)]
        filled.append(values)
    return filled[0], filled[1]
