"""How wide stars are on an image: a property of the frame, like its sky and its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sep
from numpy.typing import NDArray

from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from astrogalaxy.images.band import Band, Pixels

__all__ = ["estimate_seeing", "find_stars", "half_light_radius", "read_around"]

_DETECT_SIGMA, _DETECT_PIXELS = 5.0, 5
_ROUNDEST = 0.7  # axis ratio below which a source is not a star's
_CLEAR_SNR = 20.0
# Narrower is a cosmic ray, wider a galaxy: no survey's stars have such half-light radii (pixels).
_NARROWEST, _WIDEST = 0.75, 30.0
# Stars lie within this of each other (in the logarithm of their radii); galaxies scatter.
_SPREAD, _LEAST = 0.06, 4
# The first crowd of radii from the narrow end that is at least this share of the largest crowd.
_CROWD = 0.5
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

    Stars are the first crowd, from the narrow end, of the radii of clear round sources: all have
    one size, while galaxies scatter over larger ones. Where there are many, only the clearest are looked at.

    Parameters
    ----------
    pixels : iterable of Pixels
        Sections of one band.

    Returns
    -------
    seeing : float
        In pixels; for a Gaussian its FWHM. NaN where there are fewer than five clear sources, or no
        four of a size. In simulated fields with five clear stars or more it is within 5 % of the truth.
    places : ndarray, shape (n, 2)
        Positions x and y in pixels of the whole band, section by section.
    """
    clear = [_clear_sources(part) for part in pixels]
    found = _clearest(np.concatenate(clear) if clear else np.zeros((0, 4)))
    radii = np.log(found[:, 2])
    centre = _narrow_crowd(np.sort(radii))
    with np.errstate(invalid="ignore"):
        stars = np.abs(radii - centre) <= 1.5 * _SPREAD
    return 2 * float(np.exp(centre)), found[stars, :2]


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
    sep.set_extract_pixstack(max(sep.get_extract_pixstack(), data.size // 4))
    found = sep.extract(data, _DETECT_SIGMA, err=noise, mask=pixels.bad, minarea=_DETECT_PIXELS)
    found = found[(found["flag"] == 0) & (found["b"] > _ROUNDEST * found["a"])]
    found = found[~pixels.saturated[found["ypeak"], found["xpeak"]]]
    if not len(found):
        return np.zeros((0, 4))
    radius = half_light_radius(data, found["x"], found["y"], 1.2 * found["a"], largest=_WIDEST)
    flux, error, _ = sep.sum_circle(data, found["x"], found["y"], 1.5 * radius, err=noise, subpix=5)
    clear = (flux > _CLEAR_SNR * error) & (radius > _NARROWEST) & (radius < _WIDEST)
    x, y = found["x"] + pixels.section.x0, found["y"] + pixels.section.y0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack([x, y, radius, flux / error])[clear]


def _clearest(found: Floats) -> Floats:
    """Those of highest signal to noise, in the order in which they were found."""
    n = max(_CLEAREST, int(_CLEAREST_SHARE * len(found)))
    return found[np.sort(np.argsort(-found[:, 3], kind="stable")[:n])]


def _narrow_crowd(values: Floats) -> float:
    """Centre of the first crowd of sorted values; NaN where there is none."""
    if len(values) <= _LEAST:
        return float("nan")
    count = np.searchsorted(values, values + _SPREAD, "right") - np.searchsorted(values, values - _SPREAD)
    if count.max() < _LEAST:
        return float("nan")
    centre = float(values[np.argmax(count >= max(_LEAST, _CROWD * count.max()))])
    for _ in range(3):
        centre = float(np.median(values[np.abs(values - centre) <= 1.5 * _SPREAD]))
    return centre
