"""Star or galaxy: what the network says, joined with what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.measurement.seeing import relative_extent, star_radius
from astrogalaxy.measurement.spread import spread_evidence
from astrogalaxy.models import BY_EXTENT, BY_SPREAD, Calibration

__all__ = ["ClassEvidence", "class_evidence", "galaxy_probability"]

# The network is never surer than this.
_SUREST = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassEvidence:
    """What is known of n sources of a field that tells stars from galaxies; NaN where it is not known.

    Attributes
    ----------
    logit : ndarray
        Of the network's calibrated probability of a galaxy.
    snr : ndarray
        Signal to noise, 0 where unknown.
    extent : ndarray
        See `~astrogalaxy.measurement.relative_extent`.
    spread : ndarray
        See `~astrogalaxy.measurement.spread.spread_evidence`.
    """

    logit: Floats
    snr: Floats
    extent: Floats
    spread: Floats


def class_evidence(p_galaxy: ArrayLike, columns: Mapping[str, ArrayLike]) -> ClassEvidence:
    """Collect the evidence on all sources of a field.

    Parameters
    ----------
    p_galaxy : array-like
        The network's calibrated probability of a galaxy.
    columns : mapping of str to array-like
        ``snr``, ``half_light_radius``, ``spread``, ``spread_err`` and ``flags`` of the same sources, as
        `~astrogalaxy.measurement.measure` gives them; a table will do.

    Returns
    -------
    ClassEvidence
        An entry for each source.
    """
    p = np.clip(np.asarray(p_galaxy, dtype=float), _SUREST, 1 - _SUREST)
    snr, radius, spread, error = (
        np.asarray(columns[name], dtype=float) for name in ("snr", "half_light_radius", "spread", "spread_err")
    )
    flags = np.asarray(columns["flags"])
    ruler = star_radius(radius, snr, 1 - p, flags)
    extent = relative_extent(radius, ruler, flags=flags)
    return ClassEvidence(np.log(p / (1 - p)), np.nan_to_num(snr), extent, spread_evidence(spread, error))


def galaxy_probability(evidence: ClassEvidence, calibration: Mapping[str, Calibration]) -> Floats:
    """Probability of a galaxy from all that is known of each source.

    Where the spread is known it is joined to the network's answer, with the extent where that is
    known, too; where there is only the extent, that alone is; where there is neither (too few
    stars), or the weights are not calibrated for it, the network's answer stands.

    Parameters
    ----------
    evidence : ClassEvidence
        All sources of one field.
    calibration : mapping of str to Calibration
        Of a weight card.

    Returns
    -------
    ndarray
        From 0 to 1, one for each source.
    """
    known = np.isfinite(evidence.extent), np.isfinite(evidence.spread)
    extent, spread = (np.nan_to_num(part) for part in (evidence.extent, evidence.spread))
    result = 1 / (1 + np.exp(-evidence.logit))
    for name, measured in zip((BY_EXTENT, BY_SPREAD), known, strict=True):
        if name in calibration:
            width = spread if name == BY_SPREAD else 0.0
            joined = calibration[name].probability(evidence.logit, evidence.snr, extent, width)
            result = np.where(measured, joined, result)
    return result
