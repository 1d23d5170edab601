"""Tests of astrogalaxy.detection.large and of what makes one source of a large galaxy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import astrogalaxy as ag
from astrogalaxy.detection import Detections, bridge_large, find_large, open_runtime
from astrogalaxy.detection.pieces import in_middle, whole_galaxies
from astrogalaxy.images import Aligned, Section, plan_tiles
from astrogalaxy.simulation import PROFILES, simulate_scene
from astrogalaxy.survey import extract

SIDE, MIDDLE, RADIUS = 704, 340.0, 45.0
# of a galaxy of 14th magnitude
LIGHT = {"g": 1000.0, "r": 2000.0, "i": 2600.0}


@pytest.fixture(scope="module")
def scene():
    """A field without a large galaxy."""
    return simulate_scene(PROFILES["sdss"], size=SIDE, seed=5, artefacts=False, dither=0.0)


def pixels_of(scene, light):
    """Bands of the field with an exponential galaxy near the middle, its light by band in image units."""
    y, x = np.indices((SIDE, SIDE)) - MIDDLE
    profile = ndimage.gaussian_filter(np.exp(-1.678 / RADIUS * np.hypot(x, y / 0.8)), 1.4)
    profile = (profile / profile.sum()).astype(np.float32)
    return {band: (scene.images[band] + light[band] * profile, scene.wcs[band]) for band in "gri"}


@pytest.fixture(scope="module")
def with_galaxy(scene):
    return pixels_of(scene, LIGHT)


def test_it_is_one_source_with_its_light(with_galaxy):
    catalog = ag.detect(ag.Image.read(with_galaxy, reference="r", zeropoint=22.5))
    distance = np.hypot(catalog["x"] - MIDDLE, catalog["y"] - MIDDLE)
    (main,) = np.flatnonzero((catalog["flux_r"] > 0.3 * LIGHT["r"] * 3631) & (distance < 40))
    assert distance[main] < 3
    assert catalog["class"][main] == "galaxy"
    # without a look at the small image it has less than 0.75
    assert float(catalog["flux_r"][main]) == pytest.approx(LIGHT["r"] * 3631, rel=0.12)


def test_an_ordinary_field_has_none(scene):
    image = ag.Image.read({band: (scene.images[band], scene.wcs[band]) for band in "gri"}, zeropoint=22.5)
    meshes = {name: band.mesh for name, band in image.bands.items()}
    assert len(bridge_large(image, open_runtime())) == 0
    assert all(band.mesh is meshes[name] for name, band in image.bands.items())


def test_the_sky_under_it_is_bridged_in_every_band(with_galaxy):
    image = ag.Image.read(with_galaxy, reference="r")
    before = {name: sky_at(band, MIDDLE) for name, band in image.bands.items()}
    found = find_large(image, open_runtime())
    assert image.large is None
    assert {name: sky_at(band, MIDDLE) for name, band in image.bands.items()} == before
    bridge_large(image, open_runtime())
    assert len(image.large) == 1
    np.testing.assert_array_equal(image.large.boxes, found.boxes)
    assert abs(image.large.x[0] - MIDDLE) < 12 > abs(image.large.y[0] - MIDDLE)
    for name, band in image.bands.items():
        plane = (sky_at(band, 40) + sky_at(band, SIDE - 40)) / 2
        assert abs(sky_at(band, MIDDLE) - plane) < 0.1 * abs(before[name] - plane)
    assert bridge_large(image, open_runtime()) is image.large  # once


def test_tiles_see_it_whole(with_galaxy):
    """A galaxy that lies on the borders of tiles is the same source in the one that owns it."""
    runtime = open_runtime()
    whole = ag.Image.read(with_galaxy, reference="r")
    everything = Section.whole(whole.shape)
    (tile,) = plan_tiles(whole.shape, size=SIDE, overlap=0)
    expected = brightest(extract(whole, tile, runtime).catalog)
    cut = ag.Image.read(with_galaxy, reference="r")
    tiles = plan_tiles(cut.shape, size=SIDE // 2, overlap=32)
    assert len(tiles) == 4
    owner = next(tile for tile in tiles if tile.owns(MIDDLE, MIDDLE))
    assert not owner.outer.holds(everything)
    found = brightest(extract(cut, owner, runtime).catalog)
    assert found["x"] == pytest.approx(expected["x"], abs=0.01)
    assert found["flux_r"] == pytest.approx(expected["flux_r"], rel=0.02)


def sky_at(band, at):
    """Level of a band's sky on the diagonal."""
    return float(band.mesh.background(Section(int(at), int(at) + 1, int(at), int(at) + 1))[0, 0])


def brightest(catalog):
    """The row with most light."""
    return catalog[int(np.argmax(catalog["flux_r"]))]


def test_it_is_kept_as_plain_numbers(with_galaxy):
    image = ag.Image.read(with_galaxy, reference="r")
    bridge_large(image, open_runtime())
    same = Detections.from_array(image.large.to_array())
    np.testing.assert_array_equal(same.boxes, image.large.boxes)
    assert len(Detections.from_array(Detections.none().to_array())) == 0


