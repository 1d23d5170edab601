"""Shapes on the sky: local scales, and covariances that are carried by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.catalog.directions import directions
from astrogalaxy.images.sky import to_sky

if TYPE_CHECKING:
    from astropy.wcs.wcsapi import BaseHighLevelWCS

__all__ = ["determinant", "ellipse_on_sky", "invert", "jacobian_of", "transform"]

_ARCSEC = np.degrees(1.0) * 3600.0


def jacobian_of(wcs: BaseHighLevelWCS, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How the sky moves with the pixel, shape (n, 2, 2).

    Rows are east and north (arcsec), columns x and y (pixels); differences over one pixel.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    # all at once: a call has a cost of its own
    aside, along = (np.array(steps)[:, np.newaxis] for steps in ((0, 0.5, -0.5, 0, 0), (0, 0, 0, 0.5, -0.5)))
    ra, dec = to_sky(wcs, x + aside, y + along)
    _, right, left, up, down = directions(ra, dec)
    along_x, along_y = right - left, up - down
    ra, dec = ra[0], dec[0]
    a, d = np.radians(ra), np.radians(dec)
    zero = np.zeros_like(a)
    east = np.stack([-np.sin(a), np.cos(a), zero], axis=-1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=-1)
    rows = [[np.sum(axis * along, axis=-1) for along in (along_x, along_y)] for axis in (east, north)]
    return _ARCSEC * np.moveaxis(np.array(rows), -1, 0)


def transform(
    jacobian: np.ndarray, xx: np.ndarray, xy: np.ndarray, yy: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariances (xx, xy, yy) carried over by a linear map, ``J C J^T``."""
    j = jacobian
    out = []
    for p, q in ((0, 0), (0, 1), (1, 1)):
        mixed = j[:, p, 0] * j[:, q, 1] + j[:, p, 1] * j[:, q, 0]
        out.append(j[:, p, 0] * j[:, q, 0] * xx + mixed * xy + j[:, p, 1] * j[:, q, 1] * yy)
    return out[0], out[1], out[2]


def determinant(jacobian: np.ndarray) -> np.ndarray:
    """Determinants of 2 x 2 matrices; NaN, without a warning, where they hold NaN."""
    return jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0]


def invert(jacobian: np.ndarray) -> np.ndarray:
    """Inverses of 2 x 2 matrices; NaN where singular."""
    j = jacobian
    area = determinant(j)
    rows = [[j[:, 1, 1], -j[:, 0, 1]], [-j[:, 1, 0], j[:, 0, 0]]]
    return np.moveaxis(np.array(rows) / np.where(area == 0, np.nan, area), -1, 0)


def ellipse_on_sky(east: np.ndarray, mixed: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Semi-axes and position angle of covariances on the sky.

    Parameters
    ----------
    east, mixed, north : ndarray, shape (n,)
        Covariance along east, of east with north, and along north, square arcsec.

    Returns
    -------
    a, b : ndarray
        Semi-axes, arcsec.
    theta : ndarray
        Angle of the major axis from north towards east, degrees, 0 to 180.
    """
    mean, half = (east + north) / 2, (north - east) / 2
    split = np.hypot(half, mixed)
    a, b = np.sqrt(np.maximum(mean + split, 0.0)), np.sqrt(np.maximum(mean - split, 0.0))
    theta = np.degrees(0.5 * np.arctan2(mixed, half)) % 180.0
    return a, b, theta
