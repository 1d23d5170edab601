"""What is known of a field's sky is kept for its other tiles."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from threading import Thread
from time import sleep

import numpy as np
import pytest

from astrogalaxy.detection import Detections
from astrogalaxy.errors import ImageError
from astrogalaxy.images import Band, Image
from astrogalaxy.measurement.starlight import image_seeing
from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.reading import _restore_sky, forget_fields, keep_open, save_sky


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


def test_threads_share_a_field_that_was_read_and_registered_once() -> None:
    """One that registered it beside another would find nothing left to shift, and put the wrong WCS back."""
    reads, found = [], []

    def read() -> tuple[Image, list[Failure]]:
        reads.append(_image())
        sleep(0.2)  # for the other thread to come
        return reads[-1], []

    try:
        threads = [Thread(target=lambda: found.append(keep_open(("a",), read)[0])) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        forget_fields()
    assert len(reads) == 1
    assert found == 2 * reads
    assert all(band.shift is not None for band in found[0].bands.values())


def test_what_could_not_be_read_is_read_again() -> None:
    image = _image()

    def fail() -> tuple[Image, list[Failure]]:
        raise ImageError("for the moment")

    try:
        with pytest.raises(ImageError):
            keep_open(("a",), fail)
        assert keep_open(("a",), lambda: (image, [])) == keep_open(("a",), fail) == (image, [])
    finally:
        forget_fields()
