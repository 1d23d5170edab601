"""Tests of astrogalaxy.simulation.inject."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image
from astrogalaxy.simulation import Conditions, SurveyProfile
from astrogalaxy.simulation.inject import inject_sources, observed_conditions
from astrogalaxy.simulation.render import star_size

SHAPE = (260, 300)


def _wcs(dx: float = 0.0) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [150.0 - dx, 130.0 + dx]
    wcs.wcs.cdelt = [-0.396 / 3600, 0.396 / 3600]
    return wcs


def _stars(n: int, *, fwhm: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(SHAPE)
    image = np.zeros(SHAPE)
    for x, y in zip(rng.uniform(20, 280, n), rng.uniform(20, 240, n), strict=True):
        image += 500 * np.exp(-4 * np.log(2) * ((columns - x) ** 2 + (rows - y) ** 2) / fwhm**2)
    return image


@pytest.fixture
def frames() -> dict[str, np.ndarray]:
    """Empty sky of 0.02 noise on a level of 3, with a few bad pixels."""
    sky = np.random.default_rng(7).normal(3, 0.02, (3, *SHAPE)).astype(np.float32)
    sky[:, 100:104, 50:60] = np.nan
    return dict(zip("gri", sky, strict=True))


@pytest.fixture
def image(frames: dict[str, np.ndarray]) -> Image:
    wcs = {"g": _wcs(2.3), "r": _wcs(), "i": _wcs(-1.7)}
    return Image.read(
        {b: (frames[b], wcs[b]) for b in frames}, zeropoint=22.5, gain=1e9, saturation=900.0, name="a field"
    )


def test_the_frames_are_not_changed(
    image: Image, frames: dict[str, np.ndarray], sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    before = {band: array.copy() for band, array in frames.items()}
    injected = inject_sources(image, sdss, seed=1, conditions=make_conditions())
    assert injected.image is not image
    for band, array in before.items():
        np.testing.assert_array_equal(frames[band], array)


def test_injected_light_is_that_of_the_truth(
    image: Image, sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    injected = inject_sources(image, sdss, seed=5, conditions=make_conditions(crowding=3.0, clustering=0.1))
    truth, found = injected.truth, 0
    x, y = np.asarray(truth["x"]), np.asarray(truth["y"])
    edge = np.minimum.reduce([x, y, SHAPE[1] - x, SHAPE[0] - y])
    for i in np.nonzero((truth["class"] == "star") & (truth["mag_r"] < 20.5) & (edge > 25))[0]:
        near = np.hypot(x - x[i], y - y[i]) < 30
        if any(np.sum(truth[f"flux_{b}"][near]) > 1.05 * truth[f"flux_{b}"][i] for b in "gri"):
            continue
        found += 1
        for band in "gri":
            grid = image.bands[band]
            at = grid.wcs.world_to_pixel_values(truth["ra"][i], truth["dec"][i])
            rows, columns = np.indices(SHAPE)
            inside = np.hypot(columns - at[0], rows - at[1]) < 12
            added = injected.image.bands[band].pixels().data - grid.pixels().data
            assert added[inside].sum() == pytest.approx(truth[f"flux_{band}"][i], rel=0.05)
    assert found >= 3


def test_bands_of_other_frames_are_lit_at_one_place_of_the_sky(
    frames: dict[str, np.ndarray], sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    galactic = _wcs()
    galactic.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    middle = _wcs().pixel_to_world(150, 130).galactic
    galactic.wcs.crval = [middle.l.deg, middle.b.deg]
    image = Image.read({"g": (frames["g"], _wcs()), "r": (frames["r"], galactic)}, zeropoint=22.5)
    injected = inject_sources(image, sdss, seed=5, conditions=make_conditions(crowding=3.0))
    truth = injected.truth
    sky = SkyCoord(truth["ra"], truth["dec"], unit="deg")
    assert sky.separation(galactic.pixel_to_world(truth["x"], truth["y"])).arcsec.max() < 1e-3
    brightest = np.argmax(np.where(np.hypot(truth["x"] - 150, truth["y"] - 130) < 80, truth["flux_g"], 0))
    x, y = (round(float(at)) for at in _wcs().world_to_pixel(sky[brightest]))
    added = injected.image.bands["g"].pixels().data - image.bands["g"].pixels().data
    assert added[y - 3 : y + 4, x - 3 : x + 4].sum() > 0.3 * truth["flux_g"][brightest]


def test_the_sky_stays_and_bad_pixels_stay_bad(
    image: Image, sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    injected = inject_sources(image, sdss, seed=5, conditions=make_conditions(), density=1e-9)
    assert len(injected.truth) == 0
    for band, new in injected.image.bands.items():
        pixels = new.pixels()
        assert pixels.bad[100:104, 50:60].all()
        assert pixels.bad.sum() == 40
        np.testing.assert_allclose(pixels.noise, 0.02, rtol=0.05)
        steps = new.pixels().data - image.bands[band].pixels().data
        assert np.abs(steps).max() < 0.01


def test_what_a_mask_calls_saturated_stays_so(
    frames: dict[str, np.ndarray], sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    mask = np.zeros(SHAPE, np.int16)
    mask[20:23, 30:33] = 2
    image = Image.read(
        {"r": (frames["r"], _wcs())}, zeropoint=22.5, gain=1e9, mask=(mask, fits.Header({"MP_SAT": 1})), mask_bits="SAT"
    )
    injected = inject_sources(image, sdss, seed=5, conditions=make_conditions(), density=1e-9)
    pixels = injected.image.bands["r"].pixels()
    assert np.array_equal(pixels.saturated, mask > 0)
    assert pixels.bad.sum() == 40


def test_the_new_image_is_calibrated_like_the_old(
    image: Image, sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    new = inject_sources(image, sdss, seed=5, conditions=make_conditions()).image
    assert new.name == "a field"
    assert new.reference == image.reference
    assert list(new.bands) == ["g", "r", "i"]
    for band in new.bands.values():
        assert (band.zeropoint, band.gain) == (22.5, 1e9)
        assert band.saturation == pytest.approx(897.0, abs=0.1), "the sky of 3 has gone"


def test_a_seed_is_a_set_of_sources(
    image: Image, sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    first, again, other = (inject_sources(image, sdss, seed=s, conditions=make_conditions()) for s in (3, 3, 4))
    assert first.truth.pformat() == again.truth.pformat() != other.truth.pformat()
    for band in "gri":
        one, two = (x.image.bands[band].pixels().data for x in (first, again))
        np.testing.assert_array_equal(one, two)


def test_density_scales_the_counts(
    image: Image, sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    few, many = (
        len(inject_sources(image, sdss, seed=3, conditions=make_conditions(), density=d).truth) for d in (1, 5)
    )
    assert many == pytest.approx(5 * few, rel=0.3)


def test_each_band_has_its_own_zero_point(
    frames: dict[str, np.ndarray], sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    source = {b: (frames[b], _wcs()) for b in frames}
    options = {"seed": 5, "conditions": make_conditions()}
    same = inject_sources(Image.read(source, zeropoint=22.5), sdss, **options)
    mixed = inject_sources(Image.read(source, zeropoint={"g": 22.5, "r": 22.5, "i": 25.0}), sdss, **options)
    given = inject_sources(Image.read(source), sdss, zeropoints={"g": 22.5, "r": 22.5, "i": 25.0}, **options)
    for other in (mixed, given):
        np.testing.assert_array_equal(other.truth["mag_i"], same.truth["mag_i"])
        np.testing.assert_allclose(other.truth["flux_i"], 10 * same.truth["flux_i"])
        np.testing.assert_allclose(other.truth["flux_i"], 10 ** (-0.4 * (other.truth["mag_i"] - 25.0)))
        np.testing.assert_allclose(other.truth["flux_r"], same.truth["flux_r"])
    base = Image.read(source).bands["i"].pixels().data
    bright = int(np.argmax(same.truth["flux_i"]))
    at = round(float(same.truth["y"][bright])), round(float(same.truth["x"][bright]))
    added = [(x.image.bands["i"].pixels().data - base)[at] for x in (same, mixed)]
    assert added[1] == pytest.approx(10 * added[0], rel=0.1)


def test_what_cannot_be_injected_into(
    frames: dict[str, np.ndarray], sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    with pytest.raises(ImageError, match="image: without a WCS its pixel scale is unknown"):
        inject_sources(Image.read(frames), sdss, conditions=make_conditions())
    with pytest.raises(ImageError, match=r"no colours for band 'F606W'; name the bands out of u, g, r"):
        inject_sources(Image.read({"F606W": (frames["g"], _wcs())}), sdss, conditions=make_conditions())
    with pytest.raises(ImageError, match="a field: too few stars to measure the seeing; give `conditions`"):
        inject_sources(Image.read({"r": (frames["r"], _wcs())}, name="a field"), sdss)


def test_a_level_of_saturation_below_the_sky_is_refused(
    frames: dict[str, np.ndarray], sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    bright = Image.read({"r": (frames["r"] + 500, _wcs())}, zeropoint=22.5, saturation=50.0)
    with pytest.raises(ImageError, match="band r: a saturation of 50 is less than its sky of"):
        inject_sources(bright, sdss, conditions=make_conditions())


def test_conditions_are_those_of_the_frames() -> None:
    rng = np.random.default_rng(0)
    frames = {b: _stars(30, fwhm=f) + rng.normal(10, s, SHAPE) for b, f, s in (("g", 4.0, 2.0), ("r", 3.0, 1.0))}
    frames["i"] = rng.normal(0, 1, SHAPE)
    image = Image.read({b: (array.astype(np.float32), _wcs()) for b, array in frames.items()})
    seen = observed_conditions(image, np.random.default_rng(2))
    assert star_size(seen, "g", 0.396) == pytest.approx(4, rel=0.05), "stars as wide as those of the frames"
    assert star_size(seen, "r", 0.396) == pytest.approx(3, rel=0.05)
    assert seen.seeing["i"] == pytest.approx((seen.seeing["g"] + seen.seeing["r"]) / 2, rel=0.03), (
        "no star: that of the others"
    )
    assert (seen.noise["g"], seen.noise["r"]) == pytest.approx((2.0, 1.0), rel=0.1)


def test_injecting_into_a_real_frame(shared_data: Path, sdss: SurveyProfile) -> None:
    path = shared_data / "sdss" / "frame-r-003918-3-0213.fits.bz2"
    if not path.is_file():
        pytest.skip(f"no {path}")
    image = Image.read({"r": path}, zeropoint=22.5)
    injected = inject_sources(image, sdss, seed=1)
    assert injected.conditions.seeing["r"] == pytest.approx(1.2, abs=0.4)
    assert len(injected.truth) > 50
    assert injected.truth["visible"].sum() > 20
