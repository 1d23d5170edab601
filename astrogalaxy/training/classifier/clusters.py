"""Classes without labels: features, their principal components, k-means, and clusters matched with classes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.errors import ConfigError

__all__ = ["Clusters", "find_clusters"]

# Share of the variance that the principal components keep, and beginnings of k-means.
_VARIANCE, _STARTS = 0.95, 10

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Clusters:
    """Clusters in principal components; cluster i is that of class i.

    Attributes
    ----------
    mean : ndarray
        ``(width,)`` of the features.
    axes : ndarray
        ``(components, width)``.
    centres : ndarray
        ``(n_classes, components)``.
    scale : float
        Root mean square distance of features from their centres.
    """

    mean: Floats
    axes: Floats
    centres: Floats
    scale: float


def find_clusters(features: Floats, labels: NDArray[np.intp], *, classes: int, seed: int) -> Clusters:
    """Find as many clusters as classes; labels only say which cluster is called what.

    Parameters
    ----------
    features : ndarray
        ``(n, width)``.
    labels : ndarray
        ``(n,)`` class numbers. Clusters are matched with them so that most agree (the Hungarian method).
    classes : int
        How many.
    seed : int
        Of k-means.

    Returns
    -------
    Clusters
        In the components that keep 95 % of the variance.

    Raises
    ------
    ConfigError
        If there are fewer images than classes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 20)
    >>> features = rng.normal(size=(40, 3)) + 20 * labels[:, None]
    >>> found = find_clusters(features, labels, classes=2, seed=0)
    >>> bool(found.centres[1] @ found.axes[:, 0] > found.centres[0] @ found.axes[:, 0])
    True
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    if len(features) < classes:
        msg = f"data: {len(features)} training images cannot make {classes} clusters; give more"
        raise ConfigError(msg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of features that are all the same
        parts = PCA(_VARIANCE, svd_solver="full").fit(features)
        reduced = parts.transform(features)
        found = KMeans(classes, n_init=_STARTS, random_state=seed).fit(reduced)
    agree = np.zeros((classes, classes), dtype=int)
    np.add.at(agree, (found.labels_, labels), 1)
    cluster, label = linear_sum_assignment(-agree)
    centres = np.zeros_like(found.cluster_centers_)
    centres[label] = found.cluster_centers_[cluster]
    scale = float(np.sqrt(max(found.inertia_ / len(features), 1e-12)))
    return Clusters(parts.mean_, parts.components_, centres, scale)
