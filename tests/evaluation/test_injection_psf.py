"""The point spread of a field's own stars."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrogalaxy.catalog import SourceCatalog, flag_bits
from astrogalaxy.errors import ImageError
from astrogalaxy.evaluation.injection.psf import PointSpread, choose_stars, measure_point_spreads
from astrogalaxy.images import Image
from astrogalaxy.simulation import Scene


def test_the_profile_of_the_stars_comes_back(starry: Scene, starry_image: Image, starry_catalog: SourceCatalog) -> None:
    spreads = measure_point_spreads(starry_image, starry_catalog)
    scale = starry_image.pixel_scale
    for band, spread in spreads.items():
        assert spread.n_stars >= 5
        assert spread.fwhm * scale == pytest.approx(starry.conditions.seeing[band], rel=0.03)
        assert spread.shear == pytest.approx((0.04, -0.03), abs=0.015)
    assert np.mean([s.beta for s in spreads.values()]) == pytest.approx(3.2, rel=0.15)


@pytest.mark.parametrize("fwhm", [2.1, 2.5, 3.0])
def test_the_width_of_narrow_stars_does_not_hang_on_their_places_in_a_pixel(fwhm: float, starry_image: Image) -> None:
    rng, n, spread = np.random.default_rng(1), 49, PointSpread(fwhm, 3.2, (0.02, 0.01), 9)
    frame, (rows, columns) = rng.normal(0, 1, (280, 280)), np.indices((41, 41))
    x0, y0 = (40 * axis.ravel() for axis in np.indices((7, 7)))
    x, y = (start + 20 + rng.uniform(-0.5, 0.5, n) for start in (x0, y0))
    for i in range(n):
        here = np.s_[y0[i] : y0[i] + 41, x0[i] : x0[i] + 41]
        light = 3e4 * spread.star(columns + x0[i] - x[i], rows + y0[i] - y[i])
        frame[here] += light[: frame[here].shape[0], : frame[here].shape[1]]
    image = Image.read({"r": (frame.astype(np.float32), starry_image.wcs)})
    catalog = Table({"x": x, "y": y, "half_light_radius": np.ones(n), "snr": np.full(n, 900.0), "p_star": np.ones(n)})
    catalog["flags"] = np.zeros(n, int)
    found = measure_point_spreads(image, catalog)["r"]
    assert found.n_stars >= 30
    assert found.fwhm == pytest.approx(fwhm, rel=0.01)


def test_a_star_holds_its_light_and_ends_in_the_noise() -> None:
    spread = PointSpread(3.0, 3.0, (0.1, 0.05), 9)
    y, x = np.indices((201, 201)) - 100.0
    light = spread.star(x - 0.3, y + 0.2)
    assert light.sum() == pytest.approx(1.0, abs=0.002)
    assert (light * x).sum() == pytest.approx(0.3, abs=0.01)
    radius = PointSpread(3.0, 3.0, (0.0, 0.0), 9).radius(1e-5)
    ring = PointSpread(3.0, 3.0, (0.0, 0.0), 9).star(np.array([radius]), np.array([0.0]))
    assert ring[0] == pytest.approx(1e-5, rel=0.05)
    assert spread.radius(10.0) == 0.0


def test_stars_are_bright_alone_and_of_one_width(starry_catalog: SourceCatalog) -> None:
    catalog = starry_catalog.copy()
    good = choose_stars(catalog)
    assert len(good) >= 8
    assert (np.asarray(catalog["snr"])[good] >= 25).all()
    catalog["flags"][good[0]] = flag_bits("saturated")
    catalog["half_light_radius"][good[1]] *= 1.3
    catalog["p_star"][good[2]] = 0.4
    catalog["snr"][good[3]] = 10
    assert set(choose_stars(catalog)) <= set(good[4:])


def test_few_stars_give_a_guess_and_none_an_error(starry_image: Image, starry_catalog: SourceCatalog) -> None:
    none = starry_catalog.copy()
    none["p_star"][:] = 0.1
    spreads = measure_point_spreads(starry_image, none)
    assert all(spread.n_stars == 0 for spread in spreads.values())
    assert spreads["r"].fwhm * starry_image.pixel_scale == pytest.approx(1.2, rel=0.15)
    told = measure_point_spreads(starry_image, none, seeing=0.9)
    assert told["g"].fwhm * starry_image.pixel_scale == pytest.approx(0.9, rel=1e-3)
    noise = np.random.default_rng(0).normal(0, 1, (80, 90))
    empty = Image.read({"r": (noise, starry_image.wcs)}, name="nothing")
    with pytest.raises(ImageError, match="nothing: too few stars to measure the seeing"):
        measure_point_spreads(empty, none[:0])


def test_a_point_spread_that_is_given_is_that_of_the_sources(
    starry_image: Image, starry_catalog: SourceCatalog
) -> None:
    true = PointSpread(3.4, 2.8, (0.05, -0.08), 0)
    dy, dx = np.indices((61, 61)) - 30.0
    given = Image.read({"r": (np.zeros((200, 220), np.float32), starry_image.wcs)}, psf=true.star(dx, dy))
    found = measure_point_spreads(given, starry_catalog[:0])["r"]
    assert found.given
    assert found.n_stars == 0
    assert found.fwhm == pytest.approx(true.fwhm, rel=0.01)
    assert found.beta == pytest.approx(true.beta, rel=0.03)
    assert found.shear == pytest.approx(true.shear, abs=0.003)
