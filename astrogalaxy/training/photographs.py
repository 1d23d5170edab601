"""Start from a YOLOX network that was trained on photographs (COCO), in its authors' ONNX file.

The convolutions of the file have their normalisation folded in, and come in the order in which they are applied.
Backbone and feature pyramid are taken over; the heads start anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from astrogalaxy.detection.blocks import BaseConv
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import WeightsError

__all__ = ["PUBLISHED_LEVELS", "start_from_photographs"]

#: Strides of a published YOLOX; with others only the backbone fits.
PUBLISHED_LEVELS = (8, 16, 32)
# A photograph's pixels are 0 to 255, shortest wavelength first, and black at night; ours are asinh(S/N / 3), 0 to 5.
_BRIGHTNESS = 50.0
_BANDS = 3

Floats = NDArray[np.float32]


def start_from_photographs(network: AstroYolo, path: str | Path, image: Tensor) -> int:
    """Give backbone and feature pyramid the weights of a published YOLOX.

    Parameters
    ----------
    network : AstroYolo
        Of the same size; changed in place.
    path : str or Path
        ONNX file with normalisation folded into the convolutions.
    image : Tensor
        A batch of network input, whose statistics the normalisations get, so that at first the
        output is that of the published network.

    Returns
    -------
    int
        Convolutions that were taken over.

    Raises
    ------
    WeightsError
        If the file cannot be read or is of a network of another shape.
    """
    published = _convolutions(Path(path))
    part = network.neck if network.architecture.levels == PUBLISHED_LEVELS else network.neck.backbone
    network.eval()
    with _taking_over(part, published, network.architecture.channels) as taken, torch.no_grad():
        network(image)
    for number, shape, wanted in taken:
        if shape != wanted:
            msg = (
                f"{path}: convolution {number} has the shape {shape}, the recipe's network {wanted}; it is another size"
            )
            raise WeightsError(msg)
    network.train()
    return len(taken)


def _convolutions(path: Path) -> list[tuple[Floats, Floats]]:
    """Kernels and offsets in the order of the graph."""
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
        tensors = {t.name: t for t in graph.initializer}
        nodes = [node for node in graph.node if node.op_type == "Conv"]
        return [(numpy_helper.to_array(tensors[n.input[1]]), numpy_helper.to_array(tensors[n.input[2]])) for n in nodes]
    except Exception as error:  # a damaged file raises whatever its bytes make of it
        msg = f"{path}: cannot be read as a YOLOX network with folded normalisation ({error})"
        raise WeightsError(msg) from error


@contextmanager
def _taking_over(
    part: nn.Module, published: list[tuple[Floats, Floats]], channels: int
) -> Iterator[list[tuple[int, tuple[int, ...], tuple[int, ...]]]]:
    """Let each convolution of a part take over the next published one when it is applied."""
    taken: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []

    def take(block: BaseConv, inputs: tuple[Tensor]) -> None:
        """Give a convolution the next published kernel, before it is applied."""
        number = len(taken)
        if number >= len(published):
            return
        kernel, offset = published[number]
        if number == 0:
            kernel = _first(kernel, channels)
        weight = block.conv.weight
        taken.append((number, tuple(kernel.shape), tuple(weight.shape)))
        if kernel.shape == tuple(weight.shape):
            weight.copy_(torch.from_numpy(np.array(kernel)))
            _undo_folding(block, inputs[0], torch.from_numpy(np.array(offset)))

    blocks = [m for m in part.modules() if isinstance(m, BaseConv)]
    hooks = [block.register_forward_pre_hook(take) for block in blocks]
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def _first(kernel: Floats, channels: int) -> Floats:
    """Kernel of the first convolution for our pixels, and for channels that photographs do not have."""
    out, stacked, *sides = kernel.shape
    bands = kernel.reshape(out, stacked // _BANDS, _BANDS, *sides) * np.float32(_BRIGHTNESS)
    if channels < _BANDS:
        return kernel
    more = np.zeros((out, stacked // _BANDS, channels - _BANDS, *sides), np.float32)
    return np.concatenate([bands, more], axis=2).reshape(out, -1, *sides)


def _undo_folding(block: BaseConv, image: Tensor, offset: Tensor) -> None:
    """Set a normalisation so that with the statistics of this input it does nothing but add the offset."""
    pixels = block.conv(image)
    mean, variance = pixels.mean(dim=(0, 2, 3)), pixels.var(dim=(0, 2, 3))
    norm = block.bn
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean + offset.to(mean))
