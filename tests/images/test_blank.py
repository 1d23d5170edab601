"""Areas that a file fills with a number where there is no data are bad pixels, not sky."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.images import Image, Mesh, Section
from astrogalaxy.images.background import make_mesh

SHAPE = (320, 400)
ROWS, COLUMNS = np.indices(SHAPE)
AREAS = {
    "half": COLUMNS >= 192,
    "half at the edge of a box": ROWS < 192,
    "border of 40": (COLUMNS < 40) | (COLUMNS >= 360) | (ROWS < 40) | (ROWS >= 280),
    "border of 6": (COLUMNS < 6) | (COLUMNS >= 394) | (ROWS < 6) | (ROWS >= 314),
    "triangles": np.abs(COLUMNS - 200) + np.abs(ROWS - 160) > 260,
    "wedge": ROWS < 0.1 * COLUMNS,
}


def band_of(image, **settings):
    return Image.read({"r": image}, **settings).bands["r"]


@pytest.mark.parametrize("level", [0.0, 3.0, 100.0, -50.0])
@pytest.mark.parametrize("area", AREAS)
def test_areas_of_one_value_are_bad(rng, level, area):
    sky, blank = rng.normal(level, 1, SHAPE).astype(np.float32), AREAS[area]
    sky[250, 100] = 300  # a source brighter than nothing
    filled, told = band_of(np.where(blank, np.float32(0), sky)), band_of(np.where(blank, np.float32(np.nan), sky))
    assert filled.mesh.blank == 0
    np.testing.assert_array_equal(filled.mesh.background_mesh, told.mesh.background_mesh)
    np.testing.assert_array_equal(filled.mesh.noise_mesh, told.mesh.noise_mesh)
    pixels, expected = filled.pixels(), told.pixels()
    np.testing.assert_array_equal(pixels.bad, blank)
    np.testing.assert_array_equal(pixels.data, expected.data)


def test_zeros_around_a_digitised_sky_are_bad(rng):
    sky = np.round(rng.normal(100.3, 1.2, SHAPE))
    sky[AREAS["border of 40"]] = 0
    np.testing.assert_array_equal(band_of(sky).pixels().bad, AREAS["border of 40"])


def test_pixels_are_bad_in_every_section(rng):
    sky = np.where(AREAS["triangles"], 0, rng.normal(0, 1, SHAPE)).astype(np.float32)
    band, whole = band_of(sky), band_of(sky).pixels()
    for section in (Section(0, 3, 0, 2), Section(90, 250, 7, 61), Section(399, 400, 0, 320)):
        np.testing.assert_array_equal(band.pixels(section).bad, whole.bad[section.slices])


def test_value_is_stored_with_the_mesh(rng, tmp_path):
    sky = np.where(AREAS["half"], -9.5, rng.normal(0, 1, SHAPE)).astype(np.float32)
    for image, blank in ((sky, -9.5), (sky[:, :192], None)):
        np.savez(tmp_path / "sky.npz", **band_of(image).mesh.to_arrays())
        with np.load(tmp_path / "sky.npz") as arrays:
            again = band_of(image)
            again.mesh = Mesh.from_arrays(arrays)
        assert again.mesh.blank == blank
        assert again.pixels().bad.sum() == (image == -9.5).sum()


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.2, 4.0])
@pytest.mark.parametrize("level", [0.0, 0.37])
def test_digitised_sky_has_no_blank(rng, level, sigma):
    assert band_of(np.round(rng.normal(level, sigma, SHAPE)).astype(np.float32)).mesh.blank is None


def test_digitised_sky_whose_values_fill_its_border_too_keeps_them(rng):
    """Their pixels cannot be told apart by their values: a tenth of the sky would be lost."""
    sky = np.round(rng.normal(0, 3, SHAPE))
    sky[AREAS["border of 6"]] = 0
    assert not band_of(sky).pixels().bad.any()


@pytest.mark.parametrize("photons", [0.001, 0.03, 0.3])
def test_sky_of_single_photons_has_no_blank(rng, photons):
    assert not band_of(rng.poisson(photons, SHAPE)).pixels().bad.any()


def test_light_without_noise_fades_into_no_blank(make_stars):
    image = make_stars(SHAPE, [80, 290], [90, 200], sigma=2)
    assert (image == 0).mean() > 0.9
    band = band_of(image)
    assert band.mesh.blank is None
    assert np.abs(band.mesh.background_mesh).max() < 1e-9


def test_saturated_cores_are_no_blank(rng):
    sky = rng.normal(100, 3, SHAPE).astype(np.float32)
    sky[100:160, 200:260] = 60000
    pixels = band_of(sky, saturation=60000).pixels()
    assert not pixels.bad.any()
    assert pixels.saturated.sum() == 3600


def test_blank_is_the_same_whatever_is_read_at_a_time(rng, monkeypatch):
    sky = np.where(AREAS["half at the edge of a box"], 0, rng.normal(5, 1, SHAPE)).astype(np.float32)
    read = lambda part: (sky[part.slices], None)  # noqa: E731
    whole = make_mesh(read, SHAPE)
    monkeypatch.setattr("astrogalaxy.images.background._BLOCK_PIXELS", 1)
    assert make_mesh(read, SHAPE).blank == whole.blank == 0


def test_light_that_is_added_leaves_blank_pixels_bad(rng):
    sky = np.where(AREAS["half"], 0, rng.normal(50, 1, SHAPE)).astype(np.float32)
    lit = band_of(sky).altered(lambda section, pixels: pixels + 20)
    np.testing.assert_array_equal(lit.pixels().bad, AREAS["half"])
    assert lit.mesh.background().mean() == pytest.approx(70, abs=0.2)
