"""Where sources lie in each band, and how lengths and shapes are carried from one band to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.sky import to_pixel, to_sky
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.moments import bound
from astrogalaxy.measurement.sky import determinant, invert, jacobian_of, transform

if TYPE_CHECKING:
    from astrogalaxy.images import Band
    from astrogalaxy.measurement.starlight import Starlight

__all__ = ["Covariance", "Places", "section_around", "with_seeing"]

Covariance = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Covariances along one axis, mixed, and along the other."""

# Pixels read around the sources beyond their boxes, for the wings and apertures.
_MARGIN = 48
# Smallest semi-axis of an aperture's shape in a band of coarser pixels.
_SMALLEST = 0.3
# Variance that no source falls below, in units of that of its band's stars.
_SHARPEST = 0.5


@dataclass(frozen=True)
class Places:
    """Where n sources lie in a band and on the sky.

    Attributes
    ----------
    band : Band
        The band.
    x, y : ndarray, shape (n,)
        Pixels of the whole band; NaN where its projection does not reach.
    ra, dec : ndarray, shape (n,)
        ICRS, degrees; NaN without WCS.
    jacobian : ndarray, shape (n, 2, 2)
        Arcsec east and north per pixel; NaN where no scale is known.
    """

    band: Band
    x: np.ndarray
    y: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    jacobian: np.ndarray

    @classmethod
    def of(cls, band: Band, x: np.ndarray, y: np.ndarray, *, pixel_scale: float | None = None) -> Places:
        """Pixels of a band; `pixel_scale` (arcsec) is used only where it has no WCS."""
        if band.wcs is not None:
            return cls(band, x, y, *to_sky(band.wcs, x, y), jacobian_of(band.wcs, x, y))
        scale, unknown = np.nan if pixel_scale is None else pixel_scale, np.full(len(x), np.nan)
        jacobian = np.broadcast_to(np.array([[-scale, 0.0], [0.0, scale]]), (len(x), 2, 2)).copy()
        return cls(band, x, y, unknown, unknown, jacobian)

    def moved(self, x: np.ndarray, y: np.ndarray) -> Places:
        """The same sources elsewhere in the same band."""
        if self.band.wcs is not None:
            return Places.of(self.band, x, y)
        return replace(self, x=x, y=y)

    def on(self, band: Band) -> Places:
        """The same sources in another band; the same arrays where it has the same grid.

        Raises
        ------
        ImageError
            If one of the bands has no WCS, and they differ in shape.
        """
        if self._same_pixels(band):
            return replace(self, band=band)
        if self.band.wcs is None or band.wcs is None:
            msg = (
                f"{band.origin}: no WCS, and its shape {band.shape} is not that of the reference band "
                f"{self.band.shape}; give it a WCS or resample it onto the reference"
            )
            raise ImageError(msg)
        x, y = to_pixel(band.wcs, self.ra, self.dec)
        return Places(band, x, y, self.ra, self.dec, jacobian_of(band.wcs, x, y))

    def _same_pixels(self, band: Band) -> bool:
        """Whether a band has the grid of this one, or no WCS to tell it by, and its shape."""
        unknown = self.band.wcs is None or band.wcs is None
        return (unknown or band.wcs is self.band.wcs) and band.shape == self.band.shape

    def take(self, index: np.ndarray) -> Places:
        """Some of the sources."""
        parts = (getattr(self, name)[index] for name in ("x", "y", "ra", "dec", "jacobian"))
        return Places(self.band, *parts)

    @property
    def scale(self) -> np.ndarray:
        """Arcsec per pixel, the root of the pixel's area."""
        return np.sqrt(np.abs(determinant(self.jacobian)))

    @property
    def covered(self) -> np.ndarray:
        """Which of the sources lie within the band."""
        return Section.whole(self.band.shape).contains(self.x, self.y)

    def across(self, other: Places) -> np.ndarray:
        """How pixels of the other band move with pixels of this one, (n, 2, 2); NaN where that is not known."""
        if self._same_pixels(other.band):
            return np.broadcast_to(np.eye(2), self.jacobian.shape)
        return np.einsum("nij,njk->nik", invert(other.jacobian), self.jacobian)

    def ratio(self, other: Places) -> np.ndarray:
        """Pixels of the other band in one of this, by length; NaN where that is not known."""
        return np.sqrt(np.abs(determinant(self.across(other))))


def with_seeing(covariance: Covariance, old: Places, new: Places, stars: tuple[Starlight, Starlight]) -> Covariance:
    """Carry covariances from pixels and seeing of one band over to those of another.

    Parameters
    ----------
    covariance : tuple of ndarray, shape (n,)
        In pixels of the first band.
    old, new : Places
        The sources in the first band and in the second.
    stars : tuple of Starlight
        Of the first band and of the second.

    Returns
    -------
    tuple of ndarray, shape (n,)
    """
    old_stars, new_stars = stars
    xx, xy, yy = transform(old.across(new), *covariance)
    if old_stars.known and new_stars.known:
        wider = new_stars.sigma**2 - (old_stars.sigma * old.ratio(new)) ** 2
        # no source is sharper than the stars of its band
        wider = np.maximum(wider, _SHARPEST * new_stars.sigma**2 - np.minimum(xx, yy))
        xx, yy = xx + wider, yy + wider
    return bound(xx, xy, yy, _SMALLEST, np.inf)


def section_around(x: np.ndarray, y: np.ndarray, half: np.ndarray, limits: Section) -> Section:
    """Section within `limits` that holds squares around positions: the smallest, or all where it is nearly that."""
    reach = 2.0 * half + _MARGIN
    low = np.floor(np.min([x - reach, y - reach], axis=1)).astype(int)
    high = np.ceil(np.max([x + reach, y + reach], axis=1)).astype(int) + 1
    x0, y0 = max(int(low[0]), limits.x0), max(int(low[1]), limits.y0)
    # all of a section is at hand where another stage has read it
    return Section(x0, min(int(high[0]), limits.x1), y0, min(int(high[1]), limits.y1)).rounded(limits)
