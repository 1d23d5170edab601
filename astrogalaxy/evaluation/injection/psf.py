"""The point spread of a real image, as given or measured on its own stars, with which injected sources are blurred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sep
from astropy.table import Table
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from astrogalaxy.catalog import has_flags
from astrogalaxy.errors import ImageError
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images import Band, GivenPsf, Image, Section
from astrogalaxy.images.stars import half_light_radius
from astrogalaxy.measurement import star_radius
from astrogalaxy.measurement.seeing import DISTURBED

__all__ = ["PointSpread", "choose_stars", "measure_point_spreads"]

_MOST_STARS, _ENOUGH_STARS, _FEWEST_STARS = 40, 8, 3
# A star to learn from: surely one, bright (less so where there are few), and within this of the width
# of the others (logarithm).
_SURE, _BRIGHT, _WIDTH = 0.8, (50.0, 25.0), 0.08
# Stars brighter than this tell little more, since no model is good enough for them. Stars whose width differs by
# more than this share from that of most are left out.
_BEST_SNR, _ODD = 1000.0, 0.15
# In seeing diameters: half side of a star's stamp, and radius around a neighbour in which pixels are left out.
_REACH, _HIDDEN = 4.0, 1.3
# Error of any model, as a share of the light: it keeps the brightest stars from deciding alone. A point spread that is
# given counts as a bright star, with this share of its peak as the noise.
_MODEL_ERROR, _GIVEN_ERROR = 0.03, 0.003
_BETA, _LARGEST_SHEAR = (2.0, 12.0), 0.5
_GUESSED_BETA = 3.0
# Three points of Gauss and Legendre along an axis hold a pixel's integral to better than 1 in 10^4.
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(3)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PointSpread:
    """Point spread of one band: a sheared Moffat profile, before the pixels.

    Attributes
    ----------
    fwhm : float
        Full width at half maximum, pixels of the band.
    beta : float
        Exponent.
    shear : (float, float)
        Reduced shear along the axes and along the diagonals of the band's pixels.
    n_stars : int
        Stars that it was fitted to; 0 where it is a guess from the width of bright sources.
    given : bool
        Whether it was fitted to the point spread that the band was given, not to stars.

    Examples
    --------
    >>> from astrogalaxy.evaluation.injection import PointSpread
    >>> spread = PointSpread(fwhm=3.0, beta=3.5, shear=(0.0, 0.0), n_stars=40)
    >>> round(spread.alpha, 2), round(spread.peak, 3), spread.radius(1.0)
    (3.21, 0.077, 0.0)
    """

    fwhm: float
    beta: float
    shear: tuple[float, float]
    n_stars: int
    given: bool = False

    @property
    def alpha(self) -> float:
        """Scale radius, pixels."""
        return float(self.fwhm / 2 / np.sqrt(2 ** (1 / self.beta) - 1))

    @property
    def peak(self) -> float:
        """Brightest pixel of a star of light 1, but for the pixels' own blur."""
        return float((self.beta - 1) / (np.pi * self.alpha**2))

    def radius(self, brightness: float) -> float:
        """Radius in pixels where a star of light 1 is as bright as this; 0 where it is nowhere."""
        return float(self.alpha * np.sqrt(max(self.peak / brightness, 1.0) ** (1 / self.beta) - 1))

    def star(self, dx: Floats, dy: Floats) -> Floats:
        """Light that pixels at these distances from a star of light 1 receive."""
        return self.peak * _profile((self.fwhm, np.log(self.beta), *self.shear), dx, dy)


@dataclass(frozen=True)
class _Stars:
    """Pixels of stars, ``(n, ny, nx)``, or of one: values, weights (1 / sigma), distances from the centre."""

    data: Floats
    weight: Floats
    dx: Floats
    dy: Floats

    def __len__(self) -> int:
        return len(self.data)


