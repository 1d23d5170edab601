"""Tests of astrogalaxy.detection.significance."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.detection.significance import significance


def _star(x: float, y: float, peak: float, *, bands: int = 1) -> np.ndarray:
    rows, columns = np.indices((60, 80))
    star = peak * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 1.4**2)
    return np.repeat(star[None].astype(np.float32), bands, axis=0)


def test_noise_has_the_significance_of_noise() -> None:
    sky = np.random.default_rng(0).standard_normal((3, 200, 200), dtype=np.float32)
    y, x = np.mgrid[5:195:4, 5:195:4]
    values = significance(sky, x.ravel() + 0.3, y.ravel() - 0.2)
    assert values.min() == 0.0, "negative light is none"
    assert np.mean(values > 1) == pytest.approx(0.159, abs=0.03)
    assert np.sqrt(2 * np.mean(values**2)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("x", "y"), [(30.0, 20.0), (30.5, 20.25), (40.7, 33.1)])
def test_a_star_s_signal_to_noise(x: float, y: float) -> None:
    # of a Gaussian of height 10 over noise 1: 10 times the root of the sum of squares, 2 sigma sqrt(pi) / 2
    expected = 10 * np.sqrt(np.pi) * 1.4
    one = significance(_star(x, y, 10.0), [x], [y])[0]
    assert one == pytest.approx(expected, rel=0.02)
    assert significance(_star(x, y, 10.0, bands=4), [x], [y])[0] == pytest.approx(2 * one)


def test_edges_are_no_trouble() -> None:
    star = _star(0, 0, 10.0)
    corner, off, far = significance(star, [0.0, -2.0, -50.0], [0.0, -2.0, 500.0])
    assert corner > 5
    assert 0 < off < corner
    assert far == 0.0
    assert significance(star, [], []).shape == (0,)
