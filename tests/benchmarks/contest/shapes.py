"""Star or galaxy the classical way: SPREAD_MODEL, half-light radius, CLASS_STAR.

SPREAD_MODEL (Desai et al. 2012, ApJ 757, 83; Soumagnac et al. 2015) compares a source's pixels
:math:`p` with the PSF :math:`\\phi` and with a slightly extended model :math:`G`, an exponential disk of scale
length FWHM/16 convolved with the PSF, both at the source's position:

.. math:: S = \\frac{G^T W p}{\\phi^T W p} - \\frac{G^T W \\phi}{\\phi^T W \\phi}

with constant weights :math:`W`. Its error follows from the pixels' noise (sky and photons). The PSF is the one that the field was simulated
with: better than any that is measured. It is taken in each band's own pixels and averaged by its errors, as DES
does. A cut is ``S + k error > c``, with k and c chosen on the tuning fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import galsim
import numpy as np
import sep
from scipy.ndimage import map_coordinates

from astrogalaxy.simulation.render import point_spread
from contest.classical import detection_image
from contest.fields import Field

__all__ = ["Cut", "best_cut", "radius_ratio", "spread_model"]

_OVERSAMPLING = 8
# Half side of the stamp, FWHM.
_REACH = 2.0


def _profiles(where: Field, band: str, half: int) -> tuple[np.ndarray, np.ndarray]:
    """PSF and extended model, as seen by a pixel, oversampled, the centre in the middle."""
    scale, seeing = where.profile.pixel_scale, where.conditions.seeing[band]
    psf = point_spread(where.conditions, band, accurate=True)
    pixel = galsim.Pixel(scale)
    side = 2 * (half + 2) * _OVERSAMPLING + 1
    wide = galsim.Convolve(galsim.Exponential(scale_radius=seeing / 16), psf, pixel)
    models = (galsim.Convolve(psf, pixel), wide)
    drawn = [m.drawImage(nx=side, ny=side, scale=scale / _OVERSAMPLING, method="no_pixel").array for m in models]
    return drawn[0].astype(float), drawn[1].astype(float)


def _in_band(where: Field, band: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SPREAD_MODEL and its error in one band, at positions in its own pixels."""
    pixels = where.image.bands[band].pixels()
    half = int(np.ceil(_REACH * where.fwhm))
    phi, extended = _profiles(where, band, half)
    middle = (len(phi) - 1) / 2
    offsets = np.arange(-half, half + 1)
    spread, error = np.full(len(x), np.nan), np.full(len(x), np.nan)
    data = np.pad(pixels.data, half + 1)
    for i, (px, py) in enumerate(zip(x, y, strict=True)):
        ix, iy = round(px), round(py)
        if not (0 <= ix < pixels.data.shape[1] and 0 <= iy < pixels.data.shape[0]):
            continue
        at = slice(iy + 1, iy + 2 * half + 2), slice(ix + 1, ix + 2 * half + 2)
        grid = np.meshgrid(
            middle + (offsets - (py - iy)) * _OVERSAMPLING, middle + (offsets - (px - ix)) * _OVERSAMPLING,
            indexing="ij",
        )  # fmt: skip
        p = data[at].ravel().astype(float)
        f, g = (map_coordinates(m, grid, order=1).ravel() for m in (phi, extended))
        v = where.conditions.noise[band] ** 2 + np.clip(p, 0, None) / where.profile.gain
        fp, gp = f @ p, g @ p
        if fp <= 0:
            continue
        spread[i] = gp / fp - (g @ f) / (f @ f)
        inner = (g * v) @ g * fp**2 + (f * v) @ f * gp**2 - 2 * ((g * v) @ f) * gp * fp
        error[i] = np.sqrt(max(inner, 0)) / fp**2
    return spread, error


def spread_model(where: Field, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SPREAD_MODEL and its error at positions of the reference band, averaged over the bands."""
    total, weight = np.zeros(len(x)), np.zeros(len(x))
    for band, own in where.image.bands.items():
        px, py = own.wcs.all_world2pix(*where.image.wcs.all_pix2world(x, y, 0), 0) if len(x) else (x, y)
        spread, error = _in_band(where, band, px, py)
        known = np.isfinite(spread) & (error > 0)
        total[known] += spread[known] / error[known] ** 2
        weight[known] += 1 / error[known] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return total / weight, 1 / np.sqrt(weight)


def radius_ratio(where: Field, x: np.ndarray, y: np.ndarray, shape: dict[str, np.ndarray]) -> np.ndarray:
    """Half-light radius in the Kron aperture of the detection image, over the seeing."""
    image = detection_image(where, "sum")
    limits = {k: np.clip(shape[k], 0.5, 50.0) for k in ("a", "b")}
    kron, _ = sep.kron_radius(image, x, y, limits["a"], limits["b"], shape["theta"], 6.0)
    kron = np.clip(np.nan_to_num(kron, nan=2.5), 1.5, 6.0)
    angle = np.clip(shape["theta"], -np.pi / 2, np.pi / 2)
    flux, _, _ = sep.sum_ellipse(image, x, y, limits["a"], limits["b"], angle, 2.5 * kron, subpix=5)
    radius, _ = sep.flux_radius(image, x, y, 6.0 * limits["a"] * 2.5, 0.5, normflux=flux, subpix=5)
    return np.asarray(radius) / where.fwhm


@dataclass(frozen=True)
class Cut:
    """A galaxy where ``value + slope * error`` is above the limit."""

    slope: float
    limit: float

    def __str__(self) -> str:
        return f"{self.slope:+.1f} error > {self.limit:.4f}" if self.slope else f"> {self.limit:.4f}"

    def galaxy(self, value: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Which sources are called galaxies; what could not be measured is."""
        with np.errstate(invalid="ignore"):
            return ~(value + self.slope * error <= self.limit)


def best_cut(
    value: np.ndarray, error: np.ndarray, galaxy: np.ndarray, slopes: Sequence[float] = (0.0,)
) -> Cut:  # fmt: skip
    """The cut with the best mean of the completenesses of stars and galaxies."""
    known = np.isfinite(value)
    limits = np.unique(np.nanquantile(value[known], np.linspace(0.01, 0.99, 197)))
    cuts = [Cut(s, float(c)) for s, c in product(slopes, limits)]

    def balanced(cut: Cut) -> float:
        called = cut.galaxy(value, error)
        return float(np.mean(called[galaxy]) + np.mean(~called[~galaxy]))

    return max(cuts, key=balanced)