def choose_stars(catalog: Table) -> NDArray[np.intp]:
    """Rows of the stars that show the point spread: sure, alone, of one width, bright but not the brightest.

    Where no saturation level is known, the brightest are likely saturated, in one band if not in all.

    Parameters
    ----------
    catalog : SourceCatalog
        One field.

    Returns
    -------
    ndarray of int
        At most forty, the best first.
    """
    radius, snr = (np.asarray(catalog[name], dtype=float) for name in ("half_light_radius", "snr"))
    p_star, flags = np.asarray(catalog["p_star"], dtype=float), np.asarray(catalog["flags"])
    ruler = star_radius(radius, snr, p_star, flags)
    with np.errstate(invalid="ignore", divide="ignore"):
        good = (p_star >= _SURE) & ~has_flags(flags, *DISTURBED)
        if np.isfinite(ruler):
            good &= np.abs(np.log(radius / ruler)) < _WIDTH
        rows = np.zeros(0, dtype=np.intp)
        for lowest in _BRIGHT:
            if len(rows) < _ENOUGH_STARS:
                rows = np.flatnonzero(good & (snr >= lowest))
    lone = rows[~has_flags(flags[rows], "deblended")]
    rows = lone if len(lone) >= _ENOUGH_STARS else rows
    return rows[np.argsort(np.abs(np.log(snr[rows] / _BEST_SNR)), kind="stable")][:_MOST_STARS]


