"""Saturated stars that no level tells of: their cores are blunt, and their edges as sharp as ever."""

from __future__ import annotations

import numpy as np
import sep
from numpy.typing import NDArray

from astrogalaxy.images.threshold import above_threshold

__all__ = ["blunt_cores", "core_of", "with_cores"]

# Cores are looked for where so many pixels stand so many sigma above the noise: no detector saturates much lower.
_SIGMA, _PIXELS = 80.0, 5
# Parts with less than this share of a core's light belong to it, for interpolation leaves stripes; few levels do.
_STRIPE, _LEVELS = 0.2, 8
# Shares of the highest mean brightness around the centre at which the core ends, half is left, and the edge ends; and
# the ratio of the last radius to the first below which a core is blunt. A Gaussian, which is blunter than any point
# spread and any galaxy, has a ratio of 3.2.
_CORE, _HALF, _EDGE = 0.8, 0.5, 0.1
_BLUNT = 2.6
# Half the width of a core is at least this share of the seeing. In its narrowest direction it is at least the first of
# the next shares, and the second where it is not round, because two stars beside each other are narrow. Then the axis
# ratio above which it is round, and what stands for an unknown seeing.
_WIDE = 0.8
_LEAST, _LONG_LEAST, _ROUND = 0.6, 0.75, 0.5
_COMMON_SEEING = 5.0
# Radius of the middle, half the width of a ring about that least width, shares of the seeing; and how bright the ring
# is at least, where that is half of the highest brightness: less, for the noise and for what is interpolated.
_MIDDLE, _STEP, _RING = 0.4, 0.1, 0.35
# How far to look for the edge: so many times the radius of what stands high above the noise.
_REACH = 4.0

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def blunt_cores(data: NDArray[np.float32], noise: NDArray[np.float32] | float, bad: Bools, seeing: float) -> Floats:
    """Cores of saturated stars, whatever has become of them.

    Some surveys clip them, some interpolate over them, and few files say at what level. Outside its core such a star
    falls as steeply as any, inside it does not rise: no light that a telescope has blurred looks like that. What has
    lost three quarters of its peak is recognised nearly always, what has lost less than half never; and what is left
    has to stand out of the noise by clearly more than 80 times it.

    Parameters
    ----------
    data : ndarray of float32, shape (ny, nx)
        Background-subtracted light, 0 where bad.
    noise : ndarray of float32, shape (ny, nx), or float
        Of the sky.
    bad : ndarray of bool, shape (ny, nx)
        Pixels without data.
    seeing : float
        Width of stars, pixels; NaN where it is not known.

    Returns
    -------
    ndarray, shape (n, 3)
        Centre x and y, and the radius at which the light has fallen to half, pixels.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:99, :99]
    >>> star = (9e4 * (1 + ((x - 49.0) ** 2 + (y - 50.0) ** 2) / 9) ** -2.5).astype(np.float32)
    >>> good = np.zeros(star.shape, bool)
    >>> blunt_cores(np.minimum(star, 9e3), 1.0, good, 3.4).round(), len(blunt_cores(star, 1.0, good, 3.4))
    (array([[49., 50.,  5.]]), 0)
    """
    data = np.require(data, requirements=["C", "W"])  # else SEP's every look at it would copy it
    found = above_threshold(
        data,
        _SIGMA,
        err=noise,
        minarea=_PIXELS,
        deblend_cont=_STRIPE,
        deblend_nthresh=_LEVELS,
        filter_kernel=None,
    )
    seeing = seeing if np.isfinite(seeing) else _COMMON_SEEING
    found = found[_wide(data, found["x"], found["y"], seeing)]
    reach = _REACH * np.sqrt(found["npix"] / np.pi)
    cores = [_core(data, bad, *one, seeing) for one in zip(found["x"], found["y"], reach, strict=True)]
    return np.array([core for core in cores if core is not None]).reshape(-1, 3)


def _wide(data: NDArray[np.float32], x: Floats, y: Floats, seeing: float) -> Bools:
    """Which sources can be as wide as a core is at least: nearly all stars are not, and need no closer look."""
    middle, _, _ = sep.sum_circle(data, x, y, _MIDDLE * seeing, subpix=5)
    inner, outer = (_WIDE - _STEP) * seeing, (_WIDE + _STEP) * seeing
    ring, _, _ = sep.sum_circann(data, x, y, inner, outer, subpix=5)
    return ~np.asarray(ring / (outer**2 - inner**2) < _RING * middle / (_MIDDLE * seeing) ** 2)


def core_of(cores: Floats, x: Floats, y: Floats) -> NDArray[np.intp]:
    """Number of the core in which each position, ``(n,)``, lies; -1: none."""
    found = np.full(len(x), -1, dtype=np.intp)
    for number, (core_x, core_y, radius) in enumerate(cores):
        found[np.hypot(x - core_x, y - core_y) <= radius] = number
    return found


def with_cores(saturated: Bools, cores: Floats) -> Bools:
    """Map of saturated pixels with those of cores; the same array where there are none."""
    if not len(cores):
        return saturated
    made = saturated.copy()
    for x, y, radius in cores:
        rows, columns = (slice(max(int(at - radius), 0), int(at + radius) + 2) for at in (y, x))
        part = made[rows, columns]
        down, right = np.indices(part.shape)
        part |= np.hypot(columns.start + right - x, rows.start + down - y) <= radius
    return made


def _core(data: NDArray[np.float32], bad: Bools, x: float, y: float, reach: float, seeing: float) -> Floats | None:
    """Centre and half of the light around a place, if that is blunt."""
    y0, x0 = (max(int(at - reach), 0) for at in (y, x))
    part = slice(y0, int(y + reach) + 2), slice(x0, int(x + reach) + 2)
    light, good = data[part], ~bad[part]
    rows, columns = np.indices(light.shape)
    square = (x0 + columns - x) ** 2 + (y0 + rows - y) ** 2
    good &= square < reach**2
    ring = np.sqrt(square[good]).astype(np.intp)
    count, total, squares = (np.bincount(ring, weights=part) for part in (None, light[good], square[good]))
    known = count > 0
    if known.sum() < 3:
        return None
    mean, squares = total[known] / count[known], squares[known] / count[known]
    top = int(np.argmax(mean))
    core, half, edge = (_fallen(squares, mean, top, share * mean[top]) for share in (_CORE, _HALF, _EDGE))
    if not (edge < _BLUNT * core and half > _WIDE * seeing):
        return None
    inner = good & (square < edge**2)
    inner &= light > _HALF * np.sort(light[inner])[-_PIXELS:].mean()
    xx, xy, _, yy = np.cov(columns[inner], rows[inner], bias=True).ravel()
    mean_square, difference = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    narrow, wide = np.sqrt(max(mean_square - difference, 0.0)), np.sqrt(mean_square + difference)
    # twice that is half the width of a filled ellipse
    least = seeing * (_LEAST if narrow > _ROUND * wide else _LONG_LEAST)
    return np.array([x, y, half]) if 2 * narrow > least else None


def _fallen(squares: Floats, mean: Floats, top: int, level: float) -> float:
    """Radius at which the mean brightness falls below a level, outside its highest; not a number where it does not."""
    below = np.flatnonzero(mean[top:] < level)
    if not len(below):
        return float("nan")
    last = top + int(below[0])
    high, low = mean[last - 1], max(float(mean[last]), 1e-3 * level)
    # straight lines in these are Gaussians
    part = np.log(high / level) / np.log(high / low)
    return float(np.sqrt(squares[last - 1] + (squares[last] - squares[last - 1]) * part))
