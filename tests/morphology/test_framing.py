"""How wide a cutout is, by the size of the galaxy in it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.errors import ConfigError
from astrogalaxy.morphology import Classifier, open_classifier
from astrogalaxy.morphology.framing import measured_frame
from astrogalaxy.morphology.pictures import FIELD_OF_VIEW, resized
from astrogalaxy.survey.classify import classify_files


def _galaxy(side: int = 256, size: float = 20.0, flat: float = 0.5) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    light = 160 * np.exp(-np.hypot(x, y / flat) / size) + np.random.default_rng(1).uniform(0, 9, (side, side))
    return np.repeat(light[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def bundled_classifier() -> Classifier:
    return open_classifier("galaxyzoo-fine")


def test_the_frame_follows_the_scale() -> None:
    whole = _galaxy()
    assert measured_frame(whole[64:-64, 64:-64]) == pytest.approx(measured_frame(whole) / 2, rel=0.15)
    assert measured_frame(resized(whole, 90)) == pytest.approx(measured_frame(whole), rel=0.05), "not the pixels"


def test_a_frame_without_galaxy_is_not_known() -> None:
    assert np.isnan(measured_frame(np.full((64, 64, 3), 7, np.uint8)))


def test_galaxy_zoo_is_as_wide_as_it_says(shared_data: Path) -> None:
    paths = sorted((shared_data / "gz2" / "images").glob("*.jpg"))[:40]
    frames = [measured_frame(np.asarray(Picture.open(path).convert("RGB"))) for path in paths]
    assert np.median(frames) == pytest.approx(FIELD_OF_VIEW, rel=0.15)


def test_a_picture_may_be_made_wider() -> None:
    picture = np.full((20, 30, 3), 200, np.uint8)
    wide = resized(picture, 40, centre=2.0)
    assert wide.shape == (40, 40, 3)
    assert (wide[:8] == 0).all()
    assert (wide[14:26, 8:32] == 200).all(), "the longer side is there"


def test_measured_frames_bring_cutouts_to_one_scale(
    tmp_path: Path, bundled_classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    whole = _galaxy()
    for name, picture in {"whole": whole, "half": whole[64:-64, 64:-64]}.items():
        Picture.fromarray(picture).save(tmp_path / f"{name}.png")
    both = [tmp_path / "whole.png", tmp_path / "half.png"]
    names = [f"p_{name.replace('-', '_')}" for name in bundled_classifier.classes]

    def apart(**how: object) -> float:
        table = classify_files(both, classifier=bundled_classifier, **how)  # type: ignore[arg-type]
        first, second = (np.array([row[name] for name in names]) for row in table)
        return float(abs(first - second).max())

    assert apart(frame="measured") < 0.5 * apart(frame="given")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        classify_files([both[1]], classifier=bundled_classifier)
    assert "galaxyzoo-fine learned from 19.5" in caplog.text
    caplog.clear()
    classify_files([both[1]], classifier=bundled_classifier, frame="measured")
    assert not caplog.text


def test_cutouts_that_are_not_square_are_told_of(
    tmp_path: Path, bundled_classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    """The middle square is seen, at another scale than the picture has."""
    whole = _galaxy()
    for name, picture in {"a": whole, "b": whole[64:-64], "c": whole[:, 40:-40], "d": whole[2:]}.items():
        Picture.fromarray(picture).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in "abcde"]
    classify_files(paths, classifier=bundled_classifier)
    assert caplog.text.count("2 of 4 cutouts are not square") == 1
    caplog.clear()
    classify_files(paths, classifier=bundled_classifier, frame="measured")
    assert "square" not in caplog.text


def test_what_cannot_be_asked_for(tmp_path: Path, bundled_classifier: Classifier) -> None:
    with pytest.raises(ConfigError, match="give a classifier or a detector"):
        classify_files(["a.png"])
    with pytest.raises(ConfigError, match="frame must be one of given, measured, not 'mesured'"):
        classify_files(["a.png"], classifier=bundled_classifier, frame="mesured")  # type: ignore[arg-type]
    assert classify_files(str(tmp_path / "a.png"), classifier=bundled_classifier)["file"].tolist() == [
        str(tmp_path / "a.png")
    ]
