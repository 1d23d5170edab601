"""Tiles partition an image, whatever its shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrogalaxy.images import Section, plan_tiles

plans = {
    "shape": st.tuples(st.integers(1, 700), st.integers(1, 700)),
    "size": st.integers(25, 400),
    "overlap": st.integers(0, 90),
    "multiple": st.sampled_from([1, 8, 32, 64]),
}


@settings(max_examples=60, deadline=None)
@given(**plans)
def test_cores_partition_the_image(shape, size, overlap, multiple):
    count = np.zeros(shape, dtype=int)
    tiles = plan_tiles(shape, size=size, overlap=overlap, multiple=multiple)
    for tile in tiles:
        count[tile.core.slices] += 1
        assert 0 not in tile.core.shape
    assert (count == 1).all()
    assert len({tile.name for tile in tiles}) == len(tiles)


@settings(max_examples=60, deadline=None)
@given(**plans)
def test_outer_sections_contain_their_cores_and_the_overlap(shape, size, overlap, multiple):
    for tile in plan_tiles(shape, size=size, overlap=overlap, multiple=multiple):
        outer, wanted = tile.outer, tile.core.grow(overlap).clip(shape)
        assert outer.clip(shape) == outer
        assert outer.x0 <= wanted.x0
        assert outer.y0 <= wanted.y0
        assert outer.x1 >= wanted.x1
        assert outer.y1 >= wanted.y1
        assert outer.x0 % multiple == outer.y0 % multiple == 0


@settings(max_examples=60, deadline=None)
@given(**plans, place=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)))
def test_every_position_has_one_owner(shape, size, overlap, multiple, place):
    # At the very edge of the last pixel rounding may leave the image.
    x = np.minimum(place[0] * shape[1] - 0.5, np.nextafter(shape[1] - 0.5, 0))
    y = np.minimum(place[1] * shape[0] - 0.5, np.nextafter(shape[0] - 0.5, 0))
    owners = [tile.owns(x, y) for tile in plan_tiles(shape, size=size, overlap=overlap, multiple=multiple)]
    assert sum(map(int, owners)) == 1


@settings(max_examples=60, deadline=None)
@given(**plans)
def test_cores_are_near_the_size_asked_for(shape, size, overlap, multiple):
    # Balanced cores are rounded to whole multiples.
    largest = 1.25 * size + multiple
    for tile in plan_tiles(shape, size=size, overlap=overlap, multiple=multiple):
        assert max(tile.core.shape) <= largest


def test_image_that_nearly_fits_is_one_tile():
    (tile,) = plan_tiles((1280, 1000), size=1024, overlap=64)
    assert tile.core == tile.outer == Section(0, 1000, 0, 1280)


def test_no_sliver_is_left_at_the_end():
    tiles = plan_tiles((100, 2060), size=1024, overlap=64)
    assert [tile.core.x1 - tile.core.x0 for tile in tiles] == [1056, 1004]


def test_nan_belongs_nowhere_and_edges_to_one_side():
    section = Section(0, 10, 0, 10)
    assert section.contains([np.nan, -0.5, 9.5, 9.4], [1, 1, 1, 9.4]).tolist() == [False, True, False, True]


def test_clip_gives_an_empty_section_outside():
    assert Section(-20, -5, 3, 8).clip((10, 10)).shape == (5, 0)
    assert Section(12, 15, 3, 8).clip((10, 10)).shape == (5, 0)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"overlap": -1}, {"multiple": 0}, {"shape": (0, 5)}])
def test_impossible_plans_are_refused(wrong):
    settings = {"shape": (10, 10), "size": 5, "overlap": 2, "multiple": 1} | wrong
    shape = settings.pop("shape")
    with pytest.raises(ValueError, match="tile"):
        plan_tiles(shape, **settings)


def test_a_tile_holds_large_sources_that_reach_into_it():
    tile = plan_tiles((2000, 2000), size=512, overlap=64)[0]
    reaching = np.array([[480.0, 720.0, 300.0, 400.0]])
    grown = tile.holding(reaching, (2000, 2000))
    assert grown.core == tile.core
    assert (grown.name, grown.outer.x0, grown.outer.y0) == (tile.name, 0, 0)
    assert grown.outer.x1 >= 600 + 360
    assert grown.outer.y1 >= 350 + 360
    assert grown.outer.x1 % 32 == grown.outer.y1 % 32 == 0
    assert tile.holding(np.array([[1500.0, 1600.0, 300.0, 400.0]]), (2000, 2000)) is tile
    assert tile.holding(np.empty((0, 4)), (2000, 2000)) is tile
