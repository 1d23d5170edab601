"""Which injected sources came out, and what is left of a frame turned upside down."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrogalaxy.catalog import SourceCatalog, flag_bits
from astrogalaxy.evaluation.injection.match import free_and_good, match_round, mirrored
from astrogalaxy.images import Image, Section


def table(*rows: tuple[float, float, float]) -> Table:
    """x, y, flux."""
    return Table(rows=list(rows) or None, names=("x", "y", "flux_r"), dtype=(float, float, float))


def matched(truth: Table, found: Table, before: Table, radius: float = 3.0):
    return match_round(truth, found, before, band="r", radius=radius)


def test_in_empty_sky_the_nearest_detection_is_it() -> None:
    result = matched(table((10, 10, 50)), table((11, 10, 45), (10.2, 10, 5), (40, 40, 9)), table())
    assert list(result.row) == [1]
    assert not result.confused.any()
    assert list(result.extra) == [0, 2]


def test_a_source_that_was_there_before_is_no_recovery() -> None:
    before = table((10, 10, 100))
    result = matched(table((11, 10, 20)), table((10.1, 10, 104)), before)
    assert list(result.row) == [-1]
    assert list(result.confused) == [True]
    assert len(result.extra) == 0


def test_nor_is_one_that_is_fainter_than_what_was_injected() -> None:
    """A wide faint galaxy that was not found must not take the star under it."""
    result = matched(table((11, 10, 150)), table((10.1, 10, 110)), table((10, 10, 100)))
    assert list(result.row) == [-1]


def test_a_detection_that_gained_the_light_is_it() -> None:
    result = matched(table((11, 10, 150)), table((10.9, 10, 235)), table((10, 10, 100)))
    assert list(result.row) == [0]
    assert not result.confused.any()


def test_two_detections_are_one_each() -> None:
    before = table((10, 10, 100))
    result = matched(table((12, 10, 60)), table((10, 10, 101), (12.1, 10, 55)), before)
    assert list(result.row) == [1]
    assert len(result.extra) == 0


def test_what_nobody_knew_is_extra_and_what_vanished_is_not() -> None:
    before = table((10, 10, 100), (70, 70, 4))
    result = matched(table((40, 40, 60)), table((10, 10, 101), (40, 40, 61), (44, 40, 6)), before)
    assert list(result.row) == [1]
    assert list(result.extra) == [2]


def test_tables_without_rows_and_values() -> None:
    assert len(matched(table(), table((1, 1, 1)), table()).extra) == 1
    assert list(matched(table((5, 5, 1)), table(), table()).row) == [-1]
    lost = matched(table((5, 5, 10)), table((5, 5, np.nan)), table((5, 5, np.nan)))
    assert list(lost.row) == [-1], "a flux that is not known has gained nothing"


@pytest.fixture(scope="module")
def noise(starry_image: Image) -> Image:
    """A field of a sloping sky with two sources."""
    rng, (ny, nx) = np.random.default_rng(4), (200, 220)
    y, x = np.indices((ny, nx))
    sky = 100 + 0.05 * x
    light = sum(400 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in ((60, 70), (150, 120)))
    frame = (sky + light + rng.normal(0, 2, (ny, nx))).astype(np.float32)
    frame[:, 30:33] = np.nan
    return Image.read({"r": (frame, starry_image.wcs)}, name="two")


def sources(*, saturated: bool = False) -> SourceCatalog:
    x, y = np.array([60.0, 150.0]), np.array([70.0, 120.0])
    flags = np.array([flag_bits("saturated") if saturated else 0, 0], dtype=np.int32)
    columns = {"x": x, "y": y, "x_min": x - 8, "x_max": x + 8, "y_min": y - 6, "y_max": y + 6, "flags": flags}
    return SourceCatalog.from_columns(columns, bands=["r"], calibrated=set())


def test_the_mirror_image_turns_the_noise_and_masks_the_sources(noise: Image) -> None:
    turned = mirrored(noise, sources())
    old, new = noise.bands["r"].pixels(), turned.bands["r"].pixels()
    assert new.bad[70, 60]
    assert new.bad[70, 60 + 11]
    assert not new.bad[70, 60 + 13], "one and a half times the box"
    free = ~new.bad
    np.testing.assert_allclose(new.data[free], -old.data[free], atol=1e-3)
    np.testing.assert_array_equal(new.noise, old.noise)
    assert new.bad[:, 30:33].all()
    part = turned.bands["r"].pixels(Section(40, 120, 50, 110))
    np.testing.assert_array_equal(part.data, new.data[50:110, 40:120])
    assert turned.bands["r"].seeing == pytest.approx(noise.bands["r"].seeing, nan_ok=True)


def test_free_share(noise: Image) -> None:
    whole = 200 * 217
    share, good = free_and_good(noise, sources())
    assert share == pytest.approx(1 - 2 * np.pi * 12**2 / whole, abs=0.001)
    assert good == np.sum(~noise.bands[noise.reference].pixels().bad)
    assert free_and_good(noise, sources(saturated=True))[0] < share - 0.02
    assert free_and_good(noise, sources()[:0])[0] == 1.0
