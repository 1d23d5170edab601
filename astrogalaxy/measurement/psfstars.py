"""The point spread of a field's bands, learnt from the field's own clear stars, or from stars of what is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from astrogalaxy.gaussian import FWHM_PER_SIGMA, SIGMA_PER_MAD
from astrogalaxy.images.around import read_around
from astrogalaxy.measurement.psf import (
    DEGREE,
    Psf,
    hermite_functions,
    hermite_width,
    moffat,
    polynomial,
    sampled_degree,
)
from astrogalaxy.measurement.stamps import Stamps, nearest_pixel
from astrogalaxy.measurement.starlight import relative_scale, star_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images import Band, GivenPsf, Image, Pixels

__all__ = ["convert_psf", "field_psfs", "measure_psf"]

# Stars that are learnt from: at most, and at least for a point spread that is the same everywhere, changes linearly
# over the image, and quadratically; and the least signal to noise of one.
_MOST, _FEWEST = 80, (4, 15, 40)
_LEAST_SNR = 30.0
# Candidates that are looked at.
_CANDIDATES = 240
# Half side of a star's stamp, in seeing diameters.
_REACH = 2.0
# A pixel that is further from the model than this (in noise, with so much of the light and of the peak) is another's.
_FAR, _MODEL_ERROR, _PEAK_ERROR = 4.0, 0.04, 0.003
# A star is odd if that many of its pixels are, or if it differs so much more from the model than most.
_ODD_PIXELS, _ODD = 0.15, 4.0
# Neither is one that is wider than most by more than so many times its error and the scatter of the others, which is
# looked for in so many rounds.
_WIDE, _ROUNDS = 3.0, 10
# The profile is found to this share; the Hermite functions take up what it leaves.
_SETTLED = 1e-4
# Stars differ by this share of the light however bright they are.
_SCATTER = 0.004
# Stars scatter at least by this in their spread, and by this over their number where few tell it.
_LEAST_FLOOR, _FEW_FLOOR = 0.01, 0.2
# Noise of stars that are drawn with a given point spread, as a share of the brightest pixel.
_DRAWN_NOISE = 0.01
# Median of the square of a normal variable.
_MEDIAN_CHI2 = 0.455
_PIECES = [(m, degree - m) for degree in range(2, DEGREE + 1) for m in range(degree + 1)]


def field_psfs(image: Image) -> dict[str, Psf]:
    """Point spreads of the bands of a field; measured once, and kept with the bands.

    They are properties of the whole field, so that its tiles agree. Those that are given are taken. For the others the
    clear stars of the reference band are looked at in all bands; where it has fewer than four, each band's own.

    Parameters
    ----------
    image : Image
        The field.

    Returns
    -------
    dict of str to Psf
        Unknown (`Psf.known`) in bands with fewer than four good stars.

    Raises
    ------
    ImageError
        If a band cannot be read.
    """
    reference = image.bands[image.reference]
    for band in image.bands.values():
        if band.psf is None and band.given_psf is not None:
            band.psf = convert_psf(band.given_psf, band.shape)
        elif band.psf is None:
            seeing = reference.seeing * relative_scale(reference, band)
            band.psf = measure_psf(band, star_places(reference, band), seeing if np.isfinite(seeing) else band.seeing)
    return {name: band.psf for name, band in image.bands.items()}


def measure_psf(band: Band, places: NDArray[np.float64], seeing: float) -> Psf:
    """Learn the point spread of a band from stars.

    Parameters
    ----------
    band : Band
        The band.
    places : ndarray, shape (n, 2)
        Positions x and y of its stars, pixels. Those that are saturated, damaged, faint or not alone are left out.
    seeing : float
        About their half-light diameter, pixels.

    Returns
    -------
    Psf
        Unknown where fewer than four good stars are left.

    Raises
    ------
    ImageError
        If the band cannot be read.
    """
    if not (np.isfinite(seeing) and seeing > 0) or len(places) < _FEWEST[0]:
        return Psf.unknown(band.shape)
    half = int(np.ceil(_REACH * seeing)) + 1
    stars = _bright(_cut(band, _thinned(places), half))
    if len(stars) < _FEWEST[0]:
        return Psf.unknown(band.shape)
    stars, profile = _fit_moffat(stars, seeing)
    if len(stars) < _FEWEST[0]:
        return Psf.unknown(band.shape)
    values, errors = _fit_stars(stars, profile)
    coefficients, kept = _over_the_image(stars, values, errors, band.shape)
    if kept.sum() < _FEWEST[0]:
        return Psf.unknown(band.shape)
    bright = float(np.quantile(stars.light[kept], 0.75))
    psf = Psf(profile, _terms(coefficients), band.shape, int(kept.sum()), bright, 0.0)
    return psf.with_floor(_floor(psf, stars.take(kept), band.gain))


def convert_psf(given: GivenPsf, shape: tuple[int, int]) -> Psf:
    """Learn the point spread of a band from stars that are drawn with what is given.

    Parameters
    ----------
    given : GivenPsf
        Images of it.
    shape : (int, int)
        Rows and columns of the band.

    Returns
    -------
    Psf
        It varies as far as the number of places tells, up to quadratically.
    """
    x, y, light = given.stars(min(int(np.ceil(_REACH * given.seeing)) + 1, given.half))
    noise = np.broadcast_to(_DRAWN_NOISE * light.max(axis=(1, 2), keepdims=True), light.shape)
    stars, profile = _Stars(x, y, light, noise), (0.95 * given.seeing, 3.0, 0.0, 0.0)
    for _ in range(2):
        profile = _fit_profile(stars, profile)
    values, _ = _fit_stars(stars, profile)
    order = max(order for order in range(len(_FEWEST)) if (order + 1) * (order + 2) <= 2 * len(given.places))
    coefficients = np.linalg.lstsq(polynomial(x, y, shape, order), values)[0]
    psf = Psf(profile, _terms(coefficients), shape, len(stars), np.inf, 0.0)
    left = psf.fit(_fitting(stars.data, psf.half, 0.0), _fitting(stars.noise, psf.half, np.inf), x, y).spread
    return psf.with_floor(float(np.hypot(_LEAST_FLOOR, np.sqrt(np.mean(left**2)))))


def _terms(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of the pieces, (n_terms, n_pieces), where `Psf` has them; those of pieces left out are 0."""
    terms = np.zeros((len(coefficients), DEGREE + 1, DEGREE + 1))
    for (m, n), column in zip(_PIECES, coefficients.T, strict=False):
        terms[:, m, n] = column
    return terms


