"""Tests of astrogalaxy.training.fields and stamps: real frames and real galaxies in examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image as Picture

from astrogalaxy.datasets.galaxyzoo import GalaxyCutout
from astrogalaxy.errors import ConfigError
from astrogalaxy.images import Image, Section
from astrogalaxy.models import load_weights
from astrogalaxy.simulation import PROFILES, Conditions
from astrogalaxy.simulation.inject import Injected, inject_sources
from astrogalaxy.training import fields
from astrogalaxy.training.cards import widened
from astrogalaxy.training.examples import Example, sources_array
from astrogalaxy.training.fields import injected_example, labelled_example
from astrogalaxy.training.labels import LabelCounts, count_labels, label_bounds, read_labels
from astrogalaxy.training.stamps import paste_galaxies

STARS = ([40.0, 90.0, 150.0, 60.0], [30.0, 100.0, 50.0, 120.0])


@pytest.fixture(scope="module")
def image() -> Image:
    """Four stars on noise, three bands with a WCS."""
    rows, columns = np.indices((160, 200))
    light = sum(80 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6) for x, y in zip(*STARS, strict=True))
    sky = np.random.default_rng(0).normal(50, 1, (3, 160, 200))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [100.0, 80.0]
    wcs.wcs.cdelt = [-0.396 / 3600, 0.396 / 3600]
    return Image.read(
        {b: ((s + light).astype(np.float32), wcs) for b, s in zip("gri", sky, strict=True)}, zeropoint=22.5
    )


def _labels(n: int = 3) -> Table:
    return Table({"x": STARS[0][:n], "y": STARS[1][:n], "class": ["star", "galaxy", "unsure", "star"][:n]})


def test_labels_are_read(image: Image, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# labels\nx,y,class\n1,2,star\n3,4,galaxy\n5,6,star\n900,6,star\n")
    (tmp_path / "s.csv").write_text("row,part\n0,test\n2,train\n")
    path, split = str(tmp_path / "t.csv"), str(tmp_path / "s.csv")
    assert len(read_labels(path, image)) == 3, "the fourth lies off the image"
    assert read_labels(path, image, split)["x"].tolist() == [5]
    assert read_labels(path, image, split, "test")["x"].tolist() == [1]
    assert read_labels(path, image, region=Section(2, 50, 0, 50))["x"].tolist() == [3, 5]
    off = (
        r"none of its 4 labels lies in data\.labels\[\]\.region of the image: x 1 to 900, y 2 to 6; "
        "that is x 100 to 149, y 0 to 49$"
    )
    with pytest.raises(ConfigError, match=off):
        read_labels(path, image, region=Section(100, 150, 0, 50))
    Table({"ra": [10.0, 10.001], "dec": [2.0, 2.001], "class": ["star", "galaxy"]}).write(tmp_path / "hours.ecsv")
    off = r"ra 10 to 10\.001, dec 2 to 2\.001; that is x 0 to 199, .*, ra 149\.989 to 150"
    with pytest.raises(ConfigError, match=off):
        read_labels(str(tmp_path / "hours.ecsv"), image)
    (tmp_path / "plain.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ConfigError, match=r"plain\.csv: no column 'class'; labels need a position and a class"):
        read_labels(str(tmp_path / "plain.csv"), image)


@pytest.mark.parametrize(("given", "told"), [([0, 1, 1], "0, 1"), (["quasar"], "quasar"), ([" ", " "], "nothing")])
def test_labels_without_a_class_that_is_known(image: Image, tmp_path: Path, given: list[object], told: str) -> None:
    Table({"x": [9.0] * len(given), "y": [9.0] * len(given), "class": given}).write(tmp_path / "t.ecsv")
    with pytest.raises(ConfigError, match=rf"t\.ecsv: class holds {told}; it needs star, galaxy"):
        read_labels(str(tmp_path / "t.ecsv"), image)


def test_labels_are_counted(image: Image, tmp_path: Path) -> None:
    ra, dec = image.wcs.all_pix2world([30.0, 120, 60, 99, 900], [40.0, 99, 140, 60, 9], 0)
    kinds = ["star", "star", "star", "quasar", "star", "star"]
    Table({"ra": [*ra, np.nan], "dec": [*dec, 2.0], "class": kinds}).write(tmp_path / "t.ecsv")
    counts = count_labels(str(tmp_path / "t.ecsv"), image, holdout=0.25)
    assert counts == LabelCounts(stars=3, unknown=1, off=1, nowhere=1, held=1, dark=4)
    told = "6 labels: 3 stars, 0 galaxies, 1 of no class, 1 off the image, 1 without a position"
    assert str(counts) == f"{told}; 1 are kept apart for validation"
    assert [doubt.split(" labels")[0] for doubt in counts.doubts] == ["only 3", "none of the", "4 of 4"]
    assert "is a galaxy" in counts.doubts[1]
    assert not LabelCounts(stars=25, galaxies=25).doubts


def test_labels_on_the_sky_are_put_on_the_image(image: Image, tmp_path: Path) -> None:
    ra, dec = image.wcs.all_pix2world([30.0, 120.5], [40.0, 99.25], 0)
    Table({"RA": ra, "Dec": dec, "class": ["star", "galaxy"]}).write(tmp_path / "sky.fits")
    labels = read_labels(str(tmp_path / "sky.fits"), image)
    np.testing.assert_allclose(labels["x"], [30, 120.5], atol=1e-6)
    np.testing.assert_allclose(labels["y"], [40, 99.25], atol=1e-6)
    with pytest.raises(ConfigError, match=r"positions are ra and dec, but the image has no WCS; give x and y"):
        read_labels(str(tmp_path / "sky.fits"), Image.read(np.zeros((9, 9), np.float32)))


def test_labels_and_what_else_is_there(image: Image) -> None:
    example = labelled_example(image, _labels(), region=Section(20, 180, 10, 150), name="field")
    assert example.name == "field"
    assert example.snr.shape == (3, 140, 160)
    wanted, ignored = (example.sources[example.sources["ignore"] == flag] for flag in (False, True))
    assert wanted["x"].tolist() == [20, 70, 130]
    assert wanted["y"].tolist() == [20, 90, 40]
    np.testing.assert_array_equal(wanted["galaxy"], np.float32([0, 1, np.nan]))
    # half of the light of these Gaussians is within 2.04 pixels
    assert wanted["width"] == pytest.approx(2 * 2.2 * 2.04, rel=0.1)
    # the fourth star is seen but not labelled; pieces of labelled ones are not ignored
    assert np.hypot(ignored["x"] - 40, ignored["y"] - 110).min() < 1
    for x, y in zip(wanted["x"], wanted["y"], strict=True):
        assert np.hypot(ignored["x"] - x, ignored["y"] - y).min() > 3


def test_labels_of_neighbours_have_boxes_of_their_own() -> None:
    near = _gaussians((100, 100), (40, 50, 80, 1.75), (52, 50, 80, 1.75))
    image = Image.read({"r": (np.random.default_rng(0).normal(50, 1, near.shape) + near).astype(np.float32)})
    labels = Table({"x": [40.0, 52.0], "y": [50.0, 50.0], "class": ["star", "star"]})
    wanted = labelled_example(image, labels, region=Section(0, 100, 0, 100)).sources[:2]
    assert wanted["width"] == pytest.approx(2 * 2.2 * 1.18 * 1.75, rel=0.15)


def test_weights_know_the_fields_that_they_were_shown(image: Image, tmp_path: Path) -> None:
    shown = replace(labelled_example(image, _labels(), name="field"), seeing=12.0)
    assert shown.pixel_scale == pytest.approx(image.pixel_scale)
    card = load_weights("default").card
    assert widened(card, [replace(shown, seeing=np.nan, pixel_scale=np.nan)]) == widened(card, []) == card
    known = widened(card, [Example.load(replace(shown, pixel_scale=0.9).save(tmp_path))])
    assert known.pixel_scale == (card.pixel_scale[0], pytest.approx(0.99))
    assert known.seeing == (card.seeing[0], pytest.approx(0.8 * 12 * 1.1, abs=0.05))
    assert not known.is_outside(0.92, 10.0)
    assert card.is_outside(0.92)


def test_labels_lie_within_their_bounds() -> None:
    labels = Table({"x": [-0.4, 10.5, 99.7], "y": [20.6, 20.6, 80.5]})
    bounds = label_bounds(labels)
    assert bounds == Section(0, 101, 21, 82)
    assert bounds.contains(labels["x"], labels["y"]).all()


@pytest.mark.parametrize("scale", [0.018, 0.0309, 0.0499999, 0.27, 1.7])
def test_weights_know_pixels_of_any_size(image: Image, scale: float) -> None:
    shown = replace(labelled_example(image, _labels()), pixel_scale=scale)
    known = widened(load_weights("default").card, [shown])
    assert not any(known.is_outside(factor * scale) for factor in (0.92, 1.0, 1.08))


def test_labels_without_light_are_not_asked_for(image: Image) -> None:
    labels = _labels()
    labels.add_row((60.0, 140.0, "star"))  # blank sky
    example = labelled_example(image, labels, region=Section(20, 180, 10, 150))
    assert example.sources["ignore"][:4].tolist() == [False, False, False, True]
    assert (example.sources["x"][3], example.sources["y"][3]) == (40, 130)


def test_labels_that_are_not_visible_are_not_asked_for(image: Image) -> None:
    labels = _labels()
    labels["visible"] = [True, False, True]
    example = labelled_example(image, labels, region=Section(20, 180, 10, 150))
    asked, left = (example.sources["x"][example.sources["ignore"] == flag] for flag in (False, True))
    assert asked.tolist() == [20, 130]
    assert 70 in left


def test_the_region_is_that_of_the_labels(image: Image) -> None:
    example = labelled_example(image, _labels(4))
    assert example.snr.shape == (3, 91, 111)
    assert example.sources["x"][:4].tolist() == [0, 50, 110, 20]
    assert labelled_example(image, _labels(1), region=Section(-50, 900, -50, 900)).snr.shape == (3, 160, 200)


def test_injected_sources_and_the_field_s_own(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def many(*args: object, **options: object) -> object:
        conditions = Conditions(
            dict.fromkeys("gri", 1.1), dict.fromkeys("gri", 1.0), beta=3.5, shear=(0.0, 0.0), crowding=60.0,
            clustering=30.0,
        )  # fmt: skip
        return inject_sources(*args, conditions=conditions, **options)

    monkeypatch.setattr(fields, "inject_sources", many)
    example = injected_example(image, PROFILES["sdss"], seed=4, name="sky")
    again = injected_example(image, PROFILES["sdss"], seed=4, name="sky")
    np.testing.assert_array_equal(example.snr, again.snr)
    assert example.sources.tobytes() == again.sources.tobytes()
    assert example.snr.shape == (3, 160, 200)
    own = np.isnan(example.sources["snr"])
    assert own.sum() == len(STARS[0])
    for x, y in zip(*STARS, strict=True):
        gaps = np.hypot(example.sources["x"] - x, example.sources["y"] - y)
        plain = example.sources[own][np.argmin(gaps[own])]
        assert gaps[own].min() < 1
        assert not plain["ignore"] and plain["galaxy"] == 0, "the field's own stars are plainly stars"
        near = ~own & (gaps < 2)
        assert example.sources["ignore"][near].all(), "nor is what was injected on top of them"
    wanted = ~example.sources["ignore"]
    assert wanted.sum() >= 5
    assert set(example.sources["galaxy"][wanted]) == {0.0, 1.0}


def _gaussians(shape: tuple[int, int], *rows: tuple[float, float, float, float]) -> np.ndarray:
    """Light of sources given by x, y, peak and sigma."""
    y, x = np.indices(shape)
    return sum(peak * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2 / sigma**2) for a, b, peak, sigma in rows)


def test_what_is_asked_of_a_field_that_is_injected_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its own sources what they plainly are, and of the injected ones what lies on none of these."""
    star, shape = 1.75, (220, 220)
    stars = [(20.0 + 40 * (i % 5), 20.0 + 40 * (i // 5), 150.0, star) for i in range(15)]
    galaxy, bit_wider, narrow = (20, 140, 150, 1.6 * star), (60, 140, 150, 1.17 * star), (100, 140, 400, 0.6 * star)
    brightest, pair = (140, 140, 9000, star), [(180, 140, 150, star), (186, 140, 150, star)]
    others = [galaxy, bit_wider, narrow, brightest, *pair]
    sky = np.random.default_rng(0).normal(50, 1, shape) + _gaussians(shape, *stars, *others)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [-1e-4, 1e-4]
    alone, upon, beside = (40.0, 200.0), (20.0, 20.0), (140.0, 60.0 - 14)

    def inject(image: Image, *_: object, **__: object) -> Injected:
        light = _gaussians(shape, (*alone, 80, star), (*upon, 80, star), (*beside, 80, 3 * star))
        half = np.array([6.0, 6.0, 18.0])
        x, y = np.array([alone, upon, beside]).T
        truth = Table({"x": x, "y": y, "class": ["galaxy", "star", "galaxy"], "half_light_radius": [0.5, 0, 3]})
        truth["x_min"], truth["x_max"], truth["y_min"], truth["y_max"] = x - half, x + half, y - half, y + half
        truth["disk"], truth["snr"], truth["visible"] = [1.0, np.nan, 1.0], 200.0, True
        conditions = Conditions({"r": 1.5}, {"r": 1.0}, beta=3.5, shear=(0.0, 0.0), crowding=1.0, clustering=1.0)
        return Injected(Image.read({"r": ((sky + light).astype(np.float32), wcs)}), truth, conditions)

    monkeypatch.setattr(fields, "inject_sources", inject)
    image = Image.read({"r": (sky.astype(np.float32), wcs)})
    example = injected_example(image, PROFILES["sdss"], seed=1)

    def at(x: float, y: float, *, own: bool) -> np.void:
        known = example.sources[np.isnan(example.sources["snr"]) == own]
        (source,) = known[np.hypot(known["x"] - x, known["y"] - y) < 1.5]
        return source

    assert not at(*alone, own=False)["ignore"]
    assert example.snr[0, 200, 40] > 40, "its light is there"
    assert at(*upon, own=False)["ignore"], "another source is in the same place"
    assert not at(*beside, own=False)["ignore"]
    assert at(*beside, own=False)["disk"] == 1
    assert np.isnan(at(*alone, own=False)["disk"]), "a third of the seeing is too narrow to tell"
    assert at(140, 60, own=True)["ignore"], "it lies within what was injected"
    for x, y, *_ in stars:
        if (x, y) != (140, 60):
            source = at(x, y, own=True)
            assert (source["ignore"], source["galaxy"]) == (False, 0)
            # half of a Gaussian's light is within 1.18 sigma
            assert source["width"] == source["height"] == pytest.approx(2 * 2.2 * 1.18 * star, rel=0.1)
    assert (at(*galaxy[:2], own=True)["ignore"], at(*galaxy[:2], own=True)["galaxy"]) == (False, 1)
    for x, y, *_ in (bit_wider, narrow, brightest, *pair):
        assert at(x, y, own=True)["ignore"]
        assert np.isnan(at(x, y, own=True)["galaxy"])


def _cutout(path: Path, p_disk: float) -> GalaxyCutout:
    y, x = np.mgrid[:200, :200]
    light = np.exp(-((x - 100) ** 2 / 2 / 14**2 + (y - 100) ** 2 / 2 / 7**2))
    rgb = 200 * light[..., None] * [0.9, 0.7, 0.5] + np.random.default_rng(0).uniform(4, 8, (200, 200, 3))
    Picture.fromarray(rgb.astype(np.uint8)).save(path)
    return GalaxyCutout("g", path, p_disk)


def test_real_galaxies_are_laid_where_nothing_is(tmp_path: Path, make_example: Callable[..., Example]) -> None:
    example = make_example([100.0, 30.0], [60.0, 200.0], shape=(256, 256), noise=1.0)
    before = example.snr.copy()
    pasted = paste_galaxies(example, [_cutout(tmp_path / "a.png", 0.25)] * 5, seed=3)
    np.testing.assert_array_equal(example.snr, before)
    assert pasted.sources[:2].tobytes() == example.sources.tobytes()
    new = pasted.sources[2:]
    assert len(new) == 5
    assert new["disk"].tolist() == [0.25] * 5
    assert new["galaxy"].tolist() == [1.0] * 5
    assert not new["ignore"].any()
    assert (new["snr"] > 5).all()
    shape = np.maximum(new["width"] / new["height"], new["height"] / new["width"])
    assert shape.max() > 1.3, "the galaxy is twice as long as wide, and its box follows where it is resolved"
    added = pasted.snr.astype(np.float32).sum(0) - before.astype(np.float32).sum(0)
    for source in new:
        x, y = int(np.rint(source["x"])), int(np.rint(source["y"]))
        others = np.hypot(pasted.sources["x"] - source["x"], pasted.sources["y"] - source["y"])
        assert np.sort(others)[1] > 0.5 * max(source["width"], source["height"])
        assert added[y - 1 : y + 2, x - 1 : x + 2].mean() > 4, "light in the middle of its box"
    again = paste_galaxies(example, [_cutout(tmp_path / "a.png", 0.25)] * 5, seed=3)
    np.testing.assert_array_equal(pasted.snr, again.snr)
    other = paste_galaxies(example, [_cutout(tmp_path / "a.png", 0.25)] * 5, seed=4)
    assert not np.array_equal(pasted.snr, other.snr)


def test_what_a_real_galaxy_covers_is_not_asked_for(tmp_path: Path, make_example: Callable[..., Example]) -> None:
    x, y = (v.ravel().astype(float) for v in np.meshgrid(np.arange(4, 252, 6), np.arange(4, 252, 6)))
    example = replace(make_example([], [], shape=(256, 256)), sources=sources_array(x=x, y=y, width=6, height=6, snr=9))
    pasted = paste_galaxies(example, [_cutout(tmp_path / "a.png", 0.25)] * 25, seed=3)
    faint, added = pasted.sources[: len(x)], pasted.snr.astype(float).sum(0) / np.sqrt(3)
    covered = added[y.astype(int), x.astype(int)] > 3.3
    assert covered.sum() > 3
    assert faint["ignore"][covered].all()
    assert not faint["ignore"][added[y.astype(int), x.astype(int)] < 1].any()
    laid = pasted.sources[len(x) :]
    for number, galaxy in enumerate(laid):
        gaps = np.hypot(laid["x"][:number] - galaxy["x"], laid["y"][:number] - galaxy["y"])
        assert (gaps > 0.5 * max(galaxy["width"], galaxy["height"])).all(), "nor do they cover each other"
    assert replace(example, seeing=5.5).seeing == paste_galaxies(replace(example, seeing=5.5), [], seed=1).seeing


def test_where_there_is_no_place_nothing_is_laid(tmp_path: Path, make_example: Callable[..., Example]) -> None:
    small = make_example([10.0], [10.0], shape=(16, 16))
    cutout = _cutout(tmp_path / "a.png", 1.0)
    assert len(paste_galaxies(small, [cutout], seed=1).sources) == 1
    x, y = np.meshgrid(np.arange(0, 96, 5.0), np.arange(0, 96, 5.0))
    full = make_example(x.ravel().tolist(), y.ravel().tolist(), shape=(96, 96))
    assert len(paste_galaxies(full, [cutout] * 3, seed=1).sources) == x.size
    empty = make_example([], [], shape=(96, 96))
    assert len(paste_galaxies(empty, [cutout], seed=1).sources) == 1
