"""From a trained classifier to a weight file's tensors and graph, and back."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from astrogalaxy.errors import ConfigError, WeightsError
from astrogalaxy.models import ClassifierCard, Weights
from astrogalaxy.models.graph import without_weights
from astrogalaxy.morphology.network import GalaxyNetwork, NetworkSpec, build

__all__ = ["network_graph", "network_of", "network_tensors", "spec_of"]


def spec_of(card: ClassifierCard) -> NetworkSpec:
    """The network that a card names."""
    return NetworkSpec(
        card.architecture, len(card.classes), card.side, card.options, card.attention, card.hidden,
        clusters=card.clusters,
    )  # fmt: skip


def network_of(weights: Weights[ClassifierCard]) -> GalaxyNetwork:
    """The torch network of a weight file, set to inference.

    Raises
    ------
    WeightsError
        If the tensors are not those of the network that the card names.
    """
    try:
        return build(spec_of(weights.card), weights.tensors)
    except ConfigError as error:
        msg = f"{weights.path}: {error}"
        raise WeightsError(msg) from error


def network_tensors(network: GalaxyNetwork, *, half: bool = False) -> dict[str, NDArray[np.generic]]:
    """State of the network as arrays, without the counters of training; the weights of layers in half precision."""
    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    return {
        # statistics of batches, of one dimension, may be out of the range of half precision
        name: (value.half() if half and value.ndim > 1 else value).contiguous().numpy()
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }


def network_graph(network: GalaxyNetwork) -> bytes:
    """ONNX graph of the network without its weights; the batch is free.

    Raises
    ------
    WeightsError
        If PyTorch cannot export the architecture.
    """
    plain = copy.deepcopy(network).cpu().eval()
    side = network.spec.side
    free = {0: torch.export.Dim("batch", min=1, max=4096)}
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the exporter's own, about its internals
            program = torch.onnx.export(
                plain,
                (torch.randn(2, 3, side, side),),
                dynamo=True,
                dynamic_shapes={"x": free},
                verbose=False,
                input_names=["image"],
                output_names=["logits"],
                # not optimised: that merges weights that are equal, and the session wants each by its name
                optimize=False,
            )
    except Exception as error:  # the exporter raises many kinds
        msg = f"{network.spec.architecture} cannot be exported to ONNX: {error}; train it with output.graph: false"
        raise WeightsError(msg) from error
    return without_weights(program.model_proto, set(network_tensors(network)))
