"""Star or galaxy: what the network says, joined with what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from astrogalaxy.catalog.flags import has_flags
from astrogalaxy.images.seeing import stars_radius
from astrogalaxy.measurement.seeing import CLEAR, CLEAR_SNR, DISTURBED, relative_extent, star_radius
from astrogalaxy.measurement.spread import spread_evidence
from astrogalaxy.models import BY_EXTENT, BY_SPREAD, IN_FIELD, Calibration

__all__ = ["ClassEvidence", "class_evidence", "field_evidence", "field_mix", "galaxy_probability"]

# The network is never surer than this; nor than this of saturated sources, of which surveys make various things.
_SUREST, _SUREST_SATURATED = 1e-6, 0.05
# Nor than this outside of the range of its weights, so that what is measured decides: to a network that has never seen
# stars so wide they are galaxies. It still has a say, for it is right about most galaxies there.
_SUREST_OUTSIDE = 0.3
# So many of either class are taken to be there before one looks: the few sources of a small image say little.
_USUAL = 4
# No field that the mix was learnt from has more of one for each of the other (logarithm): so far it is believed.
_FARTHEST = 4.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassEvidence:
    """What is known of n sources of a field that tells stars from galaxies; NaN where it is not known.

    Attributes
    ----------
    logit : ndarray
        Of the network's calibrated probability of a galaxy, so far as it is believed.
    snr : ndarray
        Signal to noise, 0 where unknown.
    extent : ndarray
        See `~astrogalaxy.measurement.relative_extent`.
    spread : ndarray
        See `~astrogalaxy.measurement.spread.spread_evidence`.
    real : ndarray of bool
        Whether it is surely enough a source to be counted as one of the field's.
    outside : ndarray of bool
        Whether the field is outside of the range of the weights.

    Notes
    -----
    Outside of that range a network may know no star that is clear to it: then the size of stars is told by the radii
    alone.
    """

    logit: Floats
    snr: Floats
    extent: Floats
    spread: Floats
    real: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def class_evidence(
    p_galaxy: ArrayLike, columns: Mapping[str, ArrayLike], *, threshold: float = 0.0, known: float = float("nan")
) -> ClassEvidence:
    """Collect the evidence on all sources of a field.

    Parameters
    ----------
    p_galaxy : array-like
        The network's calibrated probability of a galaxy.
    columns : mapping of str to array-like
        ``snr``, ``half_light_radius``, ``spread``, ``spread_err`` and ``flags`` of the same sources, as
        `~astrogalaxy.measurement.measure` gives them, and ``det_score``; a table will do.
    threshold : float
        Lowest ``det_score`` of what is counted as a source of the field: that of the weights, so that what a
        lower one finds besides changes nothing.
    known : float
        Half-light radius of stars by a given point spread, for fields of too few stars.

    Returns
    -------
    ClassEvidence
        An entry for each source.
    """
    p = np.asarray(p_galaxy, dtype=float)
    snr, radius, spread, error = (
        np.asarray(columns[name], dtype=float) for name in ("snr", "half_light_radius", "spread", "spread_err")
    )
    flags, real = np.asarray(columns["flags"]), np.asarray(columns["det_score"], dtype=float) >= threshold
    ruler = star_radius(radius[real], snr[real], 1 - p[real], flags[real])
    outside = has_flags(flags, "outside_weight")
    ruler = known if np.isnan(ruler) else ruler
    if np.isnan(ruler) and outside.all():
        # no class is clear to a network that has never seen such stars
        whole = real & ~has_flags(flags, *DISTURBED)
        ruler = stars_radius(radius[whole], snr[whole])
    extent = relative_extent(radius, ruler, flags=flags)
    least = np.where(has_flags(flags, "saturated"), _SUREST_SATURATED, _SUREST)
    least = np.where(outside, _SUREST_OUTSIDE, least)
    logit = _logit(np.clip(p, least, 1 - least))
    return ClassEvidence(logit, np.nan_to_num(snr), extent, spread_evidence(spread, error), real, outside)


def _logit(p: Floats) -> Floats:
    return np.asarray(special.logit(np.clip(p, _SUREST, 1 - _SUREST)))


def field_mix(p_galaxy: ArrayLike, snr: ArrayLike, real: ArrayLike) -> float:
    """How many galaxies a field has for each star, by the sources whose class is clear.

    Parameters
    ----------
    p_galaxy : array-like
        ``(n,)`` probabilities of a galaxy that do not know of the field yet.
    snr : array-like
        Signal to noise of the same sources.
    real : array-like of bool
        Which of them are counted.

    Returns
    -------
    float
        Natural logarithm of the ratio of galaxies to stars among what has a signal to noise of 25 and is one of
        the two with a probability of 0.8, four more of either taken to be there: from -4 to 4, 0 where nothing is
        clear.

    Examples
    --------
    >>> from astrogalaxy.measurement.stargalaxy import field_mix
    >>> round(field_mix([0.01] * 26 + [0.99] * 2 + [0.5], [100.0] * 29, [True] * 29), 2), field_mix([], [], [])
    (-1.61, 0.0)
    """
    p = np.asarray(p_galaxy, dtype=float)
    seen = (np.asarray(snr, dtype=float) >= CLEAR_SNR) & np.asarray(real, dtype=bool)
    galaxies, stars = np.sum(seen & (p >= CLEAR)), np.sum(seen & (p <= 1 - CLEAR))
    return float(np.clip(np.log((galaxies + _USUAL) / (stars + _USUAL)), -_FARTHEST, _FARTHEST))


def galaxy_probability(
    evidence: ClassEvidence, calibration: Mapping[str, Calibration], *, field_prior: bool = True
) -> Floats:
    """Probability of a galaxy from all that is known of each source and of its field.

    What is known of the source itself is weighed with what the field's clear sources are: where nearly all of them are
    stars a faint or blended source is more probably one, too. Where the weights are not calibrated for that, it is
    left out, and so it is outside of the range of the weights: of the two classes only that which the network rather
    says is ever clear there.

    Parameters
    ----------
    evidence : ClassEvidence
        All sources of one field.
    calibration : mapping of str to Calibration
        Of a weight card.
    field_prior : bool
        False: what the clear sources are is left out.

    Returns
    -------
    ndarray
        From 0 to 1, one for each source.
    """
    if not field_prior or IN_FIELD not in calibration or evidence.outside.all():
        return _by_itself(evidence, calibration)
    logit, mix = field_evidence(evidence, calibration)
    return calibration[IN_FIELD].probability(logit, evidence.snr, mix=mix)


def field_evidence(evidence: ClassEvidence, calibration: Mapping[str, Calibration]) -> tuple[Floats, float]:
    """What `galaxy_probability` weighs: logits of what each source says of its own class, and the `field_mix`."""
    p = _by_itself(evidence, calibration)
    return _logit(p), field_mix(p, evidence.snr, evidence.real)


def _by_itself(evidence: ClassEvidence, calibration: Mapping[str, Calibration]) -> Floats:
    """Probability of a galaxy from what is known of each source itself.

    Where the spread is known it is joined to the network's answer, with the extent where that is
    known, too; where there is only the extent, that alone is; where there is neither (too few
    stars), or the weights are not calibrated for it, the network's answer stands.
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
