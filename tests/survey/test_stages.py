"""Tests of astrogalaxy.survey.stages."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

import astrogalaxy as ag
from astrogalaxy.catalog import decode_flags
from astrogalaxy.images import Image
from astrogalaxy.models import load_weights
from astrogalaxy.simulation import PROFILES, draw_conditions, simulate_scene
from astrogalaxy.survey.stages import _image_flags, detect


@pytest.fixture(scope="module")
def image() -> Image:
    """A field whose stars have a FWHM of 3.6 pixels."""
    scene = simulate_scene(PROFILES["decam"], size=384, seed=2, artefacts=False)
    return Image.read({"r": (scene.images["r"], scene.wcs["r"])})


def flags_within(image: Image, seeing: tuple[float, float]) -> tuple[str, ...]:
    """Flags of all sources of an image whose weights know such stars."""
    card = load_weights("default").card.model_copy(update={"seeing": seeing})
    return decode_flags(_image_flags(image, card, ["r"]))


def test_a_seeing_that_the_weights_do_not_know_is_told(image: Image) -> None:
    assert flags_within(image, (3.2, 4.2)) == ()
    assert flags_within(image, (4.2, 7.6)) == flags_within(image, (1.8, 3.2)) == ("outside_weight",)
    # half of the light of a star with wings lies in a wider circle: that is not what the card tells
    assert image.bands["r"].seeing > 4.5


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
