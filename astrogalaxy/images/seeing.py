"""How wide stars are on an image: a property of the frame, like its sky and its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sep
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.images.threshold import above_threshold
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from astrogalaxy.images.band import Band, Pixels

__all__ = ["FWHM", "estimate_seeing", "find_stars", "half_light_radius", "is_about", "read_around", "stars_radius"]

#: FWHM of stars in half-light diameters: of Moffat profiles with exponents from 2.5 to 5 it is 0.76 to 0.89.
FWHM = 0.8

# Of the first detection. Blends are left out, and so few levels of deblending tell them.
_DETECT_SIGMA, _DETECT_PIXELS, _DEBLEND_LEVELS = 5.0, 5, 8
_ROUNDEST = 0.7  # axis ratio below which a source is not a star's
# Least signal to noise of sources that tell how wide stars are, and of those that are taken for stars.
_SEEN_SNR, _CLEAR_SNR = 10.0, 20.0
# Narrower is a cosmic ray, wider a galaxy: no survey's stars have such half-light radii (pixels).
_NARROWEST, _WIDEST = 0.75, 30.0
# In logarithms of radii: the scatter of stars, and that of noise, times the signal to noise; by how much galaxies are
# wider on average; the share of sources that are neither, and the range over which those may lie.
_STARS, _NOISE = 0.04, 4.0
_WIDER = 0.4
_ODD, _ODD_RANGE = 0.05, 3.5
# Shares of stars that are tried; steps of the stars' radius, weights that do not count, and how well it must be known.
_SHARES = (0.03, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)
_STEP, _NEGLIGIBLE = 0.01, 1e-6
_KNOWN = 0.15
# Where the FWHM is known beforehand: the half-light diameter of stars over it (1 for a Gaussian, 1.15 to 1.35 for
# profiles with wings), the scatter of this ratio (logarithm) and its largest departure, and how many stars are believed
# rather than what is known.
_HALF_LIGHT, _ABOUT, _FARTHEST, _FEWEST = 1.2, 0.04, 0.2, 6
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
# faint sources that pass for clear lie where there is little other light, and look narrower than they are. The last
# number of times as many are measured closely, since only that shows which are the clearest.
_CLEAREST, _CLEAREST_SHARE = 300, 0.1
_SPARE = 2
# Bands of up to so many pixels are read in one go, larger ones around the stars of one cell after the other.
_WHOLE, _CELL = 3072**2, 1024

Floats = NDArray[np.float64]


def estimate_seeing(pixels: Iterable[Pixels]) -> float:
    """Half-light diameter of the stars of an image, in pixels; see `find_stars`."""
    return find_stars(pixels)[0]


def find_stars(pixels: Iterable[Pixels], *, fwhm: float | None = None) -> tuple[float, Floats]:
    """Half-light diameter of the stars of an image, and where they are.

    All stars have one size, and galaxies scatter over larger ones. Bayes' rule finds the size and the share of stars
    that explain the radii of clear round sources best; bright sources that are more probably stars than not are taken
    for stars. Where there are many sources, only the clearest are looked at. The size of the stars may change steadily
    over the image, where that explains the radii much better.

    Parameters
    ----------
    pixels : iterable of Pixels
        Sections of one band.
    fwhm : float, optional
        That of stars, in pixels, where it is known: only sources of about this width are stars, unless most bright
        sources have one other width. Without it the narrowest galaxies of an image without stars may pass for stars.

    Returns
    -------
    seeing : float
        In pixels, in the middle of the image; for a Gaussian its FWHM. NaN where it is not known to 15 %; where there
        are hardly any stars, what ``fwhm`` says. In 112 of 120 simulated scenes of 512 pixels it is within 10 % of the
        truth (``tests/benchmarks/bench_seeing.py``).
    places : ndarray, shape (n, 2)
        Positions x and y in pixels of the whole band, section by section.
    """
    clear = [_clear_sources(part) for part in pixels]
    found = np.concatenate([np.zeros((0, 4)), *(part for part, _ in clear)])
    found = found[_clearest(found[:, 3], _enough(sum(bright for _, bright in clear)))]
    known = None if fwhm is None else float(np.log(_HALF_LIGHT * fwhm / 2))
    radius, chosen = _chosen(found, known)
    if known is not None and chosen.sum() < _FEWEST:
        measured, alike = _chosen(found, None)
        if alike.sum() >= max(_DENYING[0], _DENYING[1] * np.sum(found[:, 3] >= _CLEAR_SNR)):
            radius, chosen = measured, alike
        else:
            radius, chosen = known, np.zeros(len(found), bool)
    return 2 * float(np.exp(radius)), found[chosen, :2]


def stars_radius(radii: ArrayLike, snr: ArrayLike) -> float:
    """Half-light radius of stars among sources of which nothing else is known, as `find_stars` tells it.

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
    clear = np.flatnonzero((snr > _SEEN_SNR) & (radii > 0))
    clear = clear[_clearest(snr[clear], _enough(int(np.sum(snr[clear] >= _CLEAR_SNR))))]
    radius, star = _stars_radius(np.log(radii[clear]), snr[clear], None, narrowest=-np.inf)
    return float(np.exp(radius)) if np.sum((star >= 0.5) & (snr[clear] >= _CLEAR_SNR)) >= _FEWEST else float("nan")


