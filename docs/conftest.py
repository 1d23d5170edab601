"""The examples of the pages run in a folder of their own, without the files of Sphinx."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where examples may leave files."""
    monkeypatch.chdir(tmp_path)
