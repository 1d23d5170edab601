"""A sloping sky: the noise does not know of it, and the background goes on to the image's edges."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.images import Image, Mesh, Section
from astrogalaxy.images.slopes import continued, filled, slopes

SHAPE = (512, 512)
ROWS, COLUMNS = np.indices(SHAPE)


def mesh_of(image):
    return Image.read(image.astype(np.float32)).bands["image"].mesh


@pytest.mark.parametrize(("across", "error"), [(10, 0.02), (40, 0.06), (80, 0.15)])
def test_noise_is_that_of_pixels_not_of_the_slope(rng, across, error):
    mesh = mesh_of(rng.normal(0, 1, SHAPE) + across * (0.8 * COLUMNS - 0.6 * ROWS) / 512)
    assert mesh.noise().mean() == pytest.approx(1, abs=error)


def test_background_is_right_up_to_the_edges(rng):
    slope = 40 * (0.8 * COLUMNS - 0.6 * ROWS) / 512
    off = mesh_of(rng.normal(0, 1, SHAPE) + slope).background() - slope
    for edge in (off[:4], off[-4:], off[:, :4], off[:, -4:]):
        assert abs(edge.mean()) < 0.15
        assert np.abs(edge).max() < 0.5


def test_flat_sky_stays_as_it_is(rng):
    mesh = mesh_of(rng.normal(0, 1, SHAPE))
    assert np.abs(mesh.background()).max() < 0.2
    assert mesh.noise().mean() == pytest.approx(1, rel=0.01)


def test_partly_covered_boxes_do_not_lose_their_noise(rng):
    image = rng.normal(0, 1, SHAPE) + COLUMNS * 40 / 512
    image[np.abs(COLUMNS - 256) + np.abs(ROWS - 256) > 330] = np.nan
    assert mesh_of(image).noise_mesh.min() > 0.9


def test_slope_is_what_both_neighbours_agree_on():
    lone = np.array([[0.0, 0.0, 9.0, 0.0, 0.0]])
    np.testing.assert_array_equal(slopes(lone, 1), 0)
    np.testing.assert_array_equal(continued(lone)[0], [0, 0, 0, 9, 0, 0, 0])
    np.testing.assert_array_equal(slopes(np.array([[1.0, 2.0]]), 1), 0)
    np.testing.assert_array_equal(slopes(np.array([[np.nan, 1.0, 3.0, 5.0, np.nan]]).T, 0), 2)


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_the_unit_does_not_matter(unit):
    levels = np.array([[1.0, 3.0, 1.0, 2.0, 3.0, 7.0]], dtype=np.float32)
    np.testing.assert_allclose(continued(levels * np.float32(unit)) / unit, continued(levels), rtol=1e-6)


def test_planes_go_on():
    rows, columns = np.indices((5, 6)) - 1.0
    plane = 3 * rows - 2 * columns
    np.testing.assert_allclose(continued(plane[1:-1, 1:-1]), plane)


def test_nearest_known_box_stands_for_others():
    values = np.array([[1.0, np.nan, np.nan, 4.0]])
    np.testing.assert_array_equal(filled(values, np.isfinite(values), 0.0), [[1, 1, 4, 4]])
    np.testing.assert_array_equal(filled(values, np.zeros((1, 4), bool), 7.0), 7)


def test_edges_are_the_same_in_every_section():
    mesh = Mesh(np.arange(12.0, dtype=np.float32).reshape(3, 4), np.ones((3, 4), np.float32), (16, 16), (45, 60))
    for section in (Section(0, 5, 0, 45), Section(50, 60, 40, 45), Section(3, 57, 20, 21)):
        np.testing.assert_array_equal(mesh.background(section), mesh.background()[section.slices])
    rows, columns = np.indices((45, 60))
    np.testing.assert_allclose(mesh.background(), (rows - 7.5) / 16 * 4 + (columns - 7.5) / 16, rtol=1e-5, atol=1e-5)
