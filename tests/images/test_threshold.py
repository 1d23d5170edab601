"""Tests of astrogalaxy.images.threshold."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import sep
from numpy.typing import NDArray

from astrogalaxy.images.threshold import above_threshold


def test_a_cluster_of_more_stars_than_sep_usually_takes() -> None:
    sky = _cluster()
    noise = np.ones_like(sky)
    with pytest.raises(Exception, match="overflow"):
        sep.extract(sky, 80.0, err=noise)
    sky.setflags(write=False)
    found = above_threshold(sky, 80.0, err=noise)
    assert len(found) > 50
    assert (sky[found["ypeak"], found["xpeak"]] > 80).all()
    assert sep.get_sub_object_limit() == 1024


def test_sep_looks_once_and_asks_for_no_more_memory_than_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its stack of pixels is written to: where it had a quarter of the image, that took most of the time."""
    usual, stacks, extract = sep.get_extract_pixstack(), [], sep.extract

    def look(*args: Any, **settings: Any) -> Any:
        stacks.append(sep.get_extract_pixstack())
        return extract(*args, **settings)

    monkeypatch.setattr(sep, "extract", look)
    sky = np.zeros((1500, 1500), dtype=np.float32)
    sky[:500, :500] = _cluster()
    assert len(above_threshold(sky, 80.0)) > 50
    assert stacks == [usual]


@pytest.mark.parametrize("few", [100, 70_000])
def test_the_stack_of_pixels_is_larger_where_it_must_be(few: int) -> None:
    sky = _cluster()
    wanted = above_threshold(sky, 2.0)
    usual = sep.get_extract_pixstack()
    sep.set_extract_pixstack(few)
    try:
        found = above_threshold(sky, 2.0)
        assert sep.get_extract_pixstack() == few
    finally:
        sep.set_extract_pixstack(usual)
    assert (found == wanted).all()


def test_threads_leave_the_limits_of_sep_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second thread that begins amid the first, and ends after it, does not take its limits for the usual ones."""
    usual, extract = sep.get_sub_object_limit(), sep.extract
    begun, over, second = threading.Event(), threading.Event(), []

    def look(*args: Any, **settings: Any) -> Any:
        if second:
            begun.set()
            over.wait(5)
        else:
            second.append(pool.submit(above_threshold, sky, 2.0))
            begun.wait(0.3)
        return extract(*args, **settings)

    sky = np.zeros((9, 9), dtype=np.float32)
    monkeypatch.setattr(sep, "extract", look)
    with ThreadPoolExecutor(1) as pool:
        above_threshold(sky, 2.0)
        over.set()
    assert len(second[0].result()) == 0
    assert sep.get_sub_object_limit() == usual


def _cluster() -> NDArray[np.float32]:
    """Stars that are too many, and too near to each other, for SEP's usual limits."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[-6:7, -6:7]
    star = np.exp(-(rows**2 + columns**2) / 4.5)
    sky = np.zeros((500, 500), dtype=np.float32)
    for x, y, peak in zip(*rng.integers(10, 480, (2, 5000)), 10 ** rng.uniform(2.3, 4.5, 5000), strict=True):
        sky[y - 6 : y + 7, x - 6 : x + 7] += (peak * star).astype(np.float32)
    return sky


def test_other_errors_are_told() -> None:
    with pytest.raises(ValueError, match="2-d"):
        above_threshold(np.zeros(9, dtype=np.float32), 1.0)
