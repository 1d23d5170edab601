"""ONNX graphs whose weights lie beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.devices import Placement
from astrogalaxy.errors import WeightsError
from astrogalaxy.models.files import Weights

__all__ = ["Run", "folded", "open_graph", "with_weights", "without_weights"]

Arrays = Mapping[str, NDArray[np.generic]]
#: A network that is ready to run: from a batch of images ``(n, channels, ny, nx)`` to its outputs.
Run = Callable[[NDArray[np.floating]], list[NDArray[np.float32]]]

_ON_CPU = Placement("cpu", "float32")
# Epsilon of every batch normalisation of the YOLOX family.
BATCH_NORM_EPSILON = 1e-3


def open_graph(weights: Weights[Any], tensors: Arrays, *, threads: int, placement: Placement = _ON_CPU) -> Run:
    """Make the graph of a weight file ready to run on the CPU.

    Parameters
    ----------
    weights : Weights
        The file.
    tensors : mapping
        The graph's weights by name; half precision is how they are kept, not how they are used.
    threads : int
        CPU threads; 0 for all.
    placement : Placement
        Through ``cpu``, which is onnxruntime, or ``openvino``.

    Returns
    -------
    callable
        From a batch of images to the graph's outputs.

    Raises
    ------
    WeightsError
        If the file has no graph, is not what its card says, or cannot be run so.
    """
    if not isinstance(threads, Integral) or threads < 0:
        msg = f"threads must be a whole number from 0 (all) on, not {threads!r}"
        raise WeightsError(msg)
    graph = weights.graph
    kept = {
        name: np.ascontiguousarray(value, dtype=np.float32 if value.dtype == np.float16 else None)
        for name, value in tensors.items()
    }
    engine = _openvino if placement.device == "openvino" else _onnxruntime
    try:
        return engine(graph, kept, threads, placement)
    except Exception as error:  # neither library's exceptions have a common public base
        msg = f"{weights.path}: the graph cannot be run by {engine.__name__[1:]}: {error}"
        raise WeightsError(msg) from error


def _onnxruntime(graph: bytes, tensors: Arrays, threads: int, _placement: Placement) -> Run:
    # some builds send telemetry to their makers, and leave a database in the home folder
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # the plan of the memory of each shape of image would be kept, a hundred MB for each of a mosaic's
    options.enable_mem_pattern = False
    # threads that wait for work would spin, at the cost of whatever else wants the processor, and be no sooner done
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # the session takes the weights' memory without a copy: they must outlive it
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in tensors.values()]
    options.add_external_initializers(list(tensors), values)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(batch: NDArray[np.floating], _keep: list[object] = [tensors, values]) -> list[NDArray[np.float32]]:  # noqa: B006
        """Run the session; it needs its tensors kept."""
        return list(session.run(None, {"image": batch}))

    return run


def _openvino(graph: bytes, tensors: Arrays, threads: int, placement: Placement) -> Run:
    import openvino

    core = openvino.Core()
    settings = {
        # without it bfloat16 is taken wherever the processor has it
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[placement.precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # several workers would all sit on the first cores
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(core.read_model(with_weights(graph, tensors)), "CPU", settings)
    return lambda batch: list(compiled(batch).values())


def folded(tensors: Arrays) -> dict[str, NDArray[np.float32]]:
    """Fold every batch normalisation into the convolution before it.

    Parameters
    ----------
    tensors : mapping
        State of the torch network: ``<block>.conv.weight`` and ``<block>.bn.*``.

    Returns
    -------
    dict
        ``<block>.conv.weight`` and ``<block>.conv.bias``, and what has no normalisation
        unchanged: the initialisers of the graph.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.models import folded
    >>> block = {"stem.conv.weight": np.ones((2, 3, 1, 1), np.float32)}
    >>> for name in ("weight", "bias", "running_mean", "running_var"):
    ...     block[f"stem.bn.{name}"] = np.ones(2, np.float32)
    >>> sorted(folded(block))
    ['stem.conv.bias', 'stem.conv.weight']
    """
    result: dict[str, NDArray[np.float32]] = {}
    for name, value in tensors.items():
        if ".bn." in name:
            continue
        block = name.removesuffix(".conv.weight")
        if f"{block}.bn.weight" not in tensors:
            result[name] = np.asarray(value, dtype=np.float32)
            continue
        bn = {k: tensors[f"{block}.bn.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}
        gain = bn["weight"] / np.sqrt(bn["running_var"] + BATCH_NORM_EPSILON)
        result[name] = np.asarray(value * gain[:, None, None, None], dtype=np.float32)
        result[f"{block}.conv.bias"] = np.asarray(bn["bias"] - bn["running_mean"] * gain, dtype=np.float32)
    return result


def with_weights(graph: bytes, tensors: Arrays) -> bytes:
    """Put the weights of an ONNX model into it, where `without_weights` has taken them out.

    Parameters
    ----------
    graph : bytes
        The model.
    tensors : mapping
        Its weights by name.

    Returns
    -------
    bytes
        The model, with nothing outside.

    Raises
    ------
    KeyError
        If it needs a weight that is not there.
    """
    import onnx

    model = onnx.load_model_from_string(graph)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.CopyFrom(onnx.numpy_helper.from_array(tensors[tensor.name], tensor.name))
    return model.SerializeToString()  # type: ignore[no-any-return]


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
    for part in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    del graph.value_info[:]
    del model.metadata_props[:]
    return model.SerializeToString()  # type: ignore[no-any-return]
