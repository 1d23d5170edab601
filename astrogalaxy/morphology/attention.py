"""Attention over a feature map: CBAM (Woo et al. 2018), and self-attention over its pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Cbam", "SelfAttention"]


class Cbam(nn.Module):
    """Convolutional block attention: which channels matter, then which places.

    Parameters
    ----------
    channels : int
        Of the map.
    ratio : int
        By which the shared layers of the channel attention are narrower; at least one unit stays.
    kernel : int
        Side of the convolution over the mean and the maximum of the channels.

    Examples
    --------
    >>> Cbam(16)(torch.ones(1, 16, 5, 5)).shape
    torch.Size([1, 16, 5, 5])
    """

    def __init__(self, channels: int, *, ratio: int = 8, kernel: int = 7) -> None:
        super().__init__()
        narrow = max(channels // ratio, 1)
        self.channel = nn.Sequential(nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels))
        self.spatial = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh a map ``(n, channels, ny, nx)``."""
        weight = torch.sigmoid(self.channel(x.mean((2, 3))) + self.channel(x.amax((2, 3))))
        x = x * weight[:, :, None, None]
        places = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.spatial(places))


class SelfAttention(nn.Module):
    """Every pixel of a map takes from those that it resembles; starts as the identity.

    Parameters
    ----------
    channels : int
        Of the map.
    width : int
        Of queries and keys; the values are the map itself.
    """

    def __init__(self, channels: int, *, width: int = 64) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, width, 1, bias=False)
        self.key = nn.Conv2d(channels, width, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Attend over a map ``(n, channels, ny, nx)``."""
        query, key, value = (t.flatten(2).transpose(1, 2) for t in (self.query(x), self.key(x), x))
        mixed = functional.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        return x + self.gain * mixed.transpose(1, 2).reshape(x.shape)
