"""What the sources look like: positions, fluxes in every band, shapes, errors and flags."""

from __future__ import annotations

from astrogalaxy.measurement.measure import measure
from astrogalaxy.measurement.seeing import relative_extent, star_radius
from astrogalaxy.measurement.sources import Sources

__all__ = ["Sources", "measure", "relative_extent", "star_radius"]
