"""ONNX graphs whose weights lie beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.errors import WeightsError
from astrogalaxy.models.files import Weights

__all__ = ["open_graph", "without_weights"]


def open_graph(
    weights: Weights[Any], tensors: Mapping[str, NDArray[np.generic]], *, threads: int
) -> Callable[[NDArray[np.floating]], list[NDArray[np.float32]]]:
    """Make the graph of a weight file ready to run on the CPU.

    Parameters
    ----------
    weights : Weights
        The file.
    tensors : mapping
        The graph's weights by name; half precision is how they are kept, not how they are used.
    threads : int
        CPU threads; 0 for all.

    Returns
    -------
    callable
        From a batch of images to the graph's outputs.

    Raises
    ------
    WeightsError
        If the file has no graph, is not what its card says, or ONNX Runtime does not take it.
    """
    import onnxruntime

    graph = weights.graph
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    kept = {
        name: np.ascontiguousarray(value, dtype=np.float32 if value.dtype == np.float16 else None)
        for name, value in tensors.items()
    }
    # the session takes the weights' memory without a copy: they must outlive it
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in kept.values()]
    options.add_external_initializers(list(kept), values)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common public base
        msg = f"{weights.path}: the graph cannot be run by onnxruntime: {error}"
        raise WeightsError(msg) from error

    def run(batch: NDArray[np.floating], _keep: list[object] = [kept, values]) -> list[NDArray[np.float32]]:  # noqa: B006
        """Run the session; it needs its tensors kept."""
        return list(session.run(None, {"image": batch}))

    return run


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
