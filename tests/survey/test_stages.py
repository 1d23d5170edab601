"""Tests of astrogalaxy.survey.stages."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.catalog import decode_flags
from astrogalaxy.detection import Detections
from astrogalaxy.images import Aligned, Image, Section
from astrogalaxy.models import load_weights
from astrogalaxy.simulation import PROFILES, simulate_scene
from astrogalaxy.survey.stages import _doubted, _image_flags


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


def test_a_seeing_that_is_not_known_is_not_outside() -> None:
    noise = np.random.default_rng(1).normal(size=(96, 96)).astype(np.float32)
    assert flags_within(Image.read({"r": noise}), (1.8, 7.6)) == ()


def doubted(bad: np.ndarray, *, seeing: float = 4.0) -> list[float]:
    """What is left of p_galaxy = 0.99 for sources at (150, 130) and (190, 130), on bands that end at (240, 180)."""
    n = 2
    columns = {name: np.full(n, 0.5) for name in Detections.__dataclass_fields__}
    columns |= {"x": np.array([150.0, 190.0]), "y": np.full(n, 130.0), "p_galaxy": np.full(n, 0.99)}
    columns["p_star"] = 1 - columns["p_galaxy"]
    ny, nx = bad.shape[1:]
    aligned = Aligned(np.zeros(bad.shape, np.float32), bad, ("g", "r"), Section(240 - nx, 240, 180 - ny, 180))
    result = _doubted(Detections(**columns), aligned, seeing)
    np.testing.assert_allclose(result.p_star + result.p_galaxy, 1)
    return result.p_galaxy.tolist()


def test_the_network_is_hardly_believed_where_a_core_has_no_data() -> None:
    bad = np.zeros((2, 100, 140), dtype=bool)
    assert doubted(bad) == [0.99, 0.99]
    bad[1, :, 50] = True  # a column through the first, in one band
    assert doubted(bad) == doubted(bad, seeing=np.nan) == [0.6, 0.99]
    beside = np.roll(bad, 3, axis=2)
    assert doubted(beside) == [0.99, 0.99]
    assert doubted(beside, seeing=16.0) == [0.6, 0.99]


def test_where_a_band_ends_is_no_hole() -> None:
    bad = np.zeros((2, 100, 140), dtype=bool)
    bad[0, :, :50] = True
    assert doubted(bad) == [0.99, 0.99]
    # nor where it ends beside the edge of the image
    bad[0], bad[1, :52] = False, True
    assert doubted(bad[:, 48:]) == [0.99, 0.99]
