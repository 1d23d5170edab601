"""Whether probabilities are calibrated: predicted probabilities against the share that came true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reliability", "expected_calibration_error", "reliability"]

Floats = NDArray[np.floating]
#: For each bin: mean probability, share that came true, number of sources.
Reliability = tuple[tuple[float, float, int], ...]


def expected_calibration_error(
    probability: Floats, target: Floats, weight: Floats | None = None, *, bins: int = 10
) -> float:
    """Mean distance between predicted probability and the share that came true, over bins of equal weight.

    Parameters
    ----------
    probability, target : ndarray
        ``(n,)``; targets 0, 1 or a fraction.
    weight : ndarray, optional
        ``(n,)`` how much each counts; all the same by default.
    bins : int
        Number of bins.

    Returns
    -------
    float
        0 without any probability.

    Examples
    --------
    >>> import numpy as np
    >>> expected_calibration_error(np.full(4, 0.75), np.array([1.0, 1.0, 1.0, 0.0]), bins=1)
    0.0
    """
    if not len(probability):
        return 0.0
    share = np.ones(len(probability)) if weight is None else weight
    distances = [
        share[part].sum() * abs(np.average(probability[part] - target[part], weights=share[part]))
        for part in _bins(probability, share, bins)
    ]
    return float(sum(distances) / share.sum())


def reliability(probability: Floats, target: Floats, weight: Floats | None = None, *, bins: int = 10) -> Reliability:
    """Reliability curve: predicted probability against the share that came true, in bins of equal weight.

    Parameters
    ----------
    probability, target : ndarray
        ``(n,)``; targets 0, 1 or a fraction.
    weight : ndarray, optional
        ``(n,)`` how much each counts; all the same by default.
    bins : int
        Number of bins; empty ones are left out.

    Returns
    -------
    tuple of (float, float, int)
        Mean probability, mean target and count of each bin, least probable first.

    Examples
    --------
    >>> import numpy as np
    >>> reliability(np.array([0.2, 0.4, 0.9]), np.array([0.0, 1.0, 1.0]), bins=3)
    ((0.2, 0.0, 1), (0.4, 1.0, 1), (0.9, 1.0, 1))
    """
    share = np.ones(len(probability)) if weight is None else weight
    return tuple(
        (
            float(np.average(probability[part], weights=share[part])),
            float(np.average(target[part], weights=share[part])),
            len(part),
        )
        for part in _bins(probability, share, bins)
    )


def _bins(probability: Floats, share: Floats, bins: int) -> list[NDArray[np.intp]]:
    """Indices of the sources by rising probability, in bins of equal weight; empty bins are left out."""
    order = np.argsort(probability, kind="stable")
    # a source belongs to the bin that holds the middle of its own weight
    place = (np.cumsum(share[order]) - share[order] / 2) / max(float(share.sum()), 1e-30)
    edges = np.searchsorted(place, np.arange(1, bins) / bins)
    return [part for part in np.split(order, edges) if len(part)]
