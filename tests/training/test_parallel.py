"""Tests of astrogalaxy.training.parallel."""

from __future__ import annotations

import os

import pytest

from astrogalaxy.errors import RunError
from astrogalaxy.training.parallel import in_processes


def test_a_process_that_is_killed_is_named() -> None:
    with pytest.raises(RunError, match=r"one of 2 processes .* was killed, .* training\.workers: 0"):
        list(in_processes(os._exit, [9, 9, 9], 2))
