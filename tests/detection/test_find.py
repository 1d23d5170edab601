"""Tests of astrogalaxy.detection.find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from astrogalaxy.detection import Runtime, find, find_aligned, find_at, open_runtime
from astrogalaxy.detection.export import network_from_tensors, network_graph
from astrogalaxy.detection.inputs import seeing_level
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import WeightsError
from astrogalaxy.images import Image, Section
from astrogalaxy.models import ZOOMS, Calibration, load_weights, save_weights
from astrogalaxy.simulation import PROFILES, simulate_scene


@pytest.fixture
def image() -> Image:
    sky = np.random.default_rng(3).normal(100, 2, (3, 90, 120)).astype(np.float32)
    return Image.read(dict(zip("gri", sky, strict=True)))


def test_positions_are_those_of_the_whole_image(image: Image, seeing_at: Callable[..., Any]) -> None:
    runtime = seeing_at((10.25, 20.5, 3.0), side=6.0)
    whole = find(image, runtime)
    assert (whole.x[0], whole.y[0]) == pytest.approx((10.25, 20.5))
    part = find(image, runtime, section=Section(32, 112, 16, 80))
    assert (part.x[0], part.y[0]) == pytest.approx((42.25, 36.5))
    assert (part.x_min[0], part.x_max[0]) == pytest.approx((39.25, 45.25))
    assert (part.y_min[0], part.y_max[0]) == pytest.approx((33.5, 39.5))


@pytest.mark.parametrize("zoom", ZOOMS)
def test_positions_do_not_depend_on_the_zoom(zoom: float, tmp_path: Path) -> None:
    """The same network finds the same bright sources in the same places, through another magnifying glass."""
    weights = load_weights("astroyolo-nano")
    network = AstroYolo(replace(weights.card.architecture, zoom=zoom))
    graph = network_graph(network_from_tensors(network, weights.tensors))
    card = weights.card.model_copy(update={"zoom": zoom})
    runtime = Runtime(save_weights(tmp_path / "zoomed.safetensors", card, weights.tensors, graph), device="cpu")
    scene = simulate_scene(PROFILES["sdss"], size=160, seed=2, artefacts=False)
    found = find(Image.read({band: (scene.images[band], scene.wcs[band]) for band in "gri"}), runtime)
    truth = scene.truth[scene.truth["snr"] > 25]
    tree = cKDTree(np.column_stack([found.x, found.y]))
    distance, _ = tree.query(np.column_stack([truth["x"], truth["y"]]))
    assert len(truth) > 5
    assert np.median(distance) < 0.3
    assert np.mean(distance < 1.5) > 0.8


def test_the_network_sees_padded_sky_in_units_of_noise(image: Image, seeing_at: Callable[..., Any]) -> None:
    runtime = seeing_at()
    assert len(find(image, runtime)) == 0
    assert runtime.shown.shape == (3, 96, 128)
    seen = np.sinh(runtime.shown) * 3
    assert seen[:, :90, :120].std() == pytest.approx(1, abs=0.03)
    for padding in (seen[:, 90:], seen[:, :, 120:]):
        assert np.abs(padding).max() == pytest.approx(1, abs=1e-3)
        assert padding.std() > 0.6


def test_noise_beside_padding_is_no_source() -> None:
    """Of images whose sides are a pixel more than the network's coarsest cells."""
    noise = np.random.default_rng(3).normal(50, 1, (200, 65)).astype(np.float32)
    assert len(find(Image.read(noise), open_runtime())) == 0


@pytest.mark.parametrize("bands", ["r", "gri"])
def test_blobs_of_correlated_noise_are_no_sources(bands: str) -> None:
    rng = np.random.default_rng(1)
    image = Image.read({band: gaussian_filter(rng.normal(50, 9, (256, 256)), 1.5) for band in bands})
    assert image.aligned().correlation > 3
    assert len(find(image, open_runtime())) <= 2


def test_stars_stand_out_of_correlated_noise() -> None:
    scene = simulate_scene(PROFILES["sdss"], size=256, seed=2, artefacts=False)
    smooth = Image.read({band: gaussian_filter(scene.images[band], 1.0) for band in "gri"}, reference="r")
    found = find(smooth, open_runtime())
    truth = scene.truth[scene.truth["snr"] > 10]
    distance, _ = cKDTree(np.column_stack([found.x, found.y])).query(np.column_stack([truth["x"], truth["y"]]))
    assert np.mean(distance < 2) > 0.85


