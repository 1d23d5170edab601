"""Tests of astrogalaxy.training.photographs: a published YOLOX as a start."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.blocks import BaseConv
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import ConfigError, WeightsError
from astrogalaxy.models import Architecture
from astrogalaxy.training.photographs import start_from_photographs
from astrogalaxy.training.prepare import plan_examples

SCENES = {"simulation": {"scenes": 1}}
PUBLISHED = Architecture("nano", (8, 16, 32))


def _published(seed: int = 0) -> AstroYolo:
    """A network with statistics of its own."""
    torch.manual_seed(seed)
    network = AstroYolo(PUBLISHED).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.bias.data.normal_(0, 0.1)
    return network


def _write(network: AstroYolo, path: Path) -> Path:
    """The network's convolutions in the order of their use, normalisation folded in, as a published file has them."""
    order: list[BaseConv] = []
    blocks = [m for m in network.neck.modules() if isinstance(m, BaseConv)]
    hooks = [m.register_forward_pre_hook(lambda block, _: order.append(block)) for m in blocks]
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    nodes, tensors = [], []
    for number, block in enumerate(order):
        folded = fuse_conv_bn_eval(block.conv, block.bn)
        names = [f"{number}.weight", f"{number}.bias"]
        tensors += [
            numpy_helper.from_array(t.detach().numpy(), n)
            for t, n in zip((folded.weight, folded.bias), names, strict=True)
        ]
        nodes.append(helper.make_node("Conv", [f"x{number}", *names], [f"x{number + 1}"]))
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x0", f"x{len(order)}")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "published", values[:1], values[1:], tensors)), path)
    return path


@pytest.fixture(scope="module")
def image() -> Tensor:
    torch.manual_seed(1)
    return nn.functional.avg_pool2d(torch.rand(2, 3, 64, 96), 5, 1, 2)


@pytest.mark.parametrize("seeing", [False, True])
def test_the_start_says_what_the_published_network_says(tmp_path: Path, image: Tensor, seeing: bool) -> None:
    published = _published()
    network = AstroYolo(Architecture("nano", (8, 16, 32), 3, seeing))
    ours = torch.cat([image, torch.ones(2, 1, 64, 96)], 1) if seeing else image
    taken = start_from_photographs(network, _write(published, tmp_path / "yolox.onnx"), ours)
    assert taken == 77
    with torch.no_grad():
        wanted, found = published.neck(50 * image), network.eval().neck(ours)
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


def test_finer_levels_take_the_backbone_only(tmp_path: Path, image: Tensor) -> None:
    network = AstroYolo(Architecture("nano", (4, 8, 16)))
    before = network.neck.lateral_conv0.conv.weight.detach().clone()
    assert start_from_photographs(network, _write(_published(), tmp_path / "yolox.onnx"), image) == 37
    assert torch.equal(network.neck.lateral_conv0.conv.weight, before)


def test_another_size_is_refused(tmp_path: Path, image: Tensor) -> None:
    with pytest.raises(WeightsError, match=r"yolox\.onnx: convolution 0 has the shape .* it is another size"):
        start_from_photographs(
            AstroYolo(Architecture("tiny", (8, 16, 32))), _write(_published(), tmp_path / "yolox.onnx"), image
        )


def test_a_damaged_file_is_refused(tmp_path: Path, image: Tensor) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match=r"bad\.onnx: cannot be read as a YOLOX network"):
        start_from_photographs(AstroYolo(PUBLISHED), tmp_path / "bad.onnx", image)


def test_a_recipe_starts_from_it(tmp_path: Path) -> None:
    recipe = RecipeConfig.from_dict({"name": "r", "data": SCENES, "model": {"start": "./yolox.onnx"}}, folder=tmp_path)
    assert recipe.model.from_photographs
    with pytest.raises(ConfigError, match=r"model\.start: .*yolox\.onnx: no such file"):
        plan_examples(recipe)
    assert not RecipeConfig.from_dict(
        {"name": "r", "data": SCENES, "model": {"start": "default"}}
    ).model.from_photographs
    assert not RecipeConfig.from_dict({"name": "r", "data": SCENES}).model.from_photographs
