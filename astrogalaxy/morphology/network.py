"""A classifier of galaxy cutouts: a backbone, perhaps attention, perhaps a dense layer, and the classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from astrogalaxy.errors import brought_by, need

with brought_by("train"):
    import torch

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from astrogalaxy.errors import ConfigError
from astrogalaxy.models.tensors import load_tensors
from astrogalaxy.morphology import backbones
from astrogalaxy.morphology.attention import Cbam, SelfAttention
from astrogalaxy.morphology.registry import architecture, input_size

__all__ = ["ClusterHead", "GalaxyNetwork", "NetworkSpec", "build", "count_parameters", "make_backbone"]

Attention = Literal["none", "cbam", "self"]


@dataclass(frozen=True)
class NetworkSpec:
    """The description of a network, as its weight card keeps it.

    Attributes
    ----------
    architecture : str
        See `~astrogalaxy.morphology.registry.architecture`.
    classes : int
        How many.
    side : int
        Of the input in pixels.
    options : mapping
        Further arguments of the architecture.
    attention : {'none', 'cbam', 'self'}
        On the last feature map.
    hidden : int or None
        Units of a dense layer before the classes.
    dropout : float
        Before the classes.
    clusters : int or None
        Principal components, where the classes are those of clusters of features.
    """

    architecture: str
    classes: int
    side: int = 96
    options: Mapping[str, Any] = field(default_factory=dict)
    attention: Attention = "none"
    hidden: int | None = None
    dropout: float = 0.0
    clusters: int | None = None


def make_backbone(name: str, *, side: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Make the feature layers of an architecture, from random numbers.

    Raises
    ------
    ConfigError
        If there is none of that name, or it does not take the options.
    """
    need("timm", "train")
    import timm

    found = architecture(name)
    given = {**found.options, **input_size(found, side), **(options or {})}
    try:
        if found.own:
            backbone: nn.Module = getattr(backbones, found.own)(**given)
        else:
            backbone = timm.create_model(found.timm, num_classes=0, **given)
    except (TypeError, RuntimeError, ValueError, AssertionError) as error:
        msg = f"model: {name} cannot be made with {dict(given)}: {error}"
        raise ConfigError(msg) from error
    return backbone


class GalaxyNetwork(nn.Module):
    """From images ``(n, 3, side, side)`` to logits ``(n, classes)``.

    Parameters
    ----------
    spec : NetworkSpec
        What it is.

    Attributes
    ----------
    backbone, attention, hidden, head : nn.Module
        Its parts; ``attention`` and ``hidden`` may be the identity.

    Raises
    ------
    ConfigError
        If the architecture cannot be made, or attention is asked for and it has no map.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = make_backbone(spec.architecture, side=spec.side, options=spec.options)
        # a dense layer of one's own takes the place of the wider last layers that some architectures have
        self.pooled = spec.attention != "none" or (spec.hidden is not None and hasattr(self.backbone, "conv_head"))
        width = self._width()
        self.attention: nn.Module = {"none": nn.Identity, "cbam": Cbam, "self": SelfAttention}[spec.attention](
            *([] if spec.attention == "none" else [width])
        )
        self.hidden = nn.Sequential(nn.Linear(width, spec.hidden), nn.ReLU()) if spec.hidden else nn.Identity()
        self.dropout = nn.Dropout(spec.dropout)
        width = spec.hidden or width
        self.head: nn.Module
        if spec.clusters is None:
            self.head = nn.Linear(width, spec.classes)
        else:
            self.head = ClusterHead(4 * width, spec.clusters, spec.classes)

    def _width(self) -> int:
        """Features that the head gets; a last layer that the head replaces is taken away."""
        if not self.pooled:
            return int(getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features)  # type: ignore[arg-type]
        if type(self.backbone).__name__ == "MobileNetV3":
            # its widest layer comes after the pooling
            self.backbone.conv_head, self.backbone.norm_head = nn.Identity(), nn.Identity()
        return int(self.backbone.num_features)  # type: ignore[arg-type]

    def feature_map(self, x: Tensor) -> Tensor:
        """The backbone's last map ``(n, channels, ny, nx)`` or tokens."""
        return self.backbone.forward_features(x)  # type: ignore[operator,no-any-return]

    def embed(self, x: Tensor) -> Tensor:
        """Features ``(n, width)`` that the head gets."""
        if self.spec.clusters is not None:
            return self.last_tokens(x)
        features = self.feature_map(x)
        if self.pooled:
            features = self.attention(features).mean((2, 3))
        else:
            features = self.backbone.forward_head(features, pre_logits=True)  # type: ignore[operator]
        return self.dropout(self.hidden(features.flatten(1)))  # type: ignore[no-any-return]

    def last_tokens(self, x: Tensor) -> Tensor:
        """Class tokens of the last four blocks of a transformer, one after another, ``(n, 4 width)``."""
        _, layers = self.backbone.forward_intermediates(  # type: ignore[operator]
            x, indices=4, return_prefix_tokens=True, norm=True, intermediates_only=False
        )
        return torch.cat([prefix[:, 0] for _, prefix in layers], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes."""
        return self.head(self.embed(x))  # type: ignore[no-any-return]


class ClusterHead(nn.Module):
    """Distances from the centres of clusters in principal components, as logits of the classes matched with them.

    Parameters
    ----------
    width : int
        Features.
    components : int
        Principal components.
    classes : int
        Clusters.
    """

    def __init__(self, width: int, components: int, classes: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.axes: Tensor
        self.centres: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("axes", torch.zeros(components, width))
        self.register_buffer("centres", torch.zeros(classes, components))
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Minus half the squared distance from each class's centre, in units of the clusters' spread."""
        parts = (x - self.mean) @ self.axes.T
        distance = (parts[:, None] - self.centres[None]).square().sum(-1)
        return -distance / (2 * self.scale**2)


def build(spec: NetworkSpec, tensors: Mapping[str, NDArray[np.generic]] | None = None) -> GalaxyNetwork:
    """Make a network, with the tensors of a weight file if they are given; then it is set to inference.

    Raises
    ------
    ConfigError
        If it cannot be made, or the tensors are of another network.
    """
    network = GalaxyNetwork(spec)
    if tensors is None:
        return network
    wrong = load_tensors(network, tensors)
    if wrong:
        msg = f"weights do not fit {spec.architecture}: {wrong}"
        raise ConfigError(msg)
    return network


def count_parameters(spec: NetworkSpec) -> int:
    """Trainable parameters of a network, without making it.

    Examples
    --------
    >>> count_parameters(NetworkSpec("mobilevit-s", classes=10))
    4944042
    """
    import timm  # noqa: F401 (torch 2.8 cannot load what it needs under another device)

    with torch.device("meta"):
        return sum(p.numel() for p in GalaxyNetwork(spec).parameters())
