from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from astrogalaxy.errors import RunError
from astrogalaxy.training.checkpoints import read_checkpoint


class Payload:
    """What a pickle may bring along."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_a_checkpoint_that_executes_something_is_refused(tmp_path: Path) -> None:
    path, trace = tmp_path / "last.ckpt", tmp_path / "executed"
    torch.save({"state_dict": {}, "extra": Payload(trace)}, path)
    with pytest.raises(RunError, match=r"last\.ckpt: cannot be read"):
        read_checkpoint(path)
    assert not trace.exists()


def test_a_plain_checkpoint_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "global_step": 7}, tmp_path / "last.ckpt")
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 7
