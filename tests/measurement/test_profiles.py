"""Tests of astrogalaxy.measurement.profiles."""

from __future__ import annotations

import numpy as np
import pytest
from known_skies import moffat

from astrogalaxy.measurement.moments import Shapes, adapt
from astrogalaxy.measurement.profiles import BETA_LIMITS, KRON_LIMIT, Moffat, exponent


@pytest.mark.parametrize("beta", [2.3, 3.0, 4.7])
def test_tables_agree_with_a_drawn_profile(beta: float) -> None:
    fwhm, middle = 12.0, 150
    image = moffat((301, 301), middle, middle, fwhm=fwhm, beta=beta)
    one = np.array([float(middle)])
    shape = adapt(image[None].astype(np.float32), Shapes.circles(one, one, np.array([5.0])), iterations=60)
    sigma, profile = np.sqrt(shape.area[0]), Moffat(beta)
    assert profile.fwhm * sigma == pytest.approx(fwhm, rel=0.01)
    assert profile.core == pytest.approx(shape.core[0], rel=0.01)
    y, x = np.mgrid[:301, :301] - middle
    radius = np.hypot(x, y) / sigma
    assert profile.enclosed(4.0) == pytest.approx(image[radius < 4.0].sum(), rel=0.01)
    inside = radius < KRON_LIMIT
    kron = (image * radius)[inside].sum() / image[inside].sum()
    assert exponent(kron) == pytest.approx(beta, rel=0.05)


def test_large_exponent_is_a_gaussian() -> None:
    profile = Moffat(BETA_LIMITS[1])
    assert profile.fwhm == pytest.approx(2.355, rel=0.02)
    assert profile.core == pytest.approx(1.0, abs=0.02)


def test_exponent_falls_with_the_kron_radius_and_stays_in_bounds() -> None:
    beta = exponent(np.linspace(0.5, 4.0, 50))
    assert np.all(np.diff(beta) <= 0)
    assert beta[0] == BETA_LIMITS[1]
    assert beta[-1] == pytest.approx(BETA_LIMITS[0])


def test_radius_of_is_where_the_brightness_is() -> None:
    profile = Moffat(np.array([2.5, 3.5]))
    radius = profile.radius_of(np.array([0.01, 0.001]))
    brightness = profile.peak * (1 + (radius / profile.scale) ** 2) ** -profile.beta
    np.testing.assert_allclose(brightness, [0.01, 0.001])
    assert profile.radius_of(10.0).max() == 0.0
