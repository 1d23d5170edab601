"""Run the network: onnxruntime on the CPU, torch on a GPU, from the same weight file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.errors import WeightsError
from astrogalaxy.models import Weights, folded, load_weights
from astrogalaxy.models.graph import open_graph

if TYPE_CHECKING:
    import torch

__all__ = ["Device", "Runtime", "open_runtime"]

logger = logging.getLogger(__name__)

#: Where a network runs; ``auto`` takes a GPU if there is one.
Device = Literal["auto", "cpu", "cuda"]
Cube = NDArray[np.float32]
Forward = Callable[[Cube], list[Cube]]


class Runtime:
    """A network ready to run.

    Parameters
    ----------
    weights : Weights
        The weight file.
    device : {'auto', 'cpu', 'cuda'}
        ``auto`` takes a GPU if torch is installed and sees one.
    threads : int
        CPU threads; 0 for all.

    Attributes
    ----------
    device : str
        Where it runs.

    Raises
    ------
    WeightsError
        If a GPU is asked for and there is none, or the weights cannot be run.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.detection import Runtime
    >>> from astrogalaxy.models import load_weights
    >>> weights = load_weights("default")
    >>> runtime = Runtime(weights, device="cpu")
    >>> levels = runtime(np.zeros((weights.card.architecture.channels, 64, 64), np.float32))
    >>> [level.shape for level in levels]
    [(7, 16, 16), (7, 8, 8), (7, 4, 4)]
    """

    def __init__(self, weights: Weights, *, device: Device = "auto", threads: int = 0) -> None:
        self.weights = weights
        self.device = _choose(device)
        forward = _on_gpu if self.device == "cuda" else _on_cpu
        self._forward: Forward = forward(weights, threads)
        logger.debug("%s runs on %s", weights.card.name, self.device)

    def __call__(self, image: Cube) -> list[Cube]:
        """Run the network on one image.

        Parameters
        ----------
        image : ndarray
            ``(inputs, ny, nx)`` float32; sides are multiples of the coarsest stride.

        Returns
        -------
        list of ndarray
            ``(7, rows, columns)`` float32 per level, finest first.
        """
        return self._forward(image)


@lru_cache(maxsize=4)
def open_runtime(name: str | Path = "default", device: Device = "auto", threads: int = 0) -> Runtime:
    """Open a runtime, one per process for each set of arguments.

    Parameters
    ----------
    name : str or path
        See `~astrogalaxy.models.load_weights`.
    device : {'auto', 'cpu', 'cuda'}
        See `Runtime`.
    threads : int
        CPU threads; 0 for all.

    Returns
    -------
    Runtime
        The same one for the same arguments.

    Raises
    ------
    WeightsError
        If there are no such weights, or they cannot be run there.

    Examples
    --------
    >>> from astrogalaxy.detection import open_runtime
    >>> open_runtime("default", "cpu").weights.card.name
    'astroyolo-nano'
    """
    return Runtime(load_weights(name), device=device, threads=threads)


def _choose(device: Device) -> Literal["cpu", "cuda"]:
    if device == "cpu" or (device == "auto" and not _gpu_driver()):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        msg = "compute.device is cuda, but torch finds no GPU; use auto or cpu"
        raise WeightsError(msg)
    return "cpu"


def _gpu_driver() -> bool:
    """Whether there is an NVIDIA driver at all: asking torch costs seconds of start-up."""
    return any(Path(p).exists() for p in ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia/version"))


def _on_cpu(weights: Weights, threads: int) -> Forward:
    run = open_graph(weights, folded(weights.tensors), threads=threads)
    return lambda image: [level[0] for level in run(image[None])]


def _on_gpu(weights: Weights, _threads: int) -> Forward:
    import torch

    from astrogalaxy.detection.export import network_from_tensors
    from astrogalaxy.detection.network import AstroYolo

    try:
        network = network_from_tensors(AstroYolo(weights.card.architecture), weights.tensors)
    except (ValueError, RuntimeError) as error:
        msg = f"{weights.path}: the tensors do not fit the network that the card names: {error}"
        raise WeightsError(msg) from error
    network = network.to("cuda", memory_format=torch.channels_last)

    def forward(image: Cube) -> list[Cube]:
        """Run the network in half precision."""
        with torch.inference_mode(), torch.autocast("cuda", torch.float16):
            batch: torch.Tensor = torch.from_numpy(image[None]).to("cuda")
            maps = network(batch.contiguous(memory_format=torch.channels_last))
        return [level[0].float().cpu().numpy() for level in maps]

    return forward
