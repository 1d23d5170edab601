"""`detect`: images without a WCS, where the stars are a ruler all the same, and arguments that make no sense."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.wcs import WCS

from astrogalaxy import Image, detect
from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.errors import ConfigError
from astrogalaxy.survey.stages import QUALITY


@pytest.fixture(scope="module")
def catalogs() -> tuple[SourceCatalog, SourceCatalog]:
    """Of the same stars and a few wider sources, with a WCS and without."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:320, :320]
    sky = rng.normal(100, 5, x.shape)
    for number in range(36):
        there = 27 + 53 * np.array(divmod(number, 6)) + rng.uniform(-5, 5, 2)
        sigma, peak = (4.0, 150.0) if number % 9 == 4 else (1.6, 10 ** rng.uniform(2.3, 3.3))
        sky += peak * np.exp(-((y - there[0]) ** 2 + (x - there[1]) ** 2) / (2 * sigma**2))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150.0, 2.0), (160, 160)
    wcs.wcs.cdelt = -1.1e-4, 1.1e-4
    return tuple(detect(Image.read({"r": one}, zeropoint=22.5), device="cpu") for one in ((sky, wcs), sky))


def test_the_small_aperture_is_corrected(catalogs: tuple[SourceCatalog, SourceCatalog]) -> None:
    known, unknown = catalogs
    assert np.isfinite(known["flux_apcor_r"]).sum() > 30
    np.testing.assert_allclose(unknown["flux_apcor_r"], known["flux_apcor_r"], rtol=0.01)


def test_classes_are_as_sure(catalogs: tuple[SourceCatalog, SourceCatalog]) -> None:
    known, unknown = catalogs
    assert {"star", "galaxy"} <= set(known["class"])
    np.testing.assert_allclose(unknown["p_galaxy"], known["p_galaxy"], atol=0.02)


def test_nothing_is_told_in_arcsec(catalogs: tuple[SourceCatalog, SourceCatalog]) -> None:
    known, unknown = catalogs
    for name in ("ra", "dec", "ra_err", "a", "b", "half_light_radius", "radius_corr", "fwhm", "flux_aper_r"):
        assert np.isfinite(known[name]).any(), name
        assert np.isnan(unknown[name]).all(), name
    told = json.loads(unknown.meta[QUALITY])
    assert (told["seeing"], told["seeing_spread"], told["star_radius"]) == (None, None, None)
    assert told["corrections"]["r"]["stars"] >= 6
    unknown.validate()


@pytest.mark.parametrize("threshold", [float("nan"), -1, 2, "0.5"])
def test_thresholds_that_make_no_sense_are_refused(threshold: object) -> None:
    with pytest.raises(ConfigError, match="threshold must be a number from 0 to 1, not "):
        detect(Image.read(np.ones((40, 40))), threshold=threshold)  # type: ignore[arg-type]


def test_an_array_is_told_to_become_an_image() -> None:
    with pytest.raises(ConfigError, match=r"detect needs an Image, not ndarray; Image\.read makes one"):
        detect(np.ones((40, 40)))  # type: ignore[arg-type]
