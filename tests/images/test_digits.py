"""Skies of a handful of values: as good as those of many."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.images.background import make_mesh
from astrogalaxy.images.digits import SPREAD, coarse_steps, spread_out


def mesh_of(image):
    image = image.astype(np.float32)
    return make_mesh(lambda part: (image[part.slices], None), image.shape)


def steps_of(*boxes):
    ordered = np.sort(np.array(boxes, dtype=np.float32))
    return coarse_steps(ordered, np.count_nonzero(~np.isnan(ordered), axis=1)).tolist()


@pytest.mark.parametrize("step", [1.0, 0.25, 0.02])
@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 2.0])
def test_wide_steps_are_seen(rng, step, sigma):
    sky = np.rint(rng.normal(50.3, sigma, 4096)) * step
    sky[:1000] = np.nan
    assert steps_of(sky) == pytest.approx([step], rel=1e-4)


def test_what_is_no_coarse_sky_stays(rng):
    fine, stars = np.rint(rng.normal(50, 5, 4096)), np.zeros(4096)
    stars[:500] = rng.exponential(50, 500)
    clipped = np.maximum(rng.normal(0, 1, 4096), 0)
    assert steps_of(fine, rng.normal(0, 1, 4096), np.full(4096, 7), stars, clipped, np.full(4096, np.nan)) == [0] * 6
    ordered = np.sort(fine[None].astype(np.float32))
    assert spread_out(ordered, np.array([4096]), np.zeros(1)) is ordered, "no image of fine steps is touched"


def test_spreading_keeps_the_mean_and_adds_its_variance(rng):
    ordered = np.sort(np.rint(rng.normal(50.3, 0.8, (2, 4096)))).astype(np.float32)
    made = spread_out(ordered, np.array([4096, 4000]), np.array([1.0, 1.0]))
    np.testing.assert_array_equal(made[1, 4000:], ordered[1, 4000:])
    assert made[0].mean() == pytest.approx(ordered[0].mean(), abs=1e-3)
    assert made[0].var() == pytest.approx(ordered[0].var() + SPREAD**2, rel=0.01)
    assert (np.diff(made[0]) >= 0).all()


@pytest.mark.parametrize("offset", [50.0, 50.3, 50.5])
@pytest.mark.parametrize(("sigma", "level", "noise"), [(1, 0.02, 0.03), (0.6, 0.04, 0.05), (0.4, 0.11, 0.16)])
def test_sky_of_a_handful_of_values(offset, sigma, level, noise):
    """Without spreading, noise at sigma 1 is 1.27 with one seed and 1.00 with another, and levels are off by 0.8 sigma."""
    for seed in (1, 2):
        sky = np.rint(np.random.default_rng(seed).normal(offset, sigma, (512, 512)))
        mesh = mesh_of(sky)
        assert mesh.background().mean() == pytest.approx(sky.mean(), abs=level * sky.std())
        np.testing.assert_allclose(np.median(mesh.noise_mesh), sky.std(), rtol=noise)
        assert mesh.noise_mesh.std() < 0.05 * sky.std()


def test_stars_lift_a_coarse_sky_as_little_as_a_fine_one(rng, make_stars):
    x, y = rng.uniform(0, 256, (2, 200))
    image = make_stars((256, 256), x, y, peak=10 * rng.uniform(0, 1, 200) ** -1, sigma=1.3, sky=50.3, noise=0.7)
    fine, coarse = mesh_of(image), mesh_of(np.rint(image))
    assert np.abs(coarse.background_mesh - fine.background_mesh).max() < 0.15
    assert coarse.noise_mesh.mean() == pytest.approx(np.hypot(fine.noise_mesh.mean(), 12**-0.5), rel=0.08)