def test_a_band_of_correlated_noise_hides_no_sources_of_another(seeing_at: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    sharp, smooth = rng.normal(0, 1, (256, 256)), gaussian_filter(rng.normal(0, 9, (256, 256)), 1.5)
    at = np.arange(256)
    sharp += 4.5 * np.exp(-0.5 * ((at[None, :] - 100) ** 2 + (at[:, None] - 100) ** 2) / 1.5**2)
    image = Image.read({"r": sharp, "i": smooth}, reference="r")
    assert image.aligned().correlation > 2
    assert len(find(image, seeing_at((100, 100, 5.0)))) == 1


def test_centres_off_the_image_are_dropped(image: Image, seeing_at: Callable[..., Any]) -> None:
    places = [(-0.6, 40), (119.6, 40), (60, -0.6), (60, 89.6), (123, 20)]
    assert len(find(image, seeing_at(*[(x, y, 5.0) for x, y in places]))) == 0
    edges = [(-0.4, 40), (119.4, 40), (60, -0.4), (60, 89.4)]
    found = find(image, seeing_at(*[(x, y, 5.0) for x, y in edges]))
    assert sorted(zip(found.x.round(1), found.y.round(1), strict=True)) == sorted(edges)


def test_scores_are_calibrated(image: Image, seeing_at: Callable[..., Any]) -> None:
    calibration = {
        "source": Calibration(slope=0.5, offset=-1.0),
        "galaxy": Calibration(slope=2.0, offset=0.0),
        "disk": Calibration(slope=1.0, offset=1.0),
    }
    found = find(image, seeing_at((30, 30, 4.0), calibration=calibration))
    assert found.det_score[0] == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert found.p_galaxy[0] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert found.p_disk[0] == pytest.approx(1 / (1 + np.exp(1.0)))
    np.testing.assert_allclose(found.p_star + found.p_galaxy, 1)
    np.testing.assert_allclose(found.p_smooth + found.p_disk, 1)


def test_the_threshold_is_a_calibrated_probability(image: Image, seeing_at: Callable[..., Any]) -> None:
    calibration = {head: Calibration(slope=0.5, offset=-1.0) for head in ("source", "galaxy", "disk")}
    logits = [0.0, 1.9, 2.1, 6.0]  # det_score 0.27, 0.488, 0.512, 0.88
    runtime = seeing_at(*[(20 * i + 10, 30, z) for i, z in enumerate(logits)], calibration=calibration)
    assert len(find(image, runtime)) == 2, "the card's, 0.5"
    assert len(find(image, runtime, threshold=0.2)) == 4
    assert len(find(image, runtime, threshold=0.48)) == 3
    assert len(find(image, runtime, threshold=0.9)) == 0
    assert len(find(image, runtime, threshold=0.0)) >= 4, "and not an error"
    assert len(find(image, runtime, threshold=1.0)) == 0
    scores = find(image, runtime, threshold=0.2).det_score
    assert (np.diff(scores) < 0).all(), "best first"


def test_light_counts_where_the_card_says_so(seeing_at: Callable[..., Any]) -> None:
    sky = np.random.default_rng(3).normal(0, 1, (3, 90, 120)).astype(np.float32)
    sky[:, 28:33, 78:83] += 20
    image = Image.read(dict(zip("gri", sky, strict=True)))
    places = [(30, 30, 0.5), (80, 30, 0.0)]
    plain = find(image, seeing_at(*places), threshold=0.1)
    assert plain.x.tolist() == [30, 80]
    heavy = {head: Calibration(weight=1.0) for head in ("source", "galaxy", "disk")}
    light = find(image, seeing_at(*places, calibration=heavy), threshold=0.1)
    assert light.x.tolist() == [80, 30], "best first, light and all"
    assert light.det_score[0] > 0.97


def test_a_saturated_star_is_one_source_in_its_middle(seeing_at: Callable[..., Any]) -> None:
    """A network that sees four sources, three of them in the core of one star."""
    rows, columns = np.indices((96, 128))
    sky = np.random.default_rng(3).normal(100, 2, (2, 96, 128))
    star = 1e7 * (1 + ((columns - 60.4) ** 2 + (rows - 50.2) ** 2) / 9) ** -2.5
    bands = {"g": sky[0] + np.minimum(star, 2e4), "r": sky[1] + np.minimum(star, 100)}
    runtime = seeing_at((57.0, 50.0, 2.0), (64.0, 52.0, 3.0), (61.0, 47.0, 1.0), (90.0, 50.0, 0.5), side=6.0)
    found = find(Image.read(bands, reference="g"), runtime)
    assert found.x == pytest.approx([60.4, 90.0], abs=0.5)
    assert found.y == pytest.approx([50.2, 50.0], abs=0.5)
    assert found.det_score == pytest.approx([1 / (1 + np.exp(-3.0)), 1 / (1 + np.exp(-0.5))], abs=1e-3)
    assert (found.x_min[0], found.x_max[0], found.y_min[0], found.y_max[0]) == pytest.approx((54, 67, 44, 55), abs=0.1)
    whole = find(Image.read({"g": sky[0] + np.minimum(star, 100)}), runtime)
    assert len(whole) == 4


def test_bands_beyond_the_card_are_refused(image: Image, seeing_at: Callable[..., Any]) -> None:
    few, many = seeing_at(max_bands=2), seeing_at(min_bands=4, max_bands=9)
    for runtime, text in ((few, "1 to 2 bands, not 3"), (many, "4 to 9 bands, not 3")):
        with pytest.raises(WeightsError, match=f"made-up serve {text}"):
            find(image, runtime)
        with pytest.raises(WeightsError, match=text):
            find_aligned(image.aligned(), runtime)


def test_what_the_card_says_of_overlaps_and_seeing_counts(image: Image, seeing_at: Callable[..., Any]) -> None:
    pair = (30.0, 30.0, 3.0), (32.5, 30.0, 2.0)  # half of them is the same
    for one_cell, number in ((False, 1), (True, 2)):
        assert len(find(image, seeing_at(*pair, one_cell=one_cell))) == number
    runtime = seeing_at(seeing_input=True)
    find_aligned(image.aligned(), runtime, seeing=9.0)
    assert (runtime.shown[3] == np.float32(seeing_level(9.0))).all()


def test_given_positions_have_what_is_seen_there(image: Image, seeing_at: Callable[..., Any]) -> None:
    """Stars are 4 pixels wide, so that half of the seeing is 2, and a quarter of the side of a box 5."""
    runtime = seeing_at((30.0, 30.0, 3.0), (80.0, 30.0, 2.0), (50.0, 30.0, 1.0), (60.0, 56.0, -1.0), side=20.0)
    places = [(34.0, 30.0), (31.0, 31.0), (84.5, 30.0), (55.5, 30.0), (61.8, 56.5), (63.0, 60.0), (65.0, 41.0)]
    x, y = np.array(places).T
    at, others = find_at(image.aligned(), runtime, x, y, stars=4.0)
    assert (at.x.tolist(), at.y.tolist()) == (x.tolist(), y.tolist())
    # the nearer one has the source; what is too far from one has what lies there, the surest of it, which may be nothing
    sure = np.array([0, 1, 1, 0, 1, 0, 0], dtype=bool)
    np.testing.assert_allclose(at.det_score[sure], 1 / (1 + np.exp([-3.0, -2.0, 1.0])), rtol=1e-5)
    assert (at.det_score[~sure] < 1e-3).all()
    assert at.det_score[5] == 0 < at.det_score[6], "no box is centred within reach of the one"
    np.testing.assert_allclose(at.p_galaxy[sure], 1 / (1 + np.exp(-1.0)), rtol=1e-5)
    found = np.array([0, 1, 1, 0, 0, 0, 0], dtype=bool)
    for low, high, centre in ((at.x_min, at.x_max, x), (at.y_min, at.y_max, y)):
        np.testing.assert_allclose(high - low, np.where(found, 20.0, 2.2 * 4.0))
        np.testing.assert_allclose((low + high) / 2, centre)
    assert others.x == pytest.approx([50.0])


def test_a_selection_keeps_its_columns_together(image: Image, seeing_at: Callable[..., Any]) -> None:
    found = find(image, seeing_at((10, 10, 1.0), (50, 50, 3.0), (80, 20, 2.0)))
    assert found.x.tolist() == [50, 80, 10]
    kept = found.take(found.x > 40)
    assert kept.y.tolist() == [50, 20]
    assert len(kept) == len(kept.p_disk) == 2


@pytest.mark.parametrize("width", [0.0, 0.8, 1.5])
def test_correlated_noise_has_the_significance_of_noise(width: float, seeing_at: Callable[..., Any]) -> None:
    noise = np.random.default_rng(5).normal(50, 9, (400, 400))
    image = Image.read({"r": gaussian_filter(noise, width) if width else noise})
    y, x = np.mgrid[8:392:5, 8:392:5].astype(float)
    at, _ = find_at(image.aligned(), seeing_at(), x.ravel(), y.ravel())
    # half of it is negative, which is none
    assert np.sqrt(2 * np.mean(at.significance**2)) == pytest.approx(1, abs=0.2)
