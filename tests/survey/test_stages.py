"""Tests of astrogalaxy.survey.stages."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

import astrogalaxy as ag
from astrogalaxy.catalog import SourceCatalog, decode_flags
from astrogalaxy.detection import open_runtime
from astrogalaxy.images import Image, Section, Tile
from astrogalaxy.models import load_weights
from astrogalaxy.simulation import PROFILES, draw_conditions, simulate_scene
from astrogalaxy.survey.merge import TileCatalog, merge_tiles
from astrogalaxy.survey.stages import _image_flags, detect, extract


@pytest.fixture(scope="module")
def image() -> Image:
    """A field whose stars have a FWHM of 3.6 pixels."""
    scene = simulate_scene(PROFILES["decam"], size=384, seed=2, artefacts=False)
    return Image.read({"r": (scene.images["r"], scene.wcs["r"])})


def flags_within(
    image: Image, seeing: tuple[float, float], pixel_scale: tuple[float, float] = (0.2, 0.5)
) -> tuple[str, ...]:
    """Flags of all sources of an image whose weights know such stars and pixels."""
    card = load_weights("default").card.model_copy(update={"seeing": seeing, "pixel_scale": pixel_scale})
    return decode_flags(_image_flags(image, card, ["r"]))


def test_a_seeing_that_the_weights_do_not_know_is_told(image: Image) -> None:
    assert flags_within(image, (3.2, 4.2)) == ()
    assert flags_within(image, (4.2, 7.6)) == flags_within(image, (1.8, 3.2)) == ("outside_weight",)
    # half of the light of a star with wings lies in a wider circle: that is not what the card tells
    assert image.bands["r"].seeing > 4.5


def test_pixels_that_the_weights_do_not_know_are_told(image: Image) -> None:
    assert image.pixel_scale == pytest.approx(0.263, abs=0.01)
    for known in ((0.3, 0.5), (0.1, 0.2)):
        assert flags_within(image, (3.2, 4.2), known) == ("outside_weight",)


def test_a_catalogue_says_what_has_made_it(image: Image) -> None:
    card = load_weights("default").card
    meta = detect(image).meta
    assert meta["WEIGHTS"] == f"{card.name} {card.version}"
    assert meta["WTSHASH"] == card.sha256
    assert meta["CREATOR"].startswith("astrogalaxy ")


def test_a_seeing_that_is_not_known_is_not_outside() -> None:
    noise = np.random.default_rng(1).normal(size=(96, 96)).astype(np.float32)
    assert flags_within(Image.read({"r": noise}), (1.8, 7.6)) == ()


def test_no_galaxy_is_a_star_where_there_are_none_and_the_seeing_is_known() -> None:
    sdss = PROFILES["sdss"]
    drawn = draw_conditions(sdss, np.random.default_rng(2))
    conditions = replace(drawn, crowding=0.0, pairs=0.0, nearby=0.0)
    scene = simulate_scene(sdss, size=512, seed=2, artefacts=False, conditions=conditions)
    assert (scene.truth["class"] == "galaxy").all()
    bands = {band: (scene.images[band], scene.wcs[band]) for band in scene.images}
    measured, known = (
        ag.detect(Image.read(bands, zeropoint=22.5, seeing=seeing)) for seeing in (None, dict(conditions.seeing))
    )
    assert (measured["class"] == "star").sum() > 3
    assert (known["class"] == "galaxy").mean() > 0.97


def test_bands_out_of_order_are_told(caplog: pytest.LogCaptureFixture) -> None:
    sky = np.random.default_rng(1).normal(100, 5, (64, 64))
    with caplog.at_level(logging.WARNING):
        detect(Image.read({"r": sky, "i": sky}))
        assert not caplog.messages
        detect(Image.read({"i": sky, "r": sky}))
    assert caplog.messages == ["the network expects the shortest wavelength first, and i comes before r"]


def test_classes_and_morphologies_are_what_is_probable() -> None:
    scene = simulate_scene(PROFILES["sdss"], size=384, seed=3, artefacts=False)
    catalog = detect(Image.read({band: (scene.images[band], scene.wcs[band]) for band in "gri"}))
    star, galaxy = catalog["p_star"], catalog["p_galaxy"]
    np.testing.assert_allclose(star + galaxy, 1, atol=1e-6)
    kinds = {"star": star >= 0.6, "galaxy": galaxy >= 0.6, "unsure": (star < 0.6) & (galaxy < 0.6)}
    for name, expected in kinds.items():
        assert expected.any()
        np.testing.assert_array_equal(catalog["class"] == name, expected, err_msg=name)
    extended, clear = galaxy >= 0.5, catalog["snr"] >= 20
    smooth, disk = (np.asarray(catalog[f"p_{name}"]) for name in ("smooth", "disk"))
    for values in (smooth, disk):
        np.testing.assert_array_equal(np.isfinite(values), extended)
    np.testing.assert_allclose((smooth + disk)[extended], 1, atol=1e-6)
    shapes = {"": ~extended, "smooth": clear & (smooth >= 0.6), "disk": clear & (disk >= 0.6)}
    for name, expected in shapes.items():
        assert expected.any()
        np.testing.assert_array_equal(catalog["morphology"] == name, expected, err_msg=name)
    assert (extended & ~clear).any()


def test_what_is_asked_of_detect_is_done(image: Image) -> None:
    usual, strict = detect(image), detect(image, threshold=0.9, apertures=[2.0, 4.0], field_prior=False)
    assert usual["det_score"].min() < 0.9 <= strict["det_score"].min()
    bright = strict["snr"] > 20
    assert (strict["flux_aper_r"][bright] < strict["flux_aper2_r"][bright]).all()
    everything = detect(image, threshold=0.05)
    unlikely = everything[everything["det_score"] < load_weights("default").card.threshold]
    assert set(unlikely["class"]) - {"unsure"}, "no given positions: it has a class, however unlikely it is"
    alone = detect(image, field_prior=False)
    assert len(alone) == len(usual)
    assert not np.array_equal(alone["p_galaxy"], usual["p_galaxy"])


def test_a_star_without_data_in_its_core_is_doubted(image: Image) -> None:
    runtime, whole = open_runtime(), Section.whole(image.shape)
    tile = Tile("whole", whole, whole)
    before = extract(image, tile, runtime).catalog
    inside = (np.abs(before["x"] - 192) < 150) & (np.abs(before["y"] - 192) < 150)
    star = before[inside & (before["p_star"] > 0.9) & (before["snr"] < 100)]
    star = star[np.argmax(star["snr"])]
    band = image.bands["r"]
    pixels = band.pixels().data + 100.0
    pixels[:, int(np.rint(star["x"]))] = np.nan
    after = extract(Image.read({"r": (pixels, band.wcs)}), tile, runtime).catalog
    near = np.hypot(after["x"] - star["x"], after["y"] - star["y"]) < 2
    assert near.sum() == 1
    assert 0.4 <= after["p_galaxy"][near][0] <= 0.6
    assert (np.abs(after["p_galaxy"][~near] - 0.5) > 0.2).mean() > 0.5


def test_a_source_on_the_line_between_two_tiles_is_reported_by_both_and_stays_one(image: Image) -> None:
    runtime = open_runtime()
    ny, nx = image.shape
    whole = extract(image, Tile("whole", *[Section.whole(image.shape)] * 2), runtime).catalog
    secure = whole[(whole["det_score"] > 0.95) & (np.abs(whole["x"] - nx / 2) < nx / 6)]
    star = secure[np.argmax(secure["snr"])]
    line = int(np.rint(star["x"] + 0.5))  # less than half a pixel from its centre
    sides = (Section(0, line, 0, ny), Section(line, nx, 0, ny))
    tiles = [Tile(name, side, side.grow(64).clip(image.shape)) for name, side in zip("ab", sides, strict=True)]
    parts = [TileCatalog(tile, extract(image, tile, runtime).catalog) for tile in tiles]

    def seen(catalog: SourceCatalog) -> int:
        return int((np.hypot(catalog["x"] - star["x"], catalog["y"] - star["y"]) < 0.5).sum())

    assert [seen(part.catalog) for part in parts] == [1, 1]
    assert seen(merge_tiles(parts)) == 1
