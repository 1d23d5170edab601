"""How wide stars are on an image, a property of the frame like its sky and its noise: by the radii of its sources."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ABOUT", "CLEAR_SNR", "FWHM", "HALF_LIGHT", "NARROWEST", "SEEN_SNR", "SURE", "Alike", "choose_stars", "clearest",
    "is_about", "stars_radius",
]  # fmt: skip

#: FWHM of stars in half-light diameters: of Moffat profiles with exponents from 2.5 to 5 it is 0.76 to 0.89.
FWHM = 0.8
#: Half-light diameter of stars over their FWHM: 1 for a Gaussian, 1.15 to 1.35 for profiles with wings.
HALF_LIGHT = 1.2
#: Least signal to noise of sources that tell how wide stars are, and of those that are taken for stars.
SEEN_SNR, CLEAR_SNR = 10.0, 20.0
#: Narrower is a cosmic ray: no survey's stars have such half-light radii (pixels).
NARROWEST = 0.75
# In logarithms of radii: the scatter of stars, and that of noise, times the signal to noise; by how much galaxies are
# wider on average; the share of sources that are neither, and the range over which those may lie.
_STARS, _NOISE = 0.04, 4.0
_WIDER = 0.4
_ODD, _ODD_RANGE = 0.05, 3.5
# Shares of stars that are tried; steps of the stars' radius, weights that do not count, and how well it must be known.
_SHARES = (0.03, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)
_STEP, _NEGLIGIBLE = 0.01, 1e-6
_KNOWN = 0.15
#: Scatter of this ratio (logarithm), and what is not known of it where the point spread is.
ABOUT, SURE = 0.04, 0.01
# Where the FWHM is known beforehand: the largest departure of the ratio, and how many stars are believed rather than
# what is known.
_FARTHEST, _FEWEST = 0.2, 6
# A known FWHM is overruled by so many bright sources of one width, if they are this share of all: galaxies differ more.
_DENYING = 30, 0.5
# The stars' radius may change over the image (logarithm, from the middle to an edge): first and last step of the
# search, and the largest change. The first step must raise the logarithm of the evidence by the last number, far more
# than chance does, so that the small changes over SDSS's fields are ignored.
_TILT, _FINEST, _STEEPEST = 0.1, 0.025, 0.5
_CLEARLY = 15.0
_WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1))
# So many densities, each between 1e-2 and 10, are multiplied before a logarithm, the slow part, is taken.
_FACTORS = 64
# Only the clearest sources are used: so many, or this share of the bright ones if that is more. In a crowded field the
# faint sources that pass for clear lie where there is little other light, and look narrower than they are.
_CLEAREST, _CLEAREST_SHARE = 300, 0.1

Floats = NDArray[np.float64]
# Logarithm of the radius of stars and its error, where they are known beforehand.
Known = tuple[float, float] | None
#: How many sources would be stars by their radii alone, where these are not believed, and the radius of such stars.
Alike = tuple[int, float]


def choose_stars(
    radii: Floats, snr: Floats, places: Floats, *, fwhm: float | None, error: float = ABOUT
) -> tuple[float, NDArray[np.bool_], Alike]:
    """Half-light radius of stars, which of some clear sources are stars, and which might be if ``fwhm`` were wrong.

    All stars have one size, and galaxies scatter over larger ones. Bayes' rule finds the size and the share of stars
    that explain the radii best; bright sources that are more probably stars than not are taken for stars.

    The size may change steadily over the image, by the places (x and y, shape (n, 2)), where that explains the radii
    (pixels) much better. Where ``fwhm`` is known (and with it the radius, to ``error``, a logarithm), only sources of
    about this width are stars, unless most bright ones have one other width. The radius is that in the middle of the
    image: NaN where it is not known to 15 %, and what ``fwhm`` says where there are hardly any stars. Sources of
    another width that are alike, but too few to deny ``fwhm``, may be compact galaxies, or stars if ``fwhm`` is wrong:
    their radii cannot tell. Fewer than six are none.
    """
    others: Alike = (0, float("nan"))
    radii = np.log(radii)
    known = None if fwhm is None else (float(np.log(HALF_LIGHT * fwhm / 2)), error)
    radius, chosen = _chosen(radii, snr, places, known)
    if known is not None and chosen.sum() < _FEWEST:
        measured, alike = _chosen(radii, snr, places, None)
        if alike.sum() >= max(_DENYING[0], _DENYING[1] * np.sum(snr >= CLEAR_SNR)):
            radius, chosen = measured, alike
        else:
            radius, chosen = known[0], np.zeros(len(radii), bool)
            if alike.sum() >= _FEWEST:
                others = int(alike.sum()), float(np.exp(measured))
    return float(np.exp(radius)), chosen, others


def _chosen(radii: Floats, snr: Floats, places: Floats, known: Known) -> tuple[float, NDArray[np.bool_]]:
    radius, star = _stars_radius(radii - _tilt(radii, snr, places, known), snr, known)
    return radius, (star >= 0.5) & (snr >= CLEAR_SNR)


def stars_radius(radii: ArrayLike, snr: ArrayLike) -> float:
    """Half-light radius of stars among sources of which nothing else is known, found as in `choose_stars`.

    Parameters
    ----------
    radii : array-like, shape (n,)
        Half-light radii, any unit of length.
    snr : array-like, shape (n,)
        Signal to noise; what is below 10, or has no radius, is left out.

    Returns
    -------
    float
        In the unit of the radii; NaN where it is not known to 15 %, or fewer than six sources are stars.

    Examples
    --------
    >>> stars, galaxies = [0.5, 0.49, 0.51, 0.5, 0.5, 0.52, 0.48], [0.8, 0.9, 1.4, 2.0]
    >>> round(stars_radius(stars + galaxies, [100.0] * 11), 2)
    0.5
    """
    radii, snr = np.asarray(radii, dtype=float), np.asarray(snr, dtype=float)
    clear = np.flatnonzero((snr > SEEN_SNR) & (radii > 0))
    clear = clear[clearest(snr[clear], int(np.sum(snr[clear] >= CLEAR_SNR)))]
    radius, star = _stars_radius(np.log(radii[clear]), snr[clear], None, narrowest=-np.inf)
    return float(np.exp(radius)) if np.sum((star >= 0.5) & (snr[clear] >= CLEAR_SNR)) >= _FEWEST else float("nan")


def is_about(seeing: float, fwhm: float) -> bool:
    """Whether the half-light diameter of stars is one that their FWHM can have."""
    return abs(np.log(seeing / (HALF_LIGHT * fwhm))) <= _FARTHEST + _STEP


def clearest(snr: Floats, bright: int, *, times: int = 1) -> NDArray[np.intp]:
    """Numbers of the sources that are clear enough, where so many are bright, in the order in which they were found."""
    n = times * max(_CLEAREST, int(_CLEAREST_SHARE * bright))
    return np.sort(np.argsort(-snr, kind="stable")[:n])


def _stars_radius(
    radii: Floats, snr: Floats, known: Known, *, narrowest: float = float(np.log(NARROWEST))
) -> tuple[float, Floats]:
    """Logarithm of the radius of stars, and how probably each source is one; NaN and 0 where it is not known.

    ``radii`` are logarithms, too. Galaxies have the radius of stars plus an excess whose density begins at zero (gamma
    distribution of order two); noise blurs both. All radii of stars (near the ``known`` one) and all shares of them
    have the same prior.
    """
    if not len(radii):
        return float("nan"), np.zeros(0)
    grid, star, other, likely = _likelihoods(radii, snr, known, narrowest)
    weight = np.exp(likely - likely.max())
    weight /= weight.sum()
    probable = weight.sum(axis=0)
    radius = float(probable @ grid)
    if np.sqrt(probable @ (grid - radius) ** 2) > _KNOWN:
        return float("nan"), np.zeros(len(radii))
    probably = np.zeros(len(radii))
    for share, row in zip(_SHARES, weight, strict=True):
        rows = np.flatnonzero(row > _NEGLIGIBLE)
        if len(rows):
            probably += row[rows] @ (share * star[rows] / _mixed(star[rows], other[rows], share))
    return radius, (1 - _ODD) * probably


def _likelihoods(
    radii: Floats, snr: Floats, known: Known, narrowest: float = float(np.log(NARROWEST))
) -> tuple[Floats, Floats, Floats, Floats]:
    """Radii that stars may have; densities of the sources with each; logarithms of likelihoods by share and radius."""
    scatter = np.hypot(_STARS, _NOISE / snr)
    lowest = max(float(radii.min()) - 3 * _WIDER, narrowest)
    # a tilt may leave all radii below the narrowest
    highest = max(float(radii.max()), lowest) + 2 * _STEP
    if known is not None:
        lowest, highest = known[0] - _FARTHEST, known[0] + _FARTHEST
    grid = np.arange(lowest, highest, _STEP)
    star, other = _densities(radii - grid[:, None], scatter)
    likely = np.array([_log_product(_mixed(star, other, share)) for share in _SHARES])
    if known is not None:
        likely -= 0.5 * ((grid - known[0]) / known[1]) ** 2
    return grid, star, other, likely


def _evidence(radii: Floats, snr: Floats, known: Known) -> float:
    """Logarithm of the evidence for the radii, summed over radii and shares of stars."""
    likely = _likelihoods(radii, snr, known)[3]
    return float(likely.max() + np.log(np.exp(likely - likely.max()).sum()))


def _tilt(radii: Floats, snr: Floats, places: Floats, known: Known) -> Floats:
    """Difference of the stars' radius (logarithm) at each source from that in the middle: a plane, or 0."""
    if not len(radii):
        return np.zeros(0)
    low, high = places.min(axis=0), places.max(axis=0)
    across = 2 * (places - low) / np.maximum(high - low, 1.0) - 1
    slope, step, least = np.zeros(2), _TILT, _CLEARLY
    best = _evidence(radii, snr, known)
    while step >= _FINEST:
        tried = [slope + step * np.array(way) for way in _WAYS]
        tried = [new for new in tried if np.abs(new).max() <= _STEEPEST]
        found = [_evidence(radii - across @ new, snr, known) for new in tried]
        if max(found) > best + least:
            slope, best, least = tried[int(np.argmax(found))], max(found), 0.0
        elif least:
            break
        else:
            step /= 2
    return across @ slope


