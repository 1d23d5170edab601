"""Tests of astrogalaxy.measurement.stamps."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrogalaxy.measurement.stamps import HALF_WIDTHS, Stamps, batches, class_of


def _cut_slowly(image: np.ndarray, x: float, y: float, half: int, fill: float) -> np.ndarray:
    out = np.full((2 * half + 1, 2 * half + 1), fill)
    for row in range(2 * half + 1):
        for column in range(2 * half + 1):
            j, i = floor(y + 0.5) - half + row, floor(x + 0.5) - half + column
            if 0 <= j < image.shape[0] and 0 <= i < image.shape[1]:
                out[row, column] = image[j, i]
    return out


def test_halfway_between_two_pixels_the_same_pixel_is_taken_on_every_tile() -> None:
    x = np.array([20.5, 21.5])
    for origin in (0, 1, 6):
        stamps = Stamps(x - origin, x - origin, 4, (60, 60))
        np.testing.assert_array_equal(stamps.x0 + origin, [17, 18])
        np.testing.assert_array_equal(stamps.y0 + origin, [17, 18])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.5, 19.49), st.floats(-0.5, 13.49)), min_size=1, max_size=4),
    st.sampled_from([1, 3, 8]),
)
def test_gather_and_add_at_any_place(places: list[tuple[float, float]], half: int) -> None:
    image = np.arange(14 * 20, dtype=float).reshape(14, 20)
    x, y = np.array(places).T
    stamps = Stamps(x, y, half, image.shape)
    found = stamps.gather(image, fill=-1.0)
    for number in range(len(x)):
        np.testing.assert_array_equal(found[number], _cut_slowly(image, x[number], y[number], half, -1.0))
    outside = stamps.outside
    np.testing.assert_array_equal(found == -1.0, np.zeros_like(found, bool) if outside is None else outside)

    total = np.zeros_like(image)
    stamps.add(total, np.ones_like(found))
    assert total.sum() == (found != -1.0).sum()
    for number in range(len(x)):
        np.testing.assert_array_equal(stamps.take(np.array([number])).gather(image, fill=-1.0)[0], found[number])


def test_cropped_is_the_middle() -> None:
    image = np.random.default_rng(1).normal(size=(40, 50))
    stamps = Stamps(np.array([20.3, 2.0]), np.array([17.8, 38.0]), 8, image.shape)
    np.testing.assert_array_equal(stamps.cropped(3).gather(image), stamps.gather(image)[:, 5:-5, 5:-5])


def test_batches_take_every_source_once() -> None:
    half = np.random.default_rng(2).uniform(1, 700, 500)
    seen = []
    for width, members in batches(half):
        assert np.all((half[members] <= width) | (width == HALF_WIDTHS[-1]))
        assert len(members) == 1 or len(members) * (2 * width + 1) ** 2 <= 1_500_000
        seen.extend(members)
    assert sorted(seen) == list(range(500))


@pytest.mark.parametrize(("half", "width"), [(0.0, 6), (6.0, 6), (6.01, 8), (9999.0, 512), (np.nan, 6)])
def test_class_of(half: float, width: int) -> None:
    assert HALF_WIDTHS[class_of(np.array([half]))[0]] == width
