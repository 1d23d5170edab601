"""The sky around each source."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.measurement.canvas import Canvas
from astrogalaxy.measurement.localsky import local_sky


def _canvas(data: np.ndarray, *, bad: np.ndarray | None = None, origin: tuple[int, int] = (0, 0)) -> Canvas:
    none = np.zeros(data.shape, dtype=bool)
    noise = np.ones(data.shape, dtype=np.float32)
    return Canvas(data.astype(np.float32), noise, none if bad is None else bad, none, origin=origin)


def test_what_the_mesh_left_is_found(rng: np.random.Generator) -> None:
    x, y = np.array([100.0, 150.0]), np.array([110.0, 90.0])
    found = [local_sky(_canvas(rng.normal(0.05, 1, (200, 260))), x, y, np.full(2, 10.0)) for _ in range(40)]
    sky, error = (np.array(part) for part in zip(*found, strict=True))
    assert np.mean(sky) == pytest.approx(0.05, abs=0.006)
    assert np.mean(error) == pytest.approx(np.std(sky, axis=0).mean(), rel=0.25)


def test_sources_are_hidden(rng: np.random.Generator) -> None:
    data = rng.normal(0, 1, (160, 160))
    data[70:91, 70:91] += 2.0
    centre = np.array([80.0])
    hidden, _ = local_sky(_canvas(data), centre, centre, np.array([12.0]))
    seen, _ = local_sky(_canvas(data), centre, centre, np.array([0.0]))
    assert abs(hidden[0]) < 0.04
    assert seen[0] > 0.08


def test_a_part_of_the_image_tells_the_same(rng: np.random.Generator) -> None:
    data = rng.normal(0.1, 1, (240, 240))
    x, y, wide = np.array([121.3]), np.array([117.8]), np.array([9.0])
    whole = local_sky(_canvas(data), x, y, wide)
    part = local_sky(_canvas(data[50:, 43:], origin=(43, 50)), x - 43, y - 50, wide)
    np.testing.assert_allclose(whole, part, rtol=1e-5)


def test_without_free_pixels_the_mesh_is_believed() -> None:
    data = np.full((100, 100), 0.5)
    sky, error = local_sky(_canvas(data, bad=np.ones(data.shape, bool)), np.array([50.0]), np.array([50.0]), np.ones(1))
    assert sky[0] == 0.0
    assert error[0] == pytest.approx(0.1)
    tiny, _ = local_sky(_canvas(np.zeros((3, 3))), np.array([1.0]), np.array([1.0]), np.ones(1))
    assert tiny[0] == 0.0


@pytest.mark.parametrize("wide", [15.0, 35.0, 45.0, 60.0])
def test_sky_around_large_sources_is_as_well_known(rng: np.random.Generator, wide: float) -> None:
    data = rng.normal(0.3, 1, (320, 320))
    data[160 - 40 : 160 + 41, 160 - 40 : 160 + 41] += 2.0 * (wide > 40)
    sky, error = local_sky(_canvas(data), np.array([160.0]), np.array([160.0]), np.array([wide]))
    assert error[0] < 0.02, "0.1 if the source hides all of the usual square"
    assert sky[0] == pytest.approx(0.3, abs=0.06)
    part = local_sky(_canvas(data[:, 30:], origin=(30, 0)), np.array([130.0]), np.array([160.0]), np.array([wide]))
    np.testing.assert_allclose(part, (sky, error), rtol=1e-5)
