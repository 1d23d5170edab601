"""Tests of astrogalaxy.models.files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from astrogalaxy.errors import RunError, WeightsError
from astrogalaxy.models import (
    Calibration,
    WeightCard,
    Weights,
    bundled,
    folded,
    load_weights,
    open_weights,
    save_weights,
)
from astrogalaxy.models.files import digest_of
from astrogalaxy.models.graph import BATCH_NORM_EPSILON


def test_what_is_saved_is_loaded(weights: Weights, tensors: dict[str, np.ndarray]) -> None:
    again = load_weights(weights.path)
    assert again.card == weights.card
    assert len(again.card.sha256) == 64
    assert again.graph == b"the graph"
    assert again.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(again.tensors[name], value)


def test_a_weight_file_is_as_readable_as_any_other(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (weights.path, tmp_path / "other")]
    assert modes[0] == modes[1]


def test_a_folder_that_is_missing(
    tmp_path: Path, make_card: Callable[..., WeightCard], tensors: dict[str, np.ndarray]
) -> None:
    with pytest.raises(RunError, match="folder"):
        save_weights(tmp_path / "nowhere" / "w.safetensors", make_card(), tensors, b"")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"^no-such: no such weights; known are .*path of a \.safetensors file"):
        load_weights("no-such")


def one_value(stored: dict[str, np.ndarray]) -> None:
    stored["a.bias"][3] += 1e-6


def graph(stored: dict[str, np.ndarray]) -> None:
    stored["onnx.graph"][4] ^= 1


def no_graph(stored: dict[str, np.ndarray]) -> None:
    del stored["onnx.graph"]


def one_more(stored: dict[str, np.ndarray]) -> None:
    stored["c.bias"] = np.zeros(2)


def nothing(stored: dict[str, np.ndarray]) -> None:
    """Only the card changes."""


@pytest.mark.parametrize(
    ("change", "card"),
    [
        (one_value, {}),
        (graph, {}),
        (no_graph, {}),
        (one_more, {}),
        (nothing, {"threshold": 0.9}),
        (nothing, {"calibration": {h: Calibration(slope=2) for h in ("source", "galaxy", "disk")}}),
        (nothing, {"sha256": "0" * 64}),
    ],
)
@pytest.mark.parametrize("part", ["tensors", "graph"])
def test_what_was_changed_is_refused(
    weights: Weights, change: Callable[[dict[str, np.ndarray]], None], card: dict[str, object], part: str
) -> None:
    stored = {name: value.copy() for name, value in load_file(weights.path).items()}
    change(stored)
    changed = weights.card.model_copy(update=card)
    save_file(stored, weights.path, metadata={"card": changed.model_dump_json()})
    again = load_weights(weights.path)
    with pytest.raises(WeightsError, match=r"made-up\.safetensors: its tensors, its graph or .* SHA-256.*get it again"):
        getattr(again, part)


def test_words_of_a_card_may_be_mended(weights: Weights, tensors: dict[str, np.ndarray]) -> None:
    card = weights.card.model_copy(update={"metrics": {"f1": 0.5}, "licence": "MIT"})
    assert save_weights(weights.path, card, tensors, weights.graph).card.sha256 == weights.card.sha256


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_a_truncated_file(weights: Weights, keep: int) -> None:
    weights.path.write_bytes(weights.path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"made-up\.safetensors: cannot be read as a safetensors file"):
        load_weights(weights.path)


def test_a_file_damaged_after_it_was_opened(weights: Weights) -> None:
    weights.path.write_bytes(b"something else")
    fresh = Weights(weights.path, weights.card)
    with pytest.raises(WeightsError, match=r"made-up\.safetensors: cannot be read"):
        _ = fresh.tensors


def test_a_file_of_someone_else(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors: the file has no weight card"):
        load_weights(tmp_path / "other.safetensors")


def test_a_file_without_a_graph(weights: Weights, tensors: dict[str, np.ndarray]) -> None:
    save_weights(weights.path, weights.card, tensors, b"")
    again = load_weights(weights.path)
    assert again.tensors.keys() == tensors.keys()
    with pytest.raises(WeightsError, match=r"made-up\.safetensors: the file has no graph"):
        _ = again.graph


def test_the_digest_sees_names_shapes_types_and_values(make_card: Callable[..., WeightCard]) -> None:
    plain = {"a": np.arange(6, dtype=np.float32), "b": np.ones(2)}
    same = {"b": np.ones(2), "a": np.arange(6, dtype=np.float32)}
    others = [
        {"c": plain["a"], "b": plain["b"]},
        {"a": plain["a"].reshape(2, 3), "b": plain["b"]},
        {"a": plain["a"].astype(np.int32), "b": plain["b"]},
        {"a": plain["a"][::-1], "b": plain["b"]},
        {"a": plain["a"]},
    ]
    card = make_card()
    assert digest_of(card, plain) == digest_of(card, same)
    assert len({digest_of(card, t) for t in [plain, *others]}) == 1 + len(others)


@given(st.integers(0, 1000), st.sampled_from([1, 4]))
def test_folding_is_that_of_torch(seed: int, groups: int) -> None:
    torch.manual_seed(seed)
    conv, norm = nn.Conv2d(4, 8, 3, groups=groups, bias=False), nn.BatchNorm2d(8, eps=BATCH_NORM_EPSILON)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.01, 3)
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    fused = fuse_conv_bn_eval(conv.eval(), norm.eval())
    state = {f"x.conv.{k}": v for k, v in conv.state_dict().items()}
    state |= {f"x.bn.{k}": v for k, v in norm.state_dict().items()}
    result = folded({name: value.numpy() for name, value in state.items()} | {"y.weight": np.ones(2)})
    assert result.keys() == {"x.conv.weight", "x.conv.bias", "y.weight"}
    np.testing.assert_allclose(result["x.conv.weight"], fused.weight.detach().numpy(), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(result["x.conv.bias"], fused.bias.detach().numpy(), rtol=2e-5, atol=1e-6)
    assert {value.dtype for value in result.values()} == {np.dtype("float32")}


def test_bundled_weights_are_whole() -> None:
    if not bundled():
        pytest.skip("no weights are bundled yet")
    for name, path in bundled().items():
        weights = open_weights(name)
        assert weights.path == path
        assert weights.card.name == name
        assert weights.tensors
        assert weights.graph
        assert weights.card.metrics, "what they can be trusted with is known"
    assert load_weights("default").path == load_weights().path in bundled().values()
