"""What is known of a field's sky is kept for its other tiles."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from astrogalaxy.detection import Detections
from astrogalaxy.images import Band, Image
from astrogalaxy.measurement.starlight import image_seeing
from astrogalaxy.survey.reading import _restore_sky, save_sky


def _image() -> Image:
    rng, (rows, columns) = np.random.default_rng(4), np.mgrid[:300, :300]
    stars, bands = rng.uniform(20, 280, (25, 2)), {}
    for name, sigma in (("g", 2.2), ("r", 1.6)):
        light = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / sigma**2) for x, y in stars)
        bands[name] = (rng.normal(10, 1, (300, 300)) + 60 * light).astype(np.float32)
    image = Image.read(bands, reference="r")
    image.large = Detections.from_array(np.zeros((len(fields(Detections)), 0)))
    return image


def test_no_other_tile_searches_for_the_stars_of_a_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, again = _image(), _image()
    save_sky(tmp_path / "sky.npz", image)
    monkeypatch.setattr(Band, "_found_stars", lambda band: pytest.fail(f"stars of {band.name} are looked for"))
    _restore_sky(tmp_path / "sky.npz", again)
    assert image_seeing(again) == image_seeing(image) > 1.1 * again.bands["r"].seeing
