"""How wide stars are on an image: a property of the frame, like its sky and its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sep
from numpy.typing import NDArray

from astrogalaxy.images.threshold import above_threshold
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from astrogalaxy.images.band import Band, Pixels

__all__ = ["estimate_seeing", "find_stars", "half_light_radius", "read_around"]

_DETECT_SIGMA, _DETECT_PIXELS = 5.0, 5
_ROUNDEST = 0.7  # axis ratio below which a source is not a star's
# Signal to noise of what tells how wide stars are, and of what can stand for one.
_SEEN_SNR, _CLEAR_SNR = 10.0, 20.0
# Narrower is a cosmic ray, wider a galaxy: no survey's stars have such half-light radii (pixels).
_NARROWEST, _WIDEST = 0.75, 30.0
# Logarithms of radii. Those of stars differ by this, and by so much over the signal to noise; galaxies are wider by
# this, on the average; this share of all sources is neither, and may be anything within such a range.
_STARS, _NOISE = 0.04, 4.0
_WIDER = 0.4
_ODD, _ODD_RANGE = 0.05, 3.5
# Shares of stars that are thought possible; steps in which the stars' radius is looked for; how well it must be known.
_SHARES = (0.03, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)
_STEP, _NEGLIGIBLE = 0.01, 1e-6
_KNOWN = 0.15
# First step in which a change of the stars' radius over the image is looked for (logarithm, from the middle to an
# edge), and the last; the largest change; and by how much the first step must explain the radii better (logarithm):
# more by far than chance makes it, so that the little that SDSS's fields change is left as it is.
_TILT, _FINEST, _STEEPEST = 0.1, 0.025, 0.5
_CLEARLY = 15.0
_WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1))
# Only the clearest sources tell: so many, or this share of them if that is more. Of the faint ones of a crowded field
# those are clear that lie where little other light is, and they look narrower than they are.
_CLEAREST, _CLEAREST_SHARE = 300, 0.1
# Pixels are read in one go where the band is smaller, else around cells of the stars.
_WHOLE, _CELL = 3072**2, 1024

Floats = NDArray[np.float64]


def estimate_seeing(pixels: Iterable[Pixels]) -> float:
    """Half-light diameter of the stars of an image, in pixels; see `find_stars`."""
    return find_stars(pixels)[0]


def find_stars(pixels: Iterable[Pixels]) -> tuple[float, Floats]:
    """Half-light diameter of the stars of an image, and where they are.

    All stars have one size, and galaxies scatter over larger ones. Which size of the stars, and which share of
    them, explains the radii of clear round sources best is found by Bayes' rule; what is more probably a star than
    not, and bright, is one. Where there are many sources, only the clearest are looked at. The size of the stars may
    change steadily over the image, where that explains the radii much better.

    Parameters
    ----------
    pixels : iterable of Pixels
        Sections of one band.

    Returns
    -------
    seeing : float
        In pixels, in the middle of the image; for a Gaussian its FWHM. NaN where nothing says it to 15 %. Of 120
        simulated scenes of 512 pixels 112 have it within 10 % of the truth (``tests/benchmarks/bench_seeing.py``).
    places : ndarray, shape (n, 2)
        Positions x and y in pixels of the whole band, section by section.
    """
    clear = [_clear_sources(part) for part in pixels]
    found = _clearest(np.concatenate(clear) if clear else np.zeros((0, 4)))
    radii, snr = np.log(found[:, 2]), found[:, 3]
    radius, star = _stars_radius(radii - _tilt(radii, snr, found[:, :2]), snr)
    chosen = (star >= 0.5) & (found[:, 3] >= _CLEAR_SNR)
    return 2 * float(np.exp(radius)), found[chosen, :2]


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
        Pixels; the guess where there is no light. What lies beyond four radii, sky or halo, does
        not count, so that bright and faint sources of one shape have one radius.
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
        Those around them.
    """
    for group in _groups(band, places):
        low = np.floor(group.min(axis=0) - reach).astype(int)
        high = np.ceil(group.max(axis=0) + reach).astype(int) + 1
        section = Section(int(low[0]), int(high[0]), int(low[1]), int(high[1]))
        yield group, band.pixels(section.clip(band.shape))


def _groups(band: Band, places: Floats) -> Iterator[Floats]:
    if not len(places):
        return
    if band.shape[0] * band.shape[1] <= _WHOLE:
        yield places
        return
    cells = np.floor(places / _CELL).astype(np.int64)
    for cell in np.unique(cells, axis=0):
        yield places[(cells == cell).all(axis=1)]


