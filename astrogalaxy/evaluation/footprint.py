"""What part of an image, or of the sky, a table of sources covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError

__all__ = ["Footprint", "footprint_of"]

# A triangle between neighbours spans a gap if its longest side is this many times the upper quartile of all longest
# sides. Of sources that are spread evenly, one triangle in 10^5 does.
_GAP, _USUAL = 2.5, 0.75
# Points are looked up strip by strip: the search for each starts from the one before, which should be near.
_STRIPS = 300

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Footprint:
    """The area of the triangles between neighbouring sources, without those that span a gap; see `footprint_of`.

    Attributes
    ----------
    area : float
        Of all triangles: square pixels, or steradian.
    missing : float
        Share of the area over which the sources are spread that lies outside of the triangles, beyond the outermost
        sources; estimated, for an even spread, by the share of the sources that are outermost (Efron 1965, Biometrika
        52, 331).

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.footprint import footprint_of
    >>> turned = footprint_of(np.array([[0.0, 10.0], [10.0, 0.0], [20.0, 10.0], [10.0, 20.0]]))
    >>> round(turned.area, 6), turned.holds(np.array([[10.0, 10.0], [1.0, 1.0]])).tolist()
    (200.0, [True, False])
    """

    area: float
    missing: float
    _middle: Floats
    _triangles: Delaunay | None = None
    _covered: Bools | None = None

    def holds(self, points: Floats) -> Bools:
        """Which points lie in it, given as the sources were; none without a place (NaN)."""
        inside = np.zeros(len(points), dtype=bool)
        placed = np.flatnonzero(np.isfinite(points).all(axis=1))
        if self._triangles is None or not len(placed):
            return inside
        flat = _flat(points[placed], self._middle)
        strip = np.floor(_STRIPS * (flat[:, 1] - flat[:, 1].min()) / max(np.ptp(flat[:, 1]), 1e-300))
        order = np.lexsort([np.where(strip % 2, -flat[:, 0], flat[:, 0]), strip])
        at = self._triangles.find_simplex(flat[order])
        inside[placed[order]] = (at >= 0) & self._covered[at]
        return inside


def footprint_of(sources: Floats) -> Footprint:
    """Find the area that sources cover, whatever its shape and orientation.

    Parameters
    ----------
    sources : ndarray
        ``(n, 2)`` on a plane, or ``(n, 3)`` unit vectors to positions on the sky, which need no special case at the
        poles or at right ascension 0. Sources with NaN are left out.

    Returns
    -------
    Footprint
        Fewer than three sources, and sources in one line, cover nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.footprint import footprint_of
    >>> footprint_of(np.array([[0.0, 0.0], [8.0, 0.0], [8.0, 4.0]])).area
    16.0
    """
    known = np.unique(sources[np.isfinite(sources).all(axis=1)], axis=0)
    middle = known.mean(axis=0) if len(known) else np.zeros(sources.shape[1])
    if len(known) < 3:
        return Footprint(0.0, 1.0, middle)
    try:
        triangles = Delaunay(_flat(known, middle))
    except QhullError:  # all in one line
        return Footprint(0.0, 1.0, middle)
    corners = known[triangles.simplices]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    longest = sides.max(axis=1)
    covered = longest <= _GAP * np.quantile(longest, _USUAL)
    # sides behind which no triangle is covered; each is named by the corner opposite to it
    open_ = ((triangles.neighbors < 0) | ~covered[triangles.neighbors]) & covered[:, None]
    outermost = {int(triangles.simplices[at, corner - k]) for at, corner in np.argwhere(open_) for k in (1, 2)}
    half = sides.sum(axis=1) / 2
    area = np.sqrt(np.maximum(half * np.prod(half[:, None] - sides, axis=1), 0.0))[covered].sum()
    return Footprint(float(area), len(outermost) / len(known), middle, triangles, covered)


def _flat(points: Floats, middle: Floats) -> Floats:
    """Points on a plane about the middle; from the sky stereographically, which keeps circles and so neighbours."""
    if points.shape[1] == 2:
        return points - middle
    length = np.linalg.norm(middle)
    # sources all over the sky have no middle: any axis will do
    axis = middle / length if length > 0 else np.array([0.0, 0.0, 1.0])
    across = np.linalg.svd(axis[None])[2][1:]
    return points @ across.T / np.maximum(1 + points @ axis, 1e-12)[:, None]
