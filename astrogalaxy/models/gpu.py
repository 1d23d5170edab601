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

    Each plane of the batch is copied into page-locked memory while the one before it is on its way to the GPU, and
    the CPU waits only once all outputs are on their way back.

    Parameters
    ----------
    network : torch.nn.Module
        Set to inference; it is moved.
    precision : {'float32', 'float16', 'bfloat16'}
        Below float32, torch chooses the layers that use it (autocast).
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
        """Run the network, and wait for its output."""
        with torch.inference_mode(), torch.autocast(place.type, half, enabled=half is not None):
            images = _sent(torch.from_numpy(batch), place)
            maps = network(images.contiguous(memory_format=torch.channels_last))
            back = [_on_its_way(level) for level in ([maps] if isinstance(maps, torch.Tensor) else maps)]
        if place.type == "cuda":
            torch.cuda.current_stream(place).synchronize()
        return [level.numpy() for level in back]

    return run


def _sent(batch: torch.Tensor, place: torch.device) -> torch.Tensor:
    """A batch on the device; it may still be on its way."""
    sent = torch.empty(batch.shape, dtype=batch.dtype, device=place)
    for plane, target in zip(batch.unbind(1), sent.unbind(1), strict=True):
        target.copy_(plane.pin_memory() if place.type == "cuda" else plane, non_blocking=True)
    return sent


def _on_its_way(level: torch.Tensor) -> torch.Tensor:
    """A map in the memory of the CPU; it may still be on its way."""
    received = torch.empty(level.shape, dtype=torch.float32, pin_memory=level.is_cuda)
    return received.copy_(level.float().contiguous(), non_blocking=True)