def _clear_sources(pixels: Pixels) -> Floats:
    """Round sources that stand clear of the noise and of each other.

    Four columns: x, y (of the whole band), half-light radius and signal to noise.
    """
    data, noise = pixels.data, pixels.noise
    found = above_threshold(data, _DETECT_SIGMA, err=noise, mask=pixels.bad, minarea=_DETECT_PIXELS)
    found = found[(found["flag"] == 0) & (found["b"] > _ROUNDEST * found["a"])]
    found = found[~pixels.saturated[found["ypeak"], found["xpeak"]]]
    if not len(found):
        return np.zeros((0, 4))
    radius = half_light_radius(data, found["x"], found["y"], 1.2 * found["a"], largest=_WIDEST)
    flux, error, _ = sep.sum_circle(data, found["x"], found["y"], 1.5 * radius, err=noise, subpix=5)
    clear = (flux > _SEEN_SNR * error) & (radius > _NARROWEST) & (radius < _WIDEST)
    x, y = found["x"] + pixels.section.x0, found["y"] + pixels.section.y0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack([x, y, radius, flux / error])[clear]


def _clearest(found: Floats) -> Floats:
    """Those of highest signal to noise, in the order in which they were found."""
    n = max(_CLEAREST, int(_CLEAREST_SHARE * np.sum(found[:, 3] >= _CLEAR_SNR)))
    return found[np.sort(np.argsort(-found[:, 3], kind="stable")[:n])]


def _stars_radius(radii: Floats, snr: Floats) -> tuple[float, Floats]:
    """Logarithm of the radius of stars, and how probably each source is one; NaN and 0 where it is not known.

    ``radii`` are logarithms, too. Galaxies' are those of stars and an exponential distribution beyond, both blurred by
    the noise; no radius of the stars, and no share of them, is thought likelier than another one before one looks.
    """
    if not len(radii):
        return float("nan"), np.zeros(0)
    grid, star, other, likely = _likelihoods(radii, snr)
    weight = np.exp(likely - likely.max())
    weight /= weight.sum()
    known = weight.sum(axis=0)
    radius = float(known @ grid)
    if np.sqrt(known @ (grid - radius) ** 2) > _KNOWN:
        return float("nan"), np.zeros(len(radii))
    probably = np.zeros(len(radii))
    for share, row in zip(_SHARES, weight, strict=True):
        rows = np.flatnonzero(row > _NEGLIGIBLE)
        if len(rows):
            probably += row[rows] @ (share * star[rows] / np.exp(_mixed(star[rows], other[rows], share)))
    return radius, (1 - _ODD) * probably


def _likelihoods(radii: Floats, snr: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Radii that stars may have; densities of the sources with each; logarithms of likelihoods by share and radius."""
    scatter = np.hypot(_STARS, _NOISE / snr)
    lowest = max(float(radii.min()) - 3 * _WIDER, np.log(_NARROWEST))
    grid = np.arange(lowest, float(radii.max()) + 2 * _STEP, _STEP)
    star, other = _densities(radii - grid[:, None], scatter)
    return grid, star, other, np.array([_mixed(star, other, share).sum(axis=1) for share in _SHARES])


def _evidence(radii: Floats, snr: Floats) -> float:
    """Logarithm of how probable the radii are, whatever that of the stars and their share."""
    likely = _likelihoods(radii, snr)[3]
    return float(likely.max() + np.log(np.exp(likely - likely.max()).sum()))


def _tilt(radii: Floats, snr: Floats, places: Floats) -> Floats:
    """By how much the stars' radius (logarithm) at each source differs from that in the middle: a plane, or nothing."""
    if not len(radii):
        return np.zeros(0)
    low, high = places.min(axis=0), places.max(axis=0)
    across = 2 * (places - low) / np.maximum(high - low, 1.0) - 1
    slope, step, least = np.zeros(2), _TILT, _CLEARLY
    best = _evidence(radii, snr)
    while step >= _FINEST:
        tried = [slope + step * np.array(way) for way in _WAYS]
        tried = [new for new in tried if np.abs(new).max() <= _STEEPEST]
        found = [_evidence(radii - across @ new, snr) for new in tried]
        if max(found) > best + least:
            slope, best, least = tried[int(np.argmax(found))], max(found), 0.0
        elif least:
            break
        else:
            step /= 2
    return across @ slope


def _densities(beyond: Floats, scatter: Floats) -> tuple[Floats, Floats]:
    """How probable radii are of a star, and of a galaxy, by how much they are beyond that of stars."""
    from scipy.special import log_ndtr  # takes a tenth of a second, and reading images does not need it

    star = np.exp(-0.5 * (beyond / scatter) ** 2) / (scatter * np.sqrt(2 * np.pi))
    blur = scatter / _WIDER
    galaxy = np.exp(np.clip(0.5 * blur**2 - beyond / _WIDER, -700, 700) + log_ndtr(beyond / scatter - blur)) / _WIDER
    return star, galaxy


def _mixed(star: Floats, galaxy: Floats, share: float) -> Floats:
    """Logarithm of how probable radii are where so many sources are stars."""
    return np.log((1 - _ODD) * (share * star + (1 - share) * galaxy) + _ODD / _ODD_RANGE)
