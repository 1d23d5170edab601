"""Tests of astrogalaxy.measurement.scene and canvas."""

from __future__ import annotations

import numpy as np
import pytest
from known_skies import field_of, moffat

from astrogalaxy.measurement import stamps
from astrogalaxy.measurement.canvas import Canvas, touched
from astrogalaxy.measurement.moments import Shapes
from astrogalaxy.measurement.scene import Scene, render


def _canvas(data: np.ndarray, bad: np.ndarray | None = None) -> Canvas:
    none = np.zeros(data.shape, dtype=bool)
    bad = none if bad is None else bad
    data = np.where(bad, 0, data).astype(np.float32)
    return Canvas(data, np.ones_like(data), bad, none)


def _scene(canvas: Canvas, x: list[float], y: list[float], *, half: float = 22.0) -> Scene:
    n = len(x)
    shapes = Shapes.circles(np.array(x), np.array(y), np.full(n, 1.7))
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    return Scene(canvas, shapes, np.full(n, half), np.full(n, 12.0), np.full(n, 3.0), (i, j))


def _settle(scene: Scene, rounds: int = 8) -> None:
    n = len(scene.shapes)
    first = scene.shapes.take(slice(None))
    for number in range(rounds):
        scene.measure_light()
        scene.measure_shapes(largest=np.full(n, 6.0), origin=first, leash=np.full(n, 2.0), everywhere=number == 0)


def test_render_has_the_light_and_shape_asked_for() -> None:
    shapes = Shapes.circles(np.array([40.3]), np.array([39.6]), np.array([3.0]))
    shapes.xx[:], shapes.yy[:], shapes.xy[:] = 12.0, 7.0, 3.0
    stamp = render(shapes, np.array([50.0]), np.array([6.0]), 81)[0].astype(float)
    assert stamp.sum() == pytest.approx(50.0, rel=0.01)
    y, x = np.mgrid[:81, :81]
    assert (stamp * x).sum() / stamp.sum() == pytest.approx(40.3, abs=0.02)
    dx, dy = x - 40.3, y - 39.6
    ratio = (stamp * dx * dy).sum() / (stamp * dx**2).sum()
    assert ratio == pytest.approx(3.0 / 12.0, rel=0.05)


def test_two_stars_are_taken_apart() -> None:
    x, y, flux = [40.0, 46.6], [40.0, 41.0], [1000.0, 300.0]
    scene = _scene(_canvas(field_of((80, 90), x, y, flux, side=120)), [40.3, 46.3], [39.8, 41.2])
    _settle(scene)
    np.testing.assert_allclose(scene.shapes.x, x, atol=0.05)
    np.testing.assert_allclose(scene.shapes.y, y, atol=0.05)
    np.testing.assert_allclose(scene.light, flux, rtol=0.03)
    assert abs(scene.residual).max() < 0.03 * scene.canvas.data.max()
    for cut, members, own in scene.batches():
        alone = cut.gather(scene.residual) + own
        np.testing.assert_allclose(alone.sum(axis=(1, 2)), np.array(flux)[members], rtol=0.06)


def test_image_and_guess_are_left_alone() -> None:
    canvas = _canvas(field_of((60, 60), [30.0], [30.0], 500.0))
    before = canvas.data.copy()
    shapes = Shapes.circles(np.array([30.4]), np.array([30.0]), np.array([1.7]))
    scene = Scene(canvas, shapes, np.array([15.0]), np.array([10.0]), np.array([3.0]))
    _settle(scene)
    np.testing.assert_array_equal(canvas.data, before)
    assert shapes.x[0] == 30.4


def test_models_and_residual_add_up_to_the_image(rng: np.random.Generator) -> None:
    x, y = rng.uniform(5, 75, (2, 12))
    canvas = _canvas(field_of((80, 80), x, y, 400.0) + rng.normal(size=(80, 80)))
    scene = _scene(canvas, list(x), list(y), half=30.0)
    _settle(scene, rounds=3)
    total = scene.residual.astype(float)
    for k in range(12):
        stamp = render(scene.shapes.take([k]).shifted(100, 100), scene.light[k : k + 1], scene.beta[k : k + 1], 281)[0]
        total += stamp[100:180, 100:180]
    # What is left out is the light beyond each model's square, and changes too small to redraw.
    np.testing.assert_allclose(total, canvas.data, atol=1.5)


