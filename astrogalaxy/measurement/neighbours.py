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
        One entry a pair, in both orders where each disturbs the other; empty where no source has a neighbour.
    """
    from scipy.spatial import cKDTree

    points = np.column_stack([x, y])

    def by_class(lengths: np.ndarray) -> list[tuple[np.ndarray, cKDTree]]:
        """Sources of each class of lengths, and a tree of them."""
        classes = class_of(lengths)
        members = [np.flatnonzero(classes == number) for number in np.unique(classes)]
        return [(index, cKDTree(points[index])) for index in members]

    none = np.zeros(0, dtype=np.int64)
    found_i, found_j = [none], [none]
    measured = by_class(reach)
    # Few sources shine far: looking from each class of wings keeps the search radius small.
    for shining, tree in by_class(wing):
        for seen, other in measured:
            radius = wing[shining].max() + reach[seen].max()
            pairs = other.sparse_distance_matrix(tree, radius, output_type="ndarray")
            i, j = seen[pairs["i"]], shining[pairs["j"]]
            close = (pairs["v"] < reach[i] + wing[j]) & (i != j)
            found_i.append(i[close])
            found_j.append(j[close])
    return np.concatenate(found_i), np.concatenate(found_j)
