"""The sky of one band: background and noise on a coarse mesh, computed once per image."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.gaussian import SIGMA_PER_MAD
from astrogalaxy.images.blank import BlankSearch
from astrogalaxy.images.digits import SPREAD, coarse_steps, spread_out
from astrogalaxy.images.lattice import expand
from astrogalaxy.images.photons import GRAIN, photon_sky
from astrogalaxy.images.slopes import continued, filled, slopes
from astrogalaxy.images.sums import PEAK, SIDE, differences, empty_sums
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["Mesh", "make_mesh"]

logger = logging.getLogger(__name__)

# Side of the median filter of meshes, in boxes.
_FILTER = 3
# Boxes with a smaller fraction of good pixels take the value of their nearest neighbour.
_MIN_GOOD = 0.1
_CLIP_SIGMA = 3.0
_CLIP_ROUNDS = 12
# Root mean square of the half of a Gaussian between -3 sigma and its centre, in sigma.
_CLIPPED_RMS = 0.98658
# Within so many times its sides a large source lifts the sky; least share of boxes around it that show sky.
_LIFTED, _LEAST_AROUND = 1.5, 0.3
# The mode of a box is lower than the mean of its photons by about so many.
_SKEW = 1 / 3
# No slope makes up more of the noise than leaves this share.
_LEAST_NOISE = 0.25
# Fewer differences between the empty apertures of a box do not tell how they scatter.
_LEAST_SUMS = 24
# Where they scatter so many times more than in the calmer boxes, relative to the noise of pixels, the sky itself is
# uneven. No box of the SDSS, KiDS, VIKING, DECam and HSC frames that were looked at reaches it.
_UNEVEN = 1.5
# Pixels read at a time while the mesh is made: bounds the memory, whatever the image.
_BLOCK_PIXELS = 2 * 2**20


@dataclass(frozen=True)
class Mesh:
    """Background and noise of the sky at the centres of a mesh of boxes.

    Values between the centres are interpolated linearly. Outside the outermost centres the
    background goes on with the slope that three boxes agree on, and the noise stays constant.
    A pixel gets the same value whatever section it is asked for in.

    Parameters
    ----------
    background_mesh, noise_mesh : ndarray, shape (n_boxes_y, n_boxes_x), float32
        In image units; the noise is one sigma of a pixel and positive.
    box : (int, int)
        Height and width of a box in pixels.
    shape : (int, int)
        Rows and columns of the image.
    blank : float, optional
        Value with which the image fills areas without data; its pixels are no sky.
    weight_factor : float, optional
        By what the noise of the band's weight map is multiplied.
    photon : float, optional
        Variance that a unit of a source's light has added to the weight map, image units (one electron, if the image
        unit is linear in them); 0 if the map has the noise of the sky alone.

    Examples
    --------
    >>> from astrogalaxy.images import Mesh
    >>> mesh = Mesh.constant(100.0, 5.0, (60, 80))
    >>> mesh.background().shape, float(mesh.noise()[0, 0])
    ((60, 80), 5.0)
    """

    background_mesh: NDArray[np.float32]
    noise_mesh: NDArray[np.float32]
    box: tuple[int, int]
    shape: tuple[int, int]
    blank: float | None = None
    weight_factor: float = 1.0
    photon: float = 0.0

    def background(self, section: Section | None = None) -> NDArray[np.float32]:
        """Background of a section (default: the whole image), shape (ny, nx), image units."""
        centres = (self.box[0] - 1) / 2 - self.box[0], (self.box[1] - 1) / 2 - self.box[1]
        return self._expand(continued(self.background_mesh), centres, section)

    def noise(self, section: Section | None = None) -> NDArray[np.float32]:
        """Noise of a pixel (1 sigma) in a section, shape (ny, nx), image units, > 0."""
        return self._expand(self.noise_mesh, ((self.box[0] - 1) / 2, (self.box[1] - 1) / 2), section)

    def bridged(self, boxes: NDArray[np.float64]) -> Mesh:
        """Mesh in which what lies under large sources is that of the sky around them: they have lifted it.

        Parameters
        ----------
        boxes : ndarray, shape (n, 4)
            ``x_min, x_max, y_min, y_max`` of each source, pixels of the image; its light is taken to be within half as
            much again on each side.

        Returns
        -------
        Mesh
            The same where there is no such source, and where one leaves no sky around it.

        Examples
        --------
        >>> import numpy as np
        >>> from astrogalaxy.images import Mesh
        >>> levels = np.full((9, 9), 100.0, dtype=np.float32)
        >>> levels[4, 4] = 103.0
        >>> mesh = Mesh(levels, np.ones_like(levels), (64, 64), (576, 576))
        >>> float(mesh.bridged(np.array([[250.0, 326.0, 250.0, 326.0]])).background_mesh.max())
        100.0
        """
        covered = np.zeros(self.background_mesh.shape, dtype=bool)
        rows, columns = ((np.arange(n) + 0.5) * side - 0.5 for n, side in zip(covered.shape, self.box, strict=True))
        for x_min, x_max, y_min, y_max in boxes:
            reach = (np.array([y_max - y_min, x_max - x_min]) * _LIFTED + self.box) / 2
            y, x = (rows - (y_min + y_max) / 2) / reach[0], (columns - (x_min + x_max) / 2) / reach[1]
            covered |= y[:, None] ** 2 + x**2 <= 1
        background, noise = (_bridge(mesh, covered) for mesh in (self.background_mesh, self.noise_mesh))
        return replace(self, background_mesh=background, noise_mesh=noise)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays that `from_arrays` turns into an equal mesh, for ``np.savez``."""
        return {
            "background": self.background_mesh,
            "noise": self.noise_mesh,
            "box": np.asarray(self.box, dtype=np.int64),
            "shape": np.asarray(self.shape, dtype=np.int64),
            "blank": np.asarray([] if self.blank is None else [self.blank], dtype=np.float32),
            "weight_factor": np.asarray(self.weight_factor),
            "photon": np.asarray(self.photon),
        }

    @classmethod
    def from_arrays(cls, arrays: Any) -> Mesh:
        """Mesh out of what `to_arrays` gave (a mapping of arrays, such as an opened npz file)."""
        box, shape = (tuple(int(n) for n in arrays[key]) for key in ("box", "shape"))
        background, noise = (np.array(arrays[key], dtype=np.float32) for key in ("background", "noise"))
        blank = float(arrays["blank"][0]) if arrays["blank"].size else None
        return cls(background, noise, box, shape, blank, *(float(arrays[key]) for key in ("weight_factor", "photon")))

    @classmethod
    def constant(cls, background: float, noise: float, shape: tuple[int, int]) -> Mesh:
        """Mesh of one box: the same background and noise everywhere."""
        values = (np.full((1, 1), value, dtype=np.float32) for value in (background, noise))
        return cls(*values, box=shape, shape=shape)

    def _expand(
        self, nodes: NDArray[np.float32], first: tuple[float, float], section: Section | None
    ) -> NDArray[np.float32]:
        section = Section.whole(self.shape) if section is None else section
        if self.background_mesh.size == 1:
            return np.full(section.shape, nodes[0, 0], dtype=np.float32)
        return expand(nodes, self.box, first, section)