def test_how_many_fit_into_memory_does_not_matter(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rng.uniform(10, 70, (2, 30))
    canvas = _canvas(field_of((80, 80), x, y, 400.0) + rng.normal(size=(80, 80)))
    together = _scene(canvas, list(x), list(y))
    monkeypatch.setattr(stamps, "_PIXELS_PER_BATCH", 3 * 45**2)
    apart = _scene(canvas, list(x), list(y))
    assert len(list(apart.batches())) > 5 * len(list(together.batches()))
    for scene in (together, apart):
        _settle(scene, rounds=2)
    np.testing.assert_allclose(apart.light, together.light, rtol=1e-4)
    np.testing.assert_allclose(apart.residual, together.residual, atol=1e-2)


def test_sizes_of_stamps_do_not_matter(rng: np.random.Generator) -> None:
    x, y = np.array([40.0, 44.5, 47.0]), np.array([40.0, 41.0, 45.0])
    canvas = _canvas(field_of((90, 90), x, y, [1000.0, 300.0, 600.0], side=60) + rng.normal(size=(90, 90)))
    scenes = []
    for core in ([12.0, 12.0, 12.0], [12.0, 15.0, 18.0]):
        shapes = Shapes.circles(x, y, np.full(3, 1.7))
        pairs = np.nonzero(~np.eye(3, dtype=bool))
        scenes.append(Scene(canvas, shapes, np.full(3, 33.0), np.array(core), np.full(3, 3.0), pairs))
        scenes[-1].measure_light()
    # Far from converged: a round must not let one size of stamps see what another has changed.
    np.testing.assert_allclose(scenes[0].light, scenes[1].light, rtol=1e-4)


def test_bad_pixels_are_filled_by_the_model() -> None:
    star = field_of((60, 60), [30.2], [29.7], 1000.0, side=60)
    bad = np.zeros((60, 60), dtype=bool)
    bad[28:33, 32] = bad[40:] = True
    scene = _scene(_canvas(star, bad), [30.0], [30.0], half=15.0)
    _settle(scene, rounds=12)
    assert scene.light[0] == pytest.approx(1000.0, rel=0.03)
    assert scene.shapes.x[0] == pytest.approx(30.2, abs=0.05)
    assert np.all(scene.residual[bad] == 0)


@pytest.mark.parametrize("n", [255, 256])
def test_bad_pixels_stay_empty_however_many_sources_cover_them(n: int) -> None:
    bad = np.zeros((40, 40), dtype=bool)
    bad[20, 22] = True
    shapes = Shapes.circles(np.full(n, 20.0), np.full(n, 20.0), np.full(n, 1.7))
    scene = Scene(_canvas(np.ones((40, 40)), bad), shapes, np.full(n, 12.0), np.full(n, 12.0), np.full(n, 3.0))
    scene.measure_light()
    assert scene.light.min() > 0
    assert scene.residual[20, 22] == 0


def test_twice_the_same_star_shares_its_light() -> None:
    scene = _scene(_canvas(moffat((60, 60), 30.0, 30.0, 1000.0)), [30.0, 30.0], [30.0, 30.0])
    for _ in range(20):
        scene.measure_light()
    # The width is only guessed, and with it the light.
    assert scene.light.sum() == pytest.approx(1000.0, rel=0.08)
    assert scene.light.min() > 400.0


def test_touched_looks_at_bad_saturated_and_edge() -> None:
    none = np.zeros((50, 60), dtype=bool)
    bad, saturated = none.copy(), none.copy()
    bad[10, 20], saturated[30, 40] = True, True
    data = np.zeros((50, 60), dtype=np.float32)
    canvas = Canvas(data, data + 1, bad, saturated)
    x, y = np.array([20.0, 25.0, 40.0, 3.0, 30.0, 57.0]), np.array([13.0, 10.0, 26.0, 25.0, 20.0, 25.0])
    np.testing.assert_array_equal(touched(canvas, x, y, np.full(6, 4.0)), [True, False, True, True, False, True])
    clean = Canvas(data, data + 1, none, none)
    np.testing.assert_array_equal(touched(clean, x, y, np.full(6, 4.0)), [False, False, False, True, False, True])


@pytest.mark.parametrize("flaws", [0, 1, 40, 900])
def test_touched_is_what_a_look_at_each_source_says(flaws: int) -> None:
    rng = np.random.default_rng(flaws)
    shape = (77, 130)
    bad = np.zeros(shape, dtype=bool)
    bad[rng.integers(0, shape[0], flaws), rng.integers(0, shape[1], flaws)] = True
    data = np.zeros(shape, dtype=np.float32)
    x, y, reach = rng.uniform(0, shape[1] - 1, 300), rng.uniform(0, shape[0] - 1, 300), rng.uniform(0, 20, 300)
    expected = []
    for at_x, at_y, half in zip(x, y, reach, strict=True):
        low, high = np.floor([at_y - half + 0.5, at_x - half + 0.5]), np.floor([at_y + half + 0.5, at_x + half + 0.5])
        inside = (low >= 0).all() and (high < shape).all()
        y0, x0, y1, x1 = np.clip([*low, *(high + 1)], 0, [*shape, *shape]).astype(int)
        expected.append(not inside or bad[y0:y1, x0:x1].any())
    np.testing.assert_array_equal(touched(Canvas(data, data + 1, bad, bad & False), x, y, reach), expected)
