"""Correlated noise from empty apertures, on white and on resampled images."""

from __future__ import annotations

import numpy as np
import pytest
from known_skies import KnownBand, KnownImage, field_of, lattice
from scipy.ndimage import shift

from astrogalaxy.images.emptyapertures import noise_factor, scatter_of_sums
from astrogalaxy.measurement import Sources, measure

FWHM = 3.3


def _field(rng: np.random.Generator, *, resampled: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Stars under noise, moved by half a pixel with linear interpolation if asked, and the noise that pixels show."""
    x, y = lattice(14, 44, rng)
    noise = rng.normal(size=(616, 616))
    if resampled:
        noise = shift(noise, (0.5, 0.5), order=1, mode="wrap")
    return field_of((616, 616), x, y, 300.0) + noise, x, y, float(np.std(noise))


@pytest.mark.parametrize(("resampled", "factor"), [(False, 1.0), (True, 2.0)])
def test_factor_of_resampled_noise(rng: np.random.Generator, resampled: bool, factor: float) -> None:
    data, _, _, sigma = _field(rng, resampled=resampled)
    assert noise_factor(KnownBand("r", data, noise=sigma, noise_factor=None)) == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize("wrong", [1.5, 3.0])
def test_noise_stated_too_small_makes_a_factor(rng: np.random.Generator, wrong: float) -> None:
    data, _, _, sigma = _field(rng, resampled=False)
    assert noise_factor(KnownBand("r", data, noise=sigma / wrong, noise_factor=None)) == pytest.approx(wrong, rel=0.1)


def test_errors_of_a_resampled_image_are_right(rng: np.random.Generator) -> None:
    data, x, y, sigma = _field(rng, resampled=True)
    sources = Sources.around(x, y, side=12)
    widths = {}
    for factor in (1.0, None):
        table = measure(KnownImage.single(data, noise=sigma, noise_factor=factor), sources, apertures=3.0)
        flux = table["flux_aper_r"]
        widths[factor] = np.std((flux - flux.mean()) / table["flux_aper_r_err"])
    assert widths[1.0] > 1.5
    assert 0.85 < widths[None] < 1.15


def test_too_few_empty_apertures_tell_nothing(rng: np.random.Generator) -> None:
    assert np.isnan(scatter_of_sums(rng.normal(size=50)))
    assert noise_factor(KnownBand("r", rng.normal(size=(40, 40)), noise_factor=None)) == 1.0
    assert noise_factor(KnownBand("r", np.full((5, 5), 9.0), noise_factor=None)) == 1.0


def test_gain_by_the_map_of_resampled_pixels(rng: np.random.Generator) -> None:
    from scipy import ndimage

    from astrogalaxy.images import Image, Section
    from astrogalaxy.measurement.reference import read_canvas

    rows, columns = np.mgrid[:600, :600]
    light = np.zeros((600, 600))
    for x, y in rng.uniform(20, 580, (60, 2)):
        light += 3000 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / 2.5**2)
    variance = 16 + light / 2.0
    noise = ndimage.gaussian_filter(rng.normal(0, 1, light.shape) * np.sqrt(variance), 0.6)
    image = Image.read((light + noise).astype(np.float32), weight=variance, weight_type="variance")
    canvas = read_canvas(image.bands["image"], Section.whole(image.shape))
    assert canvas.gain == pytest.approx(2.0, rel=0.3), "that of the pixels before they were resampled"
