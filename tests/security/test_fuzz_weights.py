"""Weight files that were damaged or made by strangers: refused, or the same as before."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from damage import Damage, damages, fuzz
from hypothesis import example, given

from astrogalaxy.errors import WeightsError
from astrogalaxy.models import Weights, load_weights, save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    tensors = {"a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "b.bias": np.ones(5, np.float32)}
    path = tmp_path_factory.mktemp("weights") / "whole.safetensors"
    return save_weights(path, load_weights("default").card, tensors, b"the graph")


class _Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.path, "w")


@fuzz
@given(damage=damages())
@example(damage=lambda raw: struct.pack("<Q", 2**60) + raw[8:])
@example(damage=lambda raw: raw.replace(b'"F32"', b'"BF16"', 1))
@example(damage=lambda raw: raw.replace(b'"F32"', b'"F8_E4M3"', 1))
@example(damage=lambda raw: raw.replace(b'\\"nano\\"', b'\\"nona\\"', 1))
@example(damage=lambda raw: raw.replace(b"0.485", b"0.285", 1))
def test_a_damaged_file_is_refused_or_the_same(weights: Weights, tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damage(weights.path.read_bytes()))
    try:
        again = load_weights(path)
        tensors, graph = again.tensors, again.graph
    except WeightsError as error:
        assert "damaged.safetensors" in str(error)
        return
    assert graph == weights.graph
    assert tensors.keys() == weights.tensors.keys()
    assert all((tensors[name] == value).all() for name, value in weights.tensors.items())
    assert again.card.settings() == weights.card.settings()


@pytest.mark.parametrize("name", ["bomb.safetensors", "bomb.pt", "bomb.pth", "bomb.pkl"])
def test_nothing_is_unpickled(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    (tmp_path / name).write_bytes(pickle.dumps(_Bomb(str(mark))))
    with pytest.raises(WeightsError, match="cannot be read as a safetensors file"):
        load_weights(tmp_path / name)
    assert not mark.exists()
