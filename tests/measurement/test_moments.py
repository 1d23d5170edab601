"""Tests of astrogalaxy.measurement.moments."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.measurement.moments import Shapes, adapt, bound, centroid_covariance, sampling_covariance


def _gaussians(x: np.ndarray, y: np.ndarray, a: float, b: float, angle: float, flux: float, size: int) -> np.ndarray:
    yy, xx = np.mgrid[:size, :size]
    dx, dy = xx - x[:, None, None], yy - y[:, None, None]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return (flux / (2 * np.pi * a * b) * np.exp(-(along**2) / (2 * a**2) - across**2 / (2 * b**2))).astype(np.float32)


@pytest.mark.parametrize("angle", [-1.2, 0.0, 0.7, 1.5])
def test_a_gaussian_is_found_exactly(angle: float) -> None:
    x, y = np.array([15.3, 14.6]), np.array([14.8, 15.4])
    stamps = _gaussians(x, y, 3.0, 1.8, angle, 100.0, 31)
    guess = Shapes.circles(x + 0.6, y - 0.5, np.array([2.0, 4.0]))
    found = adapt(stamps, guess)
    assert found.settled.all()
    np.testing.assert_allclose(found.x, x, atol=2e-3)
    np.testing.assert_allclose(found.y, y, atol=2e-3)
    a, b, theta = found.axes()
    np.testing.assert_allclose(a, 3.0, rtol=3e-3)
    np.testing.assert_allclose(b, 1.8, rtol=3e-3)
    np.testing.assert_allclose(theta, angle, atol=5e-3)
    np.testing.assert_allclose(found.core, 100.0, rtol=3e-3)
    assert guess.x[0] == pytest.approx(15.9)


def test_no_light_is_not_settled_and_harms_nobody() -> None:
    x = np.array([15.0, 15.0, 15.0])
    stamps = _gaussians(x, x, 2.0, 2.0, 0.0, 50.0, 31)
    stamps[1] = -stamps[1]
    found = adapt(stamps, Shapes.circles(x, x, np.full(3, 2.5)))
    np.testing.assert_array_equal(found.settled, [True, False, True])
    assert np.isfinite(found.xx).all()
    np.testing.assert_allclose(found.core[[0, 2]], 50.0, rtol=3e-3)


def test_result_does_not_depend_on_company(rng: np.random.Generator) -> None:
    n = 700
    x, y = 15 + rng.uniform(-0.5, 0.5, (2, n))
    stamps = _gaussians(x, y, 2.0, 1.5, 0.4, 60.0, 31) + rng.normal(size=(n, 31, 31)).astype(np.float32) * 0.5
    guess = Shapes.circles(np.full(n, 15.0), np.full(n, 15.0), np.full(n, 2.0))
    together, apart = adapt(stamps, guess), adapt(stamps[650:651], guess.take(slice(650, 651)))
    assert together.x[650] == pytest.approx(apart.x[0], abs=1e-4)
    assert together.xx[650] == pytest.approx(apart.xx[0], rel=1e-3)


def test_fixed_parts_stay() -> None:
    x = np.array([15.0])
    stamps = _gaussians(x, x, 2.0, 2.0, 0.0, 50.0, 31)
    guess = Shapes.circles(x + 1.0, x, np.array([3.0]))
    centre = adapt(stamps, guess, fixed_centre=True)
    shape = adapt(stamps, guess, fixed_shape=True)
    assert (centre.x[0], centre.y[0]) == (16.0, 15.0)
    assert centre.xx[0] != pytest.approx(9.0)
    assert (shape.xx[0], shape.xy[0], shape.yy[0]) == (9.0, 0.0, 9.0)
    assert shape.x[0] == pytest.approx(15.0, abs=0.01)


def test_bound_keeps_the_angle() -> None:
    shape = Shapes.circles(np.zeros(1), np.zeros(1), np.ones(1))
    shape.xx, shape.xy, shape.yy = bound(np.array([25.0]), np.array([4.0]), np.array([1.0]), 1.5, 3.0)
    a, b, theta = shape.axes()
    assert (a[0], b[0]) == (pytest.approx(3.0), pytest.approx(1.5))
    assert theta[0] == pytest.approx(0.5 * np.arctan2(8.0, 24.0))


@pytest.mark.parametrize("gain", [None, 2.0])
def test_centroid_errors_are_what_noise_does(rng: np.random.Generator, gain: float | None) -> None:
    n, flux, sky = 1500, 400.0, 1.0
    x, y = 15 + rng.uniform(-0.5, 0.5, (2, n))
    clean = _gaussians(x, y, 2.5, 1.5, 0.0, flux, 31)
    noise = np.sqrt(sky**2 + (0 if gain is None else clean / gain))
    stamps = (clean + noise * rng.normal(size=clean.shape)).astype(np.float32)
    found = adapt(stamps, Shapes.circles(x, y, np.full(n, 2.0)))
    xx, xy, yy = centroid_covariance(found, np.full(n, sky), gain)
    assert np.std((found.x - x) / np.sqrt(xx)) == pytest.approx(1.0, abs=0.1)
    assert np.std((found.y - y) / np.sqrt(yy)) == pytest.approx(1.0, abs=0.1)
    assert np.median(xx / yy) == pytest.approx((2.5 / 1.5) ** 2, rel=0.1)
    assert abs(np.median(xy)) < 0.1 * np.median(yy)


def test_centroid_error_without_light_is_infinite() -> None:
    xx, xy, yy = centroid_covariance(Shapes.circles(np.zeros(1), np.zeros(1), np.ones(1)), np.ones(1), None)
    assert np.isinf(xx[0])
    assert np.isinf(yy[0])
    assert xy[0] == 0.0


def test_clarity_is_light_over_the_scatter_that_noise_gives_it(rng: np.random.Generator) -> None:
    n, x = 2000, np.full(2000, 15.0)
    shapes = Shapes.circles(x, x, np.full(n, 1.0))
    shapes.xx, shapes.yy = np.full(n, 9.0), np.full(n, 4.0)
    stamps = 0.7 * rng.normal(size=(n, 31, 31)) + _gaussians(x, x, 3.0, 2.0, 0.0, 100.0, 31)
    found = adapt(stamps.astype(np.float32), shapes, fixed_centre=True, fixed_shape=True)
    assert np.mean(found.clarity(np.full(n, 0.7))) == pytest.approx(np.mean(found.core) / np.std(found.core), rel=0.06)


@pytest.mark.parametrize("profile", ["gaussian", "moffat"])
@pytest.mark.parametrize("fwhm", [1.0, 1.3, 1.6, 1.9, 2.2, 2.5, 3.0])
def test_places_within_a_pixel_scatter_by_what_the_sampling_does(
    profile: str, fwhm: float, rng: np.random.Generator
) -> None:
    galsim = pytest.importorskip("galsim")
    optics = np.sqrt(max(fwhm**2 - FWHM_PER_SIGMA**2 / 12, 0.3**2))  # so wide before the pixels
    star = galsim.Gaussian(fwhm=optics) if profile == "gaussian" else galsim.Moffat(beta=3.0, fwhm=optics)
    at = rng.uniform(-0.5, 0.5, (300, 2))
    stamps = np.array([star.drawImage(nx=25, ny=25, scale=1.0, offset=place).array for place in at])
    middle = np.full(len(at), 12.0)
    found = adapt(stamps.astype(np.float32), Shapes.circles(middle, middle, np.ones(len(at))))
    expected = np.sqrt(sampling_covariance(found)[0] + 0.002**2)
    pull = np.std((found.x - 12 - at[:, 0]) / expected)
    # wings make the window wider than the core, which the pixels sample: a Moffat profile scatters more
    assert pull < (1.25 if profile == "gaussian" else 2.3)
    if fwhm < 2.0:
        assert pull > 0.5
