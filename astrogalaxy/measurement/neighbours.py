"""Which sources are close enough to disturb each other."""

from __future__ import annotations

import numpy as np

from astrogalaxy.measurement.stamps import class_of

__all__ = ["neighbours"]


def neighbours(x: np.ndarray, y: np.ndarray, reach: np.ndarray, wing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs (i, j) in which light of j falls where i is measured.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Positions, pixels.
    reach : ndarray, shape (n,)
        Radius within which a source is measured, pixels.
    wing : ndarray, shape (n,)
        Radius out to which a source shines, pixels.

    Returns
    -------
    i, j : ndarray of int
        One entry a pair, both orders looked at; empty where no source has a neighbour.
    """
    from scipy.spatial import cKDTree

    points = np.column_stack([x, y])
    wings = class_of(wing)
    found_i, found_j = [], []
    # Few sources shine far: looking from each class of wings keeps the search radius small.
    for number in np.unique(wings):
        members = np.flatnonzero(wings == number)
        tree = cKDTree(points[members])
        reaches = class_of(reach)
        for other in np.unique(reaches):
            seen = np.flatnonzero(reaches == other)
            radius = wing[members].max() + reach[seen].max()
            pairs = cKDTree(points[seen]).sparse_distance_matrix(tree, radius, output_type="ndarray")
            i, j = seen[pairs["i"]], members[pairs["j"]]
            close = (pairs["v"] < reach[i] + wing[j]) & (i != j)
            found_i.append(i[close])
            found_j.append(j[close])
    if not found_i:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.concatenate(found_i), np.concatenate(found_j)
