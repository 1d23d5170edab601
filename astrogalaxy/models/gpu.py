"""Networks on a GPU, through torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from astrogalaxy.devices import Precision

__all__ = ["open_network"]


def open_network(
    network: torch.nn.Module, precision: Precision, *, device: str = "cuda"
) -> Callable[[NDArray[np.floating]], list[NDArray[np.float32]]]:
    """Make a torch network ready to run.

    Plane by plane the batch goes into page-locked memory while the plane before it is on its way to the GPU, and
    nothing is waited for until all outputs are on their way back.

    Parameters
    ----------
    network : torch.nn.Module
        Set to inference; it is moved.
    precision : {'float32', 'float16', 'bfloat16'}
        Where it is not the first, torch chooses the layers that are to use it.
    device : str
        Torch's name of the device.

    Returns
    -------
    callable
        From a batch ``(n, channels, ny, nx)`` of images to the network's outputs.
    """
    place = torch.device(device)
    half = None if precision == "float32" else getattr(torch, precision)
    network = network.to(place).to(memory_format=torch.channels_last)

    def run(batch: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        """Run the network, and wait for what it says."""
        with torch.inference_mode(), torch.autocast(place.type, half, enabled=half is not None):
            there = _sent(torch.from_numpy(batch), place)
            maps = network(there.contiguous(memory_format=torch.channels_last))
            back = [_on_its_way(level) for level in ([maps] if isinstance(maps, torch.Tensor) else maps)]
        if place.type == "cuda":
            torch.cuda.current_stream(place).synchronize()
        return [level.numpy() for level in back]

    return run


def _sent(batch: torch.Tensor, place: torch.device) -> torch.Tensor:
    there = torch.empty(batch.shape, dtype=batch.dtype, device=place)
    for plane, target in zip(batch.unbind(1), there.unbind(1), strict=True):
        target.copy_(plane.pin_memory() if place.type == "cuda" else plane, non_blocking=True)
    return there


def _on_its_way(level: torch.Tensor) -> torch.Tensor:
    """Memory that a map is being copied to."""
    here = torch.empty(level.shape, dtype=torch.float32, pin_memory=level.is_cuda)
    return here.copy_(level.float().contiguous(), non_blocking=True)
