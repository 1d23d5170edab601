"""Classifiers at work: what they are given, what they answer, and which weights they are opened with."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.models import load_classifier
from astrogalaxy.morphology import Classifier
from astrogalaxy.morphology.pictures import views


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
