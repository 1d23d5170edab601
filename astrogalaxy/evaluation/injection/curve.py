"""Completeness as a curve of magnitude, and where it falls to a half and to nine tenths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from astrogalaxy.evaluation.intervals import CONFIDENCE, Interval

__all__ = ["CompletenessCurve", "fit_completeness"]

# Fewer sources than this say nothing of a curve.
_FEWEST = 30
_DRAWS = 2000
# Steps of magnitude within which sources are counted together when a curve is fitted.
_FINE = 0.05
# Weak priors on logit(top), middle, log(width) and slope keep a curve finite where the data do not constrain it: nearly
# all bright sources are found, equally many at all magnitudes, and completeness falls within half a magnitude.
_PRIOR, _PRIOR_WIDTH = np.array([4.0, 0.0, np.log(0.25), 0.0]), np.array([2.0, np.inf, 1.0, 0.5])
# Bright sources are this many magnitudes brighter than the middle.
_BRIGHT = 3.0
# Widths of e^-5 to e^3 magnitudes.
_WIDTHS = -5.0, 3.0
# Where a curve falls through a share is searched for in steps up to this many widths beyond the middle, and then by
# bisection.
_STEPS, _BEHIND, _HALVINGS = 64, 8.0, 30

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CompletenessCurve:
    """Completeness as a function of magnitude: a logistic one that falls at the limit, times one of bright sources.

    The second changes slowly: in a crowd neighbours hide the more the fainter a source is, long before the noise does.
    With ``m`` for the magnitude, and ``L(t) = 1 / (1 + exp(-t))``, it is
    ``L((middle - m) / width) * L(log(top / (1 - top)) - slope * (m - middle + 3))``.

    Attributes
    ----------
    top : float
        Completeness of bright sources, 3 magnitudes before the middle.
    middle, width : float
        Magnitudes.
    half, ninety : Interval
        Magnitudes of 50 % and 90 % completeness, with intervals; NaN where the curve never
        comes so high, or does not fall so low among the magnitudes that were injected.
    n : int
        Sources that it was fitted to.
    slope : float
        By how much the logarithm of the odds of bright sources falls in a magnitude.

    Examples
    --------
    >>> from astrogalaxy.evaluation.injection import CompletenessCurve
    >>> from astrogalaxy.evaluation.intervals import Interval
    >>> half, ninety = Interval(22.5, 22.4, 22.6), Interval(22.1, 22.0, 22.2)
    >>> curve = CompletenessCurve(top=1.0, middle=22.5, width=0.2, half=half, ninety=ninety, n=300)
    >>> curve([20.0, 22.5, 25.0]).round(2).tolist()
    [1.0, 0.5, 0.0]
    """

    top: float
    middle: float
    width: float
    half: Interval
    ninety: Interval
    n: int
    slope: float = 0.0

    def __call__(self, magnitude: ArrayLike) -> Floats:
        """Completeness at magnitudes."""
        parameters = logit(self.top), self.middle, np.log(self.width), self.slope
        bright, falling = _factors(parameters, np.asarray(magnitude, float))
        return np.asarray(bright * falling)


def _factors(parameters: Sequence[float | Floats] | Floats, magnitude: Floats) -> tuple[Floats, Floats]:
    """Completeness but for the limit, and the fall at it."""
    top, middle, width, slope = parameters
    behind = magnitude - middle
    return expit(top - slope * (behind + _BRIGHT)), expit(-behind * np.exp(-np.clip(width, *_WIDTHS)))


def fit_completeness(magnitude: ArrayLike, found: ArrayLike, *, seed: int = 0) -> CompletenessCurve | None:
    """Fit a curve of completeness by maximum likelihood, without bins to choose.

    Intervals are those of curves drawn around the best one, as uncertain as the sources leave it
    (the inverse of the Fisher matrix).

    Parameters
    ----------
    magnitude : array-like
        Of injected sources.
    found : array-like of bool
        Which of them came out.
    seed : int
        Of the curves that are drawn.

    Returns
    -------
    CompletenessCurve or None
        None with fewer than thirty sources, or where all or none came out.

    Examples
    --------
    >>> import numpy as np
    >>> m = np.linspace(18, 26, 2000)
    >>> found = np.random.default_rng(0).random(2000) < 0.98 / (1 + np.exp((m - 22.5) / 0.2))
    >>> curve = fit_completeness(m, found)
    >>> bool(curve.half.low < 22.5 < curve.half.high), round(curve.half.value, 1)
    (True, 22.5)
    """
    mag, hit = np.asarray(magnitude, dtype=float), np.asarray(found, dtype=bool)
    known = np.isfinite(mag)
    mag, hit = mag[known], hit[known]
    if len(hit) < _FEWEST or hit.all() or not hit.any():
        return None
    number = np.floor(mag / _FINE).astype(int)
    steps, at = np.unique(number, return_inverse=True)
    centre, n, k = (steps + 0.5) * _FINE, np.bincount(at).astype(float), np.bincount(at, hit).astype(float)
    best = _fit(centre, k, n, np.array([3.0, _start(centre, k, n), np.log(0.25), 0.0]))
    around = np.random.default_rng(seed).multivariate_normal(best, _covariance(centre, n, best), _DRAWS)
    half, ninety = (_estimate(best, around, share, (mag.min(), mag.max())) for share in (0.5, 0.9))
    top, middle, width, slope = best.tolist()
    return CompletenessCurve(float(expit(top)), middle, float(np.exp(width)), half, ninety, len(hit), slope)


def _start(centre: Floats, k: Floats, n: Floats) -> float:
    """Magnitude that has as many found ones behind it as missed ones before it."""
    excess = np.cumsum(n - k) + np.cumsum(k) - k.sum()
    return float(centre[np.argmin(np.abs(excess))])


def _fit(centre: Floats, k: NDArray[np.number], n: NDArray[np.number], start: Floats) -> Floats:
    def loss(parameters: Floats) -> tuple[float, Floats]:
        """Minus the logarithm of the likelihood with the priors, and its slope."""
        p, slopes = _slopes(parameters, centre)
        off = (parameters - _PRIOR) / _PRIOR_WIDTH
        value = -np.sum(k * np.log(p) + (n - k) * np.log1p(-p)) + 0.5 * np.sum(off**2)
        return float(value), slopes @ ((n - k) / (1 - p) - k / p) + off / _PRIOR_WIDTH

    return np.asarray(minimize(loss, start, jac=True, method="BFGS").x)


def _slopes(parameters: Floats, centre: Floats) -> tuple[Floats, Floats]:
    """Completeness at magnitudes, and by how much it changes with each parameter, ``(4, n)``."""
    _, middle, width, slope = parameters
    behind = centre - middle
    bright, falling = _factors(parameters, centre)
    narrow = np.exp(-np.clip(width, *_WIDTHS))
    hidden, lost = 1 - bright, 1 - falling
    logarithmic = np.array(
        [hidden, slope * hidden + lost * narrow, lost * behind * narrow, -hidden * (behind + _BRIGHT)]
    )
    return np.clip(bright * falling, 1e-9, 1 - 1e-9), bright * falling * logarithmic


def _covariance(centre: Floats, n: Floats, best: Floats) -> Floats:
    """How uncertain the parameters are together."""
    p, slopes = _slopes(best, centre)
    information = (slopes * (n / (p * (1 - p)))) @ slopes.T + np.diag(_PRIOR_WIDTH**-2.0)
    return np.asarray(np.linalg.pinv(information))


def _reaches(curves: Floats, share: float, brightest: float) -> Floats:
    """Magnitude where curves ``(n, 4)`` fall through a share for good.

    NaN where they are never so high, among the magnitudes that were injected or fainter.
    """
    columns = curves.T[..., None]
    faintest = columns[1] + _BEHIND * np.exp(np.clip(columns[2], *_WIDTHS))
    magnitude = brightest + np.maximum(faintest - brightest, 0) * np.linspace(0, 1, _STEPS)
    high = np.multiply(*_factors(columns, magnitude)) >= share
    last = np.clip(_STEPS - 1 - np.argmax(high[:, ::-1], axis=1), 0, _STEPS - 2)[:, None]
    low, top = (np.take_along_axis(magnitude, last + i, axis=1) for i in (0, 1))
    for _ in range(_HALVINGS):
        middle = (low + top) / 2
        above = np.multiply(*_factors(columns, middle)) >= share
        low, top = np.where(above, middle, low), np.where(above, top, middle)
    return np.where(high.any(axis=1) & ~high[:, -1], low[:, 0], np.nan)


def _estimate(best: Floats, around: Floats, share: float, injected: tuple[float, float]) -> Interval:
    brightest, faintest = injected
    value = float(_reaches(best[None], share, brightest)[0])
    if value > faintest:
        # beyond what was injected, only the priors say how the curve goes on
        return Interval(float("nan"), float("nan"), float("nan"))
    values = _reaches(around, share, brightest)
    # a curve that never comes so high does so at no magnitude, however bright
    values = np.where(np.isnan(values), -np.inf, values)
    ends = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="nearest")
    low, high = (float(end) if np.isfinite(end) else float("nan") for end in ends)
    return Interval(value, low, high)
