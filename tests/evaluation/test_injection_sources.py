"""What is injected, and how it lies in the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.evaluation.injection.conditions import (
    FieldConditions,
    Injection,
    colours_of,
    observe,
    plain_conditions,
    plain_profile,
)
from astrogalaxy.evaluation.injection.sources import draw_sample, lay_sources
from astrogalaxy.images import Image, Section
from astrogalaxy.images.sky import shifted
from astrogalaxy.simulation import Scene
from astrogalaxy.simulation.population import draw_population


@pytest.fixture(scope="module")
def conditions(starry_image: Image, starry_catalog: SourceCatalog) -> FieldConditions:
    return observe(starry_image, starry_catalog)


def sample_of(image: Image, conditions: FieldConditions, seed: int = 1, *, n_found: int = 0, **injection):
    rng = np.random.default_rng(seed)
    return draw_sample(image, conditions, Injection(**injection), n_found=n_found, rng=rng)


def test_colours() -> None:
    assert colours_of(["g", "r"]) == {"g": "g", "r": "r"}
    assert colours_of(["clear"]) == {"clear": "r"}, "of a single band no colour is asked"
    assert colours_of(["V", "I"], {"V": "g", "I": "i"}) == {"V": "g", "I": "i"}
    with pytest.raises(
        ConfigError, match="no colours for band 'V'; say which band it is like, such as V=r, out of u, g"
    ):
        colours_of(["V", "i"])
    with pytest.raises(ConfigError, match="like 'W=r': give a band of the survey"):
        colours_of(["V", "i"], {"W": "r"})


def test_depth_is_that_of_a_point_source(starry: Scene, conditions: FieldConditions) -> None:
    sigma = 1.2 / 2.355 / 0.396
    limit = 5 * 0.02 * np.sqrt(4 * np.pi) * sigma
    assert conditions.depth == pytest.approx(22.5 - 2.5 * np.log10(limit), abs=0.1)
    assert conditions.calibrated == {"g": True, "r": True, "i": True}
    assert conditions.photon_noise["r"]


def test_sources_are_half_stars_and_spread(starry_image: Image, conditions: FieldConditions) -> None:
    sample = sample_of(starry_image, conditions, density=30.0)
    area = 260 * 320 * (starry_image.pixel_scale / 60) ** 2
    assert len(sample) == pytest.approx(30 * area, rel=0.15)
    galaxies = np.sum(sample["class"] == "galaxy")
    assert abs(2 * galaxies - len(sample)) <= 1
    points = np.column_stack([sample["x"], sample["y"]])
    gaps, _ = cKDTree(points).query(points, k=2)
    step = np.sqrt(260 * 320 / (30 * area))
    assert gaps[:, 1].min() >= 2 / 3 * step - 1e-6
    assert Section.whole(starry_image.shape).contains(sample["x"], sample["y"]).all()
    assert sample["mag_r"].min() >= conditions.depth - 6.01
    assert sample["mag_r"].max() <= conditions.depth + 1.01
    around = np.abs(sample["mag_r"] - (conditions.depth - 0.25)) < 1.0
    assert 0.45 < np.mean(around) < 0.85


def test_density_by_default(starry_image: Image, conditions: FieldConditions) -> None:
    few, many = (len(sample_of(starry_image, conditions, n_found=n)) for n in (0, 1000))
    assert 10 <= few <= 30
    assert many == pytest.approx(100, rel=0.25), "a tenth of the field's own"


def test_of_the_least_density_there_is_some_source(starry_image: Image, conditions: FieldConditions) -> None:
    assert all(len(sample_of(starry_image, conditions, seed, density=1e-6)) for seed in range(12))


def test_magnitudes_that_are_asked_for(starry_image: Image, conditions: FieldConditions) -> None:
    sample = sample_of(starry_image, conditions, density=30.0, magnitudes=(18.0, 20.0))
    assert sample["mag_r"].min() >= 18
    assert sample["mag_r"].max() <= 20


def test_light_lies_where_the_truth_says(starry_image: Image, conditions: FieldConditions) -> None:
    quiet = replace(conditions)
    sample = sample_of(starry_image, quiet, magnitudes=(17.0, 19.0), density=4.0)
    plain = Image.read(
        {b: (band.pixels().data, band.wcs) for b, band in starry_image.bands.items()}, zeropoint=22.5, reference="r"
    )  # without a gain there is no photon noise
    lit, truth = lay_sources(plain, sample, quiet, seed=np.random.SeedSequence(3))
    checked = 0
    for i in range(len(truth)):
        for band in "gri":
            grid = plain.bands[band]
            x, y = grid.wcs.world_to_pixel_values(truth["ra"][i], truth["dec"][i])
            box = Section(int(x) - 12, int(x) + 14, int(y) - 12, int(y) + 14)
            if box.clip(grid.shape) != box or truth["class"][i] != "star":
                continue
            raw = [b.exposure.plane.read(box).astype(float) for b in (lit.bands[band], grid)]
            added = raw[0] - raw[1]
            rows, columns = np.indices(added.shape)
            flux = truth[f"flux_{band}"][i] / quiet.unit(band)
            assert added.sum() == pytest.approx(flux, rel=0.06)
            assert (added * columns).sum() / added.sum() + box.x0 == pytest.approx(float(x), abs=0.1)
            assert (added * rows).sum() / added.sum() + box.y0 == pytest.approx(float(y), abs=0.1)
            checked += 1
    assert checked >= 6


def test_light_lies_where_each_bands_stars_do(starry: Scene, conditions: FieldConditions) -> None:
    beside = dict(starry.wcs) | {"g": shifted(starry.wcs["g"], -0.9, 0.6)}
    added = []
    for wcs in (starry.wcs, beside):
        image = Image.read({b: (pixels, wcs[b]) for b, pixels in starry.images.items()}, reference="r", zeropoint=22.5)
        sample = sample_of(image, conditions, magnitudes=(17.0, 19.0), density=4.0)
        lit, _ = lay_sources(image, sample, conditions, seed=np.random.SeedSequence(3))
        whole = Section.whole(image.shape)
        added.append(lit.bands["g"].exposure.plane.read(whole).astype(float) - starry.images["g"])
    assert lit.bands["g"].shift == pytest.approx((0.9, -0.6), abs=0.05)
    assert np.abs(added[1] - added[0]).max() < 0.06 * added[0].max()


def test_pixels_do_not_depend_on_the_section_and_bad_ones_stay(conditions: FieldConditions, starry: Scene) -> None:
    frames = {b: pixels.copy() for b, pixels in starry.images.items()}
    frames["r"][40:60, 50:70] = np.nan
    weight = {b: np.full(p.shape, 1 / 0.02**2, np.float32) for b, p in frames.items()}
    image = Image.read({b: (frames[b], starry.wcs[b]) for b in frames}, zeropoint=22.5, gain=200.0, weight=weight)
    before = {b: p.copy() for b, p in frames.items()}
    lit, _ = lay_sources(image, sample_of(image, conditions, density=8.0), conditions, seed=np.random.SeedSequence(3))
    whole = lit.bands["r"].pixels()
    part = lit.bands["r"].pixels(Section(30, 200, 20, 150))
    np.testing.assert_array_equal(whole.data[20:150, 30:200], part.data)
    assert whole.bad[40:60, 50:70].all()
    assert whole.bad.sum() == 400
    np.testing.assert_allclose(whole.noise, 0.02, rtol=1e-5, err_msg="the weight map goes on to say what the noise is")
    for band, array in before.items():
        np.testing.assert_array_equal(frames[band], array)


def test_photon_noise_is_that_of_the_gain(starry_image: Image, conditions: FieldConditions) -> None:
    sample = sample_of(starry_image, conditions, magnitudes=(16.0, 16.5), density=3.0)
    sample = sample[sample["class"] == "star"]
    frames = {b: (band.pixels().data, band.wcs) for b, band in starry_image.bands.items()}
    drawn = [
        lay_sources(Image.read(frames, zeropoint=22.5, gain=gain), sample, conditions, seed=np.random.SeedSequence(5))[
            0
        ]
        for gain in (200.0, None)
    ]
    with_noise, without = (image.bands["r"].exposure.plane.read(Section.whole(image.shape)) for image in drawn)
    light = without - frames["r"][0]
    bright = light > 1
    pull = (with_noise - without)[bright] / np.sqrt(light[bright] / 200.0)
    assert bright.sum() > 200
    assert np.std(pull) == pytest.approx(1, abs=0.12)
    assert abs(np.mean(pull)) < 0.15


def test_what_is_drawn_does_not_depend_on_the_order_of_bands() -> None:
    """A set of them goes in another order in every process."""
    first, second = (
        draw_population(plain_profile(bands, 22.0), plain_conditions(), 4.0, np.random.default_rng(1))
        for bands in (["g", "r", "i"], ["i", "g", "r"])
    )
    assert len(first) > 10
    for name in first.colnames:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_the_same_seed_lays_the_same_light(starry_image: Image, conditions: FieldConditions) -> None:
    sample = sample_of(starry_image, conditions, density=2.0)
    one, two, other = (
        lay_sources(starry_image, sample, conditions, seed=np.random.SeedSequence(s))[0].bands["i"].pixels().data
        for s in (7, 7, 8)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_zero_points_that_are_missing_are_guessed(starry: Scene, starry_catalog: SourceCatalog) -> None:
    frames = {b: (starry.images[b], starry.wcs[b]) for b in starry.images}
    partly = observe(Image.read(frames, zeropoint={"r": 22.5}), starry_catalog)
    assert partly.calibrated == {"g": False, "r": True, "i": False}
    assert partly.shown_zeropoint("g") == 0.0
    raw = starry_catalog.copy()
    for band in "gri":
        raw[f"flux_{band}"] /= 3630.78
    none = observe(Image.read(frames), raw)
    assert set(none.calibrated.values()) == {False}
    assert none.depth == pytest.approx(partly.depth - 22.5, abs=0.05), "instrumental"
    sample = sample_of(Image.read(frames), none, density=8.0)
    _, truth = lay_sources(Image.read(frames), sample, none, seed=np.random.SeedSequence(1))
    assert np.median(truth["mag_r"]) == pytest.approx(none.depth - 1, abs=1.0)
    assert np.abs(np.median(truth["mag_g"] - truth["mag_r"])) < 2
    np.testing.assert_allclose(truth["flux_r"], 10 ** (-0.4 * truth["mag_r"]))


def test_without_wcs_nothing_is_injected(starry: Scene, starry_catalog: SourceCatalog) -> None:
    with pytest.raises(ImageError, match="without a WCS its pixel scale is unknown"):
        observe(Image.read({"r": starry.images["r"]}), starry_catalog)
