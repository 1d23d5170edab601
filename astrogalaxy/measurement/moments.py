"""Centroids and shapes from adaptive moments, for many stamps at once.

The light is weighted by an elliptical Gaussian whose centre and covariance are moved until
they match the weighted light (Bernstein & Jarvis 2002, AJ 123, 583; Hirata & Seljak 2003,
MNRAS 343, 459). The centre is then a windowed centroid, and the covariance that of the
Gaussian which resembles the source most: noise far from the source does not enter, so that
the moments of faint sources stay finite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Shapes", "adapt", "bound", "centroid_covariance", "sampling_covariance"]

# Largest step of the centre in one iteration, and change at which an iteration counts as settled, pixels.
_LARGEST_STEP = 1.0
_SETTLED = 2e-3
# The fixed point is approached by half of the distance in each step; twice the step lands on it
# for a Gaussian, a little less keeps noisy sources from swinging.
_RELAX = 1.8
_CHUNK_PIXELS = 120_000
# Powers of y and x of the moments that are needed: x, y, xx, xy, yy.
_MOMENTS = (0, 1, 0, 1, 2), (1, 0, 2, 1, 0)


def _row(number: int, doc: str) -> Any:
    """Property that reads and writes a row of the values of `Shapes`."""

    def read(self: Shapes) -> np.ndarray:
        """The row."""
        return self.values[number]

    def write(self: Shapes, row: np.ndarray) -> None:
        """Replace the row."""
        self.values[number] = row

    return property(read, write, doc=doc)


class Shapes:
    """Centres, covariances and core light of n sources.

    Parameters
    ----------
    values : ndarray of float64, shape (6, n)
        Rows x, y, xx, xy, yy and core: see the properties, which are views of them.
    settled : ndarray of bool, shape (n,)
        Whether the iteration came to rest.
    """

    __slots__ = ("settled", "values")

    x = _row(0, "Column of the centres, pixels.")
    y = _row(1, "Row of the centres, pixels.")
    xx = _row(2, "Variance of the matched Gaussian along x, square pixels.")
    xy = _row(3, "Covariance of x and y, square pixels.")
    yy = _row(4, "Variance along y, square pixels.")
    core = _row(5, "Twice the weighted sum of the light: the total light of a Gaussian source.")

    def __init__(self, values: np.ndarray, settled: np.ndarray) -> None:
        self.values, self.settled = values, settled

    @classmethod
    def circles(cls, x: np.ndarray, y: np.ndarray, sigma: np.ndarray) -> Self:
        """Round sources of rms size `sigma` without light."""
        values = np.zeros((6, len(x)))
        values[0], values[1] = x, y
        values[2] = values[4] = np.square(sigma)
        return cls(values, np.zeros(len(x), dtype=bool))

    def __len__(self) -> int:
        return len(self.settled)

    def take(self, index: np.ndarray | slice) -> Self:
        """Copy of some of the sources."""
        return type(self)(np.array(self.values[:, index]), np.array(self.settled[index]))

    def put(self, index: np.ndarray | slice, other: Shapes) -> None:
        """Overwrite some of the sources."""
        self.values[:, index], self.settled[index] = other.values, other.settled

    def shifted(self, dx: np.ndarray | float, dy: np.ndarray | float) -> Self:
        """Copy with the centres moved."""
        copy = self.take(slice(None))
        copy.values[0] += dx
        copy.values[1] += dy
        return copy

    @property
    def area(self) -> np.ndarray:
        """Product of the semi-axes, square pixels: the root of the covariance's determinant."""
        return np.sqrt(np.maximum(self.xx * self.yy - self.xy**2, 0.0))

    def clarity(self, noise: np.ndarray) -> np.ndarray:
        """Core light over its error, 0 where it is not positive, for a sky noise per pixel of `noise`."""
        return np.maximum(self.core, 0.0) / (noise * np.sqrt(4 * np.pi * np.maximum(self.area, 0.1)))

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Semi-axes a >= b (pixels) and angle of a from the x axis towards y (radians, -pi/2 to pi/2)."""
        mean, half = (self.xx + self.yy) / 2, (self.xx - self.yy) / 2
        split = np.hypot(half, self.xy)
        a, b = np.sqrt(np.maximum(mean + split, 0.0)), np.sqrt(np.maximum(mean - split, 0.0))
        angle = 0.5 * np.arctan2(self.xy, half)
        return a, np.minimum(a, b), np.clip(angle, -np.pi / 2, np.pi / 2)


def bound(
    xx: np.ndarray, xy: np.ndarray, yy: np.ndarray, smallest: np.ndarray | float, largest: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the semi-axes of covariances between two lengths (pixels), leaving their angle."""
    mean, half = (xx + yy) / 2, (xx - yy) / 2
    split = np.hypot(half, xy)
    low, high = np.square(smallest), np.square(largest)
    major, minor = np.clip(mean + split, low, high), np.clip(mean - split, low, high)
    turn = np.divide((major - minor) / 2, split, out=np.zeros_like(split), where=split > 0)
    mean = (major + minor) / 2
    return mean + turn * half, turn * xy, mean - turn * half


