"""Tests of astrogalaxy.measurement.psf, psfstars and spread."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from astrogalaxy.catalog.flags import flag_bits, has_flags
from astrogalaxy.images import Image, Section
from astrogalaxy.measurement import Sources, field_conditions, measure, restore_conditions
from astrogalaxy.measurement.psf import DEGREE, Psf, moffat
from astrogalaxy.measurement.psfstars import field_psfs, measure_psf
from astrogalaxy.measurement.spread import combine_spreads, spread_evidence

SIZE = 420
# FWHM and exponent of the made stars; their FWHM grows over the image where it is asked to.
FWHM, BETA = 3.4, 3.0
RNG_SEED = 3


def profile_at(x: float, drift: float) -> tuple[float, float, float, float]:
    return FWHM * (1 + drift * (2 * x / SIZE - 1)), BETA, 0.06, -0.03


def drawn(x: float, y: float, *, disk: float = 0.0, drift: float = 0.0) -> np.ndarray:
    """A star of light 1 on the whole image's pixels, or a Gaussian disk blurred by it."""
    light = np.zeros((SIZE, SIZE))
    rows, columns = (slice(max(round(c) - 40, 0), round(c) + 41) for c in (y, x))
    dy, dx = np.arange(SIZE)[rows, None] - y, np.arange(SIZE)[None, columns] - x
    star = moffat(profile_at(x, drift), dx, dy)
    light[rows, columns] = gaussian_filter(star, disk) if disk else star
    return light


def test_elliptical_profile_is_that_of_galsim() -> None:
    galsim = pytest.importorskip("galsim")
    dy, dx = np.mgrid[-20:21, -20:21].astype(float)
    truth = galsim.Moffat(2.7, fwhm=4.0).shear(e1=0.3, e2=-0.2)
    expected = [truth.xValue(u, v) for u, v in zip(dx.ravel(), dy.ravel(), strict=True)]
    np.testing.assert_allclose(moffat((4.0, 2.7, 0.3, -0.2), dx, dy).ravel(), expected, rtol=1e-10)


