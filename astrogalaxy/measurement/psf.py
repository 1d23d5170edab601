"""The point spread of a band, as stars show it, and what it says of a source: PSF flux and width."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq

from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.measurement.stamps import nearest_pixel

if TYPE_CHECKING:
    from typing import Self

__all__ = ["DEGREE", "Psf", "PsfFit", "hermite_functions", "hermite_width", "moffat", "polynomial", "sampled_degree"]

DEGREE = 6
"""Highest degree of the Hermite functions by which a point spread departs from a Moffat profile."""

# Half side of the stamps and radius of the round window, in FWHM.
_REACH = 2.0
# Scale radius of the exponential disk that a wider source is made with, in FWHM: half its light lies within one FWHM.
_DISK = 0.3
# Steps of the table of models along a pixel.
_STEPS = 16
# No model is better than this, as a share of the light in a pixel, and no sky than this share of its noise.
_MODEL_ERROR, _SKY_ERROR = 0.01, 0.3
# Oscillations in a pixel that the few Hermite functions may have: a little beyond the half that any light may have,
# they still differ from each other on the pixels of a star.
_SAMPLED = 0.6
# Sources that are modelled at once.
_BATCH = 400

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


def moffat(profile: tuple[float, float, float, float], dx: Floats, dy: Floats) -> Floats:
    """Elliptical Moffat profile of light 1.

    Parameters
    ----------
    profile : tuple of float
        FWHM (pixels, of the circle of equal area), exponent, and ellipticity along the axes (positive:
        elongated in x) and along the diagonals.
    dx, dy : ndarray
        Distances from the centre, pixels.

    Returns
    -------
    ndarray
        Surface brightness, of the shape of ``dx`` and ``dy``.
    """
    fwhm, beta, along, across = profile
    scale2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    square = (1 - along) * dx**2 - 2 * across * dx * dy + (1 + along) * dy**2
    square = square / np.sqrt(max(1 - along**2 - across**2, 1e-3))
    return np.asarray((beta - 1) / (np.pi * scale2) * (1 + square / scale2) ** -beta)


def hermite_functions(x: Floats, width: float) -> Floats:
    """Hermite functions (those of the quantum oscillator) of degree 0 to `DEGREE`, along a new first axis.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-9, 9, 901)
    >>> h = hermite_functions(x, 1.5)[:3]
    >>> (h @ h.T * 0.02).round(3) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    u = np.asarray(x, dtype=float) / width
    found = [np.exp(-u * u / 2) / np.sqrt(width * np.sqrt(np.pi))]
    found.append(np.sqrt(2.0) * u * found[0])
    for n in range(2, DEGREE + 1):
        found.append(np.sqrt(2 / n) * u * found[-1] - np.sqrt((n - 1) / n) * found[-2])
    return np.array(found)


@dataclass(frozen=True)
class PsfFit:
    """Points, and disks as wide as the point spread, fitted to n sources.

    Attributes
    ----------
    flux : ndarray, shape (n,)
        Light of point and disk, units of the pixels.
    point, point_err : ndarray, shape (n,)
        Light of a point where no disk is fitted and the centre is held, and its error; NaN where nothing could be
        fitted.
    point_area : ndarray, shape (n,)
        By how much `point` grows with the level of the sky, pixels.
    spread, error : ndarray, shape (n,)
        Share of the light in a disk as large as the point spread: 0 for a point, and about 1 for a
        galaxy as wide as that disk; more for wider ones. NaN where nothing could be fitted.
    weight : ndarray, shape (n,)
        What it counts for in the mean of several bands: the inverse variance that the spread of a point would have,
        since what noise adds to the spread makes its own variance smaller. 0 where nothing could be fitted.
    """

    flux: Floats
    point: Floats
    point_err: Floats
    point_area: Floats
    spread: Floats
    error: Floats
    weight: Floats

    @classmethod
    def unknown(cls, n: int) -> Self:
        """Nothing fitted to n sources."""
        return cls(*np.full((6, n), np.nan), np.zeros(n))


