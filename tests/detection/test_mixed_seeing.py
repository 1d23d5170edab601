"""Bands of different seeing: whichever is the reference, stars are stars."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import astrogalaxy as ag

WIDTHS = {"g": 5.8, "r": 4.8, "i": 3.5}


@pytest.fixture(scope="module")
def sources() -> Table:
    rng = np.random.default_rng(5)
    x, y = (part.ravel() + rng.uniform(-6, 6, part.size) for part in np.meshgrid(*2 * [np.arange(40.0, 480, 50)]))
    snr = np.exp(rng.uniform(np.log(15), np.log(60), len(x)))
    return Table({"x": x, "y": y, "snr": snr, "star": np.arange(len(x)) % 2 == 0})


@pytest.fixture(scope="module")
def pixels(sources: Table) -> dict[str, np.ndarray]:
    rng, (rows, columns) = np.random.default_rng(6), np.mgrid[:512, :512]
    bands = {}
    for band, fwhm in WIDTHS.items():
        bands[band] = rng.normal(0, 1, (512, 512))
        for x, y, snr, star in sources.iterrows():
            variance = (fwhm / 2.3548) ** 2 + (0 if star else 2.2**2)
            peak = snr / np.sqrt(np.pi * variance)
            bands[band] += peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / variance)
    return {band: image.astype(np.float32) for band, image in bands.items()}


@pytest.mark.parametrize("reference", WIDTHS)
def test_classes_do_not_depend_on_the_reference(sources, pixels, reference):
    image = ag.Image.read(pixels, reference=reference)
    named = ag.detect(image, positions=sources["x", "y"])["class"][: len(sources)]
    assert np.mean(named[sources["star"]] == "star") > 0.7
    assert np.mean(named[sources["star"]] == "galaxy") < 0.1
    assert np.mean(named[~sources["star"]] == "galaxy") > 0.9


def test_seeing_of_an_image_is_the_median_of_its_bands(pixels):
    image = ag.Image.read({**pixels, "z": np.random.default_rng(7).normal(0, 1, (512, 512)).astype(np.float32)})
    assert not np.isfinite(image.bands["z"].seeing)
    assert image.seeing == pytest.approx(image.bands["r"].seeing)
    assert np.isnan(ag.Image.read({"z": np.random.default_rng(8).normal(0, 1, (200, 200))}).seeing)


def test_seeing_of_an_image_is_in_pixels_of_the_reference(pixels):
    from astropy.wcs import WCS

    def wcs(scale):
        made = WCS(naxis=2)
        made.wcs.ctype, made.wcs.crval, made.wcs.cdelt = (
            ["RA---TAN", "DEC--TAN"],
            [150, 2],
            [-scale / 3600, scale / 3600],
        )
        made.wcs.crpix = [1, 1]
        return made

    image = ag.Image.read({"r": (pixels["r"], wcs(0.2)), "g": (pixels["g"], wcs(0.4))}, reference="r")
    assert image.seeing == pytest.approx((image.bands["r"].seeing + 2 * image.bands["g"].seeing) / 2, rel=1e-6)
