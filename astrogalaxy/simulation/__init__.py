"""GalSim scenes with truth, and sources injected into real sky."""

from astrogalaxy.simulation.profiles import (
    BAND_WAVELENGTHS,
    PROFILES,
    Conditions,
    SurveyProfile,
    draw_conditions,
    vary,
)
from astrogalaxy.simulation.scene import Scene, simulate_scene

__all__ = [
    "BAND_WAVELENGTHS",
    "PROFILES",
    "Conditions",
    "Scene",
    "SurveyProfile",
    "draw_conditions",
    "simulate_scene",
    "vary",
]
