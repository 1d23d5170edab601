"""Tests of astrogalaxy.detection.runtime and export: one weight file, the same maps everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from astrogalaxy.detection import Runtime, open_runtime
from astrogalaxy.detection.export import network_from_tensors, network_graph, network_tensors
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.devices import Placement, Precision, choose_placement
from astrogalaxy.errors import WeightsError
from astrogalaxy.models import Architecture, WeightCard, Weights, load_weights, save_weights
from astrogalaxy.models.gpu import open_network

NO_GPU = not torch.cuda.is_available()


def _sky(shape: tuple[int, int], *, inputs: int = 3) -> np.ndarray:
    return np.arcsinh(np.random.default_rng(5).normal(0, 2, (inputs, *shape))).astype(np.float32)


def _with_torch(weights: Weights, image: np.ndarray) -> list[np.ndarray]:
    network = network_from_tensors(AstroYolo(weights.card.architecture), weights.tensors)
    with torch.inference_mode():
        return [level[0].numpy() for level in network(torch.from_numpy(image[None]))]


def _agree(first: list[np.ndarray], second: list[np.ndarray], *, atol: float) -> None:
    assert [m.shape for m in first] == [m.shape for m in second]
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype == np.float32
        assert a.std() > 0.05, "maps of nothing would always agree"
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize("shape", [(64, 64), (48, 80), (16, 32), (16, 16), (256, 16)])
def test_onnx_and_torch_agree_on_images_of_any_shape(weights: Weights, shape: tuple[int, int]) -> None:
    image = _sky(shape)
    runtime = Runtime(load_weights(weights.path), device="cpu", threads=1)
    assert str(runtime.placement) == "cpu (onnxruntime, float32)"
    maps = runtime(image)
    assert [m.shape for m in maps] == [(7, shape[0] // s, shape[1] // s) for s in (4, 8, 16)]
    _agree(maps, _with_torch(weights, image), atol=2e-4)


def test_a_graph_tells_nothing_of_its_making(weights: Weights) -> None:
    """What the exporter notes is in an order of chance, and would give the same weights another hash each time."""
    import onnx

    model = onnx.load_from_string(weights.graph)
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        assert not part.metadata_props


def test_nothing_is_reported_to_the_makers_of_onnxruntime(tmp_path: Path) -> None:
    """Some of its builds keep what they will send in a database in the home folder."""
    code = "from astrogalaxy.detection import open_runtime; open_runtime('default', 'cpu', 1, 'float32')"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=kept | home, check=True)
    assert not list(tmp_path.rglob("*onnxruntime*"))


def test_the_published_levels_too_and_a_head_that_never_learnt(
    tmp_path: Path, make_card: Callable[..., WeightCard], make_network: Callable[..., AstroYolo]
) -> None:
    network = make_network((8, 16, 32), 2)
    for module in network.morphology.modules():
        # a head that never learnt: equal offsets on all levels, which must not become one
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_parameters()
            module.reset_running_stats()
    card = make_card(levels=(8, 16, 32), inputs=2)
    weights = save_weights(tmp_path / "w.safetensors", card, network_tensors(network), network_graph(network))
    image = _sky((64, 96), inputs=2)
    _agree(Runtime(weights, device="cpu", threads=1)(image), _with_torch(weights, image), atol=2e-4)


def _with_openvino(weights: Weights, precision: Precision) -> Runtime:
    openvino = pytest.importorskip("openvino", reason="needs the extra accel")
    if precision == "bfloat16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    runtime = Runtime(weights, device="openvino", precision=precision, threads=1)
    assert str(runtime.placement) == f"cpu (openvino, {precision})"
    return runtime


def test_openvino_says_what_onnxruntime_says(weights: Weights) -> None:
    runtime, other = _with_openvino(weights, "float32"), Runtime(weights, device="cpu", threads=1)
    # one runtime, images of any shape
    for shape in ((64, 96), (48, 16)):
        image = _sky(shape)
        _agree(runtime(image), other(image), atol=1e-4)


def test_bfloat16_is_another_thing(weights: Weights) -> None:
    image = _sky((64, 96))
    maps, exact = _with_openvino(weights, "bfloat16")(image), Runtime(weights, device="cpu", threads=1)(image)
    _agree(maps, exact, atol=0.5)
    assert max(np.abs(a - b).max() for a, b in zip(maps, exact, strict=True)) > 1e-3


@pytest.mark.parametrize("threads", [-1, 1.5, "all"])
def test_threads_are_a_whole_number(weights: Weights, threads: int) -> None:
    with pytest.raises(WeightsError, match=rf"^threads must be a whole number from 0 .*, not {threads!r}$"):
        Runtime(weights, device="cpu", threads=threads)


def test_threads_that_wait_take_no_time_of_the_processor(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes would wait for them, and the network is no sooner done."""
    opened, session = [], onnxruntime.InferenceSession

    def note(graph: bytes, options: onnxruntime.SessionOptions, **settings: Any) -> onnxruntime.InferenceSession:
        opened.append(options)
        return session(graph, options, **settings)

    monkeypatch.setattr(onnxruntime, "InferenceSession", note)
    Runtime(weights, device="cpu", threads=2)
    assert opened[0].get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_what_is_not_there_is_told(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        WeightsError, match="device cpu has only float32, not bfloat16; bfloat16 needs openvino or cuda"
    ):
        Runtime(weights, device="cpu", precision="bfloat16")
    with pytest.raises(WeightsError, match="there is no device 'tpu'; choose from auto, cpu, openvino, cuda"):
        Runtime(weights, device="tpu")
    with pytest.raises(
        WeightsError, match="there is no precision 'int8'; choose from auto, float32, float16, bfloat16"
    ):
        Runtime(weights, precision="int8")
    monkeypatch.setattr("astrogalaxy.devices._cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr("astrogalaxy.extras.find_spec", lambda name: name)
    with pytest.raises(WeightsError, match="bfloat16: this processor does not have it; use float32"):
        Runtime(weights, device="openvino", precision="bfloat16")
    monkeypatch.setattr("astrogalaxy.extras.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"needs openvino and onnx, which is not installed: .*astrogalaxy\[accel\]"):
        Runtime(weights, device="openvino")


def test_what_auto_picks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.devices._gpu_driver", lambda: True)
    for seen, name in ((True, "cuda (torch, float16)"), (False, "cpu (onnxruntime, float32)")):
        monkeypatch.setattr("astrogalaxy.devices._torch_sees_gpu", lambda seen=seen: seen)
        assert str(choose_placement()) == name
    monkeypatch.setattr("astrogalaxy.devices._gpu_driver", lambda: False)
    monkeypatch.setattr("astrogalaxy.devices._torch_sees_gpu", lambda: pytest.fail("torch is slow to ask"))
    assert choose_placement("auto", "float32") == Placement("cpu", "float32")


def test_a_gpu_that_lacks_its_extra_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install = "needs torch and yolox, which is not installed: pip install 'astrogalaxy[gpu]'"
    monkeypatch.setattr("astrogalaxy.extras.find_spec", lambda name: None)
    monkeypatch.setattr("astrogalaxy.devices._gpu_driver", lambda: True)
    assert choose_placement() == Placement("cpu", "float32")
    assert caplog.messages == [f"the GPU of this machine {install}; networks run on the CPU"]
    with pytest.raises(WeightsError, match=re.escape(f"the device cuda {install}")):
        choose_placement("cuda")


@pytest.mark.parametrize(("precision", "atol"), [("float32", 1e-5), ("bfloat16", 0.5)])
def test_the_way_over_a_gpu(weights: Weights, precision: Precision, atol: float) -> None:
    """What brings an image to a GPU and maps back, on the CPU; two images at a time, as classifiers have more."""
    run = open_network(
        network_from_tensors(AstroYolo(weights.card.architecture), weights.tensors), precision, device="cpu"
    )
    images = [_sky((64, 96)), _sky((64, 96))[:, ::-1].copy()]
    maps = run(np.stack(images))
    for number, image in enumerate(images):
        _agree([level[number] for level in maps], _with_torch(weights, image), atol=atol)


@pytest.mark.skipif(NO_GPU, reason="needs a GPU that torch sees")
def test_the_gpu_agrees_to_half_precision(weights: Weights) -> None:
    runtime = Runtime(weights, device="cuda")
    assert str(runtime.placement) == str(Runtime(weights, device="auto").placement) == "cuda (torch, float16)"
    image = _sky((64, 96))
    _agree(runtime(image), _with_torch(weights, image), atol=0.05)


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_without_a_gpu(weights: Weights) -> None:
    with pytest.raises(WeightsError, match="cuda needs a GPU, and torch finds none; use auto or cpu"):
        Runtime(weights, device="cuda")
    assert Runtime(weights, device="auto", threads=1).placement.device == "cpu"


@pytest.mark.parametrize("name", ["astroyolo-nano", "astroyolo-fine"])
def test_large_images_go_through_the_network_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(load_weights(name), device="cpu", threads=1)
    image = _sky((640, 1024), inputs=runtime.weights.card.architecture.channels)
    whole = runtime(image)
    given: list[tuple[int, ...]] = []
    monkeypatch.setattr("astrogalaxy.detection.runtime._PIECE", 320)
    monkeypatch.setattr(
        runtime, "_forward", lambda batch, forward=runtime._forward: given.append(batch.shape) or forward(batch)
    )
    _agree(runtime(image), whole, atol=1e-4)
    assert len(given) == 6
    assert max(rows * columns for *_, rows, columns in given) < 0.6 * 640 * 1024


def test_a_runtime_is_opened_once(weights: Weights) -> None:
    first = open_runtime(weights.path, "cpu", 1)
    assert open_runtime(weights.path, "cpu", 1) is first
    assert open_runtime(weights.path, "cpu", 2) is not first


def test_a_graph_that_cannot_be_run_names_the_file(
    tmp_path: Path, weights: Weights, make_card: Callable[..., WeightCard]
) -> None:
    broken = save_weights(tmp_path / "broken.safetensors", make_card(), weights.tensors, b"not a graph")
    with pytest.raises(WeightsError, match=r"broken\.safetensors: the graph cannot be run"):
        Runtime(broken, device="cpu")
    tensors = dict(list(weights.tensors.items())[:-20])
    lacking = save_weights(tmp_path / "lacking.safetensors", make_card(), tensors, weights.graph)
    for device in ("cpu", "openvino") if find_spec("openvino") else ("cpu",):
        with pytest.raises(WeightsError, match=r"lacking\.safetensors: the graph cannot be run by o"):
            Runtime(lacking, device=device)


def test_tensors_of_another_network_are_refused(weights: Weights) -> None:
    tensors = dict(weights.tensors)
    del tensors["detection.branches.0.3.bias"]
    with pytest.raises(ValueError, match=r"do not fit the network: detection\.branches\.0\.3\.bias"):
        network_from_tensors(AstroYolo(Architecture()), tensors)
    with pytest.raises(ValueError, match="do not fit the network: extra"):
        network_from_tensors(AstroYolo(Architecture()), {**weights.tensors, "extra": np.zeros(1)})


def test_the_graph_is_small_and_holds_no_weights(weights: Weights) -> None:
    import onnx

    size = sum(value.nbytes for value in weights.tensors.values())
    assert len(weights.graph) < 0.2 * size
    graph = onnx.load_from_string(weights.graph).graph
    assert [level.name for level in graph.output] == ["stride4", "stride8", "stride16"]
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim][1] == 3


def test_running_on_the_cpu_needs_no_torch(weights: Weights) -> None:
    code = f"""
import sys
import numpy as np
from astrogalaxy.detection import Runtime, find
from astrogalaxy.models import load_weights
maps = Runtime(load_weights({str(weights.path)!r}), device="cpu", threads=1)(np.zeros((3, 32, 32), np.float32))
heavy = sorted({{"torch", "lightning", "onnx", "matplotlib", "dask"}} & set(sys.modules))
sys.exit(", ".join(heavy) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
