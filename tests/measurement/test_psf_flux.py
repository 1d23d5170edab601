"""PSF fluxes: the light of a point at a given place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_skies import KnownBand, KnownImage, field_of, lattice, make_wcs
from scipy.special import ndtr

from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images import GivenPsf
from astrogalaxy.measurement import Sources, measure
from astrogalaxy.measurement.psf import DEGREE, Psf, hermite_functions, hermite_width, moffat, sampled_degree

PSF = Psf((3.3, 3.0, 0.05, 0.0), np.zeros((1, DEGREE + 1, DEGREE + 1)), (100, 100), 9, 1e4, 0.0)


def _points(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = rng.uniform(20, 80, (2, n))
    return x, y, PSF.models(x, y)[0]


@pytest.mark.parametrize("light", [-20.0, 0.0, 8.0, 500.0])
def test_the_light_of_points_has_the_error_that_it_is_given(light: float) -> None:
    rng = np.random.default_rng(3)
    x, y, points = _points(1500, rng)
    pixels = light * points + rng.normal(size=points.shape).astype(np.float32)
    found = PSF.fit(pixels, np.ones_like(pixels), x, y)
    pull = (found.point - light) / found.point_err
    assert abs(pull.mean()) < 0.1, "negative light stays so"
    assert pull.std() == pytest.approx(1.0, abs=0.06)
    # the least error that any estimate without bias can have
    np.testing.assert_allclose(found.point_err, 1 / np.sqrt(np.sum(points**2, axis=(1, 2))), rtol=0.01)


def test_photons_are_in_the_error_and_not_in_the_weights() -> None:
    rng = np.random.default_rng(3)
    x, y, points = _points(1500, rng)
    light, gain = 3000.0, 2.0
    noise = np.ones_like(points)
    pixels = light * points + rng.normal(size=points.shape) * np.sqrt(1 + light * points / gain)
    found = PSF.fit(pixels.astype(np.float32), noise, x, y, gain=gain)
    assert np.std((found.point - light) / found.point_err) == pytest.approx(1.0, abs=0.06)
    # another shape than that of the model costs bright and faint sources the same share
    wider = points + np.float32(0.3) * PSF.models(x, y)[1]
    shares = [PSF.fit(part * wider, noise, x, y, gain=gain).point / part for part in (1.0, 1e5)]
    np.testing.assert_allclose(*shares, rtol=1e-4)


def test_a_level_of_the_sky_adds_its_area() -> None:
    x, y, points = _points(20, np.random.default_rng(3))
    noise = np.ones_like(points)
    level, usual = PSF.fit(100 * points + np.float32(0.5), noise, x, y), PSF.fit(100 * points, noise, x, y)
    np.testing.assert_allclose(level.point - usual.point, 0.5 * usual.point_area, rtol=1e-3)


def test_where_half_of_the_light_has_no_data_nothing_is_known() -> None:
    x, y, points = np.array([50.0, 50.0]), np.array([50.0, 50.0]), PSF.models(*np.full((2, 2), 50.0))[0]
    noise = np.ones_like(points)
    noise[0, :, : points.shape[2] // 2 + 1] = np.inf
    noise[1, :, : points.shape[2] // 2 - 2] = np.inf
    found = PSF.fit(700 * points, noise, x, y)
    assert np.isnan([found.point[0], found.point_err[0]]).all()
    assert found.point[1] == pytest.approx(700.0, rel=1e-3)
    whole = PSF.fit(700 * points, np.ones_like(points), x, y)
    assert found.point_err[1] > whole.point_err[1]


def test_misplaced_light_of_neighbours_adds_to_the_error_as_it_would_to_the_light() -> None:
    x, y, points = _points(20, np.random.default_rng(3))
    noise, wrong = np.ones_like(points), 30 * points
    found, usual = (PSF.fit(100 * points, noise, x, y, misplaced=part) for part in (wrong, None))
    np.testing.assert_allclose(found.point, usual.point)
    np.testing.assert_allclose(found.point_err, np.hypot(usual.point_err, 30.0), rtol=1e-3)


def _table(data: np.ndarray, stars: np.ndarray, sources: Sources) -> dict[str, np.ndarray]:
    band = KnownBand("r", data, wcs=make_wcs(data.shape), stars=stars, seeing=3.3)
    return measure(KnownImage({"r": band}), sources)


def test_neighbours_are_taken_out(rng: np.random.Generator) -> None:
    x, y = lattice(9, 50, rng)
    beside = np.arange(len(x)) % 2 == 1
    turn = rng.uniform(0, 2 * np.pi, beside.sum())
    places = [np.r_[part, part[beside] + 6.5 * step] for part, step in ((x, np.cos(turn)), (y, np.sin(turn)))]
    light = np.r_[np.full(len(x), 2000.0), np.full(beside.sum(), 4000.0)]
    data = field_of((450, 450), *places, light) + rng.normal(size=(450, 450))
    table = _table(data, np.column_stack([x, y])[~beside], Sources.around(*places, side=12))
    flux, error = (table[name][: len(x)] for name in ("flux_psf_r", "flux_psf_r_err"))
    assert np.median(flux[~beside]) == pytest.approx(2000.0, rel=0.02)
    assert np.median(flux[beside]) / np.median(flux[~beside]) == pytest.approx(1.0, abs=0.02)
    assert np.median(error[beside]) > 1.2 * np.median(error[~beside])


def test_places_without_a_source_have_the_light_that_is_there(rng: np.random.Generator) -> None:
    x, y = lattice(9, 50, rng)
    data = field_of((450, 450), x, y, 2000.0) + 0.3 + rng.normal(size=(450, 450))
    empty = (x < 400) & (y < 400)
    places = np.r_[x[empty] + 25, x], np.r_[y[empty] + 25, y]
    table = _table(data, np.column_stack([x, y]), replace(Sources.around(*places, side=10), held=True))
    pull = (table["flux_psf_r"] / table["flux_psf_r_err"])[: empty.sum()]
    assert abs(np.mean(pull)) < 0.4, "the sky that was left is taken out"
    assert 0.8 < np.std(pull) < 1.25


def _narrow(fwhm: float, *distances: np.ndarray) -> np.ndarray:
    """Stars of light 1, integrated over the pixels, with a core of this FWHM on the pixels, and wings."""
    parts = [(0.8, np.sqrt((fwhm / FWHM_PER_SIGMA) ** 2 - 1 / 12)), (0.2, 1.5)]
    dx, dy = ([ndtr((part + 0.5) / sigma) - ndtr((part - 0.5) / sigma) for _, sigma in parts] for part in distances)
    return sum(share * down.T @ along for (share, _), along, down in zip(parts, dx, dy, strict=True))


@pytest.mark.parametrize(("fwhm", "given"), [(1.3, False), (1.5, False), (1.5, True), (1.8, False), (1.8, True)])
def test_stars_narrower_than_two_pixels_have_their_light(fwhm: float, given: bool) -> None:
    rng = np.random.default_rng(5)
    x, y = (part + rng.uniform(-0.5, 0.5, part.shape) for part in lattice(12, 36, rng))
    bright = np.arange(len(x)) % 2 == 0
    light = np.where(bright, 1e4, 250.0)
    data = rng.normal(size=(432, 432))
    for x0, y0, flux in zip(x, y, light, strict=True):
        data += flux * _narrow(fwhm, *(np.arange(432)[None, :] - part for part in (x0, y0)))
    band = KnownBand("r", data, wcs=make_wcs(data.shape), stars=np.column_stack([x, y])[bright], seeing=1.1 * fwhm)
    if given:
        at = 0.25 * np.arange(-40, 41)[None, :]
        band.given_psf = GivenPsf(_narrow(fwhm, at, at)[None], np.array([[216.0, 216.0]]), 0.25, "two Gaussians")
    # in narrower stars the centroid is wrong by so much that it costs light
    sources = replace(Sources.around(x, y, side=12), held=fwhm < 1.8)
    table = measure(KnownImage({"r": band}), sources)
    factor = np.median(light[bright] / table["flux_psf_r"][bright])
    assert factor == pytest.approx(1.0, abs=0.1)
    flux, error = factor * table["flux_psf_r"], factor * table["flux_psf_r_err"]
    ratio = (flux / light)[bright]
    assert np.std(ratio) < 0.012
    np.testing.assert_allclose(ratio, 1.0, atol=0.025)
    pull = ((flux - light) / error)[~bright]
    assert abs(np.mean(pull)) < 0.4
    assert np.std(pull) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("fwhm", [1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0])
def test_pixels_tell_apart_the_functions_that_are_fitted(fwhm: float, rng: np.random.Generator) -> None:
    profile = (fwhm, 3.0, 0.0, 0.0)
    width, at = hermite_width(profile), np.arange(-6, 7)

    def least(degree: int) -> float:
        """Smallest eigenvalue of the normal equations of a star, whose diagonal is 1."""
        found = []
        for x, y in rng.uniform(-0.5, 0.5, (50, 2)):
            dx, dy = (at - x)[None, :], (at - y)[:, None]
            along, down = (hermite_functions(part.ravel(), width) for part in (dx, dy))
            products = [np.outer(down[n - m], along[m]) for n in range(1, degree + 1) for m in range(n + 1)]
            base = moffat(profile, dx, dy)
            noise = np.hypot(0.003 * base.max(), 0.01 * base)
            columns = np.stack([(part / noise).ravel() for part in (base, *products)])
            columns /= np.linalg.norm(columns, axis=1, keepdims=True)
            found.append(np.linalg.eigvalsh(columns @ columns.T)[0])
        return float(np.median(found))

    degree = sampled_degree(width)
    assert least(degree) > 0.1
    assert least(degree + 2) < 0.03


def test_pixels_of_wider_stars_tell_all_functions() -> None:
    assert [sampled_degree(hermite_width((fwhm, 3.0, 0.0, 0.0))) for fwhm in (2.3, 2.6, 5.0)] == [DEGREE] * 3