@dataclass(frozen=True)
class Psf:
    """Point spread of one band, pixels included: a Moffat profile and what stars show beyond it.

    The departures from the Moffat profile are a sum of products of Hermite functions; their
    coefficients change over the image as a polynomial of the position.

    Attributes
    ----------
    profile : (float, float, float, float)
        See `moffat`.
    coefficients : ndarray, shape (n_terms, DEGREE + 1, DEGREE + 1)
        For each term of the polynomial, those of the Hermite functions of degree m along x (second
        axis) and n along y (third axis).
    shape : (int, int)
        Rows and columns of the band.
    n_stars : int
        Stars that it was learnt from.
    bright : float
        Light that a quarter of them exceed, units of the pixels; infinite where all is as it is given.
    floor : float
        By how much the spreads of these stars differ beyond their noise.

    Examples
    --------
    >>> import numpy as np
    >>> psf = Psf((3.0, 3.0, 0.0, 0.0), np.zeros((1, DEGREE + 1, DEGREE + 1)), (90, 120), 9, 1e4, 0.005)
    >>> stamps = 500 * psf.models(np.array([40.2]), np.array([30.0]))[0]
    >>> bool(abs(psf.fit(stamps, np.ones_like(stamps), [40.2], [30.0]).spread[0]) < 0.001)
    True
    """

    profile: tuple[float, float, float, float]
    coefficients: Floats
    shape: tuple[int, int]
    n_stars: int
    bright: float
    floor: float

    @classmethod
    def unknown(cls, shape: tuple[int, int]) -> Self:
        """What stands for a point spread where there are too few stars."""
        nan = float("nan")
        return cls((nan, nan, nan, nan), np.zeros((1, DEGREE + 1, DEGREE + 1)), shape, 0, nan, nan)

    @property
    def known(self) -> bool:
        """Whether there were stars enough."""
        return self.n_stars > 0

    @property
    def half(self) -> int:
        """Half side of the stamps on which sources are fitted, pixels."""
        return int(np.ceil(_REACH * self.profile[0])) + 1

    @property
    def order(self) -> int:
        """Order of the polynomial of the position."""
        return polynomial_order(len(self.coefficients))

    def to_array(self) -> Floats:
        """All numbers in one array, to be kept in a file."""
        head = [*self.profile, *self.shape, self.n_stars, self.bright, self.floor]
        return np.concatenate([head, self.coefficients.ravel()])

    @classmethod
    def from_array(cls, values: Floats) -> Self:
        """Undo `to_array`."""
        fwhm, beta, along, across, ny, nx, n_stars, bright, floor = (float(v) for v in values[:9])
        coefficients = np.reshape(values[9:], (-1, DEGREE + 1, DEGREE + 1))
        profile, shape = (fwhm, beta, along, across), (int(ny), int(nx))
        return cls(profile, coefficients, shape, int(n_stars), bright, floor)

    def with_floor(self, floor: float) -> Self:
        """Copy with another floor, and with the table of models if it has been made: the floor is not in it."""
        copy = replace(self, floor=floor)
        if "_blocks" in vars(self):
            vars(copy)["_blocks"] = self._blocks
        return copy

    def __getstate__(self) -> dict[str, Any]:
        """Without the table of models: it is large, and quickly made again."""
        return {name: value for name, value in vars(self).items() if name != "_blocks"}

    def models(self, x: Floats, y: Floats) -> Floats32:
        """Point sources and wider ones of light 1, on stamps around the nearest pixel.

        Parameters
        ----------
        x, y : ndarray, shape (n,)
            Centres, pixels of the band.

        Returns
        -------
        ndarray of float32, shape (4, n, size, size)
            A point; the disk blurred by the point spread, less the point; and how the point
            changes as its centre moves along x and y.
        """
        (column, u), (row, v) = (_phase(np.asarray(part, dtype=float)) for part in (x, y))
        weights = polynomial(x, y, self.shape, self.order).astype(np.float32)[:, None, None, :]
        side = 2 * self.half + 1

        def corner(down: int, right: int) -> Floats32:
            """Both models at a corner of the cell of the table, (n, 2, size, size)."""
            found = np.matmul(weights, self._blocks[row + down, column + right])
            return found.reshape(-1, 2, side, side)

        u, v = u[:, None, None, None], v[:, None, None, None]
        top, bottom = corner(0, 0), corner(1, 0)
        top_step, bottom_step = corner(0, 1) - top, corner(1, 1) - bottom
        steps = (1 - v) * top_step + v * bottom_step
        value = (1 - v) * top + v * bottom + u * steps
        down = bottom[:, 0] - top[:, 0] + u[:, 0] * (bottom_step[:, 0] - top_step[:, 0])
        point, wider = value[:, 0], value[:, 1]
        # the table is stepped by where the pixels lie, which is against the way of the centre
        return np.stack([point, wider - point, -_STEPS * steps[:, 0], -_STEPS * down])

    @cached_property
    def _blocks(self) -> Floats32:
        """Stamps of both models, of every term, at every step of the centre along a pixel.

        Shape (n_steps, n_steps, 2, n_terms, size * size), so that what a source needs lies together in memory.
        """
        table, side = self._table, 2 * self.half + 1
        n_steps = _STEPS + 2
        blocks = np.empty((n_steps, n_steps, *table.shape[:2], side * side), dtype=np.float32)
        starts = [2 * _STEPS - _STEPS // 2 + step for step in range(n_steps)]
        for down, y0 in enumerate(starts):
            for right, x0 in enumerate(starts):
                part = table[:, :, y0 : y0 + side * _STEPS : _STEPS, x0 : x0 + side * _STEPS : _STEPS]
                blocks[down, right] = part.reshape(*table.shape[:2], -1)
        return blocks

    @property
    def _table(self) -> Floats32:
        """Point and wider model, of every term, in steps of a part of a pixel: (2, n_terms, ny, nx)."""
        reach = self.half + 2
        at = np.arange(-reach * _STEPS, reach * _STEPS + 1) / _STEPS
        hermite = hermite_functions(at, hermite_width(self.profile))
        terms = np.einsum("tmn,mx,ny->tyx", self.coefficients, hermite, hermite, optimize=True)
        terms[0] += moffat(self.profile, at[None, :], at[:, None])
        n = next_fast_len(len(at), real=True)
        waves = 2 * np.pi * fftfreq(n, 1 / _STEPS), 2 * np.pi * rfftfreq(n, 1 / _STEPS)
        square = waves[0][:, None] ** 2 + waves[1][None, :] ** 2
        # an exponential disk has this Fourier transform
        blur = (1 + square * (_DISK * self.profile[0]) ** 2) ** -1.5
        wider = irfft2(rfft2(terms, s=(n, n)) * blur, s=(n, n))[:, : len(at), : len(at)]
        return np.stack([terms, wider]).astype(np.float32)

    def fit(
        self,
        stamps: Floats32,
        noise: Floats32,
        x: Floats,
        y: Floats,
        *,
        gain: float | None = None,
        misplaced: Floats32 | None = None,
    ) -> PsfFit:
        """Fit a point and a disk to the light of sources that are alone.

        Centre and a remainder of the sky are fitted, too; all at once, by weighted least squares.

        Parameters
        ----------
        stamps : ndarray, shape (n, size, size)
            Light around the pixel nearest to the centre, ``size = 2 * half + 1``.
        noise : ndarray, shape (n, size, size)
            Noise of the sky; infinite where there are no data.
        x, y : ndarray, shape (n,)
            Centres, pixels of the band.
        gain : float, optional
            Electrons per unit of the light.
        misplaced : ndarray, shape (n, size, size), optional
            Light of neighbours that may have been left, or taken out too much: it is in the error of `PsfFit.point`.

        Returns
        -------
        PsfFit
            NaN where less than half of the window's light would be on pixels with data.
        """
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        unit = _unit(noise)
        counts = None if gain is None else gain * float(unit)
        parts = []
        with np.errstate(over="ignore", invalid="ignore"):  # damaged pixels as bright as no star
            for start in range(0, len(x), _BATCH):
                some = slice(start, start + _BATCH)
                wrong = None if misplaced is None else misplaced[some] / unit
                parts.append(self._fit(stamps[some] / unit, noise[some] / unit, x[some], y[some], counts, wrong))
        fitted = np.concatenate(parts, axis=1) if parts else np.zeros((7, 0))
        flux, point, point_err = fitted[:3] * float(unit)
        area, spread, error, least = fitted[3:]
        # what is brighter than the stars that the model was learnt from need not follow it
        floor = self.floor * (1 + np.maximum(flux, 0) / self.bright)
        error, weight = np.hypot(error, floor), 1 / np.hypot(least, floor) ** 2
        return PsfFit(flux, point, point_err, area, spread, error, weight)

    def _fit(
        self, stamps: Floats32, noise: Floats32, x: Floats, y: Floats, gain: float | None, misplaced: Floats32 | None
    ) -> Floats:
        """Light; that of a point alone, its error and area; spread, its error without floor, and that of a point."""
        models = self.models(x, y)
        window = _window(self.half, x, y, _REACH * self.profile[0])
        known = np.isfinite(noise)
        variance = np.where(known, noise, 1) ** 2
        weight = np.where(known, window, 0) / variance
        point = models[0]
        seen = np.sum(point * (weight > 0), axis=(1, 2)) > 0.5 * np.sum(point * (window > 0), axis=(1, 2))
        # a matched filter: its weights do not know of the source's own photons, so that a point spread that is a little
        # wrong takes the same share of the light of bright and faint stars
        kernel, norm = weight * point, np.maximum(np.sum(weight * point**2, axis=(1, 2)), 1e-30)
        held, area = np.sum(kernel * stamps, axis=(1, 2)) / norm, np.sum(kernel, axis=(1, 2)) / norm
        light = np.maximum(held, 0)[:, None, None].astype(np.float32) * point
        photons = 0 if gain is None else np.maximum(light, 0) / np.float32(gain)
        held_err = np.sqrt(np.sum(kernel**2 * (variance + photons), axis=(1, 2))) / norm
        if misplaced is not None:
            held_err = np.hypot(held_err, np.sum(kernel * misplaced, axis=(1, 2)) / norm)
        extra = (_MODEL_ERROR * light) ** 2 + photons
        weight = weight / (1 + extra * weight)
        sky = _typical(noise)
        solution, covariance = _least_squares(models, weight, stamps, sky)
        flux, wide = solution[:, 0], solution[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = wide / flux
            variance = covariance[:, 1, 1] - 2 * spread * covariance[:, 0, 1] + spread**2 * covariance[:, 0, 0]
            error = np.sqrt(variance) / np.abs(flux)
            # The light of a point alone has an error of its own, independent of that of the disk: so a mean of spreads
            # with this weight, disk times that light over both lights' product, is of all bands' disks as they are.
            alone = flux - covariance[:, 0, 1] / covariance[:, 1, 1] * wide
            least = np.sqrt(covariance[:, 1, 1] / (flux * alone))
        good = seen & (flux > 0) & (alone > 0) & np.isfinite(spread) & np.isfinite(error) & np.isfinite(least)
        of_point = [np.where(seen, values, np.nan) for values in (held, held_err, area)]
        fitted = [np.where(good, values, np.nan) for values in (spread, error)]
        return np.array([flux, *of_point, *fitted, np.where(good, least, np.inf)])


def hermite_width(profile: tuple[float, float, float, float]) -> float:
    """Width of the Hermite functions that go with a Moffat profile, pixels."""
    return profile[0] / FWHM_PER_SIGMA


def sampled_degree(width: float) -> int:
    """Highest degree, up to `DEGREE`, of the Hermite functions that pixels tell apart.

    That of degree n oscillates up to ``sqrt(2 n + 1) / (2 pi width)`` times in a pixel. Pixels sample half an
    oscillation; faster ones look like slower ones on the pixels of a star, and are fitted with any amplitude.

    Parameters
    ----------
    width : float
        See `hermite_width`.

    Returns
    -------
    int
        At least 1: the first degree is a shift of the centre.

    Examples
    --------
    >>> [sampled_degree(fwhm / 2.355) for fwhm in (1.3, 1.8, 2.3, 2.8)]
    [1, 3, 6, 6]
    """
    return int(np.clip(((2 * np.pi * width * _SAMPLED) ** 2 - 1) / 2, 1, DEGREE))


def polynomial(x: Floats, y: Floats, shape: tuple[int, int], order: int) -> Floats:
    """Terms of a polynomial of the position, (n, n_terms), with positions from -1 to 1 over an image."""
    u, v = 2 * np.asarray(x) / shape[1] - 1, 2 * np.asarray(y) / shape[0] - 1
    return np.stack([u**i * v**j for i in range(order + 1) for j in range(order + 1 - i)], axis=-1)


def polynomial_order(n_terms: int) -> int:
    """Order of the polynomial that has so many terms."""
    return round((np.sqrt(8 * n_terms + 1) - 3) / 2)


def _phase(x: Floats) -> tuple[NDArray[np.intp], Floats32]:
    """Which step along a pixel is before each centre, and how far beyond it the centre is, 0 to 1."""
    steps = (nearest_pixel(x) - x) * _STEPS + _STEPS // 2
    step = np.floor(steps)
    return step.astype(np.intp), (steps - step).astype(np.float32)


def _window(half: int, x: Floats, y: Floats, radius: float) -> Floats32:
    """Round windows, 1 inside and falling to 0 over the last pixel."""
    at = np.arange(-half, half + 1)
    dx, dy = (at[None, :] + (nearest_pixel(part) - part)[:, None] for part in (x, y))
    distance = np.hypot(dx[:, None, :], dy[:, :, None])
    return np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)


def _unit(noise: Floats32) -> np.float32:
    """Power of two near the least noise: squares of light in units of 1e-20 are too small for 32 bits."""
    known = noise[np.isfinite(noise) & (noise > 0)]
    return np.float32(2.0 ** np.floor(np.log2(float(known.min())))) if len(known) else np.float32(1.0)


def _typical(noise: Floats32) -> Floats:
    """Noise of the sky at the middle of stamps; the least there is where that has no data."""
    middle = noise[:, noise.shape[1] // 2, noise.shape[2] // 2]
    return np.where(np.isfinite(middle), middle, noise.min(axis=(1, 2), initial=np.inf)).astype(float)


def _least_squares(models: Floats32, weight: Floats32, stamps: Floats32, sky: Floats) -> tuple[Floats, Floats]:
    """Amplitudes of the models and of a level of the sky that is small against its noise, and their covariances."""
    n = len(stamps)
    columns = np.concatenate([models, np.ones((1, *stamps.shape), dtype=np.float32)]).reshape(5, n, -1)
    columns = columns.transpose(1, 0, 2)
    weighted = columns * weight.reshape(n, 1, -1)
    normal = np.matmul(weighted, columns.transpose(0, 2, 1)).astype(float)
    right = np.matmul(weighted, stamps.reshape(n, -1, 1))[:, :, 0].astype(float)
    known = np.isfinite(sky) & (sky > 0)
    normal[:, 4, 4] += np.where(known, 1 / (_SKY_ERROR * np.where(known, sky, 1.0)) ** 2, 1.0)
    # scaled, so that what is nearly singular is so by its shape and not by its units
    scale = 1 / np.sqrt(np.maximum(np.einsum("nii->ni", normal), 1e-30))
    scaled = normal * scale[:, :, None] * scale[:, None, :] + 1e-9 * np.eye(5)
    covariance = np.linalg.inv(scaled) * scale[:, :, None] * scale[:, None, :]
    return np.einsum("nij,nj->ni", covariance, right), covariance
