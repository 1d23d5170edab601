"""Tests of astrogalaxy.training.crops."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from astrogalaxy.training import crops
from astrogalaxy.training.crops import CropStream, collate, random_crop
from astrogalaxy.training.examples import Example

PLACES = ([12.3, 40.0, 75.6, 100.2, 60.4], [10.1, 70.3, 33.8, 80.0, 12.9])


def _plain(monkeypatch: pytest.MonkeyPatch, **share: float) -> None:
    """Switch variations off, but for those named."""
    for name in ("_ONE_BAND", "_TWO_BANDS", "_NOISIER"):
        monkeypatch.setattr(crops, name, share.get(name, 0.0))


def test_sources_stay_on_their_light(make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch) -> None:
    _plain(monkeypatch)
    example, rng, seen = make_example(*PLACES), np.random.default_rng(1), set()
    for _ in range(60):
        snr, sources = random_crop(example, 64, rng)
        assert snr.shape == (3, 64, 64)
        assert snr.flags.c_contiguous
        for source in sources[~sources["ignore"]]:
            x, y = float(source["x"]), float(source["y"])
            if not (4 < x < 59 and 4 < y < 59):
                continue
            rows, columns = np.indices((64, 64))
            near = np.hypot(columns - x, rows - y) < 6
            light = snr[0] * near
            assert (light * columns).sum() / light.sum() == pytest.approx(x, abs=0.05)
            assert (light * rows).sum() / light.sum() == pytest.approx(y, abs=0.05)
            seen.add((float(source["width"]), float(source["height"])))
    assert seen == {(9.0, 7.0), (7.0, 9.0)}, "boxes turn with the image"


def test_all_eight_turns_happen(make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch) -> None:
    _plain(monkeypatch)
    example, rng = make_example([10.0], [20.0], shape=(64, 64)), np.random.default_rng(2)
    places = {(float(s["x"][0]), float(s["y"][0])) for _, s in (random_crop(example, 64, rng) for _ in range(80))}
    assert places == {(x, y) for a, b in ((10.0, 20.0), (20.0, 10.0)) for x in (a, 63 - a) for y in (b, 63 - b)}


def test_all_of_an_example_is_seen(make_example: Callable[..., Example]) -> None:
    example, rng = make_example([], [], shape=(66, 90)), np.random.default_rng(1)
    corners = {crops.random_cut(example, 64, rng)[1:] for _ in range(1500)}
    assert corners == {(x, y) for x in range(27) for y in range(3)}


def test_each_worker_has_crops_of_its_own(paths: list[Path]) -> None:
    stream = CropStream(paths, [1, 1, 1], crop=32, channels=3, seed=1)
    loader = DataLoader(stream, batch_size=1, num_workers=2, collate_fn=lambda items: items[0][0])
    first, second = islice(loader, 2)
    assert not np.array_equal(first, second)


def test_a_source_cut_by_the_edge_is_ignored(
    make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    _plain(monkeypatch)
    example = make_example([60.0], [45.0], width=20.0, height=20.0)
    rng, kinds = np.random.default_rng(3), set()
    for _ in range(200):
        snr, sources = random_crop(example, 32, rng)
        if not len(sources):
            kinds.add("gone")
            assert snr.max() < 30
            continue
        (source,) = sources
        centre = all(-0.5 < source[n] < 31.5 for n in ("x", "y"))
        inside = np.prod([
            min(source[n] + 10, 31.5) - max(source[n] - 10, -0.5) for n in ("x", "y")
        ]) / 400  # fmt: skip
        if abs(source["x"] - 15.5) < 15 and abs(source["y"] - 15.5) < 15:
            assert source["ignore"] == (inside < 0.5)
        if not centre:
            assert source["ignore"]
        kinds.add("ignored" if source["ignore"] else "wanted")
    assert kinds == {"gone", "ignored", "wanted"}


@pytest.mark.parametrize(("x", "ignored"), [(-0.6, True), (-0.4, False), (31.4, False), (31.6, True)])
def test_a_source_centred_on_a_pixel_of_the_crop_is_asked_for(
    make_example: Callable[..., Example], x: float, ignored: bool
) -> None:
    sources = make_example([x + 40], [50.0], width=1.0).sources
    (source,) = crops._inside(sources, 40, 40, 32)
    # of a box of one pixel less than half is there where the centre is not
    assert bool(source["ignore"]) == ignored
    (wide,) = crops._inside(make_example([x + 40], [50.0], width=20.0).sources, 40, 40, 32)
    assert bool(wide["ignore"]) == ignored


def test_what_was_ignored_stays_so(make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch) -> None:
    _plain(monkeypatch)
    example = make_example([30.0, 34.0], [30.0, 50.0], shape=(64, 64), ignore=[True, False])
    for seed in range(8):
        _, sources = random_crop(example, 64, np.random.default_rng(seed))
        assert sorted(sources["ignore"]) == [False, True]


def test_the_example_is_not_changed(make_example: Callable[..., Example]) -> None:
    example = make_example(*PLACES, noise=1.0, snr=6.0)
    snr, sources = example.snr.copy(), example.sources.copy()
    rng = np.random.default_rng(4)
    for _ in range(40):
        random_crop(example, 64, rng)
    np.testing.assert_array_equal(example.snr, snr)
    assert example.sources.tobytes() == sources.tobytes()


def test_noise_hides_the_faint(make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch) -> None:
    _plain(monkeypatch, _NOISIER=1.0)
    brightness = np.array([3.0, 5.5, 7.0, 500.0, np.nan])
    example = make_example([20.0, 30.0, 40.0, 50.0, 10.0], [30.0] * 5, shape=(64, 64), snr=brightness, noise=1.0)
    kept = {value: set() for value in ("3", "5.5", "7", "500", "nan")}
    rng = np.random.default_rng(5)
    for _ in range(60):
        snr, sources = random_crop(example, 64, rng)
        sky = snr[:, 50:, 45:]
        assert sky.std() == pytest.approx(1, abs=0.12), "noise stays the unit"
        left = len(sources)
        faded = np.nanmax(sources["snr"]) / 500
        assert 0.5 < faded < 1
        for name, value in zip(kept, brightness, strict=True):
            now = value * faded
            rows = [s for s in sources if np.isclose(s["snr"], now, rtol=1e-3, equal_nan=True)]
            assert len(rows) == int(not now < 2.5)
            for row in rows:
                assert row["ignore"] == bool(now < 5)
                kept[name].add(bool(row["ignore"]))
        assert left in (4, 5)
    assert kept == {"3": {True}, "5.5": {True, False}, "7": {True, False}, "500": {False}, "nan": {False}}


@pytest.mark.parametrize(("which", "left"), [("_ONE_BAND", 1), ("_TWO_BANDS", 2)])
def test_fewer_bands(
    make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch, which: str, left: int
) -> None:
    _plain(monkeypatch, **{which: 1.0})
    example, rng, chosen = make_example([30.0], [30.0], shape=(64, 64), snr=6.0), np.random.default_rng(6), set()
    for _ in range(40):
        snr, sources = random_crop(example, 64, rng)
        assert len(snr) == left
        heights = snr.max(axis=(1, 2))
        assert (np.diff(heights) > 0).all(), "in the order of wavelengths"
        chosen.add(tuple(np.rint(heights / heights.max() * 100)))
        assert sources["snr"][0] == pytest.approx(6 * np.sqrt(left / 3))
        assert sources["ignore"][0] == (6 * np.sqrt(left / 3) < 5)
    assert len(chosen) == (1 if left == 1 else 3)


def test_one_band_stays_one_band(make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch) -> None:
    _plain(monkeypatch, _ONE_BAND=1.0)
    snr, sources = random_crop(make_example(*PLACES, bands=1), 64, np.random.default_rng(1))
    assert len(snr) == 1
    assert set(sources["snr"]) <= {100.0}


def test_a_crop_larger_than_the_example_is_filled_with_nothing(
    make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    _plain(monkeypatch)
    example = make_example([10.0], [12.0], shape=(40, 50))
    snr, sources = random_crop(example, 64, np.random.default_rng(0))
    assert snr.shape == (3, 64, 64)
    assert len(sources) == 1
    assert snr[0, round(float(sources["y"][0])), round(float(sources["x"][0]))] == pytest.approx(60, rel=0.01)
    assert np.count_nonzero(snr[0]) <= 40 * 50


def test_a_batch_counts_from_the_edge_of_the_first_pixel(make_example: Callable[..., Example]) -> None:
    first, empty, last = (make_example(x, [7.0] * len(x), disk=0.25) for x in ([3.0, 5.0], [], [9.0]))
    items = [(e.snr.astype(np.float32), e.sources) for e in (first, empty, last)]
    items[2][1]["galaxy"] = np.nan
    items[0][1]["ignore"][1] = True
    batch = collate(items)
    assert batch.image.shape == (3, 3, 90, 120)
    assert batch.targets.batch.tolist() == [0, 0, 2]
    assert batch.targets.boxes[:, 0].tolist() == [3.5, 5.5, 9.5]
    assert batch.targets.boxes[0].tolist() == [3.5, 7.5, 9.0, 7.0]
    assert batch.targets.ignore.tolist() == [False, True, False]
    assert batch.targets.galaxy.isnan().tolist() == [False, False, True]
    assert batch.targets.disk.tolist() == [0.25] * 3
    assert batch.targets.boxes.dtype == torch.float32


@pytest.fixture
def paths(tmp_path: Path, make_example: Callable[..., Example]) -> list[Path]:
    made = []
    for i in range(3):
        example = make_example(*PLACES, noise=1.0)
        made.append(Example(example.snr * (i + 1), example.sources, f"e{i}").save(tmp_path))
    return made


def test_a_seed_is_a_stream(paths: list[Path]) -> None:
    def some(seed: int) -> list[np.ndarray]:
        stream = CropStream(paths, [1, 1, 1], crop=32, channels=3, seed=seed)
        return [image for image, _ in islice(stream, 6)]

    first, again, other = some(1), some(1), some(2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])
    assert all(image.shape == (3, 32, 32) for image in first), "whatever the bands shown"


def test_examples_are_drawn_by_their_weight(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def watch(example: Example, side: int, _rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn.append(example.name)
        return np.zeros((3, side, side), np.float32), example.sources

    monkeypatch.setattr(crops, "random_crop", watch)
    list(islice(CropStream(paths, [6, 3, 1], crop=32, channels=3, seed=1), 1000))
    share = [drawn.count(f"e{i}") / 1000 for i in range(3)]
    assert share == pytest.approx([0.6, 0.3, 0.1], abs=0.05)


def test_a_stream_goes_to_another_process_without_its_pixels(paths: list[Path]) -> None:
    stream = CropStream(paths, [1, 1, 1], crop=32, channels=3, seed=1)
    assert len(pickle.dumps(stream)) < 5000
