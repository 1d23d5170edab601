"""Tests of astrogalaxy.measurement.photometry."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from known_skies import field_of, lattice

from astrogalaxy.measurement.photometry import (
    KronApertures,
    ab_magnitude,
    circle_sums,
    ellipse_sums,
    enclosed_share,
    half_light_radius,
    kron_apertures,
    magnitude_limits,
    nanojansky,
)
from astrogalaxy.measurement.profiles import Moffat, exponent

SIGMA = 1.6


def _kron(data: np.ndarray, x: np.ndarray, y: np.ndarray, flux: float, *, noise: float = 1.0) -> KronApertures:
    n = len(x)
    axes = np.full(n, SIGMA), np.full(n, SIGMA), np.zeros(n)
    core = np.full(n, flux * 0.87)
    return kron_apertures(data, x, y, axes, np.full(n, 12.0), np.inf, core, np.full(n, noise))


def test_sums_over_flat_light() -> None:
    data = np.full((60, 60), 2.0, dtype=np.float32)
    place, one = np.array([30.0]), np.array([1.0])
    light, error = ellipse_sums(
        data, np.float32(3.0) * (data > 0), place, place, (4 * one, 2 * one, 0.3 * one), 2 * one
    )
    assert light[0] == pytest.approx(2 * np.pi * 8 * 4, rel=0.01)
    assert error[0] == pytest.approx(3 * np.sqrt(np.pi * 8 * 4), rel=0.02)
    light, error = circle_sums(data, data * 0, place, place, 5 * one, gain=4.0)
    assert light[0] == pytest.approx(2 * np.pi * 25, rel=1e-6)
    assert error[0] == pytest.approx(np.sqrt(2 * np.pi * 25 / 4), rel=0.01)


def test_half_light_radius_of_flat_disk() -> None:
    y, x = np.mgrid[:80, :80] - 40
    data = (np.hypot(x, y) < 20).astype(np.float32)
    place = np.array([40.0, 40.0])
    light = np.array([data.sum(), -1.0])
    radius = half_light_radius(data, place, place, np.full(2, 30.0), light)
    assert radius[0] == pytest.approx(20 / np.sqrt(2), rel=0.01)
    assert np.isnan(radius[1])


def test_half_of_the_light_is_found_far_out_in_the_aperture_too() -> None:
    y, x = np.mgrid[:101, :101]
    disk = (np.hypot(x - 50.0, y - 50.0) < 20).astype(np.float32)
    centre, light = np.full(3, 50.0), np.full(3, disk.sum())
    radius = half_light_radius(disk, centre, centre, np.array([16.0, 21.0, 24.0]), light)
    np.testing.assert_allclose(radius, 20 / np.sqrt(2), rtol=0.01)
    # where no circle holds half of what is said to be the light, its size is not known
    assert np.isnan(half_light_radius(disk, centre, centre, np.full(3, 24.0), 2.1 * light)).all()


def test_kron_radius_of_bright_stars_leads_to_their_profile(rng: np.random.Generator) -> None:
    x, y = lattice(5, 50, rng)
    for beta in (2.7, 3.5):
        data = field_of((250, 250), x, y, 1e6, fwhm=Moffat(beta).fwhm * SIGMA, beta=beta).astype(np.float32)
        found = _kron(data, x, y, 1e6)
        assert np.median(found.beta) == pytest.approx(beta, rel=0.08)
        share, error = enclosed_share(found)
        light, _ = ellipse_sums(data, data * 0 + 1, x, y, (x * 0 + SIGMA, x * 0 + SIGMA, x * 0), found.radius)
        np.testing.assert_allclose(light / share, 1e6, rtol=0.02)
        assert np.all(error < 0.01)


def test_apertures_of_faint_stars_stay_steady(rng: np.random.Generator) -> None:
    x, y = lattice(12, 40, rng)
    data = field_of((480, 480), x, y, 60.0) + rng.normal(size=(480, 480))
    found = _kron(data.astype(np.float32), x, y, 60.0)
    assert np.std(found.radius) < 0.15 * np.median(found.radius)
    assert found.radius.min() >= 3.5
    assert found.radius.max() < 8.0
    share, _ = enclosed_share(found)
    assert np.all((share >= 0.8) & (share < 1.0))


def test_sources_without_light_get_the_usual_aperture() -> None:
    data = np.full((40, 40), -1.0, dtype=np.float32)
    place = np.array([20.0])
    found = _kron(data, place, place, -5.0)
    assert found.radius[0] == pytest.approx(2.5 * 1.53)
    assert np.isfinite(enclosed_share(found)[1]).all()


def test_apertures_keep_to_the_room() -> None:
    data = np.full((40, 40), 1.0, dtype=np.float32)
    one = np.array([1.0])
    found = kron_apertures(data, 20 * one, 20 * one, (4 * one, 4 * one, 0 * one), 40 * one, 9.0, 500 * one, one)
    assert found.radius[0] * 4 <= 9.0


@pytest.mark.parametrize(
    "residual", [0.5, -0.5, "neighbour"], ids=["sky that is left", "sky taken twice", "a neighbour's light"]
)
def test_apertures_end_where_the_light_no_longer_fades(rng: np.random.Generator, residual: float | str) -> None:
    # an early type far from all others: the moment is summed over most of the stamp
    rows, columns = np.indices((301, 301)) - 150.0
    distance = np.hypot(rows, columns)
    galaxy = np.exp(-7.67 * ((distance**2 + 4) ** 0.5 / 9) ** 0.25)
    galaxy *= 300 / galaxy.max()
    data = galaxy + rng.normal(size=galaxy.shape)
    if residual == "neighbour":
        more = 40 * np.exp(-0.5 * (np.hypot(rows - 60, columns - 80) / 25) ** 2)
    else:
        more = np.where(distance > 60, residual, 0.0)
    place, one = np.array([150.0]), np.array([1.0])
    axes = 4 * one, 4 * one, 0 * one
    core = 2 * np.sum(galaxy * np.exp(-(distance**2) / 32)) * one
    clean, disturbed = (
        kron_apertures(part.astype(np.float32), place, place, axes, 140 * one, 140.0, core, one)
        for part in (data, data + more)
    )
    # alone, it is followed as far as it shines
    assert clean.kron > 1.15 * clean.inner
    assert 2.5 * disturbed.inner < disturbed.radius < 1.02 * clean.radius
    assert disturbed.inner == pytest.approx(clean.inner, rel=0.05)


def test_share_error_follows_the_noise_of_the_radius() -> None:
    kron = np.array([1.5, 1.5])
    apertures = KronApertures(np.full(2, 3.75), kron, np.array([0.0, 0.1]), kron, np.array([0.0, 0.1]))
    _, error = enclosed_share(apertures)
    assert error[0] < 0.005
    assert 0.01 < error[1] < 0.06
    np.testing.assert_array_equal(apertures.beta, exponent(kron))


@pytest.mark.parametrize(("flux", "gain", "seeing"), [(1500.0, None, 1.6), (3000.0, None, 2.4), (3e4, 0.1, 1.6)])
def test_error_of_the_kron_radius_is_what_noise_does(
    rng: np.random.Generator, flux: float, gain: float | None, seeing: float
) -> None:
    x, y = lattice(16, 40, rng)
    clean = field_of((640, 640), x, y, flux, fwhm=Moffat(3.0).fwhm * seeing, beta=3.0)
    noise = np.sqrt(1.0 + (0.0 if gain is None else clean / gain))
    data = (clean + noise * rng.normal(size=clean.shape)).astype(np.float32)
    one = np.ones(len(x))
    given = (seeing * one, seeing * one, 0 * one), 12.0 * one, np.inf, 0.87 * flux * one, one
    found = kron_apertures(data, x, y, *given, gain=gain)
    quiet = kron_apertures(clean.astype(np.float32), x, y, *given, gain=gain)
    assert np.std(found.inner - quiet.inner) == pytest.approx(np.median(found.inner_err), rel=0.3)


def test_a_radius_that_noise_does_not_explain_stands() -> None:
    y, x = np.mgrid[:200, :200] - 100
    data = (1e6 * np.exp(-np.hypot(x, y) / 4.0)).astype(np.float32)
    one = np.ones(1)
    given = data, 100 * one, 100 * one, (3 * one, 3 * one, 0 * one), 12 * one, np.inf
    radius = np.hypot(x, y)
    inside = radius < 18
    truth = np.sum((data * radius)[inside]) / np.sum(data[inside]) / 3
    loud = kron_apertures(*given, 5e7 * one, 1e3 * one)
    assert loud.inner[0] == pytest.approx(truth, rel=0.02)
    hidden = kron_apertures(*given, 5e7 * one, 1e7 * one)
    assert hidden.inner[0] == pytest.approx(1.53, rel=0.02)


def test_share_error_is_the_scatter_of_the_light(rng: np.random.Generator) -> None:
    kron, noise, factor = 1.5, 0.03, 2.5
    apertures = KronApertures(*np.array([[factor * kron], [kron], [noise], [kron], [noise]]))
    quiet = KronApertures(*np.array([[factor * kron], [kron], [0.0], [kron], [0.0]]))
    error = np.sqrt(enclosed_share(apertures)[1][0] ** 2 - enclosed_share(quiet)[1][0] ** 2)
    profile = Moffat(exponent(kron))
    scattered = kron + noise * rng.normal(size=(2, 20000))
    inner, outer = scattered
    drawn = KronApertures(factor * outer, outer, 0 * outer, inner, 0 * inner)
    light = np.log(profile.enclosed(factor * outer) / enclosed_share(drawn)[0])
    assert error == pytest.approx(np.std(light), rel=0.15)


def test_magnitudes() -> None:
    assert nanojansky(22.5) == pytest.approx(3630.78, rel=1e-5)
    flux = np.array([3630.78e9, 1.0, 0.0, -5.0, np.nan])
    magnitude, error = ab_magnitude(flux, np.full(5, 0.01))
    assert magnitude[0] == pytest.approx(0.0, abs=1e-5)
    assert magnitude[1] == pytest.approx(31.4)
    assert error[1] == pytest.approx(0.010857, rel=1e-3)
    assert np.isnan(magnitude[2:]).all()
    assert np.isnan(error[2:]).all()


def test_limits_have_the_unit_that_fluxes_are_given_in() -> None:
    plain = magnitude_limits([1000.0, -5.0], [100.0, 20.0])
    given = magnitude_limits([1.0, -5e-3] * u.uJy, [100.0, 20.0] * u.nJy)
    np.testing.assert_allclose(given, plain)
