"""Classifiers of galaxy cutouts: networks, pictures, and what they look at."""

from astrogalaxy.morphology.classifier import Classifier, open_classifier
from astrogalaxy.morphology.pictures import FIELD_OF_VIEW, colour_picture
from astrogalaxy.morphology.registry import ARCHITECTURES, Architecture

__all__ = ["ARCHITECTURES", "FIELD_OF_VIEW", "Architecture", "Classifier", "colour_picture", "open_classifier"]