def places(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A loose lattice, so that no two sources touch."""
    step = SIZE / n
    x, y = np.meshgrid(*[(np.arange(n) + 0.5) * step] * 2)
    return x.ravel() + rng.uniform(-3, 3, n * n), y.ravel() + rng.uniform(-3, 3, n * n)


class Sky:
    """Stars and galaxies in one or two bands, and where they are."""

    def __init__(self, *, n: int = 10, drift: float = 0.0, n_bands: int = 1, seed: int = RNG_SEED) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.y = places(n, rng)
        self.galaxy = rng.random(n * n) < 0.3
        self.light = 10 ** rng.uniform(2.0, 4.2, n * n)
        total = np.zeros((SIZE, SIZE))
        for x, y, light, galaxy in zip(self.x, self.y, self.light, self.galaxy, strict=True):
            total += light * drawn(x, y, disk=1.5 if galaxy else 0.0, drift=drift)
        bands = {f"b{i}": (total + rng.normal(0, 1, total.shape)).astype(np.float32) for i in range(n_bands)}
        self.image = Image.read(bands)

    @property
    def sources(self) -> Sources:
        return Sources.around(self.x, self.y, side=14)


@pytest.fixture(scope="module")
def sky() -> Sky:
    return Sky(n_bands=2)


@pytest.fixture(scope="module")
def table(sky: Sky) -> dict[str, np.ndarray]:
    return measure(sky.image, sky.sources, pixel_scale=0.4)


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_the_point_spread_is_that_of_the_stars(drift: float) -> None:
    psf = field_psfs(Sky(drift=drift, n=12).image)["b0"]
    assert psf.known
    assert psf.n_stars > 20
    for x, y in ((60.3, 80.0), (350.8, 300.4)):
        stamp = psf.models(np.array([x]), np.array([y]))[0, 0]
        half = psf.half
        rows, columns = slice(round(y) - half, round(y) + half + 1), slice(round(x) - half, round(x) + half + 1)
        truth = drawn(x, y, drift=drift)[rows, columns]
        # the amplitude is free
        ratio = np.sum(stamp * truth) / np.sum(truth**2)
        assert np.abs(stamp / ratio - truth).max() < 0.02 * truth.max()


def test_models_move_with_the_centre() -> None:
    psf = Psf((3.0, 3.0, 0.1, 0.0), np.zeros((1, DEGREE + 1, DEGREE + 1)), (100, 100), 9, 1e4, 0.0)
    x = np.array([50.49, 50.49 + 1e-6, 50.4])
    point, _, along, _ = psf.models(x, np.full(3, 40.2))
    np.testing.assert_allclose(point[0], point[1], atol=1e-6)
    np.testing.assert_allclose(point[0], point[2] + 0.09 * along[2], atol=0.02 * point.max())
    true = moffat(
        psf.profile,
        (np.arange(-psf.half, psf.half + 1) - 0.49)[None, :],
        (np.arange(-psf.half, psf.half + 1) - 0.2)[:, None],
    )
    np.testing.assert_allclose(point[0], true, atol=0.004 * true.max())


def test_stars_have_no_spread_and_galaxies_have(sky: Sky, table: dict[str, np.ndarray]) -> None:
    spread, error = table["spread"], table["spread_err"]
    star = ~sky.galaxy
    pull = (spread / error)[star]
    assert np.isfinite(pull).all()
    assert abs(np.median(pull)) < 0.4
    # the errors hold what is not known of the sky and of the point spread, which here are known well
    assert 0.3 < 1.4826 * np.median(np.abs(pull - np.median(pull))) < 1.2
    assert np.abs(pull).max() < 4
    # a Gaussian disk of 1.5 pixels in stars of 3.4 pixels
    assert np.median(spread[sky.galaxy]) > 0.4
    bright = sky.light > 400
    assert (spread[sky.galaxy & bright] > 5 * error[sky.galaxy & bright]).all()
    assert (spread[star & bright] < 5 * error[star & bright]).all()


def test_two_bands_know_more_than_one(sky: Sky, table: dict[str, np.ndarray]) -> None:
    one = Image({"b0": sky.image.bands["b0"]})
    alone = measure(one, sky.sources, pixel_scale=0.4)
    assert np.median(table["spread_err"] / alone["spread_err"]) == pytest.approx(np.sqrt(0.5), abs=0.12)


def test_tiles_agree(sky: Sky, table: dict[str, np.ndarray]) -> None:
    section = Section(0, 250, 0, 300)
    inner = Section(0, 200, 0, 250).contains(sky.x, sky.y)
    part = measure(sky.image, sky.sources, section=section, pixel_scale=0.4)
    for name in ("spread", "spread_err"):
        np.testing.assert_allclose(part[name][inner], table[name][inner], rtol=1e-3, atol=1e-4)


def test_a_neighbour_is_taken_away() -> None:
    sky = Sky(n=10)
    rng = np.random.default_rng(0)
    pixels = sky.image.bands["b0"].pixels().data + rng.normal(0, 0.1, (SIZE, SIZE))
    # a star 6 pixels beside a star: without it removed both would be wide
    target = int(np.flatnonzero(~sky.galaxy & (sky.light > 2000) & (sky.x < 300))[0])
    x, y = np.append(sky.x, sky.x[target] + 6.0), np.append(sky.y, sky.y[target])
    pixels += 1000 * drawn(x[-1], y[-1])
    found = measure(Image.read({"b0": pixels.astype(np.float32)}), Sources.around(x, y, side=14), pixel_scale=0.4)
    assert found["flags"][target] & flag_bits("deblended")
    assert abs(found["spread"][target]) < 0.2
    assert abs(found["spread"][-1]) < 0.2


@pytest.mark.parametrize("known", [True, False])
def test_a_saturated_star_is_flagged_and_no_wider_than_a_point(known: bool) -> None:
    sky = Sky(seed=9)
    x, y = sky.x[:4], sky.y[:4]
    data = sky.image.bands["b0"].pixels().data.copy()
    for at_x, at_y in zip(x[:2], y[:2], strict=True):
        data += (1e6 * drawn(at_x, at_y)).astype(np.float32)
    data = np.minimum(data, 12000)
    image = Image.read({"b0": data}, saturation=11900.0 if known else None)
    table = measure(image, sky.sources, pixel_scale=0.4)
    assert has_flags(table["flags"], "saturated").tolist() == [True, True] + [False] * (len(sky.x) - 2)
    np.testing.assert_allclose(table["spread"][:2], 0.0)
    np.testing.assert_allclose(table["spread_err"][:2], 0.01)
    # measured in tiles it is the same
    part = measure(image, sky.sources, section=Section(0, 200, 0, 100), pixel_scale=0.4)
    seen = np.isfinite(part["snr"])
    np.testing.assert_array_equal(part["flags"][seen], table["flags"][seen])


def test_too_few_stars_give_no_spread() -> None:
    sky = Sky(n=10)
    band = sky.image.bands["b0"]
    stars = band.stars
    assert (
        measure_psf(band, stars[:3], band.seeing) == Psf.unknown(band.shape)
        or not measure_psf(band, stars[:3], band.seeing).known
    )
    assert not measure_psf(band, stars, float("nan")).known
    band.psf = Psf.unknown(band.shape)
    table = measure(sky.image, sky.sources, pixel_scale=0.4)
    assert np.isnan(table["spread"]).all()
    assert np.isnan(table["spread_err"]).all()
    assert np.isfinite(table["half_light_radius"]).any()


def test_pixels_without_data_do_not_count() -> None:
    sky = Sky(n=10)
    target = int(np.flatnonzero(~sky.galaxy & (sky.light > 2000))[0])
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[round(sky.y[target]) + 1, round(sky.x[target]) - 4 : round(sky.x[target]) + 5] = 1
    pixels = sky.image.bands["b0"].pixels().data.copy()
    pixels[mask > 0] = 5e4
    table = measure(Image.read({"b0": pixels}, mask=mask), sky.sources, pixel_scale=0.4)
    assert abs(table["spread"][target]) < 0.15
    mask[round(sky.y[target]) - 2 : round(sky.y[target]) + 3, round(sky.x[target]) - 4 : round(sky.x[target]) + 5] = 1
    table = measure(Image.read({"b0": pixels}, mask=mask), sky.sources, pixel_scale=0.4)
    assert np.isnan(table["spread"][target]), "its heart is gone"


def test_the_point_spread_is_kept_with_the_field(sky: Sky, table: dict[str, np.ndarray]) -> None:
    values = field_conditions(sky.image)
    again = Sky(n_bands=2)
    for name, band in again.image.bands.items():
        restore_conditions(band, values[name])
        assert band.psf.profile == sky.image.bands[name].psf.profile
        np.testing.assert_array_equal(band.psf.coefficients, sky.image.bands[name].psf.coefficients)
    np.testing.assert_allclose(
        measure(again.image, again.sources, pixel_scale=0.4)["spread"], table["spread"], rtol=1e-6, atol=1e-6
    )
    for band in sky.image.bands.values():
        assert len(pickle.dumps(band.psf)) < 10_000, "the table of models is made again, not sent"
    copy = pickle.loads(pickle.dumps(Psf.unknown((5, 6))))
    assert not copy.known
    assert not Psf.from_array(copy.to_array()).known


def test_what_a_spread_says() -> None:
    evidence = spread_evidence([0.0, 0.0, 0.6, -0.5, np.nan], [0.03, 3.0, 0.05, 0.1, 0.1])
    assert evidence[0] < -1.5
    assert abs(evidence[1]) < 0.1, "noise alone says nothing"
    assert evidence[2] == pytest.approx(2.94, abs=0.01)
    assert evidence[3] < -0.5
    assert np.isnan(evidence[4])
    spread = np.linspace(0, 1, 50)
    assert (np.diff(spread_evidence(spread, np.full(50, 0.2))) > 0).all()


def test_bands_without_a_spread_are_left_out() -> None:
    some, none = np.array([0.4, np.nan]), np.full(2, np.nan)
    spread, error = combine_spreads([(some, some / 4, np.array([100.0, 0.0])), (none, none, np.zeros(2))])
    np.testing.assert_allclose(spread, [0.4, np.nan])
    np.testing.assert_allclose(error, [0.1, np.nan])


@pytest.mark.parametrize("unit", [1e-20, 1e12])
def test_the_unit_of_the_image_does_not_matter(unit: float) -> None:
    psf = Psf((3.0, 3.0, 0.0, 0.0), np.zeros((1, DEGREE + 1, DEGREE + 1)), (90, 120), 9, 1e4, 0.005)
    x, y = np.array([40.2]), np.array([30.0])
    stamps = 500 * psf.models(x, y)[0] + np.float32(0.01)
    usual = psf.fit(stamps, np.ones_like(stamps), x, y, gain=2.0)
    light, noise = (part * np.float32(unit) for part in (stamps, np.ones_like(stamps)))
    other = replace(psf, bright=1e4 * unit).fit(light, noise, x, y, gain=2.0 / unit)
    assert other.flux / unit == pytest.approx(usual.flux, rel=1e-4)
    assert other.spread == pytest.approx(usual.spread, abs=1e-4)
    assert other.error == pytest.approx(usual.error, rel=1e-3)
    assert other.point / unit == pytest.approx(usual.point, rel=1e-4)
    assert other.point_err / unit == pytest.approx(usual.point_err, rel=1e-4)
    assert other.point_area == pytest.approx(usual.point_area, rel=1e-4)


@pytest.mark.parametrize("wide", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("snr", [5.0, 8.0, 20.0])
def test_the_mean_over_bands_of_faint_sources_is_as_wide_as_they_are(snr: float, wide: float) -> None:
    rng = np.random.default_rng(4)
    psf = Psf((3.3, 3.0, 0.0, 0.0), np.zeros((1, DEGREE + 1, DEGREE + 1)), (100, 100), 9, 1e4, 0.0)
    x, y = rng.uniform(20, 80, (2, 1200))
    point, beyond = psf.models(x, y)[:2]
    light = point + np.float32(wide) * beyond
    light *= snr / np.sqrt(np.sum(light**2, axis=(1, 2), keepdims=True))
    noise = np.ones_like(light)
    bands = [psf.fit(light + rng.normal(size=light.shape).astype(np.float32), noise, x, y) for _ in range(3)]
    spread, error = combine_spreads((band.spread, band.error, band.weight) for band in bands)
    pull = (spread - wide) / error
    assert abs(np.nanmedian(pull)) < 0.25
    assert 0.5 < 1.4826 * np.nanmedian(np.abs(pull - np.nanmedian(pull))) < 1.1


def test_compact_galaxies_among_the_stars_teach_the_point_spread_nothing() -> None:
    """In deep fields a fifth of what is as narrow as stars are galaxies."""
    rng = np.random.default_rng(4)
    places = np.stack(np.meshgrid(np.arange(30, 480, 60), np.arange(30, 480, 60)), axis=-1).reshape(-1, 2)
    places = places + rng.uniform(-0.5, 0.5, places.shape)
    data, at = rng.normal(0, 1, (510, 510)), np.arange(510)
    wide = np.arange(len(places)) % 5 == 0
    for (x, y), galaxy in zip(places, wide, strict=True):
        data += 5e3 * moffat((4.4 if galaxy else 4.0, 3.0, 0.0, 0.0), at[None, :] - x, at[:, None] - y)
    psf = measure_psf(Image.read(data).bands["image"], places, 4.0)
    assert psf.n_stars == np.sum(~wide)
    assert psf.floor < 0.05
