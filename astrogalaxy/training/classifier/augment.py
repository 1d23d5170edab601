"""What is changed of a batch of training images, at random, where the network runs."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from astrogalaxy.config.classifier import AugmentationSection

__all__ = ["augment", "mix"]


def augment(images: Tensor, settings: AugmentationSection, generator: torch.Generator) -> Tensor:
    """Turn, flip, scale, shear and shift images, each in its own way, and add noise.

    Parameters
    ----------
    images : Tensor
        ``(n, 3, side, side)`` from 0 to 1.
    settings : AugmentationSection
        How much of each.
    generator : torch.Generator
        On the CPU; the same state gives the same changes.

    Returns
    -------
    Tensor
        Of the same shape; what comes from outside an image is 0, as the sky is.
    """
    n = len(images)

    def draw(reach: float) -> Tensor:
        """Random numbers between minus and plus the reach, one for each image."""
        return reach * (2 * torch.rand(n, generator=generator) - 1)

    if settings.rotation or settings.flip or settings.zoom or settings.shear or settings.shift:
        turn = draw(math.radians(settings.rotation))
        scale = 1 + draw(settings.zoom)
        shear = draw(settings.shear)
        cosine, sine = torch.cos(turn) / scale, torch.sin(turn) / scale
        flips = 1 - 2 * torch.randint(0, 2, (2, n), generator=generator).float() if settings.flip else torch.ones(2, n)
        matrix = torch.stack(
            [
                torch.stack([flips[0] * cosine, flips[0] * (shear * cosine - sine), draw(2 * settings.shift)], dim=1),
                torch.stack([flips[1] * sine, flips[1] * (shear * sine + cosine), draw(2 * settings.shift)], dim=1),
            ],
            dim=1,
        ).to(images)
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, align_corners=False)
    if settings.noise:
        noise = torch.randn(images.shape, generator=generator).to(images)
        images = (images + settings.noise * noise).clamp(0, 1)
    return images


def mix(
    images: Tensor, shares: Tensor, settings: AugmentationSection, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lay images over each other (mix-up, Zhang et al. 2018) or into each other (CutMix, Yun et al. 2019).

    Labels become the mean by the area or weight of each. With both, each batch is drawn one of them.
    """
    kinds = [kind for kind in ("mix_up", "cut_mix") if getattr(settings, kind)]
    if not kinds:
        return images, shares
    kind = kinds[int(torch.randint(0, len(kinds), (1,), generator=generator))]
    weight = _beta(getattr(settings, kind), generator)
    other = torch.randperm(len(images), generator=generator).to(images.device)
    if kind == "mix_up":
        return weight * images + (1 - weight) * images[other], weight * shares + (1 - weight) * shares[other]
    side = images.shape[-1]
    half = side * math.sqrt(1 - weight) / 2
    middle = (torch.rand(2, generator=generator) * side).tolist()
    (y0, y1), (x0, x1) = ((max(round(m - half), 0), min(round(m + half), side)) for m in middle)
    mixed = images.clone()
    mixed[:, :, y0:y1, x0:x1] = images[other][:, :, y0:y1, x0:x1]
    kept = 1 - (y1 - y0) * (x1 - x0) / side**2
    return mixed, kept * shares + (1 - kept) * shares[other]


def _beta(parameter: float, generator: torch.Generator) -> float:
    """A number from 0 to 1 of the symmetric beta distribution."""
    seed = int(torch.randint(0, 2**31, (1,), generator=generator))
    return float(np.random.default_rng(seed).beta(parameter, parameter))
