"""Widths of normal distributions, and robust estimates of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FWHM_PER_SIGMA", "MEDIAN_ERROR", "SIGMA_PER_MAD", "median_and_scatter"]

FWHM_PER_SIGMA = 2.355
"""Full width at half maximum over standard deviation."""

SIGMA_PER_MAD = 1.4826
"""Standard deviation over median absolute deviation."""

MEDIAN_ERROR = 1.2533
"""Error of a median over that of a mean."""


def median_and_scatter(values: NDArray[np.floating]) -> tuple[float, float]:
    """Median and robust standard deviation of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    middle = np.median(values)
    return float(middle), float(SIGMA_PER_MAD * np.median(np.abs(values - middle)))