def _densities(beyond: Floats, scatter: Floats) -> tuple[Floats, Floats]:
    """Probability densities of radii that exceed that of stars by so much, for a star and for a galaxy."""
    from scipy.special import log_ndtr  # takes a tenth of a second, and reading images does not need it

    star = np.exp(-0.5 * (beyond / scatter) ** 2) / (scatter * np.sqrt(2 * np.pi))
    # of an excess x by w: x exp(-x / w) / w**2. An exponential would be highest at the stars' radius, so that few stars
    # among many galaxies would not be told from them, however well their radius is known
    wider = _WIDER / 2
    blur = scatter / wider
    falling = np.exp(np.clip(0.5 * blur**2 - beyond / wider, -700, 700) + log_ndtr(beyond / scatter - blur))
    galaxy = (scatter**2 * star + (beyond - scatter * blur) * falling) / wider**2
    return star, np.maximum(galaxy, 0.0)  # far below the stars' radius the terms cancel to the last digit


def _mixed(star: Floats, galaxy: Floats, share: float) -> Floats:
    """Probability densities of radii where this share of the sources are stars."""
    return (1 - _ODD) * (share * star + (1 - share) * galaxy) + _ODD / _ODD_RANGE


def _log_product(densities: Floats) -> Floats:
    """Logarithm of the product along the last axis, by factors that are far from the limits of numbers."""
    starts = np.arange(0, densities.shape[1], _FACTORS)
    return np.asarray(np.log(np.multiply.reduceat(densities, starts, axis=1)).sum(axis=1))
