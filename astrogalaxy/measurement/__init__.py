"""What the sources look like: positions, fluxes in every band, shapes, errors and flags."""

from __future__ import annotations

from astrogalaxy.measurement.fieldwide import (
    FieldQuality,
    calibrate_field,
    field_conditions,
    field_quality,
    given_quality,
    restore_conditions,
)
from astrogalaxy.measurement.measure import measure
from astrogalaxy.measurement.photometry import magnitude_limits
from astrogalaxy.measurement.seeing import relative_extent, star_radius
from astrogalaxy.measurement.sources import Sources

__all__ = [
    "FieldQuality",
    "Sources",
    "calibrate_field",
    "field_conditions",
    "field_quality",
    "given_quality",
    "magnitude_limits",
    "measure",
    "relative_extent",
    "restore_conditions",
    "star_radius",
]
