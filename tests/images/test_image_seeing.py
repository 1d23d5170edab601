"""Tests of astrogalaxy.images.seeing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from astrogalaxy.images import Band, Image, Mesh
from astrogalaxy.images import band as band_module
from astrogalaxy.images.seeing import ABOUT, HALF_LIGHT, SURE, choose_stars
from astrogalaxy.images.stars import half_light_radius

SHAPE = (260, 300)


def _field(n: int, *, fwhm: float, wider: int = 0, sharp: int = 0) -> Image:
    """Stars of one size, galaxies of larger ones, and cosmic rays."""
    rng = np.random.default_rng(1)
    rows, columns = np.indices(SHAPE)
    sky = rng.normal(0, 1, SHAPE)
    widths = [fwhm] * n + list(fwhm * np.linspace(1.2, 3, wider))
    for (x, y), width in zip(rng.uniform(20, 240, (n + wider, 2)), widths, strict=True):
        sky += 500 * np.exp(-4 * np.log(2) * ((columns - x) ** 2 + (rows - y) ** 2) / width**2)
    sky[rng.integers(20, 240, sharp), rng.integers(20, 280, sharp)] += 5000
    return Image.read(sky.astype(np.float32))


@pytest.mark.parametrize("fwhm", [2.5, 3.5, 5.0])
def test_the_seeing_is_measured(fwhm: float) -> None:
    assert _field(30, fwhm=fwhm).bands["image"].seeing == pytest.approx(fwhm, rel=0.07)


def test_galaxies_and_cosmic_rays_are_not_stars() -> None:
    assert _field(9, fwhm=4.0, wider=20, sharp=15).bands["image"].seeing == pytest.approx(4.0, rel=0.07)


def test_the_clearest_stars_tell() -> None:
    rng = np.random.default_rng(2)
    rows, columns = np.indices((25, 25)) - 12
    sky = rng.normal(0, 1, (800, 1000))
    # in a crowded field faint stars look narrower than they are
    for number in range(32 * 40):
        y, x = 25 * (number // 40), 25 * (number % 40)
        peak, fwhm = (500, 4.0) if number % 4 == 0 else (50, 3.3)
        sky[y : y + 25, x : x + 25] += peak * np.exp(-4 * np.log(2) * (columns**2 + rows**2) / fwhm**2)
    band = Image.read(sky.astype(np.float32)).bands["image"]
    assert band.seeing == pytest.approx(4.0, rel=0.03)
    assert len(band.stars) == 300


@pytest.mark.parametrize("wider", [0, 10])
def test_three_stars_tell(wider: int) -> None:
    assert _field(3, fwhm=4.0, wider=wider).bands["image"].seeing == pytest.approx(4.0, rel=0.07)


@pytest.mark.parametrize("sigma", [0.62, 0.63, 0.64])
def test_one_star_as_narrow_as_any_may_be(sigma: float) -> None:
    rows, columns = np.indices((60, 70))
    star = 400 * np.exp(-((columns - 40) ** 2 + (rows - 30) ** 2) / (2 * sigma**2))
    sky = np.random.default_rng(0).normal(0, 1, star.shape) + star
    assert not Image.read(sky.astype(np.float32)).bands["image"].seeing > 2


def test_stars_are_chosen_and_galaxies_are_not() -> None:
    crowd, alone = _field(9, fwhm=4.0, wider=20).bands["image"], _field(9, fwhm=4.0).bands["image"]
    assert 4 <= len(crowd.stars) <= 9
    distances = np.hypot(*(crowd.stars[:, None] - alone.stars).T)
    assert (distances.min(axis=0) < 0.5).all()


@pytest.mark.parametrize("seed", range(4))
def test_few_stars_among_many_galaxies_are_chosen(seed: int) -> None:
    """Away from the Galactic plane a tenth of the bright sources of a deep coadd are stars, and all of these alike."""
    rng = np.random.default_rng(seed)
    snr = np.concatenate([np.geomspace(25, 400, 14), np.geomspace(12, 400, 120)])
    excess = np.concatenate([np.zeros(14), rng.gamma(3, 0.16, 120)])
    radii = 2.0 * np.exp(excess + rng.normal(0, np.hypot(0.02, 2.5 / snr)))
    radius, chosen, _ = choose_stars(radii, snr, rng.uniform(0, 1500, (134, 2)), fwhm=None)
    assert radius == pytest.approx(2.0, rel=0.05)
    assert chosen[:14].sum() >= 7
    assert chosen[14:].sum() <= 1


def test_stars_that_widen_over_the_image_are_stars() -> None:
    rng = np.random.default_rng(3)
    rows, columns = np.indices((600, 600))
    sky = rng.normal(0, 1, (600, 600))
    x, y = (part.ravel() + rng.uniform(-8, 8, 196) for part in np.meshgrid(*[np.arange(30, 590, 40)] * 2))
    galaxy = np.arange(196) % 3 == 0
    fwhm = (3.4 + 1.6 * y / 600) * np.where(galaxy, rng.uniform(1.3, 2.5, 196), 1.0)
    for at_x, at_y, width in zip(x, y, fwhm, strict=True):
        part = slice(max(int(at_y) - 20, 0), int(at_y) + 20), slice(max(int(at_x) - 20, 0), int(at_x) + 20)
        square = (columns[part] - at_x) ** 2 + (rows[part] - at_y) ** 2
        sky[part] += 500 * np.exp(-4 * np.log(2) * square / width**2)
    band = Image.read(sky.astype(np.float32)).bands["image"]
    assert band.seeing == pytest.approx(4.2, rel=0.05)
    found = np.hypot(x[:, None] - band.stars[:, 0], y[:, None] - band.stars[:, 1]).min(axis=1) < 1
    for part in (y < 200, y > 400):
        assert found[part & ~galaxy].mean() > 0.9
    assert found[galaxy].mean() < 0.1


@pytest.mark.parametrize(("n", "wider"), [(0, 0), (1, 0), (0, 3)])
def test_what_may_be_anything_gives_no_seeing(n: int, wider: int) -> None:
    band = _field(n, fwhm=3.0, wider=wider).bands["image"]
    assert np.isnan(band.seeing)
    assert len(band.stars) == 0


def _known(image: Image, fwhm: float) -> Band:
    return Band(replace(image.bands["image"].exposure, fwhm=fwhm))


def test_galaxies_are_no_stars_where_the_seeing_is_known() -> None:
    # there is none, and the narrowest galaxies are alike
    field = partial(_field, 12, fwhm=6.8, wider=10)
    assert field().bands["image"].seeing == pytest.approx(6.8, rel=0.07)
    band = _known(field(), 4.0)
    assert band.seeing == pytest.approx(4.8, rel=0.01)
    assert len(band.stars) == 0


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.05])
def test_stars_tell_the_seeing_better_than_what_is_known_of_it(factor: float) -> None:
    band = _known(_field(12, fwhm=4.0, wider=20), factor * 4.0)
    assert band.seeing == pytest.approx(4.0, rel=0.07)
    assert len(band.stars) >= 6


def test_compact_galaxies_do_not_widen_stars_whose_point_spread_is_known() -> None:
    radii = np.log(2.0) + np.concatenate([np.linspace(0.02, 0.12, 20), np.linspace(0.2, 1.0, 20)])
    sources = np.exp(radii), np.full(40, 60.0), np.random.default_rng(1).uniform(0, 500, (40, 2))
    by_fwhm, by_point_spread = (
        choose_stars(*sources, fwhm=4.0 / HALF_LIGHT, error=error)[0] for error in (ABOUT, SURE)
    )
    assert by_fwhm > 1.03 * 2.0
    assert by_point_spread == pytest.approx(2.0, rel=0.02)


def test_a_seeing_that_many_stars_deny_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    many, few = (_known(_field(n, fwhm=4.0, wider=10), 1.6) for n in (50, 15))
    assert many.seeing == pytest.approx(4.0, rel=0.07)
    assert len(many.stars) >= 30
    assert "seeing is 1.6 pixels by what is given, but" in caplog.text
    caplog.clear()
    assert few.seeing == pytest.approx(1.6 * 1.2)
    assert len(few.stars) == 0
    # fewer may be galaxies that are alike, and the user is told
    assert "no source is a star by the seeing of 1.6 pixels that is given" in caplog.text
    assert "of about 3.4 are stars rather than compact galaxies" in caplog.text


def test_seeing_is_in_arcsec_where_there_is_a_wcs() -> None:
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4, "FWHM": 0.9})
    sky = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    image = Image.read({"g": (sky, header), "r": (sky, header)}, seeing={"g": 1.08, "r": "FWHM"})
    assert image.bands["g"].fwhm == pytest.approx(3.0)
    assert image.bands["r"].fwhm == pytest.approx(2.5)
    assert Image.read((sky, header), seeing=0.018 * u.arcmin).bands["image"].fwhm == pytest.approx(3.0)
    assert Image.read(sky, seeing=3.0).bands["image"].fwhm == 3.0
    assert image.bands["g"].altered(lambda _, pixels: pixels).fwhm == pytest.approx(3.0)


def test_a_large_band_is_sampled_on_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _field(40, fwhm=4.0).bands["image"]
    monkeypatch.setattr(band_module, "_SQUARE", 60)
    sampled = _field(40, fwhm=4.0).bands["image"]
    squares = list(sampled._squares())
    assert len(squares) == 9
    assert squares[0].shape == (60, 60)
    assert (squares[-1].x1, squares[-1].y1) == (300, 260)
    assert sampled.seeing == pytest.approx(whole.seeing, rel=0.05)
    counted = lambda parts, **_: (sum(part.data.size for part in parts), np.zeros((0, 2)), (0, np.nan))  # noqa: E731
    monkeypatch.setattr(band_module, "find_stars", counted)
    assert _field(1, fwhm=4.0).bands["image"].seeing == 9 * 60 * 60


def test_the_seeing_can_be_restored() -> None:
    band = Image.read(np.zeros(SHAPE, np.float32)).bands["image"]
    band.mesh = Mesh.from_arrays(_field(0, fwhm=3).bands["image"].mesh.to_arrays())
    band.seeing = 3.25
    assert band.seeing == 3.25


def test_the_radius_does_not_know_the_brightness() -> None:
    rows, columns = np.indices((61, 61))
    # a Moffat star with a wide halo
    light = (1 + ((rows - 30) ** 2 + (columns - 30) ** 2) / 6.0) ** -2.5
    radii = [half_light_radius((s * light).astype(np.float32), *np.array([[30.0], [30.0], [2.0]])) for s in (1, 1e4)]
    assert radii[0] == pytest.approx(radii[1], rel=1e-4)
    inside = np.hypot(rows - 30, columns - 30) < radii[0]
    within = np.hypot(rows - 30, columns - 30) < 4 * radii[0]
    assert light[inside].sum() / light[within].sum() == pytest.approx(0.5, abs=0.05)
