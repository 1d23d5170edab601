"""Bands whose pixels are wider than the reference's: their noise on its grid."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

import astrogalaxy as ag
from astrogalaxy.images.bins import binned

# Side of squares that are much wider than the wide pixels.
_WIDE = 20


def wcs(scale: float, angle: float) -> WCS:
    made = WCS(naxis=2)
    made.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    made.wcs.crval, made.wcs.crpix = [150.0, 2.0], [200.0 / scale * 0.1, 200.0 / scale * 0.1]
    made.wcs.cdelt = [-scale / 3600, scale / 3600]
    made.wcs.pc = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return made


@pytest.mark.parametrize(("scale", "angle"), [(0.2, 0.0), (0.3, 0.1), (0.3, 0.7)])
def test_noise_of_a_coarse_band_is_as_correlated_as_is_said(scale: float, angle: float) -> None:
    rng = np.random.default_rng(2)
    coarse = rng.normal(0, 1, (int(60 / scale), int(60 / scale))).astype(np.float32)
    image = ag.Image.read(
        {"fine": (rng.normal(0, 1, (400, 400)), wcs(0.1, 0)), "coarse": (coarse, wcs(scale, angle))}, reference="fine"
    )
    aligned = image.aligned()
    sums = binned(aligned.snr[1][100:340, 100:340], _WIDE) / _WIDE
    assert aligned.factors[0] == 1
    assert aligned.factors[1] == pytest.approx(sums.std(), rel=0.25)


def test_bands_of_one_scale_are_left() -> None:
    rng = np.random.default_rng(2)
    image = ag.Image.read({b: (rng.normal(0, 1, (300, 300)), wcs(0.1, a)) for b, a in {"g": 0.0, "r": 0.3}.items()})
    assert max(image.aligned().factors) < 1.1
