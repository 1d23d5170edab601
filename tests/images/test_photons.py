"""Skies of so few photons that pixels are empty."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.images.background import make_mesh
from astrogalaxy.images.photons import GRAIN, photon_sky

MEANS = [0.01, 0.1, 0.5, 1.0, 3.0, 5.0]


def mesh_of(image):
    image = image.astype(np.float32)
    return make_mesh(lambda part: (image[part.slices], None), image.shape)


def sky_of(*boxes):
    ordered = np.sort(np.array(boxes, dtype=np.float32))
    return photon_sky(ordered, np.count_nonzero(~np.isnan(ordered), axis=1))


@pytest.mark.parametrize("photon", [1.0, 1 / 1500, 3e-9])
@pytest.mark.parametrize("mean", MEANS)
def test_level_and_noise_are_those_of_the_photons(rng, mean, photon):
    mesh = mesh_of(rng.poisson(mean, (640, 640)) * photon)
    assert mesh.background().mean() == pytest.approx(mean * photon, abs=0.05 * np.sqrt(mean) * photon)
    np.testing.assert_allclose(mesh.noise(), np.sqrt(mean + GRAIN) * photon, rtol=0.03)


@pytest.mark.parametrize("mean", MEANS)
def test_response_that_varies_gives_photons_several_values(rng, mean):
    response = 1 + 0.1 * np.sin(np.arange(640) / 100)
    mesh = mesh_of(rng.poisson(mean * response, (640, 640)) / response)
    assert mesh.background().mean() == pytest.approx(mean, abs=0.1 * np.sqrt(mean))
    np.testing.assert_allclose(mesh.noise(), np.sqrt(mean + GRAIN), rtol=0.12)


def test_what_is_bad_does_not_count(rng):
    sky = rng.poisson(0.5, 4096).astype(float)
    sky[1000:] = np.nan
    np.testing.assert_allclose(sky_of(sky), [[0.5], [1.0]], rtol=0.1)


def test_boxes_with_few_photons_tell_the_mean_alone(rng):
    few = np.zeros(4096)
    few[:20] = 0.25
    mean, photon = sky_of(few, np.zeros(4096))
    np.testing.assert_allclose(mean, [20 / 4096, 0.0], rtol=0.01)
    assert np.isnan(photon).all()


def test_what_is_no_photons(rng):
    cut, faded = np.maximum(rng.normal(0, 1, 4096), 0), np.zeros(4096)
    faded[:500] = rng.exponential(50, 500)
    pedestal = rng.normal(1000, 10, 4096)
    border, corner = np.where(np.arange(4096) < 2000, 0, pedestal), np.where(np.arange(4096) < 200, 0, pedestal)
    digits, negative = np.rint(rng.normal(50, 0.4, 4096)), rng.poisson(0.5, 4096) - 1
    assert np.isnan(sky_of(cut, faded, pedestal, border, corner, digits, negative, np.full(4096, np.nan))).all()


@pytest.mark.parametrize("mean", [0.02, 0.3])
def test_sources_on_an_almost_empty_sky_are_found_and_measured(rng, mean):
    x, y = (part.ravel() for part in np.meshgrid(*2 * [np.arange(30.0, 500, 40)]))
    x, y, photons = x + rng.uniform(-5, 5, x.size), y + rng.uniform(-5, 5, x.size), rng.uniform(50, 1000, x.size)
    light, (rows, columns) = np.full((512, 512), mean), np.mgrid[:512, :512]
    for x0, y0, flux in zip(x, y, photons, strict=True):
        light += flux * np.exp(-((columns - x0) ** 2 + (rows - y0) ** 2) / 4.5) / (4.5 * np.pi)
    found = ag.detect(ag.Image.read({"nuv": rng.poisson(light).astype(np.int16)}, gain=1.0))
    distance, nearest = cKDTree(np.stack([found["x"], found["y"]], axis=1)).query(np.stack([x, y], axis=1))
    assert (distance < 2).mean() > 0.98
    assert len(found) < 1.15 * len(x)
    flux, error = (np.asarray(found[name], dtype=float)[nearest] for name in ("flux_nuv", "flux_nuv_err"))
    pulls = ((flux - photons) / error)[distance < 2]
    assert abs(pulls.mean()) < 0.3
    assert 0.6 < pulls.std() < 1.2
