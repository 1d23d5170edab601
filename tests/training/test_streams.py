"""Tests of astrogalaxy.training.streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, IterableDataset

from astrogalaxy.errors import RunError
from astrogalaxy.training.examples import Example, sources_array
from astrogalaxy.training.running import plain_errors
from astrogalaxy.training.schedule import Phase, Schedule
from astrogalaxy.training.streams import FieldStream, ScheduledStream, exact_crop

MakeExample = Callable[..., Example]


class _Named(IterableDataset):
    """Endless repetitions of a number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __iter__(self) -> Iterator[int]:
        while True:
            yield self.number


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_example_is_one_line_from_any_process(
    tmp_path: Path, make_example: MakeExample, workers: int
) -> None:
    path = make_example([40.0], [30.0]).save(tmp_path)
    path.write_bytes(path.read_bytes()[:60])
    stream = FieldStream([path], crop=32, channels=3, seed=0)
    loader = DataLoader(stream, num_workers=workers, multiprocessing_context="spawn" if workers else None)
    with pytest.raises(RunError) as caught, plain_errors():
        next(iter(loader))
    assert str(caught.value).startswith(f"{path}: the prepared example is missing or damaged")
    assert len(str(caught.value).splitlines()) == 1


def test_boxes_follow_their_sources(make_example: MakeExample) -> None:
    example = make_example([40.0, 70.0], [30.0, 60.0], width=9.0, height=7.0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        snr, sources = exact_crop(example, 64, rng)
        assert snr.shape == (3, 64, 64)
        for source in sources[~sources["ignore"]]:
            x, y = round(float(source["x"])), round(float(source["y"]))
            if 4 < x < 59 and 4 < y < 59:
                assert snr[0, y - 1 : y + 2, x - 1 : x + 2].max() > 50
                assert {round(float(source["width"])), round(float(source["height"]))} == {7, 9}


def test_boxes_end_at_the_edge(make_example: MakeExample) -> None:
    example = make_example([2.0, 31.0, 30.0], [40.0, 30.0, 10.0], shape=(64, 64), width=20.0, height=10.0)
    _, sources = exact_crop(example, 64, np.random.default_rng(0))
    wide = np.maximum(sources["width"], sources["height"])
    assert sorted(wide.tolist()) == pytest.approx([12.5, 20, 20]), "of the first 7.5 are cut off"
    assert (sources["x"] - sources["width"] / 2 >= -0.5).all()
    assert (sources["x"] + sources["width"] / 2 <= 63.5).all()
    assert not sources["ignore"].any()
    nearly_out = make_example([-5.0, -12.0], [40.0, 20.0], shape=(64, 64), width=20.0, height=10.0)
    _, sources = exact_crop(nearly_out, 64, np.random.default_rng(0))
    assert sources["ignore"].tolist() == [True], "the other one is outside altogether"


def test_a_stream_is_a_function_of_its_seed(make_example: MakeExample, tmp_path: Path) -> None:
    path = make_example([30.0], [40.0], noise=1.0).save(tmp_path)
    first, same, other = (
        [snr for snr, _ in islice(FieldStream([path], crop=32, channels=3, seed=seed), 3)] for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert not np.array_equal(first[0], first[1])


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # where there is a single core
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_their_steps(workers: int) -> None:
    """However many workers make them, and wherever the training goes on."""
    schedule = Schedule([Phase("fields", steps=3), Phase("galaxies", steps=2)])
    streams = {"fields": _Named(1), "galaxies": _Named(2)}
    wanted = [1 if schedule.at(step).data == "fields" else 2 for step in range(14)]
    for start in (0, 4):
        stream = ScheduledStream(schedule, streams, batch=2, start=start)
        batches = islice(DataLoader(stream, batch_size=2, num_workers=workers), 14 - start)
        assert [batch.tolist() for batch in batches] == [[n, n] for n in wanted[start:]]


class _Marked(IterableDataset):
    """Endless repetitions of an image with one value and of a galaxy."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield np.full((1, 2, 2), self.value), sources_array(x=[1.0], y=[1.0], width=2.0, height=2.0, galaxy=1.0)


def test_a_step_may_have_samples_of_both_sets() -> None:
    schedule = Schedule([Phase("both", steps=2), Phase("galaxies", steps=1)])
    stream = ScheduledStream(schedule, {"fields": _Marked(1), "galaxies": _Marked(2)}, batch=4)
    items = list(islice(stream, 12))
    assert [int(image.max()) for image, _ in items] == [1, 2, 1, 2, 1, 2, 1, 2, 2, 2, 2, 2]
    asked = [bool(np.isfinite(sources["galaxy"]).all()) for _, sources in items]
    assert asked == [True, False] * 4 + [True] * 4, "only beside fields nothing is asked of single galaxies"
