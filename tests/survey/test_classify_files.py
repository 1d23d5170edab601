"""Tests of astrogalaxy.survey.classify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.detection import open_runtime
from astrogalaxy.errors import ConfigError
from astrogalaxy.models import load_classifier
from astrogalaxy.morphology.export import network_of
from astrogalaxy.survey.classify import classify_files
from astrogalaxy.survey.explain import explain_file


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


def test_a_class_that_there_is_not_cannot_be_explained(tmp_path: Path) -> None:
    weights = load_classifier("galaxyzoo-fine")
    with pytest.raises(ConfigError, match=f"target 'typo': galaxyzoo-fine has the classes {weights.card.classes[0]}, "):
        explain_file(write_galaxy(tmp_path / "a.png"), network_of(weights), weights.card, target="typo")
