"""Classifiers at work: what they are given, what they answer, and which weights they are opened with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from astrogalaxy.catalog import CatalogError
from astrogalaxy.config import SurveyConfig
from astrogalaxy.detection import open_runtime
from astrogalaxy.errors import AstrogalaxyError, ConfigError, ImageError, WeightsError
from astrogalaxy.models import load_classifier, open_weights, save_weights
from astrogalaxy.morphology import Classifier, open_classifier
from astrogalaxy.morphology.explain import explain, figure_of, likeliest, probabilities_of
from astrogalaxy.morphology.export import network_of
from astrogalaxy.morphology.network import NetworkSpec, build
from astrogalaxy.morphology.pictures import colour_picture, views
from astrogalaxy.survey.classify import classify_files
from astrogalaxy.survey.opening import open_inputs


@pytest.fixture(scope="module")
def bundled_classifier() -> Classifier:
    return Classifier(load_classifier("galaxyzoo-fine"))


def _pictures(classifier: Classifier, n: int = 2) -> np.ndarray:
    side = classifier.card.side
    return np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_the_bundled_classifier_does_not_care_which_way_is_up(bundled_classifier: Classifier) -> None:
    pictures = _pictures(bundled_classifier)
    upright = bundled_classifier(pictures)
    for turned in views(pictures, 8):
        np.testing.assert_allclose(bundled_classifier(turned), upright, atol=1e-5)


def test_pictures_of_other_containers_are_the_same(bundled_classifier: Classifier) -> None:
    pictures = _pictures(bundled_classifier)
    wanted = bundled_classifier(pictures)
    given = {
        "list": list(pictures),
        "Pillow": [Picture.fromarray(one) for one in pictures],
        "tensor": torch.from_numpy(pictures),
    }
    for name, same in given.items():
        np.testing.assert_array_equal(bundled_classifier(same), wanted, err_msg=name)  # type: ignore[arg-type]
    for nothing in (pictures[:0], []):
        assert bundled_classifier(nothing).shape == (0, len(bundled_classifier.classes))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p: p / 255, "8 bits, uint8 from 0 to 255, not float64"),
        (lambda p: np.full(p.shape, np.nan), "not float64"),
        (lambda p: p.astype(np.uint16) * 257, "not uint16"),
        (lambda p: p[0], r"must be of 96 x 96 pixels in colour, \(n, 96, 96, 3\), not \(96, 96, 3\)"),
        (lambda p: p.transpose(0, 3, 1, 2), r"not \(2, 3, 96, 96\)"),
        (lambda p: [p[0], p[1, :50]], "pictures cannot be made one array"),
    ],
)
def test_pictures_that_it_cannot_know_are_refused(
    bundled_classifier: Classifier, change: Callable[[np.ndarray], object], text: str
) -> None:
    with pytest.raises(ImageError, match=text):
        bundled_classifier(change(_pictures(bundled_classifier)))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 32, 32), (5, 32, 32), (32, 32)])
def test_a_colour_picture_has_three_bands(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=rf"three bands.*not of \({shape[0]}, "):
        colour_picture(np.zeros(shape))


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"target": "merger"}, "there is no class 'merger'; give its number, from 0 to 2"),
        ({"target": 9}, "there is no class 9"),
        ({"normalise": "nonsense"}, "there is no 'nonsense'; choose from symmetric"),
        ({"picture": np.zeros((64, 64, 3), np.uint8)}, "32 x 32 pixels in colour"),
        ({"picture": np.zeros((32, 32, 3))}, "8 bits"),
    ],
)
def test_what_cannot_be_explained_is_said(asked: dict[str, Any], text: str) -> None:
    network = build(NetworkSpec("average-pool-cnn", classes=3, side=32))
    settings = {"picture": np.zeros((32, 32, 3), np.uint8), "normalise": "unit"} | asked
    with pytest.raises(AstrogalaxyError, match=text):
        explain(network, **settings)


def test_one_map_may_be_named_alone() -> None:
    network = build(NetworkSpec("average-pool-cnn", classes=3, side=32))
    assert list(explain(network, np.zeros((32, 32, 3), np.uint8), normalise="unit", maps="saliency")) == ["saliency"]


def test_a_map_without_anything_says_so() -> None:
    maps = {"saliency": np.eye(32, dtype=np.float32), "gradcam": np.zeros((32, 32), np.float32)}
    _, saliency, gradcam = figure_of(np.zeros((32, 32, 3), np.uint8), maps).axes
    assert (saliency.get_title(), gradcam.get_title()) == ("saliency", "gradcam\nblank: no place speaks for the class")


def test_the_likeliest_class_is_the_one_that_is_served(bundled_classifier: Classifier) -> None:
    card, pictures = bundled_classifier.card, _pictures(bundled_classifier, 3)
    network = network_of(bundled_classifier.weights)
    said = {"normalise": card.normalise, "copies": card.views}
    told = [likeliest(network, one, **said) for one in pictures]
    served = bundled_classifier(pictures)
    assert told == served.argmax(axis=1).tolist()
    shown = [probabilities_of(network, one, **said, temperature=card.temperature) for one in pictures]
    np.testing.assert_allclose(shown, served, atol=0.01)


@pytest.mark.parametrize(("origin", "top"), [("upper", 0), ("lower", 255)])
def test_row_0_is_where_it_is_asked_for(origin: Any, top: int) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[16:] = 255
    figure = figure_of(picture, {"saliency": np.zeros((32, 32), np.float32)}, origin=origin)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
    box = figure.axes[0].get_window_extent()
    assert drawn[int(drawn.shape[0] - box.y1) + 10, int(box.x0 + box.width / 2), 0] == top


@pytest.mark.parametrize(("start", "opened"), [("galaxyzoo-fine", open_classifier), ("default", open_runtime)])
def test_weights_that_are_written_anew_are_opened_anew(tmp_path: Path, start: str, opened: Callable[..., Any]) -> None:
    old = open_weights(start)
    path = tmp_path / "mine.safetensors"
    save_weights(path, old.card, old.tensors, old.graph)
    first = opened(path, threads=1)
    assert opened(path, threads=1) is first
    save_weights(path, old.card.model_copy(update={"version": "2"}), old.tensors, old.graph)
    assert opened(path, threads=1).weights.card.version == "2"


def test_a_classifier_without_graph_is_told_how_to_get_one(tmp_path: Path) -> None:
    old = load_classifier("galaxyzoo-fine")
    bare = save_weights(tmp_path / "bare.safetensors", old.card, old.tensors, b"")
    with pytest.raises(WeightsError, match=r"bare\.safetensors: .*no graph.*output: \{graph: true\}"):
        Classifier(bare)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Merger", "the classes Merger and merger would share the column p_merger"),
        ("Star", "its class Star would take"),
    ],
)
def test_classes_that_would_replace_columns_are_refused(tmp_path: Path, name: str, message: str) -> None:
    known = load_classifier("galaxyzoo-fine")
    _, *others = known.card.classes
    card = known.card.model_copy(update={"classes": (name, *others[:-1], "merger")})
    served = save_weights(tmp_path / "served.safetensors", card, known.tensors, known.graph)
    settings = {"images": {"path": "a.fits", "bands": ["r"]}, "morphology": {"model": str(served.path)}, "name": "a"}
    with pytest.raises(ConfigError, match=message):
        open_inputs(SurveyConfig.from_dict(settings))
    if name == "Merger":
        with pytest.raises(CatalogError, match=message):
            classify_files([tmp_path / "a.png"], classifier=Classifier(served))
