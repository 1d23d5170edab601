"""Weight files and their cards."""

from astrogalaxy.models.architecture import CHANNELS, SIZES, ZOOMS, Architecture
from astrogalaxy.models.card import BY_EXTENT, BY_SPREAD, HEADS, IN_FIELD, JOINED, Calibration, Card, WeightCard
from astrogalaxy.models.classifier_card import ClassifierCard
from astrogalaxy.models.files import (
    Weights,
    bundled,
    card_of,
    load_classifier,
    load_weights,
    open_weights,
    save_weights,
)
from astrogalaxy.models.graph import folded

__all__ = [
    "BY_EXTENT",
    "BY_SPREAD",
    "CHANNELS",
    "HEADS",
    "IN_FIELD",
    "JOINED",
    "SIZES",
    "ZOOMS",
    "Architecture",
    "Calibration",
    "Card",
    "ClassifierCard",
    "WeightCard",
    "Weights",
    "bundled",
    "card_of",
    "folded",
    "load_classifier",
    "load_weights",
    "open_weights",
    "save_weights",
]
