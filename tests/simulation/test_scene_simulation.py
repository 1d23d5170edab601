"""Tests of astrogalaxy.simulation.scene, population and truth."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from astrogalaxy.errors import ConfigError
from astrogalaxy.simulation import PROFILES, Conditions, Scene, SurveyProfile, draw_conditions, simulate_scene, vary
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.truth import VISIBLE_SNR


def _nearest(truth: object) -> np.ndarray:
    x, y = np.asarray(truth["x"]), np.asarray(truth["y"])
    gap = np.hypot(x[:, None] - x, y[:, None] - y)
    np.fill_diagonal(gap, np.inf)
    return gap.min(axis=1)


def _aperture(image: np.ndarray, x: float, y: float, radius: float) -> float:
    rows, columns = np.indices(image.shape)
    return float(image[np.hypot(columns - x, rows - y) <= radius].sum())


@pytest.fixture(scope="module")
def clear(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> Scene:
    """Almost no noise, few sources, nothing saturates: the truth can be measured."""

    def draw_few(*args: Any) -> Table:
        table = draw_population(*args)
        table = table[~(table["disk_radius"] > 1.2)]
        return table[np.argsort(table["mag_r"])[:40]]

    conditions = make_conditions(noise=dict.fromkeys("gri", 1e-4), crowding=1.0, clustering=0.6, shear=(0.04, 0.02))
    profile = replace(sdss, saturation=5.0, gain=1e9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astrogalaxy.simulation.scene.draw_population", draw_few)
        return simulate_scene(profile, size=800, seed=12, conditions=conditions, accurate=True, artefacts=False)


@pytest.fixture(scope="module")
def crowd(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> Scene:
    """Many sources on little sky."""
    return simulate_scene(sdss, size=192, seed=3, conditions=make_conditions(crowding=25.0, clustering=8.0))


def test_a_seed_is_a_scene(sdss: SurveyProfile) -> None:
    first, again, other = (simulate_scene(sdss, size=(40, 72), seed=seed) for seed in (4, 4, 5))
    sequence = simulate_scene(sdss, size=(40, 72), seed=np.random.SeedSequence(4))
    assert first.images.keys() == {"g", "r", "i"}
    for band, image in first.images.items():
        assert image.shape == (40, 72)
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, again.images[band])
        np.testing.assert_array_equal(image, sequence.images[band])
        assert (image != other.images[band]).mean() > 0.99
        assert first.wcs[band].to_header() == again.wcs[band].to_header()
    assert first.conditions == again.conditions != other.conditions
    assert first.truth.pformat() == again.truth.pformat()
    assert first.reference == "r"


def test_light_is_where_and_as_much_as_the_truth_says(clear: Scene) -> None:
    truth = clear.truth
    size = clear.images["r"].shape[0]
    away = np.minimum.reduce([truth["x"], truth["y"], size - 1 - truth["x"], size - 1 - truth["y"]])
    # half a percent of a smooth galaxy's light lies far out, whoever draws it
    bright = (truth["mag_r"] < 19.5) & (truth["half_light_radius"] < 1.0) & (truth["disk"] != 0)
    bright &= ~(truth["knots"] > 0)  # which lie where they like
    good = np.nonzero(bright & (away > 40) & (_nearest(truth) > 12))[0]
    lonely = 0
    for row in truth[good]:
        gaps = np.hypot(truth["x"] - row["x"], truth["y"] - row["y"])
        if any(np.sum(truth[f"flux_{b}"][gaps < 60]) > 1.005 * row[f"flux_{b}"] for b in "gri"):
            continue
        lonely += 1
        for band, image in clear.images.items():
            # the truth's sky position, on the band's own shifted grid
            x, y = clear.wcs[band].world_to_pixel_values(row["ra"], row["dec"])
            outer = _aperture(image, x, y, 36) - _aperture(image, x, y, 32)
            sky = outer / (np.pi * (36**2 - 32**2))
            flux = _aperture(image, x, y, 24) - sky * _aperture(np.ones_like(image), x, y, 24)
            assert flux == pytest.approx(row[f"flux_{band}"], rel=0.02)
            cut = np.s_[round(float(y)) - 10 : round(float(y)) + 11, round(float(x)) - 10 : round(float(x)) + 11]
            light, (rows, columns) = image[cut] - sky, np.indices(image.shape)
            assert (light * columns[cut]).sum() / light.sum() == pytest.approx(x, abs=0.1)
            assert (light * rows[cut]).sum() / light.sum() == pytest.approx(y, abs=0.1)
    assert lonely >= 5, "the scene has sources that this can be asked of"


def test_bands_are_dithered_and_the_reference_is_not(clear: Scene, sdss: SurveyProfile) -> None:
    x, y = clear.wcs["r"].world_to_pixel_values(clear.truth["ra"], clear.truth["dec"])
    np.testing.assert_allclose(x, clear.truth["x"], atol=1e-6)
    np.testing.assert_allclose(y, clear.truth["y"], atol=1e-6)
    for band in "gi":
        shift = np.array(clear.wcs[band].world_to_pixel_values(clear.truth["ra"], clear.truth["dec"]))
        shift -= [clear.truth["x"], clear.truth["y"]]
        assert 0.01 < np.abs(shift).max() <= 3.0
        assert np.ptp(shift, axis=1).max() < 1e-4
    still = simulate_scene(sdss, size=32, seed=1, dither=0.0)
    assert len({tuple(wcs.wcs.crpix) for wcs in still.wcs.values()}) == 1


def test_the_sky_is_where_it_is_asked_for(sdss: SurveyProfile) -> None:
    scene = simulate_scene(sdss, size=(40, 60), seed=1, centre=(210.5, -33.25))
    ra, dec = scene.wcs["r"].pixel_to_world_values(29.5, 19.5)
    assert (float(ra), float(dec)) == pytest.approx((210.5, -33.25), abs=1e-7)
    east, _ = scene.wcs["r"].pixel_to_world_values(28.5, 19.5)
    assert (float(east) - 210.5) * np.cos(np.radians(33.25)) * 3600 == pytest.approx(0.396, rel=1e-4)


@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_the_noise_is_the_stated_one(
    sdss: SurveyProfile, make_conditions: Callable[..., Conditions], noise: float
) -> None:
    conditions = make_conditions(noise={"g": noise, "r": 2 * noise, "i": noise}, crowding=1e-9, clustering=1e-9)
    scene = simulate_scene(sdss, size=200, seed=2, conditions=conditions, artefacts=False)
    assert len(scene.truth) == 0
    for band, factor in (("g", 1), ("r", 2)):
        steps = np.diff(scene.images[band], axis=0) / np.sqrt(2)
        assert steps.std() == pytest.approx(factor * noise, rel=0.02)


def test_light_brings_its_own_noise(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> None:
    options = {"size": 96, "seed": 8, "artefacts": False}
    conditions = make_conditions(crowding=20.0)
    dim, exact = (simulate_scene(replace(sdss, gain=gain), conditions=conditions, **options) for gain in (50.0, 1e12))
    extra = dim.images["r"] - exact.images["r"]
    clean = exact.images["r"] - np.median(exact.images["r"])
    bright = (clean > 1) & (clean < 5)
    # same draws of a normal distribution, of different width
    assert extra[bright].std() > 5 * extra[clean < 0.05].std()


def test_bright_stars_saturate(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> None:
    options = {"size": 128, "seed": 6, "conditions": make_conditions(crowding=30.0), "artefacts": False}
    free = simulate_scene(replace(sdss, saturation=5.0), **options).images["r"]
    clipped = simulate_scene(replace(sdss, saturation=19.0), **options).images["r"]
    level = 0.5 * 10 ** (-0.4 * (19.0 - 22.5)) / (1.3 / 0.396) ** 2
    sky = float(np.median(free))
    assert free.max() - sky > 5 * level
    assert clipped.max() - sky < 1.5 * level
    low = free - sky < 0.3 * level
    np.testing.assert_array_equal(clipped[low], free[low])


def test_boxes_hold_the_light(clear: Scene) -> None:
    truth, image = clear.truth, clear.images["r"]
    assert (truth["x_min"] < truth["x"]).all()
    assert (truth["x"] < truth["x_max"]).all()
    np.testing.assert_allclose(truth["x_min"] + truth["x_max"], 2 * truth["x"])
    np.testing.assert_allclose(truth["y_min"] + truth["y_max"], 2 * truth["y"])
    assert min(np.min(truth["x_max"] - truth["x_min"]), np.min(truth["y_max"] - truth["y_min"])) >= 6
    alone = (_nearest(truth) > 25) & (truth["mag_r"] < 20.5) & (truth["x_min"] > 5) & (truth["x_max"] < 794)
    alone &= (truth["y_min"] > 5) & (truth["y_max"] < 794)
    assert alone.sum() >= 5
    for row in truth[alone]:
        x0, x1, y0, y1 = (int(np.rint(row[n])) for n in ("x_min", "x_max", "y_min", "y_max"))
        inside = (image[y0 : y1 + 1, x0 : x1 + 1] - np.median(image)).sum()
        assert 0.7 < inside / row["flux_r"] < 1.1


def test_what_cannot_be_seen_is_not_asked_for(crowd: Scene, make_conditions: Callable[..., Conditions]) -> None:
    truth = crowd.truth
    visible = np.asarray(truth["visible"])
    assert 10 < visible.sum() < len(truth) - 10
    assert (truth["snr"][visible] >= VISIBLE_SNR).all()
    # no visible source so close to a better one that nobody could tell them apart
    x, y, snr = (np.asarray(truth[n]) for n in ("x", "y", "snr"))
    gap = np.hypot(x[:, None] - x, y[:, None] - y)
    better = snr[None, :] > snr[:, None]
    fwhm = 1.3 / 0.396
    assert gap[visible][better[visible]].min() >= 0.6 * fwhm
    lost = ((gap < 0.6 * fwhm) & better).any(axis=1)
    assert lost.any()
    assert not visible[lost].any()
    bright_alone = (snr > 30) & (_nearest(truth) > 3 * fwhm)
    assert bright_alone.sum() > 5
    assert visible[bright_alone].mean() > 0.9


def test_signal_to_noise_follows_brightness_and_noise(
    sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    quiet, loud = (
        simulate_scene(sdss, size=96, seed=9, conditions=make_conditions(noise=dict.fromkeys("gri", n), crowding=10))
        for n in (0.02, 0.04)
    )
    np.testing.assert_allclose(quiet.truth["snr"], 2 * loud.truth["snr"], rtol=0.05)
    stars = quiet.truth[quiet.truth["class"] == "star"]
    assert len(stars) > 2
    assert (np.argsort(stars["snr"]) == np.argsort(sum(stars[f"flux_{b}"] ** 2 for b in "gri"))).all()


def test_a_scene_without_sources(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> None:
    scene = simulate_scene(sdss, size=24, conditions=make_conditions(crowding=1e-12, clustering=1e-12))
    assert len(scene.truth) == 0
    assert {"ra", "dec", "x_min", "flux_r", "snr", "visible", "disk"} <= set(scene.truth.colnames)


def test_artefacts_are_no_sources(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> None:
    changed = 0
    for seed in range(12):
        options = {"size": 64, "seed": seed, "conditions": make_conditions()}
        plain, dirty = (simulate_scene(sdss, artefacts=flag, **options) for flag in (False, True))
        assert len(plain.truth) == len(dirty.truth)
        changed += any(np.ptp(dirty.images[b] - plain.images[b]) > 1 for b in "gri")
    assert 1 <= changed < 12, "now and then"


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_survey_can_be_drawn(name: str) -> None:
    profile = PROFILES[name]
    assert profile.name == name
    scene = simulate_scene(vary(profile, np.random.default_rng(1)), size=128, seed=1)
    assert set(scene.images) == set(profile.bands) == set(scene.wcs)
    assert all(np.isfinite(image).all() for image in scene.images.values())
    assert scene.wcs["r"].wcs.cdelt[1] * 3600 == pytest.approx(profile.pixel_scale, rel=0.21)
    assert len(scene.truth) > 0
    assert {"star", "galaxy"} >= set(scene.truth["class"])


def test_surveys_and_nights_vary(sdss: SurveyProfile) -> None:
    rng = np.random.default_rng(0)
    scales = [vary(sdss, rng).pixel_scale / sdss.pixel_scale for _ in range(50)]
    assert 0.8 <= min(scales) < 0.9 < 1.1 < max(scales) <= 1.2
    nights = [draw_conditions(sdss, rng) for _ in range(200)]
    seeing = np.array([night.seeing["r"] for night in nights])
    assert 0.8 < np.quantile(seeing, 0.05) < np.quantile(seeing, 0.95) < 1.8
    blue_is_worse = np.mean([night.seeing["g"] > night.seeing["i"] for night in nights])
    assert blue_is_worse > 0.8
    assert max(np.hypot(*night.shear) for night in nights) <= 0.1
    assert np.mean([night.crowding > 3 for night in nights]) == pytest.approx(0.25, abs=0.1)


def test_counts_grow_with_the_area_and_the_density(
    sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    def count(area: float, **changes: float) -> tuple[int, int]:
        table = draw_population(sdss, make_conditions(**changes), area, np.random.default_rng(5))
        galaxies = int((table["class"] == "galaxy").sum())
        return len(table) - galaxies, galaxies

    stars, galaxies = count(100.0)
    assert stars > 100
    assert count(400.0) == pytest.approx((4 * stars, 4 * galaxies), rel=0.1)
    assert count(100.0, crowding=5.0) == pytest.approx((5 * stars, galaxies), rel=0.1)
    assert count(100.0, clustering=3.0) == pytest.approx((stars, 3 * galaxies), rel=0.1)
    assert count(0.0) == (0, 0)


def test_the_population_is_plausible(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> None:
    table = draw_population(sdss, make_conditions(), 800.0, np.random.default_rng(5))
    star, galaxy = table["class"] == "star", table["class"] == "galaxy"
    assert np.isnan(table["disk_radius"][star]).all()
    assert np.isfinite(table["disk_radius"][galaxy]).all()
    assert table["disk"][galaxy].mean() == pytest.approx(0.67, abs=0.02)
    limit = sdss.depth["r"] + 0.8
    assert table["mag_r"].max() < limit + 0.3
    faint = (table["mag_r"] > limit - 1).sum() / ((table["mag_r"] > limit - 2) & (table["mag_r"] < limit - 1)).sum()
    assert 1.5 < faint < 2.6, "counts rise towards faint magnitudes"
    for name in ("bulge_fraction", "bulge_q", "disk_q"):
        values = np.asarray(table[name][galaxy])
        assert 0 <= values.min() < values.max() <= 1
    colour = np.asarray(table["mag_g"] - table["mag_i"])
    smooth = np.asarray(galaxy & (table["disk"] == 0))
    assert np.median(colour[smooth]) > np.median(colour[np.asarray(table["disk"] == 1)]) + 0.2
    assert -1 < np.median(colour[np.asarray(star)]) < 2.5


def test_pairs_are_close(sdss: SurveyProfile, make_conditions: Callable[..., Conditions]) -> None:
    alone, paired = (
        simulate_scene(sdss, size=300, seed=6, conditions=make_conditions(crowding=3.0, pairs=pairs)).truth
        for pairs in (0.0, 0.8)
    )
    fwhm = 1.3 / sdss.pixel_scale
    assert len(alone) == len(paired)
    close = [np.sum(_nearest(truth[truth["mag_r"] < sdss.depth["r"]]) < 3.1 * fwhm) for truth in (alone, paired)]
    assert close[1] > close[0] + 20
    assert _nearest(paired).min() > 0.2, "never upon each other"


def test_an_even_population_has_what_the_sky_seldom_shows(
    sdss: SurveyProfile, make_conditions: Callable[..., Conditions]
) -> None:
    usual, even = (
        draw_population(sdss, make_conditions(even=flag), 800.0, np.random.default_rng(5)) for flag in (False, True)
    )

    def bright_and_compact(table: Table) -> float:
        bright = np.asarray(table["mag_r"]) < 18
        return float(np.mean(np.asarray(table["disk_radius"])[bright] < 1.3))

    galaxy = np.asarray(even["class"] == "galaxy")
    assert galaxy.mean() == pytest.approx(0.5, abs=0.02)
    assert bright_and_compact(usual) < 0.1 < 0.25 < bright_and_compact(even)
    for kind in (galaxy, ~galaxy):
        counts, _ = np.histogram(np.asarray(even["mag_r"])[kind], np.linspace(sdss.saturation, sdss.depth["r"], 5))
        assert counts.min() > 0.85 * counts.max(), "every magnitude alike"


@pytest.mark.parametrize(
    ("profile", "size", "told"),
    [
        ("sdss", 64, "profile must be a SurveyProfile, such as PROFILES['sdss'], not 'sdss'"),
        (PROFILES["sdss"], 0, "size must be a whole number of pixels above 0, or two of them, not 0"),
        (PROFILES["sdss"], "64", "size must be a whole number of pixels above 0, or two of them, not '64'"),
    ],
)
def test_what_cannot_be_simulated_is_told(profile: Any, size: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        simulate_scene(profile, size=size)