def measure_point_spreads(image: Image, catalog: Table, *, seeing: float | None = None) -> dict[str, PointSpread]:
    """Fit the point spread of every band to the one that it was given, or to the field's own stars.

    One profile holds for the whole field. A band without either (fewer than three good stars) gets a round
    profile: of the given seeing, or as wide as its bright compact sources.

    Parameters
    ----------
    image : Image
        The field.
    catalog : SourceCatalog
        Its sources.
    seeing : float, optional
        Full width of stars at half maximum, arcsec, for bands with too few of them.

    Returns
    -------
    dict of str to PointSpread

    Raises
    ------
    ImageError
        If no band has stars that tell its seeing.
    """
    spreads: dict[str, PointSpread] = {}
    unknown = []
    for name, band in image.bands.items():
        if band.given_psf is not None:
            spread = _fit(_given_stars(band.given_psf), band.given_psf.seeing)
            spread = None if spread is None else replace(spread, n_stars=0, given=True)
        else:
            x, y = image.to_band(name, *(np.asarray(catalog[axis], dtype=float) for axis in "xy"))
            spread = _fit_band(band, x, y, choose_stars(catalog))
        spread = spread or _guess(image, band, seeing)
        if spread is None:
            unknown.append(name)
        else:
            spreads[name] = spread
    if not spreads:
        msg = f"{image.name or 'image'}: too few stars to measure the seeing; give it (--seeing, arcsec)"
        raise ImageError(msg)
    middle = sorted(spreads.values(), key=lambda spread: spread.fwhm)[len(spreads) // 2]
    spreads |= {name: PointSpread(middle.fwhm, middle.beta, (0.0, 0.0), 0) for name in unknown}
    return {name: spreads[name] for name in image.bands}


def _guess(image: Image, band: Band, seeing: float | None) -> PointSpread | None:
    """A round Moffat profile of the given seeing, or as wide as the band's bright compact sources."""
    if seeing is not None:
        scale = image.pixel_scale if band.wcs is None else band.pixel_scale
        return PointSpread(seeing / scale, _GUESSED_BETA, (0.0, 0.0), 0)
    if not np.isfinite(band.seeing):
        return None
    core, half = 2 ** (1 / _GUESSED_BETA), 2 ** (1 / (_GUESSED_BETA - 1))
    return PointSpread(float(band.seeing * np.sqrt((core - 1) / (half - 1))), _GUESSED_BETA, (0.0, 0.0), 0)


def _fit_band(band: Band, x: Floats, y: Floats, rows: NDArray[np.intp]) -> PointSpread | None:
    """Fit one profile to a band's stars; None where too few can be used or the fit makes no sense."""
    seeing = band.seeing if np.isfinite(band.seeing) else 4.0
    half = int(np.ceil(_REACH * seeing))
    cut = [_cut(band, x, y, row, half, seeing) for row in rows]
    stars = _usual([one for one in cut if one is not None], seeing)
    return _fit(stars, seeing) if len(stars) >= _FEWEST_STARS else None


def _given_stars(given: GivenPsf) -> _Stars:
    """The images of a point spread, as stars."""
    half = min(int(np.ceil(_REACH * given.seeing)), given.half)
    x, y, data = given.stars(half)
    dx, dy = (np.arange(-half, half + 1) - (at - np.floor(at + 0.5))[:, None] for at in (x, y))
    weight = 1 / np.hypot(_GIVEN_ERROR * data.max(axis=(1, 2), keepdims=True), _MODEL_ERROR * data)
    dx, dy = np.broadcast_arrays(dx[:, None, :], dy[:, :, None])
    return _Stars(data, weight, dx, dy)


def _fit(stars: _Stars, seeing: float) -> PointSpread | None:
    """Fit one profile to all stars at once; None where the fit makes no sense."""
    low = [0.3 * seeing, np.log(_BETA[0]), -_LARGEST_SHEAR, -_LARGEST_SHEAR]
    high = [2.0 * seeing, np.log(_BETA[1]), _LARGEST_SHEAR, _LARGEST_SHEAR]
    start = [0.85 * seeing, np.log(_GUESSED_BETA), 0.0, 0.0]
    fit = least_squares(lambda p: _residuals(p, stars), start, bounds=(low, high), loss="soft_l1", f_scale=3.0)
    fwhm, log_beta, g1, g2 = (float(value) for value in fit.x)
    if not fit.success or np.any(fit.active_mask[:1]):
        return None
    return _as_wide(PointSpread(fwhm, float(np.exp(log_beta)), (g1, g2), len(stars)), stars)


def _usual(stamps: Sequence[_Stars], seeing: float) -> _Stars:
    """Stack the stars whose width is that of most: not the saturated ones, which are wider."""
    kept = list(stamps)
    if kept:
        radius = np.array([_half_light(one.data, one.dx, one.dy, seeing / 2) for one in kept])
        odd = np.abs(radius / np.median(radius) - 1) > _ODD
        kept = [one for one, is_odd in zip(kept, odd, strict=True) if not is_odd]
    names = ("data", "weight", "dx", "dy")
    nothing = np.zeros((0, 1, 1))
    return _Stars(*(np.stack([getattr(one, name) for one in kept]) if kept else nothing for name in names))


def _as_wide(spread: PointSpread, stars: _Stars) -> PointSpread:
    """The profile with the half-light radius of the stars: classes are told by it, and no star is quite a Moffat."""
    profile = _profile((spread.fwhm, np.log(spread.beta), *spread.shear), stars.dx, stars.dy)
    light, sky = _light_and_sky(profile, stars)
    # what neighbours hide is taken from the profile
    alone = np.where(stars.weight > 0, stars.data - sky, light * profile)
    start = 0.6 * spread.fwhm

    def width(light: Floats) -> float:
        """Half-light radius of most of the stars."""
        return float(np.median([_half_light(*one, start) for one in zip(light, stars.dx, stars.dy, strict=True)]))

    real = width(alone)
    for _ in range(3):
        # what is measured depends on where in its pixel a narrow star lies: so profile and stars are at the same places
        factor = np.clip(real / width(spread.star(stars.dx, stars.dy)), 1 - _WIDTH, 1 + _WIDTH)
        spread = replace(spread, fwhm=float(spread.fwhm * factor))
    return spread


def _half_light(data: Floats, dx: Floats, dy: Floats, start: float) -> float:
    """Radius of half of the light of the star on a stamp, pixels."""
    x, y = -dx[0, :1], -dy[:1, 0]
    return float(half_light_radius(np.ascontiguousarray(data, np.float32), x, y, np.array([start]))[0])


def _cut(band: Band, x: Floats, y: Floats, row: int, half: int, seeing: float) -> _Stars | None:
    """The stamp of one star; None where it leaves the band or has bad pixels in its middle."""
    if not np.isfinite(x[row] + y[row]):
        return None
    ix, iy = round(float(x[row])), round(float(y[row]))
    section = Section(ix - half, ix + half + 1, iy - half, iy + half + 1)
    if section.clip(band.shape) != section:
        return None
    pixels = band.pixels(section)
    cx, cy, flag = sep.winpos(pixels.data, [x[row] - section.x0], [y[row] - section.y0], seeing / FWHM_PER_SIGMA)
    rows, columns = np.indices(section.shape)
    dx, dy = columns - cx[0], rows - cy[0]
    core = np.hypot(dx, dy) < seeing
    if flag[0] or np.hypot(cx[0] + section.x0 - x[row], cy[0] + section.y0 - y[row]) > seeing / 2:
        return None
    if (pixels.bad | pixels.saturated)[core].any():
        return None
    sigma = np.sqrt(pixels.noise**2 + (_MODEL_ERROR * pixels.data) ** 2)
    weight = np.where(pixels.bad | _hidden(section, x, y, row, _HIDDEN * seeing), 0.0, 1 / sigma)
    return _Stars(pixels.data.astype(float), weight, dx, dy)


def _hidden(section: Section, x: Floats, y: Floats, row: int, radius: float) -> NDArray[np.bool_]:
    """Pixels of a section around other sources than that of a row."""
    rows, columns = np.indices(section.shape)
    grown = section.grow(int(np.ceil(radius)))
    others = grown.contains(x, y)
    others[row] = False
    if not others.any():
        return np.zeros(section.shape, dtype=bool)
    tree = cKDTree(np.column_stack([x[others] - section.x0, y[others] - section.y0]))
    gaps, _ = tree.query(np.column_stack([columns.ravel(), rows.ravel()]))
    return np.asarray(gaps.reshape(section.shape) < radius)


def _residuals(parameters: Floats, stars: _Stars) -> Floats:
    """Weighted differences from the profile, with each star's own light and sky fitted on the way."""
    profile = _profile(parameters, stars.dx, stars.dy)
    light, sky = _light_and_sky(profile, stars)
    return np.asarray((stars.weight * (stars.data - light * profile - sky)).ravel())


def _light_and_sky(profile: Floats, stars: _Stars) -> tuple[Floats, Floats]:
    """The light of each star and the sky around it that fit best, ``(n, 1, 1)``."""
    w2 = stars.weight**2
    s, sp, spp, sd, spd = (
        np.sum(w2 * term, axis=(1, 2), keepdims=True)
        for term in (1.0, profile, profile**2, stars.data, profile * stars.data)
    )
    determinant = s * spp - sp**2
    return (s * spd - sp * sd) / determinant, (spp * sd - sp * spd) / determinant


def _profile(parameters: Sequence[float] | Floats, dx: Floats, dy: Floats) -> Floats:
    """Sheared Moffat profile of central brightness 1, integrated over pixels."""
    fwhm, log_beta, g1, g2 = parameters
    beta = np.exp(log_beta)
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    stretch = 1 / np.sqrt(max(1 - g1**2 - g2**2, 1e-6)) / alpha
    total = np.zeros(dx.shape)
    for node_x, weight_x in zip(_NODES / 2, _NODE_WEIGHTS / 2, strict=True):
        for node_y, weight_y in zip(_NODES / 2, _NODE_WEIGHTS / 2, strict=True):
            x, y = dx + node_x, dy + node_y
            u, v = stretch * ((1 - g1) * x - g2 * y), stretch * ((1 + g1) * y - g2 * x)
            total += weight_x * weight_y * (1 + u**2 + v**2) ** -beta
    return total