def make_mesh(
    read: Callable[[Section], tuple[NDArray[np.float32], NDArray[np.bool_] | None]],
    shape: tuple[int, int],
    *,
    box: int = 64,
    uneven: bool = True,
    origin: str = "image",
) -> Mesh:
    """Measure the sky of a whole image, reading it by blocks of rows.

    The image is divided into boxes, whose pixels are clipped at 3 sigma around the median,
    up to 12 times. The background of a box is SExtractor's mode, 2.5 median - 1.5 mean, with
    the mean of the middle 40 % in place of the median; the noise is the root mean square of
    the pixels below the background, where few sources reach. Both meshes are then median
    filtered; what the background's slope across a box has added to the noise is taken out. A
    value that fills areas, as zeros do outside a mosaic's coverage, is no sky: the mesh is made
    anew without it. Where there are so few photons that pixels are empty, the share of these
    gives both background and noise, which is then that of one photon more.

    Where sums over small empty apertures scatter far more than pixels do, as in nebulae, which are uneven on the scale
    of sources, the noise is that of the sums.

    Parameters
    ----------
    read : callable
        Gives the pixels of a section, shape (ny, nx), and which of them are bad (bool,
        or None); NaN and infinities are bad without being told. Neither is modified.
    shape : (int, int)
        Rows and columns of the image.
    box : int, optional
        Wished side of a box in pixels; boxes shrink in images smaller than that.
    uneven : bool, optional
        Whether the unevenness of the sky counts as noise.
    origin : str, optional
        What to call the image in errors.

    Returns
    -------
    Mesh
        Of the whole image.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the image has no usable pixels: all bad, or all of one value.
    """
    sides = _box_side(shape[0], box), _box_side(shape[1], box)
    skies, spread = _survey(read, shape, sides)
    blank = spread.blank
    if blank is not None:
        without = _survey(lambda part: _without(blank, *read(part)), shape, sides)
        if without[1].usable:
            skies, spread = without
        else:
            blank = None  # there is nothing else
    if not spread.usable:
        msg = f"{origin}: no usable pixels, {spread.reason}"
        raise ImageError(msg)
    *skies, scatter = skies
    skies = _of_photons(np.stack(skies))
    if np.count_nonzero(skies[1] == 0) > np.count_nonzero(skies[1] > 0):
        logger.warning("%s: most of its sky has one value, without any noise: is it an image of the sky?", origin)
    background, noise = _finished(skies, spread)
    if uneven:
        noise *= _unevenness(scatter / noise)
    return Mesh(background.astype(np.float32), noise.astype(np.float32), sides, shape, blank)