def adapt(
    stamps: np.ndarray,
    start: Shapes,
    *,
    iterations: int = 25,
    fixed_centre: bool | np.ndarray = False,
    fixed_shape: bool | np.ndarray = False,
    smallest: float = 0.4,
    largest: np.ndarray | float = np.inf,
) -> Shapes:
    """Iterate the adaptive moments of a batch of stamps.

    Parameters
    ----------
    stamps : ndarray of float32, shape (n, size, size)
        Background-subtracted light; finite everywhere.
    start : Shapes
        Where to begin; centres in pixels of the stamp. Not changed.
    iterations : int, optional
        At most so many.
    fixed_centre, fixed_shape : bool or ndarray of bool, shape (n,), optional
        Keep the centre, or the covariance, of all sources or of some, and let only the rest move.
    smallest, largest : float or ndarray of shape (n,), optional
        Limits of the semi-axes, pixels.

    Returns
    -------
    Shapes
        A source without positive light where its weight lies keeps its last state, not settled.
    """
    result = start.take(slice(None))
    n = len(result)
    least, most = (np.broadcast_to(np.asarray(limit, dtype=float), n) for limit in (smallest, largest))
    held, kept = (np.broadcast_to(np.asarray(fixed, dtype=bool), n) for fixed in (fixed_centre, fixed_shape))
    step = max(1, _CHUNK_PIXELS // stamps[0].size) if n else 1
    for begin in range(0, n, step):
        part = slice(begin, begin + step)
        chunk = _Chunk(stamps[part], result.values[:, part], result.settled[part], least[part], most[part])
        chunk.run(iterations, held[part], kept[part])
    return result


class _Chunk:
    """The iteration over a few stamps, small enough to stay in the processor's cache; `values` are changed in place."""

    def __init__(
        self, stamps: np.ndarray, values: np.ndarray, settled: np.ndarray, smallest: np.ndarray, largest: np.ndarray
    ) -> None:
        self.stamps, self.values, self.settled = stamps, values, settled
        self.smallest, self.largest = smallest, largest
        self.middle = (stamps.shape[1] - 1) / 2
        self.steps = np.arange(stamps.shape[1], dtype=np.float32) - np.float32(self.middle)
        self.powers = np.stack([np.ones_like(self.steps), self.steps, self.steps**2], axis=1)

    def run(self, iterations: int, held: np.ndarray, kept: np.ndarray) -> None:
        """Iterate until all sources are at rest; some centres are held, and some shapes kept."""
        active = np.arange(len(self.stamps))
        stamps = self.stamps
        for number in range(iterations):
            now = self.values[:, active]
            core, centre, shape = self._aims(stamps, now)
            for aim, old, fixed in ((centre, now[:2], held[active]), (shape, now[2:5], kept[active])):
                aim[:, fixed] = old[:, fixed]
            lit = core > 0
            shift = np.hypot(*(centre - now[:2]))
            change = np.abs(shape - now[2:5]).sum(axis=0) / (now[2] + now[4])
            settled = lit & (shift < _SETTLED) & (change < _SETTLED)
            self.values[5, active], self.settled[active] = core, settled
            going = lit & ~settled
            if number == iterations - 1 or not going.any():
                return
            if not going.all():
                active, now, centre, shape = active[going], now[:, going], centre[:, going], shape[:, going]
                stamps = self.stamps[active]
            self._move(active, now, centre, shape, ~kept[active])

    def _aims(self, stamps: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Core light, and the centre and covariance that it asks for if the source is Gaussian."""
        sums = self.sums(stamps, now)
        total = sums[:, 0, 0]
        mean = sums[:, _MOMENTS[0], _MOMENTS[1]].T / np.where(total > 0, total, 1.0)
        x, y = mean[:2]
        shape = 2.0 * (mean[2:] - np.array([x * x, x * y, y * y]))
        # half of the way shows: the weight itself draws the centre to where it is
        centre = now[:2] + 2.0 * (mean[:2] + self.middle - now[:2])
        return 2.0 * total, centre, shape

    def sums(self, stamps: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Weighted sums of y**p x**q about the stamp's middle, shape (n, 3, 3), for p, q up to 2."""
        x, y, xx, xy, yy = now[:5]
        dx = self.steps - (x - self.middle).astype(np.float32)[:, None]
        dy = self.steps - (y - self.middle).astype(np.float32)[:, None]
        # Minus half of the quadratic form, built so that each large array is touched once.
        pxx, pxy, pyy = (np.array([yy, -2 * xy, xx]) * (-0.5 / (xx * yy - xy**2))).astype(np.float32)[:, :, None]
        weight = (pxy * dy)[:, :, None] * dx[:, None, :]
        weight += (pxx * dx**2)[:, None, :]
        weight += (pyy * dy**2)[:, :, None]
        np.exp(weight, out=weight)
        weight *= stamps
        rows = weight.reshape(-1, weight.shape[2]) @ self.powers
        return np.matmul(self.powers.T, rows.reshape(*weight.shape[:2], 3)).astype(np.float64)

    def _move(
        self, active: np.ndarray, now: np.ndarray, centre: np.ndarray, shape: np.ndarray, loose: np.ndarray
    ) -> None:
        """One step of the active sources towards what their light asks for; only loose shapes change."""
        self.values[:2, active] = now[:2] + np.clip(centre - now[:2], -_LARGEST_STEP, _LARGEST_STEP)
        active, old, shape = active[loose], now[2:5, loose], shape[:, loose]
        new = old + _RELAX * (shape - old)
        size = np.sqrt(np.sqrt(np.maximum(old[0] * old[2] - old[1] ** 2, 0.0)))
        # A step changes the size by a factor of two at most.
        smallest, largest = np.maximum(self.smallest[active], 0.35 * size), np.minimum(self.largest[active], 2.8 * size)
        self.values[2:5, active] = bound(new[0], new[1], new[2], smallest, largest)


def centroid_covariance(
    shapes: Shapes, noise: np.ndarray, gain: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariance of the windowed centroids from sky noise and photon noise.

    The noise of the weighted first moment, divided by how fast the moment answers to a
    shift of the window (exactly half of the core light at rest), with the sums over a
    Gaussian weight written in closed form.

    Parameters
    ----------
    shapes : Shapes
        Settled shapes.
    noise : ndarray, shape (n,)
        Sky noise per pixel at each source.
    gain : float or None
        Electrons per unit of the image; None leaves photon noise out.

    Returns
    -------
    xx, xy, yy : ndarray, shape (n,)
        Square pixels; inf where the core light is not positive.
    """
    core = np.where(shapes.core > 0, shapes.core, np.nan)
    factor = 8.0 * np.pi * noise**2 * shapes.area / core**2
    if gain is not None:
        factor = factor + 16.0 / (9.0 * gain * core)
    factor = np.where(np.isfinite(factor), factor, np.inf)
    # 0 * inf must not turn into NaN where a source is round.
    cross = np.where(np.isfinite(factor), factor, 0.0) * shapes.xy
    return factor * shapes.xx, cross, factor * shapes.yy


def sampling_covariance(shapes: Shapes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariance of the windowed centroids from the sampling by pixels, over all places of the centre in a pixel.

    The light times its window is a Gaussian of half the covariance C of the shape. Its sum over the pixels is not its
    integral: the waves k of the pixel grid, one along x and one along y, go into the sum, and move the centre by
    ``4 pi C k exp(-pi^2 k C k) sin(2 pi k centre)``. This falls to nothing for stars wider than two pixels, and comes
    to the scatter of any place within a pixel (0.29) for those of one bright pixel.

    Parameters
    ----------
    shapes : Shapes
        Settled shapes.

    Returns
    -------
    xx, xy, yy : ndarray, shape (n,)
        Square pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.measurement.moments import Shapes, sampling_covariance
    >>> stars = Shapes.circles(np.zeros(3), np.zeros(3), np.array([0.4, 0.8, 1.2]))
    >>> np.sqrt(sampling_covariance(stars)[0]).round(3)
    array([0.293, 0.01 , 0.   ])
    """
    x, y = (8 * np.pi**2 * np.exp(-2 * np.pi**2 * variance) for variance in (shapes.xx, shapes.yy))
    xx, xy, yy = shapes.xx, shapes.xy, shapes.yy
    return x * xx**2 + y * xy**2, (x * xx + y * yy) * xy, x * xy**2 + y * yy**2
