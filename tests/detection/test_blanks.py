"""Areas without data: what the network sees of them, and what it finds at their borders."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.detection import find_aligned, open_runtime
from astrogalaxy.detection.aligned import field_seeing
from astrogalaxy.detection.blanks import fill_blanks
from astrogalaxy.detection.inputs import map_bands
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
    whole = fill_blanks(given, 3)
    assert (given.snr == 0).all(), "it is for the network alone"
    assert (whole[:, :, 90:] == 0).all()
    assert (whole[:, :, :90] != 0).all()
    assert abs(np.corrcoef(whole[0, :, :90].ravel(), whole[1, :, :90].ravel())[0, 1]) < 0.03
    part = fill_blanks(section_of(bad, Section(37, 380, 51, 299)), 3)
    np.testing.assert_array_equal(part, whole[:, 51:299, 37:380])


def test_without_blanks_nothing_is_made() -> None:
    bad = np.zeros((64, 64), dtype=bool)
    bad[:, 30] = True
    aligned = section_of(bad, Section(0, 64, 0, 64))
    assert fill_blanks(aligned, 3) is aligned.snr


@pytest.mark.parametrize("n_bands", [2, 3, 5, 40])
def test_where_a_band_is_blank_the_others_are_all_there_is(n_bands: int) -> None:
    snr = np.random.default_rng(3).normal(0, 1, (n_bands, 64, 96)).astype(np.float32)
    bad = np.zeros(snr.shape, dtype=bool)
    bad[1, :, :40], bad[0, :30] = True, True
    snr[bad] = 0
    filled = fill_blanks(Aligned(snr, bad, tuple("b" * n_bands), Section(0, 96, 0, 64)), 3)
    np.testing.assert_allclose(filled[:, 30:, 40:], map_bands(snr, 3)[:, 30:, 40:])
    np.testing.assert_allclose(filled[:, 30:, :40], map_bands(np.delete(snr, 1, axis=0), 3)[:, 30:, :40])
    np.testing.assert_allclose(filled[:, :30, 40:], map_bands(snr[1:], 3)[:, :30, 40:])


@pytest.mark.parametrize("survey", ["sdss", "decam"])
def test_a_band_that_covers_half_of_the_image_costs_no_source(survey: str) -> None:
    scene = simulate_scene(PROFILES[survey], size=SIDE, seed=5, artefacts=False)
    bands = list(scene.images)[:3]
    source = {b: (scene.images[b], scene.wcs[b]) for b in bands}
    half = {**source, bands[2]: (scene.images[bands[2]][:, : SIDE // 2], scene.wcs[bands[2]])}
    without = {b: source[b] for b in bands[:2]}
    true = scene.truth[(scene.truth["snr"] > 60) & (scene.truth["x"] > SIDE / 2 + 20)]
    shares = []
    for given in (half, without):
        found = ag.detect(ag.Image.read(given, reference=bands[1], zeropoint=22.5))
        tree = cKDTree(np.column_stack([found["x"], found["y"]]))
        shares.append(np.mean(tree.query(np.column_stack([true["x"], true["y"]]))[0] < 2.5))
    assert len(true) >= 10
    assert shares[0] > 0.8
    assert shares[0] >= shares[1] - 0.07


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
