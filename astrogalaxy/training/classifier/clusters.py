"""Classes without labels: features, their principal components, k-means, and clusters matched with classes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.errors import ConfigError
from astrogalaxy.morphology.network import ClusterHead, GalaxyNetwork, NetworkSpec
from astrogalaxy.morphology.pictures import network_input
from astrogalaxy.training.classifier.dino import tune_without_labels
from astrogalaxy.training.classifier.module import normalised
from astrogalaxy.training.classifier.pictures import PictureBank

__all__ = ["Clusters", "cluster_network", "find_clusters"]

logger = logging.getLogger(__name__)

# Pictures whose features are made at a time.
_BATCH = 64

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


def cluster_network(
    recipe: ClassifierRecipe, bank: PictureBank, network: GalaxyNetwork, seed: int
) -> tuple[GalaxyNetwork, int]:
    """Make a network whose head tells clusters of features, tuned without labels if the recipe says so.

    Parameters
    ----------
    recipe : ClassifierRecipe
        With ``training.objective: clusters``.
    bank : PictureBank
        Its pictures.
    network : GalaxyNetwork
        Where the backbone starts from.
    seed : int
        Of every random choice.

    Returns
    -------
    network : GalaxyNetwork
        Set to inference.
    epochs : int
        Of the tuning.

    Raises
    ------
    ConfigError
        If the architecture has no class tokens.
    """
    if not hasattr(network.backbone, "forward_intermediates") or not hasattr(network.backbone, "cls_token"):
        msg = f"model.architecture: {recipe.model.architecture} has no class tokens for training.objective: clusters"
        raise ConfigError(msg)
    settings, rows = recipe.training, bank.rows("train")
    epochs = 0
    if settings.dino and settings.dino.epochs:
        epochs = settings.dino.epochs

        def batches(epoch: int) -> Iterator[Tensor]:
            """Pictures of one epoch in random order."""
            order = np.random.default_rng([seed, epoch]).permutation(rows)
            for begin in range(0, len(order), settings.batch):
                some = np.sort(order[begin : begin + settings.batch])
                yield torch.from_numpy(np.array(bank.pictures[some])).permute(0, 3, 1, 2).float() / 255

        losses = tune_without_labels(
            network, batches, settings.dino, prepare=lambda x: normalised(x, recipe.input.normalise), seed=seed
        )
        logger.info("%s: self-supervised loss %.4f to %.4f", recipe.name, losses[0], losses[-1])
    network = network.eval()
    with torch.inference_mode():
        features = np.concatenate(
            [
                network.last_tokens(
                    torch.from_numpy(network_input(bank.pictures[some], recipe.input.normalise))
                ).numpy()
                for some in np.array_split(rows, max(len(rows) // _BATCH, 1))
            ]
        )
    found = find_clusters(features, bank.shares[rows].argmax(1), classes=len(bank.classes), seed=seed)
    spec = NetworkSpec(
        recipe.model.architecture, len(bank.classes), recipe.input.side, recipe.model.options,
        clusters=len(found.axes),
    )  # fmt: skip
    result = GalaxyNetwork(spec)
    result.backbone = network.backbone
    head = result.head
    if isinstance(head, ClusterHead):
        for name in ("mean", "axes", "centres"):
            getattr(head, name).copy_(torch.from_numpy(getattr(found, name)))
        head.scale.fill_(found.scale)
    return result.eval(), epochs
