"""Start a wider network from a narrower one of the same kind: it says the same, and has room to learn more.

Every channel becomes several alike, and what reads them shares its weights out among them (Net2Net, Chen, Goodfellow
and Shlens 2016). Shares are unequal by chance, so that copies part when they learn.
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
    wide, there = network.state_dict(), narrow.state_dict()
    if not _alike(wide, there):
        wanted, start = network.architecture.size, narrow.architecture.size
        msg = f"model.start: a network of the size {wanted} cannot start from one of the size {start}; make them equal"
        raise ConfigError(msg)
    generator = torch.Generator().manual_seed(seed)
    network.load_state_dict({name: _repeated(there[name], value, generator) for name, value in wide.items()})


def _alike(wide: Mapping[str, Tensor], narrow: Mapping[str, Tensor]) -> bool:
    """Whether each tensor of the one is that of the other, some whole number of times."""
    return wide.keys() == narrow.keys() and all(
        value.ndim == narrow[name].ndim
        and all(m % n == 0 for m, n in zip(value.shape, narrow[name].shape, strict=True))
        for name, value in wide.items()
    )


def _repeated(there: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """A tensor with each output repeated, and each input shared out among its copies."""
    if there.ndim == 0:
        return there.clone()
    outputs = wanted.shape[0] // there.shape[0]
    made = there.repeat_interleave(outputs, dim=0)
    # a kernel over single channels reads its own one only
    copies = wanted.shape[1] // there.shape[1] if there.ndim > 1 else 1
    if copies == 1:
        return made
    shares = _UNEQUAL * there.std() * torch.randn((*made.shape[:2], copies, *made.shape[2:]), generator=generator)
    shares -= shares.mean(dim=2, keepdim=True)
    return (made[:, :, None] / copies + shares / copies).flatten(1, 2)
