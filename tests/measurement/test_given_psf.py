"""Point spreads that are given: what is measured with them, where there are stars and where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from scipy.ndimage import gaussian_filter

import astrogalaxy as ag
from astrogalaxy.images import GivenPsf, Image, read_psf
from astrogalaxy.measurement import (
    FieldQuality,
    Sources,
    calibrate_field,
    field_conditions,
    given_quality,
    measure,
    restore_conditions,
)
from astrogalaxy.measurement.fieldwide import Correction
from astrogalaxy.measurement.psf import moffat
from astrogalaxy.measurement.psfstars import convert_psf, field_psfs
from astrogalaxy.measurement.stargalaxy import class_evidence
from astrogalaxy.measurement.starlight import field_starlight

SIZE = 300
FWHM, BETA, SHAPE = 3.4, 3.0, (0.06, -0.03)


def star(x: float, y: float, size: int, *, fwhm: float = FWHM) -> np.ndarray:
    """A star of light 1."""
    return moffat((fwhm, BETA, *SHAPE), np.arange(size) - x, np.arange(size)[:, None] - y)


PSF = star(30, 30, 61)


def field(
    light: dict[tuple[float, float], float], *, disk: float = 0.0, noise: float = 1.0, seed: int = 1
) -> np.ndarray:
    """Sources, stars or galaxies, and noise."""
    total = sum((flux * star(x, y, SIZE) for (x, y), flux in light.items()), np.zeros((SIZE, SIZE)))
    total = gaussian_filter(total, disk) if disk else total
    return (total + np.random.default_rng(seed).normal(0, noise, total.shape)).astype(np.float32)


PLACES = [(x + 0.3 * y / 40, y - 0.2 * x / 40) for x in range(30, 280, 40) for y in range(30, 280, 40)]


# -- the point spread ------------------------------------------------------------------------------


@pytest.mark.parametrize("fwhm", [1.5, 2.0, 3.4, 7.0])
@pytest.mark.parametrize("step", [1.0, 0.5, 0.25])
def test_what_is_given_becomes_the_point_spread(fwhm: float, step: float) -> None:
    side = 2 * int(10 * fwhm / step) + 1
    image = star(side // 2, side // 2, side, fwhm=fwhm / step)
    psf = convert_psf(GivenPsf(image[None], np.array([[150.0, 150.0]]), step, "Moffat"), (SIZE, SIZE))
    assert psf.known
    assert psf.order == 0
    assert psf.profile == pytest.approx((fwhm, BETA, *SHAPE), abs=0.1)
    assert psf.floor < 0.02
    for x, y in ((60.3, 80.0), (200.5, 99.9)):
        stamp = psf.models(np.array([x]), np.array([y]))[0, 0]
        nearest = np.floor([x + 0.5, y + 0.5])
        true = star(psf.half + x - nearest[0], psf.half + y - nearest[1], 2 * psf.half + 1, fwhm=fwhm)
        np.testing.assert_allclose(stamp, true, atol=0.02 * true.max())


def test_it_varies_as_the_images_do() -> None:
    places = np.stack(np.meshgrid(*[np.linspace(10, 290, 3)] * 2), axis=-1).reshape(-1, 2)
    images = np.stack([star(30, 30, 61, fwhm=FWHM * (1 + 0.1 * (x / 150 - 1))) for x, _ in places])
    psf = convert_psf(GivenPsf(images, places, 1.0, "varying"), (SIZE, SIZE))
    assert psf.order == 2
    for x in (50.2, 260.7):
        stamp = psf.models(np.array([x]), np.array([99.6]))[0, 0]
        middle = psf.half + np.array([x, 99.6]) - np.floor([x + 0.5, 100.1])
        true = star(*middle, 2 * psf.half + 1, fwhm=FWHM * (1 + 0.1 * (x / 150 - 1)))
        ratio = np.sum(stamp * true) / np.sum(true**2)
        np.testing.assert_allclose(stamp / ratio, true, atol=0.02 * true.max())


def test_it_is_taken_where_it_is_given_and_stars_show_it_where_not() -> None:
    sky = field(dict.fromkeys(PLACES, 3000.0))
    psfs = field_psfs(Image.read({"g": sky, "r": sky}, psf={"g": PSF}))
    assert psfs["g"].bright == np.inf
    assert psfs["r"].n_stars > 30
    assert np.isfinite(psfs["r"].bright)
    assert psfs["g"].profile == pytest.approx(psfs["r"].profile, abs=0.2)


# -- fields without stars --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def galaxies() -> Image:
    """A field of galaxies alone, of several sizes."""
    disks = [field(dict.fromkeys(PLACES[n::4], 2000.0), disk=1.5 + 0.7 * n, noise=0.5, seed=n) for n in range(4)]
    return Image.read({"r": sum(disks)}, psf=PSF)


def test_a_field_of_galaxies_knows_how_wide_stars_are(galaxies: Image) -> None:
    band = galaxies.bands["r"]
    assert band.seeing == pytest.approx(band.given_psf.seeing, rel=0.01)
    light = field_starlight(galaxies)["r"]
    stars = field_starlight(Image.read({"r": field(dict.fromkeys(PLACES, 20000.0))}))["r"]
    assert light.known
    assert (light.sigma, light.kron) == pytest.approx((stars.sigma, stars.kron), rel=0.02)
    x, y = np.array(PLACES).T
    table = measure(galaxies, Sources.around(x, y, side=14), pixel_scale=1.0)
    assert (table["spread"] > 5 * table["spread_err"]).mean() > 0.9
    assert np.isfinite(table["flux_psf_r"]).all()


def test_points_of_a_difference_image_have_all_their_light() -> None:
    fluxes = [800.0, -500.0, 300.0, 60.0]
    places = [(50.3, 60.8), (120.5, 200.1), (220.9, 80.4), (251.2, 249.7)]
    image = Image.read({"r": field(dict(zip(places, fluxes, strict=True)), noise=0.5)}, psf=PSF)
    wanted = Table(np.array(places), names=["x", "y"])
    catalog = ag.detect(image, positions=wanted)
    pull = (np.asarray(catalog["flux_psf_r"]) - fluxes) / catalog["flux_psf_r_err"]
    assert np.abs(pull).max() < 4
    np.testing.assert_allclose(catalog["flux_psf_r"][:2], fluxes[:2], rtol=0.03)
    np.testing.assert_allclose(catalog["flux_apcor_r"][:2], fluxes[:2], rtol=0.06)
    bare = ag.detect(Image.read({"r": image.bands["r"].pixels().data}), positions=wanted)
    assert np.isnan(bare["flux_psf_r"]).all()


# -- what stars would say --------------------------------------------------------------------------


def test_what_stars_would_say_is_what_stars_say() -> None:
    sky = field(dict.fromkeys(PLACES, 20000.0))
    image = Image.read({"r": sky}, psf=PSF)
    given = given_quality(image)
    catalog = ag.detect(Image.read({"r": sky}))
    found = FieldQuality.from_json(catalog.meta["FIELDQ"].replace("null", "NaN"))
    assert found.stars > 20
    assert given.psf_corrections["r"].factor == pytest.approx(found.psf_corrections["r"].factor, rel=0.02)
    assert given.corrections["r"].factor == pytest.approx(found.corrections["r"].factor, rel=0.02)


def test_what_stars_say_goes_first() -> None:
    given = FieldQuality(0, star_radius=1.0, corrections={b: Correction(1.5, 0.0) for b in "gr"}, psf_corrections={})
    none = {b: Correction() for b in "gr"}
    stars = FieldQuality(9, star_radius=0.9, corrections=none | {"r": Correction(1.4, 0.01, 8)}, psf_corrections=none)
    both = stars.filled(given)
    assert (both.stars, both.star_radius) == (9, 0.9)
    assert both.corrections == {"g": Correction(1.5, 0.0), "r": Correction(1.4, 0.01, 8)}
    assert np.isnan([correction.factor for correction in both.psf_corrections.values()]).all()
    assert FieldQuality(3, corrections=none, psf_corrections=none).filled(given).star_radius == 1.0
    assert FieldQuality.from_json(both.to_json()).to_dict() == both.to_dict()


def test_fluxes_are_corrected_by_what_is_given() -> None:
    columns = {"half_light_radius": [2.0, 0.5], "flux_psf_r": [10.0, 4.0], "flux_psf_r_err": [1.0, 2.0]}
    catalog = ag.SourceCatalog.from_columns({**columns, "p_star": [0.1, 0.2], "snr": [9.0, 9.0]}, bands=["r"])
    calibrate_field(catalog, given=FieldQuality(star_radius=1.2, psf_corrections={"r": Correction(1.5, 0.0)}))
    np.testing.assert_allclose(catalog["flux_psf_r"], [15, 6])
    np.testing.assert_allclose(catalog["flux_psf_r_err"], [1.5, 3])
    np.testing.assert_allclose(catalog["radius_corr"], [1.6, 0], rtol=1e-6)
    assert np.isnan(catalog["flux_apcor_r"]).all()


def test_sizes_are_compared_with_what_is_given() -> None:
    columns = {name: np.full(3, value) for name, value in {"snr": 30.0, "spread": np.nan, "spread_err": 1.0}.items()}
    columns |= {"half_light_radius": np.array([1.0, 2.0, 1.0]), "flags": np.zeros(3, int), "det_score": np.ones(3)}
    assert np.isnan(class_evidence(np.full(3, 0.6), columns).extent).all()
    known = class_evidence(np.full(3, 0.6), columns, known=1.0)
    np.testing.assert_allclose(known.extent, [0, np.log(2), 0])


def test_workers_have_the_same(galaxies: Image) -> None:
    same = Image.read({"r": galaxies.bands["r"].pixels().data}, psf=PSF)
    restore_conditions(same.bands["r"], field_conditions(galaxies)["r"])
    psf, other = same.bands["r"].psf, galaxies.bands["r"].psf
    assert psf.profile == other.profile
    assert psf.bright == np.inf
    assert given_quality(same).psf_corrections == given_quality(galaxies).psf_corrections


def test_small_images_show_the_middle() -> None:
    given = read_psf(star(6, 6, 13), (SIZE, SIZE))
    psf = convert_psf(given, (SIZE, SIZE))
    assert psf.half > given.half
    stamp = psf.models(np.array([50.0]), np.array([50.0]))[0, 0]
    np.testing.assert_allclose(stamp, star(psf.half, psf.half, 2 * psf.half + 1), atol=0.02 * PSF.max())
