"""Pixels in units far from 1, such as erg/s/cm2/Hz: read in others, near their noise."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.images import Image, Section
from astrogalaxy.images.units import pixel_unit

FAR = [1e-30, 1e-24, 1e-20, 1e20]


@pytest.fixture
def sky(rng):
    """Sky with noise 5, a corner without data, and one bright pixel."""
    pixels = rng.normal(100, 5, (96, 160))
    pixels[:48, :40] = 0
    pixels[70, 80] = 900
    return pixels


def unit_of(pixels):
    return pixel_unit(lambda section: pixels[section.slices].astype(np.float32), pixels.shape)


@pytest.mark.parametrize("scale", [1e-11, 1e-6, 1, 1e5, 1e10])
def test_ordinary_images_stay_as_they_are(sky, scale):
    assert unit_of(sky * scale) == 1


@pytest.mark.parametrize("scale", FAR)
def test_the_unit_is_a_power_of_two_near_the_noise(sky, scale):
    unit = unit_of(sky * scale)
    assert np.log2(unit) % 1 == 0
    assert 0.5 < unit / (5 * scale) < 2
    sky[5::2] = np.nan
    assert 0.5 < unit_of(sky * scale) / (5 * scale) < 2, "by the pixels that there are"


def test_images_without_noise_keep_theirs():
    assert unit_of(np.full((20, 30), 1e-25)) == unit_of(np.full((20, 30), np.nan)) == 1


@pytest.mark.parametrize("scale", FAR)
def test_all_that_belongs_to_a_band_is_read_in_one_unit(sky, scale):
    def read(scale, level=100):
        weight = np.full(sky.shape, (6.0 * scale) ** -2)
        weight[:, -4:] = 0
        settings = {"gain": 2 / scale, "saturation": 800 * scale, "weight": weight}
        return Image.read({"r": sky * scale}, zeropoint=22.5, **settings).bands["r"]

    plain, band = read(1.0), read(scale)
    share = band.unit / scale
    expected, pixels = plain.pixels(), band.pixels()
    np.testing.assert_allclose(pixels.data * share, expected.data, atol=2e-4)
    np.testing.assert_allclose(pixels.noise * share, expected.noise, rtol=1e-4)
    np.testing.assert_array_equal(pixels.bad, expected.bad)
    np.testing.assert_array_equal(pixels.saturated, expected.saturated)
    assert 0.1 < pixels.noise.min() < pixels.noise.max() < 10
    assert band.gain == pytest.approx(2 * share)
    assert (band.zeropoint, band.saturation) == (22.5, 800 * scale), "as they were given"
    np.testing.assert_allclose(band.mesh.noise_mesh / scale, plain.mesh.noise_mesh, rtol=1e-4)
    part = Section(30, 90, 40, 90)
    np.testing.assert_array_equal(band.pixels(part).data, pixels.data[part.slices])

    brighter = band.altered(lambda section, data: data + np.float32(50 * scale))
    assert (brighter.unit, brighter.gain) == (band.unit, band.gain)
    assert np.median(brighter.mesh.background()) / scale == pytest.approx(150, abs=1)
    np.testing.assert_allclose(brighter.pixels().data, pixels.data, atol=0.05)
    again = Image.read({"r": sky * scale}).bands["r"]
    again.mesh = type(band.mesh).from_arrays(band.mesh.to_arrays())
    np.testing.assert_array_equal(again.pixels(part).data, band.pixels(part).data)


def test_weights_beyond_32_bits_are_read_from_files(tmp_path, sky):
    path = tmp_path / "weight.fits"
    fits.writeto(path, np.full(sky.shape, (5e-30) ** -2))
    noise = Image.read({"r": sky * 1e-30}, weight=str(path)).bands["r"]
    assert np.median(noise.pixels().noise) * noise.unit == pytest.approx(5e-30, rel=1e-5)
