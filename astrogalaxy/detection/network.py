"""AstroYOLO: a YOLOX backbone with three heads of one design.

The backbone (CSPDarknet) and the feature pyramid (PAFPN) are those of the ``yolox``
package; each head repeats the decoupled YOLOX branch (a 1 x 1 stem, two 3 x 3
convolutions, a 1 x 1 prediction) on every pyramid level. Unlike in COCO images a
star covers six pixels, so the finest level may be stride 4 (``levels``); the
published system is ``levels=(8, 16, 32)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from astrogalaxy.errors import brought_by

with brought_by("train"):
    import torch

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from astrogalaxy.detection.blocks import BaseConv, CspDarknet, DWConv, Focus, YoloPafpn
from astrogalaxy.detection.inputs import seeing_shift
from astrogalaxy.models.architecture import CHANNELS, SIZES, Architecture

__all__ = ["AstroYolo", "Magnifier", "TaskHead"]

_STRIDE_TO_STAGE = {4: "dark2", 8: "dark3", 16: "dark4", 32: "dark5"}
_STAGE_CHANNELS = {4: 128, 8: 256, 16: 512, 32: 1024}
# A source is rare among cells: starting from this prior keeps the first steps stable.
_OBJECT_PRIOR = 0.01


class TaskHead(nn.Module):
    """One decoupled head: the same small branch on every pyramid level.

    Parameters
    ----------
    in_channels : sequence of int
        Channels of the pyramid's levels, finest first.
    hidden : int
        Channels inside the branch.
    outputs : int
        Channels of the prediction.
    depthwise : bool
        Depthwise-separable convolutions, as in YOLOX-nano.
    """

    def __init__(self, in_channels: Sequence[int], *, hidden: int, outputs: int, depthwise: bool) -> None:
        super().__init__()
        conv = DWConv if depthwise else BaseConv
        self.branches = nn.ModuleList(
            nn.Sequential(
                BaseConv(channels, hidden, ksize=1, stride=1),
                conv(hidden, hidden, ksize=3, stride=1),
                conv(hidden, hidden, ksize=3, stride=1),
                nn.Conv2d(hidden, outputs, kernel_size=1),
            )
            for channels in in_channels
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Predict one map per level."""
        return [branch(f) for branch, f in zip(self.branches, features, strict=True)]


class Magnifier(nn.Module):
    """Magnify images by bicubic interpolation, edges continued, as one convolution.

    Whatever runs the network runs a convolution fast; not all of them interpolate fast.

    Parameters
    ----------
    channels : int
        Of the images.
    zoom : float
        A ratio of small whole numbers ``p / q``, exact; sides have to be multiples of q.
    """

    kernel: Tensor

    def __init__(self, channels: int, zoom: float) -> None:
        super().__init__()
        ratio = Fraction(zoom)
        self.channels, self.fine, self.coarse = channels, ratio.numerator, ratio.denominator
        # where the centres of p fine pixels lie among those of q coarse ones, and the four pixels around each
        centres = (np.arange(self.fine) + 0.5) / zoom - 0.5
        first, last = math.floor(centres[0]) - 1, math.floor(centres[-1]) + 2
        rows = _cubic(centres[:, None] - np.arange(first, last + 1))
        kernel = np.einsum("ay,bx->abyx", rows, rows).reshape(self.fine**2, 1, *(rows.shape[1:] * 2))
        self.margin = (-first, last + 1 - self.coarse) * 2
        # not of the weights: it follows from the zoom
        self.register_buffer("kernel", torch.from_numpy(kernel).float().repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(batch, channels, zoom * height, zoom * width)``."""
        padded = F.pad(image, self.margin, mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, self.kernel, stride=self.coarse, groups=self.channels), self.fine)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys's kernel of cubic convolution (1981) with the slope of -3/4 that image software has."""
    d, slope = np.abs(distance), -0.75
    near = (slope + 2) * d**3 - (slope + 3) * d**2 + 1
    far = slope * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


class AstroYolo(nn.Module):
    """Detection, star/galaxy and smooth/disk in one pass (the AstroYOLO paper).

    Parameters
    ----------
    architecture : Architecture
        Size, pyramid levels and input channels.

    Notes
    -----
    ``forward`` takes ``(batch, channels, height, width)`` float32 with height and width
    multiples of the architecture's ``multiple``, and returns one map ``(batch, 7, h, w)`` per
    level with the raw channels of `~astrogalaxy.models.CHANNELS`: the offset of the
    box centre from the cell's centre and the logarithm of its sides, both in strides,
    then the logits of "a source", "a galaxy" and "a disk".
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.magnify = Magnifier(architecture.channels, architecture.zoom) if architecture.zoom != 1 else None
        size = SIZES[architecture.size]
        channels = [_STAGE_CHANNELS[stride] for stride in architecture.levels]
        stages = tuple(_STRIDE_TO_STAGE[stride] for stride in architecture.levels)
        self.neck = YoloPafpn(
            size.depth,
            size.width,
            in_features=stages,
            in_channels=channels,
            depthwise=size.depthwise,
        )
        self.neck.backbone = _backbone(size.depth, size.width, stages, size.depthwise)
        stem = self.neck.backbone.stem.conv.conv.out_channels
        self.neck.backbone.stem = Focus(architecture.channels, stem, ksize=3)
        widths = [int(c * size.width) for c in channels]
        head: dict[str, Any] = {"hidden": size.head, "depthwise": size.depthwise}
        self.detection = TaskHead(widths, outputs=5, **head)
        self.stargalaxy = TaskHead(widths, outputs=1, **head)
        self.morphology = TaskHead(widths, outputs=1, **head)
        self._start_rare()

    def _start_rare(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = 1e-3, 0.03
        for branch in self.detection.branches:
            bias = branch[-1].bias
            with torch.no_grad():
                bias[CHANNELS.index("source")] = -math.log((1 - _OBJECT_PRIOR) / _OBJECT_PRIOR)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the raw prediction map of each level, finest first."""
        features = self.neck(image if self.magnify is None else self._magnified(image, self.magnify))
        heads = (self.detection, self.stargalaxy, self.morphology)
        maps = zip(*(head(features) for head in heads), strict=True)
        return tuple(torch.cat(level, dim=1) for level in maps)

    def _magnified(self, image: Tensor, magnify: Magnifier) -> Tensor:
        """Magnify the bands, and with them the seeing."""
        if self.architecture.seeing:
            level = image[:, -1:]
            wider = torch.where(level == 0, level, level + seeing_shift(self.architecture.zoom))
            image = torch.cat([image[:, :-1], wider], dim=1)
        return magnify(image)


def _backbone(depth: float, width: float, stages: tuple[str, ...], depthwise: bool) -> CspDarknet:
    """Build the backbone up to the coarsest stage that the pyramid reads."""
    backbone = CspDarknet(depth, width, out_features=stages, depthwise=depthwise)
    for stage in ("dark5", "dark4"):
        if stage in stages:
            break
        setattr(backbone, stage, nn.Identity())
    return backbone
