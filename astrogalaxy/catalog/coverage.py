"""How much sky outlines cover together, without counting their overlaps twice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.catalog.directions import directions

__all__ = ["union_area"]

# So many points are laid evenly over an outline that others overlap: the share that they cover is known to 0.2 %.
_POINTS = 4096
# Fractions of them form the most even sequence of points in a plane, whatever their number (Roberts 2018): powers of
# the inverse of the number whose cube is one more than itself.
_EVEN = 1.0 / np.array([1.32471795724474602596, 1.32471795724474602596**2])

Floats = NDArray[np.float64]


def union_area(polygons: Iterable[ArrayLike]) -> float:
    """Area of the sky that at least one of some polygons covers.

    Parameters
    ----------
    polygons : iterable of array_like
        Each ``(n, 2)``: right ascension and declination (ICRS, degrees) of the corners in their order, along
        great circles, smaller than half of the sky.

    Returns
    -------
    float
        Square degrees: exact where they do not overlap, else good to a few parts in a thousand.

    Examples
    --------
    >>> from astrogalaxy.catalog.coverage import union_area
    >>> square = [(10.0, 0.0), (11.0, 0.0), (11.0, 1.0), (10.0, 1.0)]
    >>> beside = [(10.5, 0.0), (11.5, 0.0), (11.5, 1.0), (10.5, 1.0)]
    >>> round(union_area([square]), 2), round(union_area([square, beside]), 1)
    (1.0, 1.5)
    """
    corners = [directions(*np.asarray(polygon, dtype=float).T) for polygon in polygons]
    if not corners:
        return 0.0
    middles = np.array([polygon.mean(axis=0) for polygon in corners])
    middles /= np.linalg.norm(middles, axis=1)[:, None]
    radii = np.array([_apart(polygon, middle).max() for polygon, middle in zip(corners, middles, strict=True)])
    total = 0.0
    for number, (polygon, middle) in enumerate(zip(corners, middles, strict=True)):
        # of what two cover, it is the later one's that does not count again
        away = _apart(middles[:number], middle)
        near = np.flatnonzero(away < radii[:number] + radii[number])
        others = [corners[other] for other in near[np.argsort(away[near])]]
        total += _solid_angle(polygon, middle) * _share_alone(polygon, middle, others)
    return float(np.degrees(np.degrees(total)))


def _apart(vectors: Floats, middle: Floats) -> Floats:
    """Angles between unit vectors, radians; those of small ones are exact, too."""
    return 2 * np.arcsin(np.clip(np.linalg.norm(vectors - middle, axis=-1) / 2, 0, 1))


def _solid_angle(polygon: Floats, middle: Floats) -> float:
    """Steradians: triangles from the middle to each side (van Oosterom and Strackee 1983)."""
    first, second = polygon, np.roll(polygon, -1, axis=0)
    # in differences, for the volumes of small triangles are lost in the digits of vectors
    volume = np.cross(first - middle, second - middle) @ middle
    around = 1 + first @ middle + second @ middle + (first * second).sum(axis=1)
    return float(abs(2 * np.arctan2(volume, around).sum()))


def _share_alone(polygon: Floats, middle: Floats, others: list[Floats]) -> float:
    """Share of a polygon that no other covers."""
    if not others:
        return 1.0
    # great circles are straight lines on a plane that touches the sphere
    east = np.cross([0.0, 0.0, 1.0] if abs(middle[2]) < 0.9 else [1.0, 0.0, 0.0], middle)
    plane = np.stack([east / np.linalg.norm(east), np.cross(middle, east / np.linalg.norm(east))], axis=1)
    flat = _projected(polygon, middle, plane)
    low, high = flat.min(axis=0), flat.max(axis=0)
    points = low + (high - low) * (np.arange(1, _POINTS + 1)[:, None] * _EVEN % 1)
    points = points[_inside(points, flat)]
    if not len(points):  # of a sliver
        return 1.0
    # a point further out stands for less of the sky
    weight = (1 + (points**2).sum(axis=1)) ** -1.5
    left = np.arange(len(points))
    for other in others:
        if (other @ middle > 0).all() and len(left):
            left = left[~_inside(points[left], _projected(other, middle, plane))]
    return float(weight[left].sum() / weight.sum())


def _projected(polygon: Floats, middle: Floats, plane: Floats) -> Floats:
    return polygon @ plane / (polygon @ middle)[:, None]


def _inside(points: Floats, corners: Floats) -> NDArray[np.bool_]:
    from matplotlib.path import Path

    return Path(corners).contains_points(points)
