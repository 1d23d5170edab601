"""Weight files and their cards."""

from astrogalaxy.models.architecture import CHANNELS, SIZES, Architecture
from astrogalaxy.models.card import BY_EXTENT, HEADS, Calibration, WeightCard
from astrogalaxy.models.files import Weights, bundled, folded, load_weights, save_weights

__all__ = [
    "BY_EXTENT",
    "CHANNELS",
    "HEADS",
    "SIZES",
    "Architecture",
    "Calibration",
    "WeightCard",
    "Weights",
    "bundled",
    "folded",
    "load_weights",
    "save_weights",
]
