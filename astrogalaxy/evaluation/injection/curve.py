"""Completeness as a curve of magnitude, and where it falls to a half and to nine tenths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from astrogalaxy.evaluation.catalogs import Estimate
from astrogalaxy.evaluation.intervals import CONFIDENCE

__all__ = ["CompletenessCurve", "fit_completeness"]

# Fewer sources than this say nothing of a curve.
_FEWEST = 30
_DRAWS = 2000
# Steps of magnitude within which sources are counted together when a curve is fitted.
_FINE = 0.05
# Weak beliefs that keep a curve finite where the data leave it open: nearly all bright sources are
# found, and completeness falls within half a magnitude.
_PRIOR, _PRIOR_WIDTH = (4.0, np.log(0.25)), (2.0, 1.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CompletenessCurve:
    """Completeness as a logistic function of magnitude, ``top / (1 + exp((m - middle) / width))``.

    Attributes
    ----------
    top : float
        Completeness of bright sources.
    middle, width : float
        Magnitudes.
    half, ninety : Estimate
        Magnitudes of 50 % and 90 % completeness, with intervals; NaN where the curve never
        comes so high.
    n : int
        Sources that it was fitted to.

    Examples
    --------
    >>> from astrogalaxy.evaluation.catalogs import Estimate
    >>> from astrogalaxy.evaluation.injection import CompletenessCurve
    >>> half, ninety = Estimate(22.5, 22.4, 22.6, 300), Estimate(22.1, 22.0, 22.2, 300)
    >>> curve = CompletenessCurve(top=1.0, middle=22.5, width=0.2, half=half, ninety=ninety, n=300)
    >>> curve([20.0, 22.5, 25.0]).round(2).tolist()
    [1.0, 0.5, 0.0]
    """

    top: float
    middle: float
    width: float
    half: Estimate
    ninety: Estimate
    n: int

    def __call__(self, magnitude: ArrayLike) -> Floats:
        """Completeness at magnitudes."""
        return np.asarray(self.top * expit((self.middle - np.asarray(magnitude, float)) / self.width))


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
    best = _fit(centre, k, n, np.array([3.0, _start(centre, k, n), np.log(0.25)]))
    around = np.random.default_rng(seed).multivariate_normal(best, _covariance(centre, n, best), _DRAWS)
    half, ninety = (_estimate(best, around, share, len(hit)) for share in (0.5, 0.9))
    return CompletenessCurve(float(expit(best[0])), float(best[1]), float(np.exp(best[2])), half, ninety, len(hit))


def _start(centre: Floats, k: Floats, n: Floats) -> float:
    """Magnitude that has as many found ones behind it as missed ones before it."""
    excess = np.cumsum(n - k) + np.cumsum(k) - k.sum()
    return float(centre[np.argmin(np.abs(excess))])


def _fit(centre: Floats, k: NDArray[np.number], n: NDArray[np.number], start: Floats) -> Floats:
    def loss(parameters: Floats) -> tuple[float, Floats]:
        """Minus the logarithm of the likelihood with the priors, and its slope."""
        top, middle, width = parameters
        a, narrow = expit(top), np.exp(-np.clip(width, -5, 3))
        b = expit((middle - centre) * narrow)
        p = np.clip(a * b, 1e-9, 1 - 1e-9)
        off = (np.array([top, width]) - _PRIOR) / _PRIOR_WIDTH
        value = -np.sum(k * np.log(p) + (n - k) * np.log1p(-p)) + 0.5 * np.sum(off**2)
        slope = -(k / p - (n - k) / (1 - p))
        steep = slope * a * b * (1 - b)
        prior = off / _PRIOR_WIDTH
        gradient = np.array(
            [
                np.sum(slope * b) * a * (1 - a) + prior[0],
                np.sum(steep) * narrow,
                -np.sum(steep * (middle - centre)) * narrow + prior[1],
            ]
        )
        return float(value), gradient

    return np.asarray(minimize(loss, start, jac=True, method="BFGS").x)


def _covariance(centre: Floats, n: Floats, best: Floats) -> Floats:
    """How uncertain top, middle and width are together."""
    top, middle, width = best
    a, narrow = expit(top), np.exp(-width)
    b = expit((middle - centre) * narrow)
    p = np.clip(a * b, 1e-9, 1 - 1e-9)
    steep = a * b * (1 - b) * narrow
    slopes = np.array([b * a * (1 - a), steep, -steep * (middle - centre)])
    information = (slopes * (n / (p * (1 - p)))) @ slopes.T + np.diag(
        [1 / _PRIOR_WIDTH[0] ** 2, 0, 1 / _PRIOR_WIDTH[1] ** 2]
    )
    return np.asarray(np.linalg.pinv(information))


def _reaches(curves: Floats, share: float) -> Floats:
    """Magnitude where curves ``(..., 3)`` fall through a share; NaN where they are never so high."""
    top, middle, width = np.moveaxis(curves, -1, 0)
    with np.errstate(invalid="ignore"):
        inside = share / expit(top)
        return np.asarray(middle - np.exp(width) * logit(np.where(inside < 1, inside, np.nan)))


def _estimate(best: Floats, around: Floats, share: float, n: int) -> Estimate:
    values = _reaches(around, share)
    # a curve that never comes so high does so at no magnitude, however bright
    values = np.where(np.isnan(values), -np.inf, values)
    ends = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="nearest")
    low, high = (float(end) if np.isfinite(end) else float("nan") for end in ends)
    return Estimate(float(_reaches(best, share)), low, high, n)
