"""Tests of astrogalaxy.survey.classify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.detection import open_runtime
from astrogalaxy.errors import ConfigError
from astrogalaxy.models import load_classifier
from astrogalaxy.morphology import Classifier, open_classifier
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


def test_each_picture_is_read_once_and_many_are_classified_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrogalaxy.survey.classify._BATCH", 3)
    paths = [write_galaxy(tmp_path / f"{number}.png", size=8.0 + number) for number in range(5)]
    (tmp_path / "2.png").write_bytes(b"no picture")
    classifier, detector = open_classifier("galaxyzoo-fine"), open_runtime("default", "cpu")
    opened, batches, as_it_is, classify = [], [], Picture.open, Classifier.__call__
    alone = [classify_files(path, classifier=classifier, detector=detector) for path in paths]
    monkeypatch.setattr(Picture, "open", lambda path: [opened.append(path), as_it_is(path)][1])
    monkeypatch.setattr(Classifier, "__call__", lambda self, many: [batches.append(len(many)), classify(self, many)][1])
    table = classify_files(paths, classifier=classifier, detector=detector)
    assert opened == paths
    assert batches == [2, 2]
    for row, one in zip(table, alone, strict=True):
        assert (row["file"], row["class"], row["error"]) == tuple(one[0][["file", "class", "error"]])
        for name in table.colnames:
            if name.startswith("p_"):
                assert row[name] is one[name][0] or row[name] == pytest.approx(one[name][0], abs=1e-5)
