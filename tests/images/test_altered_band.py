"""A band whose pixels are changed as they are read."""

from __future__ import annotations

import numpy as np

from astrogalaxy.images import Image, Section


def test_pixels_change_and_all_else_stays() -> None:
    sky = np.random.default_rng(0).normal(100, 5, (90, 120)).astype(np.float32)
    sky[10, 20] = np.nan
    mask = np.zeros(sky.shape, bool)
    mask[30] = True
    weight = np.full(sky.shape, 0.04, np.float32)
    band = Image.read({"r": sky}, zeropoint=25.0, gain=2.0, saturation=180.0, mask=mask, weight=weight).bands["r"]
    ramp = np.arange(sky.size, dtype=np.float32).reshape(sky.shape) / sky.size

    def alter(section: Section, pixels: np.ndarray) -> np.ndarray:
        return pixels + 50 + ramp[section.slices]

    changed = band.altered(alter)
    assert (changed.name, changed.shape, changed.zeropoint, changed.gain) == ("r", (90, 120), 25.0, 2.0)
    assert changed.origin == band.origin
    assert np.median(changed.mesh.background()) - np.median(band.mesh.background()) > 50, "its sky is measured anew"
    old, new = band.pixels(), changed.pixels()
    np.testing.assert_array_equal(new.bad, old.bad)
    np.testing.assert_array_equal(new.noise, old.noise)
    assert new.saturated.sum() == 0
    part = changed.pixels(Section(15, 70, 5, 50))
    np.testing.assert_array_equal(part.data, new.data[5:50, 15:70])
    assert np.isnan(sky[10, 20])
    assert sky[0, 0] < 150, "the array itself is not changed"