def is_about(seeing: float, fwhm: float) -> bool:
    """Whether the half-light diameter of stars is one that their FWHM can have."""
    return abs(np.log(seeing / (_HALF_LIGHT * fwhm))) <= _FARTHEST + _STEP


def _chosen(found: Floats, known: float | None) -> tuple[float, NDArray[np.bool_]]:
    """Logarithm of the radius of stars, and which of the clear sources are some, bright ones."""
    radii, snr = np.log(found[:, 2]), found[:, 3]
    radius, star = _stars_radius(radii - _tilt(radii, snr, found[:, :2], known), snr, known)
    return radius, (star >= 0.5) & (snr >= _CLEAR_SNR)


def half_light_radius(
    data: NDArray[np.float32], x: Floats, y: Floats, start: Floats, *, largest: float = np.inf
) -> Floats:
    """Radius that holds half of the light within four times itself.

    Parameters
    ----------
    data : ndarray, shape (ny, nx), float32
        Background-subtracted pixels.
    x, y : ndarray, shape (n,)
        Centres, 0-based pixels.
    start : ndarray, shape (n,)
        First guesses, pixels.
    largest : float, optional
        A source found to be larger than this is not looked at again: its radius is only known to be larger.

    Returns
    -------
    ndarray, shape (n,)
        Pixels; the guess where there is no light. Light beyond four radii, of sky or halo, does not
        count, so that bright and faint sources of one shape have one radius.
    """
    radius = np.maximum(np.asarray(start, dtype=float), 1.0)
    for _ in range(4):
        some = np.flatnonzero(radius <= largest)
        outer = np.maximum(4 * radius[some], 3.0)
        total, _, _ = sep.sum_circle(data, x[some], y[some], outer, subpix=5)
        half, _ = sep.flux_radius(data, x[some], y[some], outer, 0.5, normflux=total, subpix=5)
        radius[some] = np.where(np.isfinite(half) & (half > 0), half, radius[some])
    return radius


def read_around(band: Band, places: Floats, reach: float) -> Iterator[tuple[Floats, Pixels]]:
    """Read the pixels around stars, those of neighbours in one go.

    Parameters
    ----------
    band : Band
        The band.
    places : ndarray, shape (n, 2)
        Positions x and y, pixels.
    reach : float
        So far around each star, where the band reaches.

    Yields
    ------
    group : ndarray, shape (m, 2)
        Some of the places; none of the groups is empty.
    pixels : Pixels
        Those around them, and more where that is nearly all of a small band.
    """
    for group in _groups(band, places):
        low = np.floor(group.min(axis=0) - reach).astype(int)
        high = np.ceil(group.max(axis=0) + reach).astype(int) + 1
        section = Section(int(low[0]), int(high[0]), int(low[1]), int(high[1]))
        yield group, band.pixels(band.rounded(section.clip(band.shape)))


def _groups(band: Band, places: Floats) -> Iterator[Floats]:
    if not len(places):
        return
    if band.shape[0] * band.shape[1] <= _WHOLE:
        yield places
        return
    cells = np.floor(places / _CELL).astype(np.int64)
    for cell in np.unique(cells, axis=0):
        yield places[(cells == cell).all(axis=1)]


