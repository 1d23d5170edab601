"""Centroids and shapes from adaptive moments, for many stamps at once.

The light is weighted by an elliptical Gaussian whose centre and covariance are moved until
they match the weighted light (Bernstein & Jarvis 2002, AJ 123, 583; Hirata & Seljak 2003,
MNRAS 343, 459). The centre is then a windowed centroid, and the covariance that of the
Gaussian which resembles the source most: noise far from the source does not enter, so that
the moments of faint sources stay finite.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Shapes", "adapt", "bound", "centroid_covariance"]

# Largest step of the centre in one iteration, and change at which an iteration counts as settled, pixels.
_LARGEST_STEP = 1.0
_SETTLED = 2e-3
# The fixed point is approached by half of the distance in each step; twice the step lands on it
# for a Gaussian, a little less keeps noisy sources from swinging.
_RELAX = 1.8
_CHUNK_PIXELS = 120_000


@dataclass
class Shapes:
    """Centres, covariances and core light of n sources.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Centres, pixels.
    xx, xy, yy : ndarray of float64, shape (n,)
        Covariance of the matched Gaussian, square pixels.
    core : ndarray of float64, shape (n,)
        Twice the weighted sum of the light: the total light of a Gaussian source.
    settled : ndarray of bool, shape (n,)
        Whether the iteration came to rest.
    """

    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    core: np.ndarray
    settled: np.ndarray

    @classmethod
    def circles(cls, x: np.ndarray, y: np.ndarray, sigma: np.ndarray) -> Self:
        """Round sources of rms size `sigma` without light."""
        zero = np.zeros(len(x))
        square = np.broadcast_to(np.asarray(sigma, dtype=float) ** 2, x.shape)
        none = np.zeros(len(x), dtype=bool)
        return cls(np.array(x, float), np.array(y, float), square.copy(), zero.copy(), square.copy(), zero.copy(), none)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: np.ndarray | slice) -> Self:
        """Copy of some of the sources."""
        return type(self)(*(np.array(getattr(self, field.name)[index]) for field in fields(self)))

    def put(self, index: np.ndarray | slice, other: Shapes) -> None:
        """Overwrite some of the sources."""
        for field in fields(self):
            getattr(self, field.name)[index] = getattr(other, field.name)

    def shifted(self, dx: np.ndarray | float, dy: np.ndarray | float) -> Self:
        """Copy with the centres moved."""
        copy = self.take(slice(None))
        copy.x += dx
        copy.y += dy
        return copy

    @property
    def area(self) -> np.ndarray:
        """Product of the semi-axes, square pixels: the root of the covariance's determinant."""
        return np.sqrt(np.maximum(self.xx * self.yy - self.xy**2, 0.0))

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
    fixed_shape: bool = False,
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
    fixed_centre : bool or ndarray of bool, shape (n,), optional
        Keep the centre, of all sources or of some, and let only the rest move.
    fixed_shape : bool, optional
        Keep the covariance.
    smallest, largest : float or ndarray of shape (n,), optional
        Limits of the semi-axes, pixels.

    Returns
    -------
    Shapes
        A source without positive light where its weight lies keeps its last state, not settled.
    """
    result = start.take(slice(None))
    largest = np.broadcast_to(np.asarray(largest, dtype=float), result.x.shape)
    held = np.broadcast_to(np.asarray(fixed_centre, dtype=bool), result.x.shape)
    step = max(1, _CHUNK_PIXELS // stamps[0].size) if len(stamps) else 1
    for begin in range(0, len(stamps), step):
        part = slice(begin, begin + step)
        chunk = _Chunk(stamps[part], result.take(part), smallest, largest[part], held[part], fixed_shape)
        result.put(part, chunk.run(iterations))
    return result


class _Chunk:
    """The iteration over a few stamps, small enough to stay in the processor's cache."""

    def __init__(
        self,
        stamps: np.ndarray,
        shapes: Shapes,
        smallest: float,
        largest: np.ndarray,
        fixed_centre: np.ndarray,
        fixed_shape: bool,
    ) -> None:
        self.stamps, self.shapes = stamps, shapes
        self.smallest, self.largest = smallest, largest
        self.fixed_centre, self.fixed_shape = fixed_centre, fixed_shape
        self.middle = (stamps.shape[1] - 1) / 2
        self.steps = np.arange(stamps.shape[1], dtype=np.float32) - np.float32(self.middle)
        self.powers = np.stack([np.ones_like(self.steps), self.steps, self.steps**2], axis=1)

    def run(self, iterations: int) -> Shapes:
        active = np.arange(len(self.stamps))
        for number in range(iterations):
            now = self.shapes.take(active)
            stamps = self.stamps if len(active) == len(self.stamps) else self.stamps[active]
            going = self._step(stamps, now, active, last=number == iterations - 1)
            self.shapes.put(active, now)
            active = active[going]
            if not len(active):
                break
        return self.shapes

    def sums(self, stamps: np.ndarray, now: Shapes) -> np.ndarray:
        """Weighted sums of y**p x**q about the stamp's middle, shape (n, 3, 3), for p, q up to 2."""
        determinant = now.xx * now.yy - now.xy**2
        dx = self.steps - (now.x - self.middle).astype(np.float32)[:, None]
        dy = self.steps - (now.y - self.middle).astype(np.float32)[:, None]
        # Minus half of the quadratic form, built so that each large array is touched once.
        pxx, pxy, pyy = ((-0.5 * p / determinant).astype(np.float32)[:, None] for p in (now.yy, -2 * now.xy, now.xx))
        weight = (pxy * dy)[:, :, None] * dx[:, None, :]
        weight += (pxx * dx**2)[:, None, :]
        weight += (pyy * dy**2)[:, :, None]
        np.exp(weight, out=weight)
        weight *= stamps
        rows = weight.reshape(-1, weight.shape[2]) @ self.powers
        return np.matmul(self.powers.T, rows.reshape(*weight.shape[:2], 3)).astype(np.float64)

    def _step(self, stamps: np.ndarray, now: Shapes, active: np.ndarray, *, last: bool) -> np.ndarray:
        """One iteration of the active sources in place; returns which of them go on."""
        held, largest = self.fixed_centre[active], self.largest[active]
        sums = self.sums(stamps, now)
        total = sums[:, 0, 0]
        lit = total > 0
        now.core[:] = 2.0 * total
        safe = np.where(lit, total, 1.0)
        mean_x, mean_y = sums[:, 0, 1] / safe, sums[:, 1, 0] / safe
        dx, dy = mean_x - (now.x - self.middle), mean_y - (now.y - self.middle)
        dx, dy = np.where(held, 0.0, dx), np.where(held, 0.0, dy)
        moments = (
            sums[:, 0, 2] / safe - mean_x**2,
            sums[:, 1, 1] / safe - mean_x * mean_y,
            sums[:, 2, 0] / safe - mean_y**2,
        )
        shift, change = self._change(now, dx, dy, moments)
        now.settled[:] = lit & (shift < _SETTLED) & (change < _SETTLED)
        going = lit & ~now.settled
        if last or not going.any():
            return going
        self._move(now, going, dx, dy, moments, largest)
        return going

    def _change(
        self, now: Shapes, dx: np.ndarray, dy: np.ndarray, moments: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far the centre (pixels) and the covariance (relative) are from rest."""
        shift = 2.0 * np.hypot(dx, dy)
        if self.fixed_shape:
            return shift, np.zeros_like(dx)
        pairs = zip((now.xx, now.xy, now.yy), moments, strict=True)
        change = sum(np.abs(2.0 * moment - old) for old, moment in pairs) / (now.xx + now.yy)
        return shift, change

    def _move(
        self,
        now: Shapes,
        going: np.ndarray,
        dx: np.ndarray,
        dy: np.ndarray,
        moments: tuple[np.ndarray, ...],
        largest: np.ndarray,
    ) -> None:
        now.x[going] += np.clip(2.0 * dx, -_LARGEST_STEP, _LARGEST_STEP)[going]
        now.y[going] += np.clip(2.0 * dy, -_LARGEST_STEP, _LARGEST_STEP)[going]
        if self.fixed_shape:
            return
        old = (now.xx, now.xy, now.yy)
        new = [value + _RELAX * (2.0 * moment - value) for value, moment in zip(old, moments, strict=True)]
        size = np.sqrt(now.area)
        # A step changes the size by a factor of two at most.
        xx, xy, yy = bound(*new, np.maximum(self.smallest, 0.5 * size * 0.7), np.minimum(largest, 2.0 * size * 1.4))
        now.xx[going], now.xy[going], now.yy[going] = xx[going], xy[going], yy[going]


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
