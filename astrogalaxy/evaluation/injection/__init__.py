"""Completeness and purity of a catalogue of one's own images: inject known sources, and find them again.

Stars and galaxies of known light and shape are laid into real frames, which are then searched and
measured like the untouched ones. What comes out says how complete the catalogue is at which
magnitude and size, how well stars are told from galaxies, and how far fluxes and positions are off;
frames that are turned upside down say how many sources are none.
"""

from astrogalaxy.evaluation.injection.conditions import FieldConditions, Injection, colours_of
from astrogalaxy.evaluation.injection.curve import CompletenessCurve, fit_completeness
from astrogalaxy.evaluation.injection.psf import PointSpread
from astrogalaxy.evaluation.injection.recovery import Baseline, Recovery, Round, join
from astrogalaxy.evaluation.injection.rounds import inject_and_recover, look, recover_round

__all__ = [
    "Baseline",
    "CompletenessCurve",
    "FieldConditions",
    "Injection",
    "PointSpread",
    "Recovery",
    "Round",
    "colours_of",
    "fit_completeness",
    "inject_and_recover",
    "join",
    "look",
    "recover_round",
]