def detections(*rows):
    """Sources of (x, y, side, significance, p_galaxy)."""
    x, y, side, light, galaxy = np.array(rows, dtype=float).T
    half = side / 2
    one = np.ones_like(x)
    return Detections(
        x, y, x - half, x + half, y - half, y + half, light, 0.9 * one, 1 - galaxy, galaxy, 0.5 * one, 0.5 * one
    )


def on_glow(*bright):
    """A section of 200 pixels that shines with ten sigma, and more at some places."""
    snr = np.full((1, 200, 200), 10.0, dtype=np.float32)
    for x, y, light in bright:
        snr[0, y - 1 : y + 2, x - 1 : x + 2] += light
    return Aligned(snr, np.zeros(snr.shape, dtype=bool), ("r",), Section(1000, 1200, 500, 700))


def test_pieces_go_and_what_stands_out_stays():
    glow = on_glow((100, 100, 200), (120, 90, 5), (80, 110, 40))
    found = detections(
        (1100, 600, 30, 900, 1.0), (1120, 590, 8, 60, 0.7), (1080, 610, 8, 80, 0.1), (1010, 510, 8, 20, 0.9)
    )
    large = detections((1102, 601, 140, 900, 1.0))
    large.p_disk[:] = 0.8
    whole = whole_galaxies(found, glow, large)
    assert whole.x.tolist() == [1100, 1080, 1010]  # a knot of half the glow around it goes
    assert whole.boxes[0].tolist() == [1032, 1172, 531, 671]
    assert whole.p_disk[0] == 0.8
    assert whole.p_disk[1] == 0.5


def test_what_is_not_found_at_full_size_is_added():
    found = detections((1010, 510, 8, 20, 0.9), (1160, 590, 8, 60, 0.7), (1010, 690, 8, 20, 0.9))
    found.det_score[:] = 0.95, 0.5, 0.4
    large = detections((1102, 601, 140, 900, 1.0))
    whole = whole_galaxies(found, on_glow((160, 90, 5)), large)
    assert whole.x.tolist() == [1010, 1102, 1010]  # in the order of their scores; the faint one on it goes
    assert whole.boxes[1].tolist() == large.boxes[0].tolist()


def test_what_is_centred_elsewhere_changes_nothing():
    found = detections((1100, 600, 8, 900, 0.1), (1160, 590, 8, 60, 0.7))
    whole = whole_galaxies(found, on_glow(), detections((1240, 601, 140, 900, 1.0)))
    assert whole.boxes.tolist() == found.boxes.tolist()


def test_boxes_within_boxes_are_one():
    found = detections((1100, 600, 40, 900, 1.0), (1106, 604, 70, 700, 1.0), (1092, 598, 24, 300, 0.1))
    glow = on_glow((100, 100, 300), (106, 104, 300), (92, 98, 300))
    whole = whole_galaxies(found, glow, detections((1101, 600, 160, 900, 1.0)))
    assert whole.x.tolist() == [1100, 1092], "but a star in front is another"


def test_the_middle_is_the_clearest_galaxy_near_it():
    large = detections((1100, 600, 140, 900, 1.0))
    star, nearer, clearer = (1100, 600, 8, 900, 0.1), (1104, 604, 20, 300, 0.9), (1125, 600, 20, 400, 0.9)
    assert in_middle(detections(star, clearer, nearer), large) == 2
    assert in_middle(detections(star, clearer), large) == 1
    assert in_middle(detections(star), large) is None


def test_a_knot_in_an_edge_on_galaxy_goes():
    """Most of what lies around it is sky, but not what it is a part of."""
    snr = np.zeros((1, 200, 200), dtype=np.float32)
    snr[0, 97:104] = 30.0
    snr[0, 99:102, 119:122] += 10.0
    aligned = Aligned(snr, np.zeros(snr.shape, dtype=bool), ("r",), Section(1000, 1200, 500, 700))
    found = detections((1100, 600, 30, 900, 1.0), (1120, 600, 8, 60, 0.7))
    assert whole_galaxies(found, aligned, detections((1100, 600, 140, 900, 1.0))).x.tolist() == [1100]


def test_a_large_disc_of_low_surface_brightness_is_one_galaxy() -> None:
    """Bright in all, and nowhere brighter than some 30 times the noise of the binned image."""
    rows, columns = np.indices((800, 800))
    scale = 30 / 1.678
    disc = np.exp(-np.hypot(columns - 400.3, (rows - 399.6) / 0.7) / scale)
    light = 10 ** (-0.4 * (17.4 - 22.5)) * disc / disc.sum()
    image = ag.Image.read(
        (light + np.random.default_rng(4).normal(0, 0.007, disc.shape)).astype(np.float32), zeropoint=22.5
    )
    (found,) = find_large(image, open_runtime())
    assert np.hypot(found.x[0] - 400.3, found.y[0] - 399.6) < 10
