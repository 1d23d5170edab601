"""Areas without data: what the network sees of them, and what it finds at their borders."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.detection import find_aligned, open_runtime
from astrogalaxy.detection.aligned import field_seeing
from astrogalaxy.detection.blanks import fill_blanks
from astrogalaxy.images import Aligned, Section
from astrogalaxy.simulation import PROFILES, simulate_scene

SIDE = 640


def section_of(bad: np.ndarray, section: Section) -> Aligned:
    """A part of an image of three bands without light."""
    part = bad[section.slices]
    return Aligned(np.zeros((3, *part.shape), np.float32), np.stack([part] * 3), ("g", "r", "i"), section)


def test_tiles_are_filled_alike_and_small_masks_are_not() -> None:
    bad = np.zeros((300, 400), dtype=bool)
    bad[:, :90] = True
    bad[100:112, 200:212] = True
    bad[:, 300] = True
    given = section_of(bad, Section(0, 400, 0, 300))
    whole = fill_blanks(given)
    assert (given.snr == 0).all(), "it is for the network alone"
    assert (whole[:, :, 90:] == 0).all()
    assert (whole[:, :, :90] != 0).all()
    assert abs(np.corrcoef(whole[0, :, :90].ravel(), whole[1, :, :90].ravel())[0, 1]) < 0.03
    part = fill_blanks(section_of(bad, Section(37, 380, 51, 299)))
    np.testing.assert_array_equal(part, whole[:, 51:299, 37:380])


def test_what_a_band_alone_lacks_is_left() -> None:
    bad = np.zeros((64, 64), dtype=bool)
    bad[:, :30] = True
    aligned = section_of(bad, Section(0, 64, 0, 64))
    aligned.bad[1] = False
    assert fill_blanks(aligned) is aligned.snr


@pytest.mark.parametrize("kind", ["left", "corner"])
def test_borders_are_no_sources(kind: str) -> None:
    scene = simulate_scene(PROFILES["sdss"], size=SIDE, seed=4)
    y, x = np.mgrid[:SIDE, :SIDE]
    blank = x < 250 if kind == "left" else x + y > 800
    image = ag.Image.read({b: (np.where(blank, np.nan, pixels), scene.wcs[b]) for b, pixels in scene.images.items()})
    runtime = open_runtime()
    found = find_aligned(image.aligned(), runtime, seeing=field_seeing(image, runtime.weights.card))
    true = scene.truth[scene.truth["snr"] > 3]
    distance, _ = cKDTree(np.column_stack([true["x"], true["y"]])).query(np.column_stack([found.x, found.y]))
    beyond = found.x - 250 if kind == "left" else (800 - found.x - found.y) / np.sqrt(2)
    assert np.count_nonzero((distance > 3) & (beyond > 0) & (beyond < 60)) <= 2
