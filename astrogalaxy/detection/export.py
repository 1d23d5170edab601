"""From a trained torch network to a weight file's tensors and graph."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings

from astrogalaxy.errors import brought_by

with brought_by("train"):
    import torch

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from astrogalaxy.detection.blocks import BaseConv
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.models.graph import without_weights
from astrogalaxy.models.tensors import load_tensors

__all__ = ["network_from_tensors", "network_graph", "network_tensors"]


def network_tensors(network: AstroYolo) -> dict[str, NDArray[np.generic]]:
    """State of the network as arrays, without the counters of training."""
    return {
        name: value.detach().cpu().contiguous().numpy()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def network_from_tensors(network: AstroYolo, tensors: dict[str, NDArray[np.generic]]) -> AstroYolo:
    """Load tensors into a network of the same architecture and set it to inference."""
    wrong = load_tensors(network, tensors)
    if wrong:
        msg = f"weights do not fit the network: {wrong}"
        raise ValueError(msg)
    return network


def network_graph(network: AstroYolo) -> bytes:
    """ONNX graph of the network with batch normalisation folded, without its weights.

    Batch, height and width are free; the initialisers carry the names that
    `astrogalaxy.models.folded` gives to the weights.
    """
    plain = _fuse(network)
    with torch.no_grad():
        # the exporter takes equal tensors for one, and heads that never learnt have equal ones: the graph holds none
        for parameter in plain.parameters():
            parameter.normal_()
    side = network.architecture.multiple
    image = torch.randn(2, network.architecture.channels, 8 * side, 10 * side)
    free = {
        0: torch.export.Dim("batch", min=1, max=4096),
        2: side * torch.export.Dim("rows", min=2, max=4096),
        3: side * torch.export.Dim("columns", min=2, max=4096),
    }
    outputs = [f"stride{level}" for level in network.architecture.levels]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's own, about its internals
        program = torch.onnx.export(
            plain,
            (image,),
            dynamo=True,
            dynamic_shapes={"image": free},
            verbose=False,
            input_names=["image"],
            output_names=outputs,
            optimize=True,
        )
    return without_weights(program.model_proto, set(plain.state_dict()))


def _fuse(network: AstroYolo) -> AstroYolo:
    plain = copy.deepcopy(network).cpu().eval()
    for module in plain.modules():
        if isinstance(module, BaseConv):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    return plain
