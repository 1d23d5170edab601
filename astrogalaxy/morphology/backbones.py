"""The networks that timm does not have, with timm's methods ``forward_features`` and ``forward_head``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "PlainCnn",
    "average_pool_cnn",
    "efficientnetv2_s",
    "feature_layers",
    "reinitialise",
    "vgg11_32",
]

# EfficientNetV2-S (Tan & Le 2021): blocks, stride, expansion, channels, share of squeeze-and-excitation of each stage.
_STAGES = ((2, 1, 1, 24), (4, 2, 4, 48), (4, 2, 4, 64), (6, 2, 4, 128), (9, 1, 6, 160), (15, 2, 6, 256))
# Blocks that are Fused-MBConv as published: the first three stages.
_FUSED = 10
# VGG11: convolutions of each block; a pooling ends it.
_VGG11 = (1, 1, 2, 2, 2)


class PlainCnn(nn.Module):
    """Convolutions, and dense layers up to the classes.

    Parameters
    ----------
    features : nn.Sequential
        From image to map.
    channels : int
        Of the map.
    pool : int
        Side to which the map is averaged before the dense layers.
    dense : sequence of int
        Units of the dense layers.
    norm : bool
        Batch normalisation after each of them.
    dropout : float
        After each of them.
    """

    def __init__(
        self,
        features: nn.Sequential,
        *,
        channels: int,
        pool: int,
        dense: Sequence[int],
        norm: bool,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features, self.pool = features, nn.AdaptiveAvgPool2d(pool)
        layers: list[nn.Module] = []
        width = channels * pool**2
        for units in dense:
            layers += [nn.Linear(width, units), *([nn.BatchNorm1d(units)] if norm else []), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
            width = units
        self.dense = nn.Sequential(*layers)
        self.num_features, self.head_hidden_size = channels, width

    def forward_features(self, x: Tensor) -> Tensor:
        """Map of an image."""
        return self.features(x)  # type: ignore[no-any-return]

    def forward_head(self, x: Tensor, *, pre_logits: bool = True) -> Tensor:  # noqa: ARG002
        """What the classes are told from."""
        return self.dense(self.pool(x).flatten(1))  # type: ignore[no-any-return]


def vgg11_32(*, channels: int = 32, dense: int = 4096, spread: float = 0.1, dropout: float = 0.5) -> PlainCnn:
    """VGG11 whose layers all have the same few channels, from normal random numbers (Alberghi et al. 2024).

    Parameters
    ----------
    channels : int
        Of every convolution.
    dense : int
        Units of the two dense layers.
    spread : float
        Standard deviation of the first weights.
    dropout : float
        After each dense layer, as in VGG.

    Returns
    -------
    PlainCnn
        Feature layers without a head.
    """
    layers: list[nn.Module] = []
    before = 3
    for count in _VGG11:
        for _ in range(count):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        layers.append(nn.MaxPool2d(2))
    network = PlainCnn(
        nn.Sequential(*layers), channels=channels, pool=7, dense=(dense, dense), norm=False, dropout=dropout
    )
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, std=spread)
            nn.init.zeros_(module.bias)
    return network


def average_pool_cnn(*, channels: int = 32, shrink: int = 2, blocks: int = 5, dense: int = 256) -> PlainCnn:
    """Average pooling first, then few convolutions of few channels (the custom network of Alberghi et al. 2024).

    Each convolution and dense layer is followed by batch normalisation and ReLU, each block by a maximum over 2 × 2.

    Parameters
    ----------
    channels : int
        Of every convolution.
    shrink : int
        Side of the average pooling.
    blocks : int
        Convolutions.
    dense : int
        Units of the dense layer.

    Returns
    -------
    PlainCnn
        Feature layers without a head.
    """
    layers: list[nn.Module] = [nn.AvgPool2d(shrink)]
    before = 3
    for number in range(blocks):
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if number < blocks - 1 else []
        before = channels
    return PlainCnn(nn.Sequential(*layers), channels=channels, pool=4, dense=(dense,), norm=True)


def efficientnetv2_s(*, fused_share: float | None = None, **options: Any) -> nn.Module:
    """EfficientNetV2-S, with another share of Fused-MBConv among its 40 blocks.

    Parameters
    ----------
    fused_share : float, optional
        Share of the blocks, from the first on, that are fused; as published (a quarter) by default.
    **options : dict
        Passed on to timm.

    Returns
    -------
    torch.nn.Module
        Feature layers without a head.
    """
    import timm
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    total = sum(stage[0] for stage in _STAGES)
    fused = _FUSED if fused_share is None else round(fused_share * total)
    if fused == _FUSED:
        return timm.create_model("tf_efficientnetv2_s", num_classes=0, **options)  # type: ignore[no-any-return]
    definition, before = [], 0
    for blocks, stride, expansion, channels in _STAGES:
        here = min(max(fused - before, 0), blocks)
        definition.append(_stage(blocks, here, stride, expansion, channels))
        before += blocks
    return EfficientNet(
        decode_arch_def(definition),
        num_classes=0,
        num_features=1280,
        stem_size=24,
        act_layer=nn.SiLU,
        norm_layer=partial(nn.BatchNorm2d, eps=1e-3),
        **options,
    )  # type: ignore[no-any-return]


def _stage(blocks: int, fused: int, stride: int, expansion: int, channels: int) -> list[str]:
    """A stage in timm's words; only its first block has the stride."""
    first = "cn" if expansion == 1 else "er"
    later = "ds" if expansion == 1 else "ir"
    skip = "_skip" if expansion == 1 else ""
    rows = []
    if fused:
        rows.append(f"{first}_r{fused}_k3_s{stride}_e{expansion}_c{channels}{skip}")
    if blocks - fused:
        step = 1 if fused else stride
        rows.append(f"{later}_r{blocks - fused}_k3_s{step}_e{expansion}_c{channels}_se0.25")
    return rows


def feature_layers(backbone: nn.Module) -> list[nn.Module]:
    """The layers of a backbone that a deep tuning may freeze, first one first.

    Blocks of transformers and of EfficientNets, stages, or the layers of a plain sequence; the stem before them is part
    of the first.
    """
    for name in ("features", "blocks", "stages"):
        part = getattr(backbone, name, None)
        if isinstance(part, (nn.Sequential, nn.ModuleList)):
            return [*part]
    stages = [module for name, module in backbone.named_children() if name.startswith("layer")]
    return stages or [*backbone.children()]


def reinitialise(module: nn.Module) -> None:
    """Give new random numbers to every layer below a module that can draw its own."""
    with torch.no_grad():
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