def _finished(skies: NDArray[np.float64], spread: _Spread) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Background and noise of all boxes, filtered, those without good pixels after their nearest neighbour."""
    background, noise, share = skies
    known = np.isfinite(background)
    background = _smooth(filled(background, known, (spread.high + spread.low) / 2))
    noise = _levelled(noise, np.where(known, background, np.nan), share)
    # Boxes of a single value have no noise of their own, in scenes without any. Few pixels, or few distinct values: one
    # noise for all, from the whole range.
    return background, _smooth(filled(noise, noise > 0, (spread.high - spread.low) / 2))


def _of_photons(skies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Background, noise and good share of all boxes, by what is empty if most boxes that can tell show photons."""
    background, noise, share, mean, photon = skies
    if np.isfinite(photon).sum() <= np.isnan(mean).sum():
        return skies[:3]
    photon = np.where(np.isnan(photon), np.nanmedian(photon), photon)
    mean = np.where(np.isnan(mean), background / photon + _SKEW, mean)
    return np.stack([mean * photon, np.where(mean > 0, np.sqrt(mean + GRAIN) * photon, noise), share])


def _unevenness(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much more than pixels sums over apertures scatter in each box, relative to the calmer boxes; 1 if little.

    Resampling makes sums scatter more, too, but everywhere (`~astrogalaxy.images.emptyapertures.noise_factor`).
    """
    from scipy import ndimage

    known = ratio > 0  # not NaN, nor of one value
    if not known.any():
        return np.ones_like(ratio)
    ratio = np.where(known, ratio, np.median(ratio[known]))
    smooth = ndimage.median_filter(ratio, size=_FILTER, mode="mirror")
    more = smooth / np.percentile(smooth, 25)
    return np.where(more > _UNEVEN, more, 1.0)


def _levelled(
    noise: NDArray[np.float64], levels: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Noise of boxes without what the slope of the sky across them, or across the good share of them, has added."""
    rise = np.hypot(slopes(levels, 0), slopes(levels, 1)) * share
    # a plane's variance over a box is that of even numbers between 0 and 1
    return np.sqrt(np.maximum(noise**2 - (rise / _CLIPPED_RMS) ** 2 / 12, (_LEAST_NOISE * noise) ** 2))


def _without(
    blank: float, pixels: NDArray[np.float32], bad: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mark pixels without data as bad."""
    equal = pixels == blank
    return pixels, equal if bad is None else bad | equal


class _Spread:
    """What is known of the whole image's values: whether it is an image at all, and which of them is none."""

    def __init__(self) -> None:
        self.low, self.high, self.count = np.inf, -np.inf, 0
        self._search = BlankSearch()

    def add(self, boxes: _Boxes, pixels: NDArray[np.float32], masked: NDArray[np.bool_]) -> None:
        """Take a row of boxes into account."""
        low, high, count = boxes.range
        self.low, self.high, self.count = min(self.low, low), max(self.high, high), self.count + count
        self._search.add(pixels, masked, boxes.ordered)

    @property
    def blank(self) -> float | None:
        """The value of areas without data, or None. The largest of all is that of saturated cores."""
        blank = self._search.value
        return blank if blank is not None and blank < self.high else None

    @property
    def usable(self) -> bool:
        """Whether there are two different good values."""
        return self.count > 1 and self.high > self.low

    @property
    def reason(self) -> str:
        """What is wrong where there are not."""
        return "all are NaN or masked" if self.count == 0 else f"all good ones have the value {self.low:g}"


def _survey(
    read: Callable[[Section], tuple[NDArray[np.float32], NDArray[np.bool_] | None]],
    shape: tuple[int, int],
    sides: tuple[int, int],
) -> tuple[NDArray[np.float64], _Spread]:
    """Sky of all boxes, see `_Boxes.sky` and `_scatter`, and what is known of the values."""
    ny, nx = shape
    step = max(1, _BLOCK_PIXELS // (sides[0] * nx)) * sides[0]
    skies, spread = [], _Spread()
    for y0 in range(0, ny, step):
        pixels, bad = read(Section(0, nx, y0, min(y0 + step, ny)))
        masked = ~np.isfinite(pixels) if bad is None else bad | ~np.isfinite(pixels)
        skies += _measure(pixels, masked, sides, spread)
    return np.stack(skies, axis=1), spread


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median filter that leaves planes as they are; alone it would flatten their corners."""
    from scipy import ndimage

    plane = _plane(values)
    filtered = plane + ndimage.median_filter(values - plane, size=_FILTER, mode="nearest")
    # A plane through outliers must not carry a filtered value out of the range of all.
    return np.clip(filtered, values.min(), values.max())


def _bridge(mesh: NDArray[np.float32], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give what is covered the weighted mean of what lies around it, on top of the plane through that, hole by hole."""
    from scipy import ndimage

    bridged = mesh.copy()
    holes, _ = ndimage.label(covered, structure=np.ones((3, 3)))
    for number, hole in enumerate(ndimage.find_objects(holes), 1):
        radius = max(part.stop - part.start for part in hole) / 2
        margin = int(np.ceil(2 * radius))
        around = tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in hole)
        values, known, own = mesh[around].astype(float), ~covered[around], holes[around] == number
        if known.mean() < _LEAST_AROUND:
            continue
        plane = _plane(values, known)
        weights, residuals = (
            ndimage.gaussian_filter(part, max(radius / 2, 1.0), mode="constant", truncate=2 * margin)
            for part in (known.astype(float), np.where(known, values - plane, 0.0))
        )
        # where there is sky on one side only, a plane must not run away
        across = np.clip(plane + residuals / weights, values[known].min(), values[known].max())
        bridged[around][own] = across[own]
    return bridged


def _plane(values: NDArray[np.float64], known: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Plane that fits values best, those that are known."""
    rows, columns = np.indices(values.shape)
    terms = np.stack([np.ones(values.size), rows.ravel(), columns.ravel()], axis=1)
    which = slice(None) if known is None else known.ravel()
    return (terms @ np.linalg.lstsq(terms[which], values.ravel()[which], rcond=None)[0]).reshape(values.shape)


def _box_side(length: int, wished: int) -> int:
    """Side of the boxes along an axis: near the wished one, so that they nearly fill the axis."""
    count = max(1, round(length / wished))
    return -(-length // count)


def _measure(
    pixels: NDArray[np.float32], masked: NDArray[np.bool_], sides: tuple[int, int], spread: _Spread
) -> Iterator[NDArray[np.float64]]:
    """Sky of each row of boxes in some rows of pixels; adds them to the spread."""
    least = max(_MIN_GOOD * sides[0] * sides[1], 4)
    for y in range(0, len(pixels), sides[0]):
        row = pixels[y : y + sides[0]], masked[y : y + sides[0]]
        boxes = _Boxes(*row, sides)
        spread.add(boxes, *row)
        sky = boxes.sky(least=least)
        yield np.concatenate([sky, [_scatter(*row, sky[0], sky[1], sides[1])]])


def _scatter(
    pixels: NDArray[np.float32],
    masked: NDArray[np.bool_],
    level: NDArray[np.float64],
    noise: NDArray[np.float64],
    width: int,
) -> NDArray[np.float64]:
    """Scatter of sums over small empty apertures in each of a row of boxes, over that of one of independent pixels."""
    columns = np.arange(pixels.shape[1] // SIDE)
    box = (columns * SIDE + SIDE // 2) // width
    sums = empty_sums(pixels, (level + PEAK * noise)[box], masked)
    found = np.concatenate(differences(sums))
    scatter = np.full(len(level), np.nan)
    for number, (begin, end) in enumerate(pairwise(np.searchsorted(box, np.arange(len(level) + 1)))):
        values = found[:, begin:end]
        values = values[np.isfinite(values)]
        if len(values) >= _LEAST_SUMS:
            scatter[number] = SIGMA_PER_MAD * np.median(np.abs(values)) / SIDE
    return scatter


class _Boxes:
    """Pixels of a row of boxes in order of their values, so that clipping moves two edges only.

    Sums over all pixels between two ranks are differences of running sums, which begin in the middle: what is far
    off, such as damage and bright stars, comes last and costs the others no digits.
    """

    def __init__(self, pixels: NDArray[np.float32], masked: NDArray[np.bool_], sides: tuple[int, int]) -> None:
        height, width = sides
        n = -(-pixels.shape[1] // width)
        padded = np.full((height, n * width), np.nan, dtype=np.float32)
        np.copyto(padded[: pixels.shape[0], : pixels.shape[1]], pixels, where=~masked)
        boxes = padded.reshape(height, n, width).swapaxes(0, 1).reshape(n, height * width)
        boxes.sort(axis=1)  # NaN last
        self.ordered = boxes
        self._good = np.count_nonzero(~np.isnan(boxes), axis=1)
        self._row = np.arange(n)
        self._steps = coarse_steps(boxes, self._good)
        self._values = boxes = spread_out(boxes, self._good, self._steps)
        # in float64, for squares of pixels in erg/s/cm2/Hz are beyond float32
        self._zero = self._median(np.zeros_like(self._good), self._good)
        values = boxes - self._zero[:, None]
        values[np.isnan(values)] = 0.0
        self._light, self._squares = _running(values), _running(np.square(values))

    @property
    def range(self) -> tuple[float, float, int]:
        """Least and largest of the good pixels (infinite where there are none), and how many there are."""
        some = np.flatnonzero(self._good)
        ends = self.ordered[some, 0], self.ordered[some, self._good[some] - 1]
        low, high = float(ends[0].min(initial=np.inf)), float(ends[1].max(initial=-np.inf))
        return low, high, int(self._good.sum())

    def sky(self, *, least: float) -> NDArray[np.float64]:
        """Background and noise of each box, NaN where fewer than `least` pixels are good; good share; `photon_sky`.

        The background is the mode, 2.5 times the mean of the middle 40 % less 1.5 times the mean; the noise is the root
        mean square about it of the pixels below. The usual estimators are stuck on the steps of digitised data
        (in SDSS's sky the median puts the mode off by a tenth of sigma, and the MAD the noise by 4 to 16 %), and the
        standard deviation rises in crowded fields. Averages of many pixels do neither, and where a handful of values
        is all there is, each is spread out over its step.
        """
        low, high = self._clipped()
        trim = (0.3 * (high - low)).astype(np.intp)
        level = 2.5 * self._mean(low + trim, high - trim) - 1.5 * self._mean(low, high)
        below = np.maximum(self._count_below(level + self._zero), low)
        count = below - low
        squares = self._sum(self._squares, low, below) - 2 * level * self._sum(self._light, low, below)
        squares += count * level**2
        noise = np.sqrt(np.maximum(squares, 0.0) / np.maximum(count, 1)) / _CLIPPED_RMS
        coarse = self._steps > 0
        noise[coarse] = np.sqrt(np.maximum(noise[coarse] ** 2 - (SPREAD * self._steps[coarse]) ** 2, 0.0))
        few = high - low < least
        sky = np.where(few, np.nan, (level + self._zero, noise))
        return np.concatenate([sky, self._good[None] / self.ordered.shape[1], photon_sky(self.ordered, self._good)])

    def _clipped(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First rank, and the one after the last, of what stays when pixels are clipped at 3 sigma about the median.

        Pixels that the last limits let in again come back.
        """
        low, high = np.zeros_like(self._good), self._good
        for _ in range(_CLIP_ROUNDS):
            mean = self._mean(low, high)
            variance = self._sum(self._squares, low, high) / np.maximum(high - low, 1) - mean**2
            reach = _CLIP_SIGMA * np.sqrt(np.maximum(variance, 0.0))
            middle = self._median(low, high)
            first, last = self._count_below(middle - reach), self._count_below(middle + reach, including=True)
            settled = (first <= low).all() and (last >= high).all()
            low, high = np.maximum(first, low), np.minimum(last, high)
            if settled:
                break
        return first, np.minimum(last, self._good)

    def _median(self, low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[np.float64]:
        last = np.maximum(high - 1, 0)
        pair = self._values[self._row, (low + last) // 2], self._values[self._row, (low + last + 1) // 2]
        return np.add(*pair, dtype=np.float64) / 2

    def _mean(self, low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[np.float64]:
        return self._sum(self._light, low, high) / np.maximum(high - low, 1)

    def _sum(self, running: NDArray[np.float64], low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[np.float64]:
        return running[self._row, high] - running[self._row, low]

    def _count_below(self, value: NDArray[np.float64], *, including: bool = False) -> NDArray[np.intp]:
        """How many good pixels of each box are below a value, or at most that."""
        side = "right" if including else "left"
        values = value.astype(np.float32)
        return np.array([box.searchsorted(v, side) for box, v in zip(self._values, values, strict=True)])


def _running(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums along the last axis up to each rank, counted from the middle one."""
    middle = values.shape[1] // 2
    running = np.zeros((len(values), values.shape[1] + 1))
    before, after = running[:, :middle], running[:, middle + 1 :]
    np.cumsum(values[:, :middle][:, ::-1], axis=1, out=before[:, ::-1])
    np.negative(before, out=before)
    np.cumsum(values[:, middle:], axis=1, out=after)
    return running
