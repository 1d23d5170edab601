"""Run the network: onnxruntime or OpenVINO on the CPU, torch on a GPU, from the same weight file."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.devices import Device, Precision, choose_placement
from astrogalaxy.errors import WeightsError
from astrogalaxy.images import Section, Tile, plan_tiles
from astrogalaxy.models import CHANNELS, Weights, folded, load_weights
from astrogalaxy.models.files import WeightFile, file_of
from astrogalaxy.models.graph import Run, open_graph

__all__ = ["Runtime", "open_runtime", "pieces_of"]

logger = logging.getLogger(__name__)

Cube = NDArray[np.float32]

# The memory of the network grows with the image that it is given, so larger ones go through it in pieces: of about
# so many pixels a side, with so many more around them, which is as far as the bundled networks see.
_PIECE, _MARGIN = 2048, 192


class Runtime:
    """A network ready to run.

    Parameters
    ----------
    weights : Weights
        The weight file.
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        ``auto`` takes a GPU if torch sees one, else the CPU through onnxruntime.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        ``auto`` is float32 on a CPU and float16 on a GPU.
    threads : int
        CPU threads; 0 for all.

    Attributes
    ----------
    placement : Placement
        Where it runs.

    Raises
    ------
    WeightsError
        If what is asked for is not there, or the weights cannot be run.

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

    def __init__(
        self, weights: Weights, *, device: Device = "auto", precision: Precision = "auto", threads: int = 0
    ) -> None:
        self.weights = weights
        self.placement = choose_placement(device, precision)
        if self.placement.device == "cuda":
            self._forward: Run = _on_gpu(weights, self.placement.precision)
        else:
            self._forward = open_graph(weights, folded(weights.tensors), threads=threads, placement=self.placement)
        logger.debug("%s runs on %s", weights.card.name, self.placement)

    def __call__(self, image: Cube) -> list[Cube]:
        """Run the network on one image, piece by piece if it is large.

        Parameters
        ----------
        image : ndarray
            ``(inputs, ny, nx)`` float32; sides are multiples of the coarsest stride.

        Returns
        -------
        list of ndarray
            ``(7, rows, columns)`` float32 per level, finest first.
        """
        network = self.weights.card.architecture
        pieces = pieces_of(image.shape[1:], network.multiple)
        if len(pieces) == 1:
            return [level[0] for level in self._forward(image[None])]
        shapes = [[round(side / stride) for side in image.shape[1:]] for stride in network.strides]
        whole = [np.empty((len(CHANNELS), *shape), dtype=np.float32) for shape in shapes]
        for piece in pieces:
            levels = self._forward(np.ascontiguousarray(image[None, :, *piece.outer.slices]))
            for made, (level,), stride in zip(whole, levels, network.strides, strict=True):
                core, outer = (Section(*(round(edge / stride) for edge in part)) for part in (piece.core, piece.outer))
                made[:, *core.slices] = level[:, *core.within(outer).slices]
        return whole


def pieces_of(shape: tuple[int, ...], multiple: int = 32) -> list[Tile]:
    """Pieces in which an image goes through the network, beginning at multiples of so many pixels."""
    return plan_tiles(shape, size=_PIECE, overlap=_MARGIN, multiple=multiple)


def open_runtime(
    name: str | Path = "default", device: Device = "auto", threads: int = 0, precision: Precision = "auto"
) -> Runtime:
    """Open a runtime, one per process for each set of arguments; a file that is written anew is opened anew.

    Parameters
    ----------
    name : str or path
        See `~astrogalaxy.models.load_weights`.
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        See `Runtime`.
    threads : int
        CPU threads; 0 for all.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        See `Runtime`.

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
    return _opened(file_of(name), device, threads, precision)


@lru_cache(maxsize=4)
def _opened(file: WeightFile, device: Device, threads: int, precision: Precision) -> Runtime:
    return Runtime(load_weights(file.path), device=device, precision=precision, threads=threads)


def _on_gpu(weights: Weights, precision: Precision) -> Run:
    from astrogalaxy.detection.export import network_from_tensors
    from astrogalaxy.detection.network import AstroYolo
    from astrogalaxy.models.gpu import open_network

    try:
        network = network_from_tensors(AstroYolo(weights.card.architecture), weights.tensors)
    except (ValueError, RuntimeError) as error:
        msg = f"{weights.path}: the tensors do not fit the network that the card names: {error}"
        raise WeightsError(msg) from error
    return open_network(network, precision)
