"""Tests of astrogalaxy.training.galaxies."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.datasets.galaxyzoo import GalaxyCutout
from astrogalaxy.errors import ImageError
from astrogalaxy.training.galaxies import TYPICAL_PEAK, GalaxyBank, MosaicStream, mosaic


@pytest.fixture
def bank(tmp_path: Path) -> GalaxyBank:
    """Three galaxies of different sizes; a fourth has no image."""
    y, x = np.mgrid[:80, :80]
    cutouts = []
    for number, width in enumerate((3.0, 4.0, 6.0)):
        light = np.exp(-(((x - 39.5) / width) ** 2 + ((y - 39.5) / (0.6 * width)) ** 2) / 2)
        rgb = 230 * light[..., None] * np.array([1.0, 0.8, 0.6])
        Picture.fromarray(rgb.astype(np.uint8)).save(tmp_path / f"{number}.png")
        cutouts.append(GalaxyCutout(str(number), tmp_path / f"{number}.png", number / 2))
    cutouts.append(GalaxyCutout("3", tmp_path / "3.png", 0.5))
    return GalaxyBank.make(cutouts, tmp_path / "bank.npy", side=40, centre=1.0)


def test_a_bank_leaves_out_what_cannot_be_read(
    bank: GalaxyBank, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(bank) == 3
    assert bank.planes.shape == (3, 4, 40, 40)
    assert bank.names.tolist() == ["0", "1", "2"]
    assert bank.p_disk.tolist() == [0.0, 0.5, 1.0]
    nothing = [GalaxyCutout("3", tmp_path / "3.png", 0.5)]
    with pytest.raises(ImageError, match="none of 1 galaxies has an image"):
        GalaxyBank.make(nothing, tmp_path / "b.npy", side=40, centre=1.0)
    assert "3.png" in caplog.text


def test_a_galaxy_alone(bank: GalaxyBank) -> None:
    example = bank.example(2)
    assert example.snr.shape == (3, 40, 40)
    assert np.array_equal(example.snr, bank.example(2).snr), "with the same noise each time"
    (source,) = example.sources
    assert (source["x"], source["y"]) == pytest.approx((19.5, 19.5), abs=0.6)
    assert source["width"] > 1.2 * source["height"] > 0
    assert (source["galaxy"], source["disk"], source["ignore"]) == (1.0, 1.0, False)
    snr = example.snr.astype(float)
    assert snr.mean(axis=0).max() == pytest.approx(TYPICAL_PEAK, rel=0.1)
    assert np.std(snr[:, :6, :6]) == pytest.approx(1, abs=0.2)


def test_a_mosaic_has_four_galaxies(bank: GalaxyBank) -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        snr, sources = mosaic(bank, 128, rng)
        assert snr.shape == (3, 128, 128)
        assert len(sources) == 4
        assert np.isin(sources["disk"], bank.p_disk).all()
        for source in sources:
            x0, x1 = (round(float(source["x"] + s * source["width"] / 2)) for s in (-1, 1))
            y0, y1 = (round(float(source["y"] + s * source["height"] / 2)) for s in (-1, 1))
            inside = snr.mean(axis=0)[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1]
            assert inside.max() > 5, "of the peak of 30 or more a third of the pixels may be left"
        assert snr.min() >= 0, "there is no noise yet"


def test_a_knot_is_seen_and_a_thin_disk_is_labelled_however_small_the_galaxy_is(tmp_path: Path) -> None:
    planes = np.zeros((1, 4, 40, 40), np.float16)
    planes[0, :3, 20, 23] = 1.0
    planes[0, 3, 20, 5:35] = 1.0
    bank = GalaxyBank(planes, np.array([1.0]), np.array(["thin"]))
    rng = np.random.default_rng(3)
    for _ in range(20):
        snr, sources = mosaic(bank, 96, rng)
        assert len(sources) == 4
        for source in sources:
            x, y = round(float(source["x"])), round(float(source["y"]))
            around = snr.mean(axis=0)[max(y - 8, 0) : y + 9, max(x - 8, 0) : x + 9]
            assert around.max() > 20, "the brightest pixel has a peak of at least 30 before its colours are changed"
            assert max(source["width"], source["height"]) >= 8


def test_a_crowded_mosaic_is_cut_not_refused(bank: GalaxyBank) -> None:
    snr, sources = mosaic(bank, 48, np.random.default_rng(0))
    assert snr.shape == (3, 48, 48)
    assert (sources["x"] + sources["width"] / 2 <= 47.5).all()


def test_mix_up_shows_all_galaxies(bank: GalaxyBank, tmp_path: Path) -> None:
    plain, mixed = (
        [
            sources
            for _, sources in islice(MosaicStream(tmp_path / "bank.npy", crop=128, channels=3, mix_up=m, seed=1), 4)
        ]
        for m in (0.0, 1.0)
    )
    assert [len(s) for s in plain] == 4 * [4]
    assert [len(s) for s in mixed] == 4 * [8]
    stream = MosaicStream(tmp_path / "bank.npy", crop=128, channels=3, mix_up=0.5, seed=1)
    first, same = (next(iter(stream)) for _ in range(2))
    assert np.array_equal(first[0], same[0])
    assert first[0].dtype == np.float32