def _clear_sources(pixels: Pixels) -> tuple[Floats, int]:
    """Round sources that stand clear of the noise and of each other, and about how many of all are bright.

    Four columns: x, y (of the whole band), half-light radius and signal to noise. Where they are very many the faintest
    are left out.
    """
    data, noise = pixels.data, pixels.noise
    settings = {"minarea": _DETECT_PIXELS, "deblend_nthresh": _DEBLEND_LEVELS}
    found = above_threshold(data, _DETECT_SIGMA, err=noise, mask=pixels.bad, **settings)
    found = found[(found["flag"] == 0) & (found["b"] > _ROUNDEST * found["a"])]
    found = found[~pixels.saturated[found["ypeak"], found["xpeak"]]]
    if not len(found):
        return np.zeros((0, 4)), 0
    about = _signal_to_noise(pixels, found["x"], found["y"], 1.8 * found["a"])
    bright = int(np.sum(about >= _CLEAR_SNR))
    found = found[_clearest(about, _SPARE * _enough(bright))]
    radius = half_light_radius(data, found["x"], found["y"], 1.2 * found["a"], largest=_WIDEST)
    snr = _signal_to_noise(pixels, found["x"], found["y"], 1.5 * radius)
    clear = (snr > _SEEN_SNR) & (radius > _NARROWEST) & (radius < _WIDEST)
    x, y = found["x"] + pixels.section.x0, found["y"] + pixels.section.y0
    return np.column_stack([x, y, radius, snr])[clear], bright


def _signal_to_noise(pixels: Pixels, x: Floats, y: Floats, radius: Floats) -> Floats:
    """Light in circles over its error."""
    flux, error, _ = sep.sum_circle(pixels.data, x, y, radius, err=pixels.noise, subpix=5)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(flux / error)


def _enough(bright: int) -> int:
    """How many of the clearest sources are used, where so many are bright."""
    return max(_CLEAREST, int(_CLEAREST_SHARE * bright))


def _clearest(snr: Floats, n: int) -> NDArray[np.intp]:
    """Numbers of the n sources of highest signal to noise, in the order in which they were found."""
    return np.sort(np.argsort(-snr, kind="stable")[:n])


def _stars_radius(
    radii: Floats, snr: Floats, known: float | None, *, narrowest: float = float(np.log(_NARROWEST))
) -> tuple[float, Floats]:
    """Logarithm of the radius of stars, and how probably each source is one; NaN and 0 where it is not known.

    ``radii`` are logarithms, too. Galaxies have the radius of stars plus an exponentially distributed excess; noise
    blurs both. All radii of stars (near the ``known`` one) and all shares of them have the same prior.
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
    radii: Floats, snr: Floats, known: float | None, narrowest: float = float(np.log(_NARROWEST))
) -> tuple[Floats, Floats, Floats, Floats]:
    """Radii that stars may have; densities of the sources with each; logarithms of likelihoods by share and radius."""
    scatter = np.hypot(_STARS, _NOISE / snr)
    lowest = max(float(radii.min()) - 3 * _WIDER, narrowest)
    # a tilt may leave all radii below the narrowest
    highest = max(float(radii.max()), lowest) + 2 * _STEP
    if known is not None:
        lowest, highest = known - _FARTHEST, known + _FARTHEST
    grid = np.arange(lowest, highest, _STEP)
    star, other = _densities(radii - grid[:, None], scatter)
    likely = np.array([_log_product(_mixed(star, other, share)) for share in _SHARES])
    if known is not None:
        likely -= 0.5 * ((grid - known) / _ABOUT) ** 2
    return grid, star, other, likely


def _evidence(radii: Floats, snr: Floats, known: float | None) -> float:
    """Logarithm of the evidence for the radii, summed over radii and shares of stars."""
    likely = _likelihoods(radii, snr, known)[3]
    return float(likely.max() + np.log(np.exp(likely - likely.max()).sum()))


def _tilt(radii: Floats, snr: Floats, places: Floats, known: float | None) -> Floats:
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
    blur = scatter / _WIDER
    galaxy = np.exp(np.clip(0.5 * blur**2 - beyond / _WIDER, -700, 700) + log_ndtr(beyond / scatter - blur)) / _WIDER
    return star, galaxy


def _mixed(star: Floats, galaxy: Floats, share: float) -> Floats:
    """Probability densities of radii where this share of the sources are stars."""
    return (1 - _ODD) * (share * star + (1 - share) * galaxy) + _ODD / _ODD_RANGE


def _log_product(densities: Floats) -> Floats:
    """Logarithm of the product along the last axis, by factors that are far from the limits of numbers."""
    starts = np.arange(0, densities.shape[1], _FACTORS)
    return np.asarray(np.log(np.multiply.reduceat(densities, starts, axis=1)).sum(axis=1))
