"""Tests of astrogalaxy.detection.single."""

from __future__ import annotations

import numpy as np

from astrogalaxy.detection import open_runtime
from astrogalaxy.detection.decode import Boxes
from astrogalaxy.detection.single import disk_probability, drop_smaller, the_galaxy


def _boxes(*rows: tuple[float, float, float, float, float]) -> Boxes:
    """Square boxes: x, y, side, logit of a source, logit of a galaxy."""
    x, y, side, source, galaxy = np.array(rows, dtype=np.float32).reshape(-1, 5).T
    return Boxes(x, y, side, side, source, galaxy, np.zeros(len(x), np.float32))


def test_of_two_that_are_the_same_the_smaller_goes() -> None:
    sides = np.array([[50, 50, 40, 40], [50, 50, 41, 41], [50, 50, 38, 38], [20, 20, 8, 8]], float)
    # 38 of 41 overlap by 0.86 only
    assert drop_smaller(sides).tolist() == [1, 2, 3]
    assert drop_smaller(sides, iou=0.8).tolist() == [1, 3]
    assert drop_smaller(np.zeros((0, 4))).tolist() == []


def test_the_surest_box_over_the_middle() -> None:
    boxes = _boxes((10, 10, 9, 5.0, 1.0), (48, 50, 30, 2.0, 1.0), (50, 50, 60, 1.0, 1.0))
    assert the_galaxy(boxes, (100, 100)) == 1, "the first is surer, but beside the middle"
    assert the_galaxy(_boxes((10, 10, 9, 5.0, 1.0), (80, 80, 9, 6.0, 1.0)), (100, 100)) == 1
    assert the_galaxy(_boxes(), (100, 100)) is None


def test_a_star_and_a_galaxy_in_one_place_are_the_larger_of_them() -> None:
    star, galaxy = (50, 50, 40, 3.0, -1.0), (50, 50, 41, 2.0, 1.0)
    assert the_galaxy(_boxes(star, galaxy), (100, 100)) == 1
    unlike = (50, 50, 60, 2.0, 1.0)
    assert the_galaxy(_boxes(star, unlike), (100, 100)) == 0, "these are two sources, and the surer is taken"


def test_a_galaxy_is_a_disk_however_it_is_turned() -> None:
    runtime = open_runtime("default")
    rows, columns = np.mgrid[:64, :80] - np.array([31.0, 40.0])[:, None, None]
    noise = np.random.default_rng(1).standard_normal((3, 64, 80))
    edge_on = (60 * np.exp(-np.hypot((columns + rows) / 14, (columns - rows) / 2)) + noise).astype(np.float32)
    disk = disk_probability(runtime, edge_on)
    assert 0 < disk < 1
    for turned in (np.rot90(edge_on, 1, axes=(1, 2)), edge_on[:, ::-1], edge_on[:, :, ::-1]):
        assert abs(disk_probability(runtime, np.ascontiguousarray(turned)) - disk) < 1e-4
