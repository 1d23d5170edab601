"""Start a wider network from a narrower one of the same kind: its output is the same, with room to learn more.

Every channel is repeated, and the weights of what reads it are shared among the copies (Net2Net, Chen, Goodfellow and
Shlens 2016). The shares differ at random, so that the copies come to differ when they learn.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import ConfigError

__all__ = ["widen"]

# Scatter of the shares, in units of the scatter of the weights that are shared out.
_UNEQUAL = 0.5


def widen(network: AstroYolo, narrow: AstroYolo, *, seed: int = 0) -> None:
    """Give a network what a narrower one has learned.

    Parameters
    ----------
    network : AstroYolo
        Changed in place. Each of its layers has a whole multiple of the channels.
    narrow : AstroYolo
        Of the same levels and inputs, equally deep, and depthwise where the other is.
    seed : int
        Of the shares.

    Raises
    ------
    ConfigError
        If the one is not a wider form of the other.
    """
    wide, known = network.state_dict(), narrow.state_dict()
    if not _alike(wide, known):
        wanted, start = network.architecture.size, narrow.architecture.size
        msg = f"model.start: a network of the size {wanted} cannot start from one of the size {start}; make them equal"
        raise ConfigError(msg)
    generator = torch.Generator().manual_seed(seed)
    network.load_state_dict({name: _repeated(known[name], value, generator) for name, value in wide.items()})


def _alike(wide: Mapping[str, Tensor], narrow: Mapping[str, Tensor]) -> bool:
    """Whether each side of each tensor of the one is a whole multiple of that of the other."""
    return wide.keys() == narrow.keys() and all(
        value.ndim == narrow[name].ndim
        and all(m % n == 0 for m, n in zip(value.shape, narrow[name].shape, strict=True))
        for name, value in wide.items()
    )


def _repeated(narrow: Tensor, wide: Tensor, generator: torch.Generator) -> Tensor:
    """A tensor of the wide one's shape: each output repeated, and the weight of each input shared among its copies."""
    if narrow.ndim == 0:
        return narrow.clone()
    outputs = wide.shape[0] // narrow.shape[0]
    made = narrow.repeat_interleave(outputs, dim=0)
    # a depthwise kernel reads its own channel only
    copies = wide.shape[1] // narrow.shape[1] if narrow.ndim > 1 else 1
    if copies == 1:
        return made
    shares = _UNEQUAL * narrow.std() * torch.randn((*made.shape[:2], copies, *made.shape[2:]), generator=generator)
    shares -= shares.mean(dim=2, keepdim=True)
    return (made[:, :, None] / copies + shares / copies).flatten(1, 2)
