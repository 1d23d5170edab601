"""Tests of astrogalaxy.survey.classify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.detection import open_runtime
from astrogalaxy.survey.classify import classify_files


def write_galaxy(path: Path, *, size: float = 12.0) -> Path:
    away = np.hypot(*(np.mgrid[:128, :128] - 63.5))
    Picture.fromarray(np.dstack([(200 * np.exp(-away / size)).astype(np.uint8)] * 3)).save(path)
    return path


def test_where_the_detector_sees_no_galaxy_there_is_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.survey.classify.disk_probability", lambda _runtime, _snr: float("nan"))
    table = classify_files(write_galaxy(tmp_path / "a.png"), detector=open_runtime("default", "cpu"))
    assert table["class"].tolist() == [""]
    assert table["p_disk"].mask.all()
    assert table["p_smooth"].mask.all()
    assert table["error"].tolist() == [""]
