"""Bands of different seeing: whichever is the reference, stars are stars."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import astrogalaxy as ag
from astrogalaxy.images import Band
from astrogalaxy.measurement.starlight import image_seeing

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
    assert np.mean(named[~sources["star"]] == "galaxy") >= 0.9


def test_seeing_of_all_bands_is_their_median(pixels):
    image = ag.Image.read(pixels, reference="i")
    assert image_seeing(image) == pytest.approx(image.bands["r"].seeing, rel=0.05)
    empty = np.random.default_rng(7).normal(0, 1, (512, 512)).astype(np.float32)
    with_nothing = ag.Image.read({**pixels, "z": empty}, reference="r")
    assert image_seeing(with_nothing) == pytest.approx(with_nothing.bands["r"].seeing, rel=0.05)
    assert np.isnan(image_seeing(ag.Image.read({"z": empty})))


def test_seeing_of_all_bands_is_in_pixels_of_the_reference(pixels):
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

    fine, coarse = (pixels["r"], wcs(0.2)), (pixels["r"][::2, ::2] * 4, wcs(0.4))
    image = ag.Image.read({"r": fine, "g": coarse}, reference="r")
    assert image_seeing(image) == pytest.approx(image.bands["r"].seeing, rel=0.05)


@pytest.mark.parametrize("reference", WIDTHS)
def test_stars_are_looked_for_in_the_reference_alone(pixels, reference, monkeypatch):
    image, looked = ag.Image.read(pixels, reference=reference), []
    monkeypatch.setattr(
        Band, "_found_stars", lambda band, found=Band._found_stars: looked.append(band.name) or found(band)
    )
    image_seeing(image)
    assert set(looked) == {reference}
