"""Accuracy on galaxies drawn by an independent simulator, through the real image reader."""

from __future__ import annotations

import numpy as np
import pytest
from known_skies import SCALE, KnownImage, lattice, make_wcs

from astrogalaxy.images import Image
from astrogalaxy.measurement import Sources, measure

galsim = pytest.importorskip("galsim")

PSF = {"beta": 3.0, "fwhm": 1.3}


def _galaxies(index: float, half_light: float, snr: float, *, number: int = 7, step: int = 90, seed: int = 1) -> tuple:
    """Noisy image of a lattice of galaxies at all angles, their places, fluxes and boxes."""
    rng = np.random.default_rng(seed)
    x, y = lattice(number, step, rng)
    size = np.hypot(half_light, PSF["fwhm"] / 2) / SCALE
    flux = snr * 2 * size * np.sqrt(np.pi)
    image = np.zeros((number * step, number * step))
    profile = galsim.Sersic(index, half_light_radius=half_light)
    for xi, yi, angle in zip(x, y, rng.uniform(0, 180, len(x)), strict=True):
        galaxy = galsim.Convolve(profile.shear(q=0.6, beta=angle * galsim.degrees), galsim.Moffat(**PSF))
        x0, y0 = round(xi) - step // 2, round(yi) - step // 2
        offset = xi - round(xi) + 0.5, yi - round(yi) + 0.5
        stamp = galaxy.withFlux(flux).drawImage(nx=step, ny=step, scale=SCALE, offset=offset).array
        target = image[max(y0, 0) : y0 + step, max(x0, 0) : x0 + step]
        target += stamp[max(-y0, 0) :, max(-x0, 0) :][: target.shape[0], : target.shape[1]]
    return image + rng.normal(size=image.shape), x, y, flux, 4.4 * size


@pytest.mark.parametrize(
    ("index", "half_light", "snr", "lost"),
    [(1, 0.7, 100, 0.0), (1, 1.5, 60, 0.0), (1, 2.5, 300, 0.0), (2, 1.5, 300, -0.01), (4, 1.0, 300, 0.06)],
)
def test_flux_of_sersic_galaxies(index: float, half_light: float, snr: float, lost: float) -> None:
    data, x, y, flux, side = _galaxies(index, half_light, snr)
    table = measure(KnownImage.single(data), Sources.around(x, y, side=side))
    assert np.mean(table["flux_r"]) / flux == pytest.approx(1.0 - lost, abs=0.02)
    pull = (table["flux_r"] - np.mean(table["flux_r"])) / table["flux_r_err"]
    # the error holds how differently galaxies with wings end, which those of one kind do not show
    assert (0.5 if snr <= 100 else 0.15) < np.std(pull) < 1.25
    offset = (table["x"] - x) * SCALE / np.sqrt((table["ra_err"] ** 2 + table["dec_err"] ** 2) / 2)
    assert 0.75 < np.std(offset) < 1.3


def test_bright_galaxy_with_wide_wings_is_followed_outwards() -> None:
    data, x, y, flux, side = _galaxies(4, 3.0, 500, number=3, step=160)
    table = measure(KnownImage.single(data), Sources.around(x, y, side=side))
    assert np.median(table["flux_r"]) / flux > 0.88
    assert np.median(table["half_light_radius"]) > 2.4


def test_through_the_real_reader() -> None:
    data, x, y, flux, side = _galaxies(1, 1.0, 100)
    data = 5.0 * data + 300.0
    image = Image.read({"r": (data, make_wcs(data.shape)), "i": (2 * data, make_wcs(data.shape))}, zeropoint=25.0)
    before = image.bands["r"].pixels().data.copy()
    table = measure(image, Sources.around(x, y, side=side))
    expected = 5.0 * flux * 10 ** (0.4 * (31.4 - 25.0))
    # The background is measured here, and holds some of the light of the galaxies.
    assert np.median(table["flux_r"]) / expected == pytest.approx(1.0, abs=0.04)
    assert np.median(table["mag_r"] - table["mag_i"]) == pytest.approx(2.5 * np.log10(2), abs=0.01)
    np.testing.assert_array_equal(image.bands["r"].pixels().data, before)