@dataclass(frozen=True)
class _Stars:
    """Stamps of stars, and where they are; ``noise`` is infinite where a pixel does not count."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    data: NDArray[np.float64]
    noise: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> _Stars:
        """Select some of the stars."""
        return _Stars(self.x[which], self.y[which], self.data[which], self.noise[which])

    @property
    def offsets(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distances of the pixels from the centres along x, (n, 1, size), and y, (n, size, 1)."""
        half = self.data.shape[1] // 2
        at = np.arange(-half, half + 1)
        dx, dy = (at + (nearest_pixel(part) - part)[:, None] for part in (self.x, self.y))
        return dx[:, None, :], dy[:, :, None]

    @property
    def light(self) -> NDArray[np.float64]:
        """Light on the stamps."""
        return np.asarray(self.data.sum(axis=(1, 2)))


def _thinned(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """So many of the places, spread evenly over the list (which goes through the image)."""
    step = max(1, -(-len(places) // _CANDIDATES))
    return places[::step]


def _cut(band: Band, places: NDArray[np.float64], half: int) -> _Stars:
    """Stamps of the stars whose every pixel is good, around centroids of their inner light."""
    ny, nx = band.shape
    x, y = places.T
    inside = (x > half + 2) & (x < nx - half - 3) & (y > half + 2) & (y < ny - half - 3)
    parts = [_cut_group(pixels, group, half) for group, pixels in read_around(band, places[inside], half + 2)]
    side = 2 * half + 1
    none = np.zeros(0), np.zeros(0), np.zeros((0, side, side)), np.zeros((0, side, side))
    return _Stars(*(np.concatenate(part) for part in zip(none, *parts, strict=True)))


def _cut_group(pixels: Pixels, places: NDArray[np.float64], half: int) -> tuple[NDArray[np.float64], ...]:
    import sep

    section = pixels.section
    data = np.require(pixels.data, np.float32, ["C", "W", "A"])
    x, y = places[:, 0] - section.x0, places[:, 1] - section.y0
    centred = sep.winpos(data, x, y, np.full(len(x), half / _REACH / FWHM_PER_SIGMA))
    steady = np.hypot(centred[0] - x, centred[1] - y) < 1.0
    x, y = (np.where(steady, new, old) for new, old in zip(centred[:2], (x, y), strict=True))
    stamps = Stamps(x, y, half, data.shape)
    flawed = stamps.gather(pixels.bad | pixels.saturated, fill=True).any(axis=(1, 2))
    good = ~flawed & steady
    stars = stamps.gather(data).astype(float)[good], stamps.gather(pixels.noise).astype(float)[good]
    return x[good] + section.x0, y[good] + section.y0, *stars


def _bright(stars: _Stars) -> _Stars:
    """The brightest of the stars that are clear of the noise."""
    dx, dy = stars.offsets
    core = np.hypot(dx, dy) < stars.data.shape[1] / 2 / _REACH
    light = np.sum(stars.data * core, axis=(1, 2))
    snr = light / np.sqrt(np.sum(stars.noise**2 * core, axis=(1, 2)))
    order = np.argsort(-light, kind="stable")
    return stars.take(order[snr[order] > _LEAST_SNR][:_MOST])


def _fit_moffat(stars: _Stars, seeing: float) -> tuple[_Stars, tuple[float, float, float, float]]:
    """One Moffat profile for all stars, and the stars without the pixels (and those among them) that do not follow."""
    profile = (0.95 * seeing, 3.0, 0.0, 0.0)
    for _ in range(2):
        profile = _fit_profile(stars, profile)
        model, amplitude = _scaled(stars, profile)
        drawn = amplitude[:, None, None] * model
        tolerated = np.sqrt(
            stars.noise**2 + (_MODEL_ERROR * drawn) ** 2 + (_PEAK_ERROR * drawn.max(axis=(1, 2))[:, None, None]) ** 2
        )
        alien = np.abs(stars.data - drawn) > _FAR * tolerated
        odd = alien.mean(axis=(1, 2)) > _ODD_PIXELS
        stars = replace(stars, noise=np.where(alien, np.inf, stars.noise)).take(~odd)
        if len(stars) < _FEWEST[0]:
            break
    return stars, profile


def _scaled(
    stars: _Stars, profile: tuple[float, float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The profile at every star, and each star's light."""
    model = moffat(profile, *stars.offsets)
    counts = np.isfinite(stars.noise)
    return model, np.sum(model * stars.data * counts, axis=(1, 2)) / np.sum(model**2 * counts, axis=(1, 2))


def _fit_profile(stars: _Stars, start: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    counts = np.isfinite(stars.noise)

    def profile_of(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
        """The profile of what is fitted."""
        fwhm, beta, along, across = (float(v) for v in values)
        return fwhm, float(np.exp(beta)), along, across

    # what a residual is measured by must not change with the profile, else it runs away
    model, amplitude = _scaled(stars, start)
    peak = np.maximum(amplitude, 0) * model.max()
    scale = np.hypot(stars.noise.min(axis=(1, 2)), _MODEL_ERROR * peak)[:, None, None]

    def misfit(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Residuals of all pixels that count, in units of their errors."""
        model, amplitude = _scaled(stars, profile_of(values))
        return np.asarray(((stars.data - amplitude[:, None, None] * model) / scale)[counts])

    first = np.array([start[0], np.log(start[1]), start[2], start[3]])
    bounds = ([0.3 * start[0], np.log(1.5), -0.5, -0.5], [3 * start[0], np.log(8.0), 0.5, 0.5])
    settings = {"loss": "soft_l1", "ftol": _SETTLED, "xtol": _SETTLED, "max_nfev": 30}
    return profile_of(least_squares(misfit, first, bounds=bounds, **settings).x)


def _fit_stars(
    stars: _Stars, profile: tuple[float, float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much each star departs from the profile, in Hermite functions: (n, n_pieces), and errors.

    Narrow stars have the first of the pieces only, or none: single stars do not tell those that pixels do not sample.
    """
    dx, dy = stars.offsets
    width = hermite_width(profile)
    degree = sampled_degree(width)
    along, down = hermite_functions(dx[:, 0, :], width), hermite_functions(dy[:, :, 0], width)
    base = moffat(profile, dx, dy)
    # two pieces of the first degree take up what is left of the centroids' errors
    pieces = [(1, 0), (0, 1), *(piece for piece in _PIECES if sum(piece) <= degree)]
    shapes = [along[m][:, None, :] * down[n][:, :, None] for m, n in pieces]
    design = np.stack([base, *shapes], axis=-1).reshape(len(stars), -1, len(pieces) + 1)
    data = stars.data.reshape(len(stars), -1)
    noise = np.hypot(stars.noise.reshape(len(stars), -1), 0.01 * np.maximum(data, 0))
    weighted = design / noise[:, :, None] ** 2
    normal = weighted.transpose(0, 2, 1) @ design
    scale = 1 / np.sqrt(np.einsum("nii->ni", normal))
    inverse = np.linalg.inv(normal * scale[:, :, None] * scale[:, None, :] + 1e-9 * np.eye(normal.shape[1]))
    covariance = inverse * scale[:, :, None] * scale[:, None, :]
    solution = np.einsum("nij,nj->ni", covariance, np.einsum("npi,np->ni", weighted, data))
    errors = np.sqrt(np.einsum("nii->ni", covariance))
    return solution[:, 3:] / solution[:, :1], errors[:, 3:] / solution[:, :1]


def _over_the_image(
    stars: _Stars, values: NDArray[np.float64], errors: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Coefficients of polynomials of the position, (n_terms, n_pieces), and the stars that follow them."""
    if not values.shape[1]:  # all stars are as the profile is
        return np.zeros((1, 0)), np.ones(len(stars), dtype=bool)
    order = int(np.searchsorted(_FEWEST, len(stars), side="right")) - 1
    terms = polynomial(stars.x, stars.y, shape, order)
    variance = errors**2 + _SCATTER**2
    kept = np.isfinite(values).all(axis=1)
    values = np.nan_to_num(values)
    kept &= (points := _as_narrow_as_most(terms, values, errors))
    for _ in range(4):
        weight = kept[:, None] / np.nan_to_num(variance, nan=np.inf)
        normal = np.einsum("sa,sp,sb->pab", terms, weight, terms)
        normal += 1e-6 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(terms.shape[1])
        right = np.einsum("sa,sp->pa", terms, weight * values)
        coefficients = np.linalg.solve(normal, right[:, :, None])[:, :, 0].T
        misfit = np.mean((values - terms @ coefficients) ** 2 / variance, axis=1)
        kept = points & (misfit < _ODD * max(float(np.median(misfit[kept])) if kept.any() else 0.0, 1.0))
    return coefficients, kept


def _as_narrow_as_most(
    terms: NDArray[np.float64], values: NDArray[np.float64], errors: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Stars without the compact galaxies that are among them in deep fields: those are wider, and all to one side."""
    wide = [_PIECES.index(piece) for piece in ((2, 0), (0, 2))]
    width, error = values[:, wide].sum(axis=1), np.nan_to_num(np.hypot(*errors[:, wide].T), nan=np.inf)
    weight = np.ones(len(width))
    # least absolute deviations from a polynomial of the position: a quarter of galaxies does not bend it
    for _ in range(_ROUNDS):
        weighted = terms * weight[:, None]
        excess = width - terms @ np.linalg.lstsq(weighted.T @ terms, weighted.T @ width)[0]
        usual = float(np.median(np.abs(excess)))
        weight = 1 / np.maximum(np.abs(excess), 0.1 * usual + 1e-9)
    # the side on which there are stars only tells how much they scatter
    scatter = SIGMA_PER_MAD * float(np.median(-excess[excess <= 0]))
    return np.asarray(excess < _WIDE * np.hypot(error, scatter))


def _floor(psf: Psf, stars: _Stars, gain: float | None) -> float:
    """Scatter of the spreads of the stars beyond their noise: what the model does not know."""
    found = psf.fit(
        _fitting(stars.data, psf.half, 0.0), _fitting(stars.noise, psf.half, np.inf), stars.x, stars.y, gain=gain
    )
    good = np.isfinite(found.spread) & np.isfinite(found.error)
    if not good.any():
        return 0.0
    # the brighter half tell it: the noise of the others drowns it
    good &= found.error <= np.median(found.error[good])
    square, variance = found.spread[good] ** 2, found.error[good] ** 2
    # the floor with which half of the squared pulls are below the median of the chi-square distribution
    floors = np.concatenate([[0.0], np.geomspace(1e-3, 0.3, 40)])
    median = np.median(square[:, None] / (variance[:, None] + floors**2), axis=0)
    floor = floors[np.argmax(median <= _MEDIAN_CHI2)] if (median <= _MEDIAN_CHI2).any() else floors[-1]
    # stars that taught the model lie nearer to it than others, by the numbers that it has
    return float(max(floor, _LEAST_FLOOR + _FEW_FLOOR / len(stars)) * (1 + 3 * len(psf.coefficients) / len(stars)))


def _fitting(stamps: NDArray[np.float64], half: int, fill: float) -> NDArray[np.float32]:
    """Stamps cut or widened to another half side."""
    have = stamps.shape[1] // 2
    if have < half:
        margin = half - have
        stamps = np.pad(stamps, ((0, 0), (margin, margin), (margin, margin)), constant_values=fill)
        have = half
    inner = slice(have - half, have + half + 1)
    return stamps[:, inner, inner].astype(np.float32)
