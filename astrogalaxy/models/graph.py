"""ONNX graphs whose weights lie beside them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

__all__ = ["without_weights"]


def without_weights(model: Any, names: Collection[str]) -> bytes:
    """Mark the weights of an ONNX model as external data, to be handed over when a session is made.

    Parameters
    ----------
    model : onnx.ModelProto
        Changed in place; what describes its making is taken out, too.
    names : collection of str
        Initialisers that are handed over.

    Returns
    -------
    bytes
        The model.
    """
    from onnx import TensorProto

    graph = model.graph
    for tensor in graph.initializer:
        if tensor.name in names:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "weights"
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    del graph.value_info[:]
    del model.metadata_props[:]
    return model.SerializeToString()  # type: ignore[no-any-return]
