"""Sources with pixels without data in their cores, whose shapes the network cannot see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sep

from astrogalaxy.detection.detections import Detections
from astrogalaxy.images import Aligned

__all__ = ["doubted"]

# Classes of a source without data in its core are kept from 0.4 to 0.6: the network takes the hole for a shape.
_SUREST_HOLLOW = 0.4
# Radius of the core in units of the seeing (at least one pixel), that of the circle around it in core radii, and the
# share of the circle that must have data: edges of images and of bands are nothing new to the network.
_CORE, _AROUND, _SEEN = 0.25, 8.0, 0.7


def doubted(found: Detections, aligned: Aligned, seeing: float) -> Detections:
    """Sources with less sure classes where a band has no data in their cores, though it has them around."""
    x, y = found.x - aligned.section.x0, found.y - aligned.section.y0
    core = float(np.fmax(_CORE * seeing, 1.0))
    hollow = np.zeros(len(found), dtype=bool)
    for bad in aligned.bad:
        if bad.any():
            pixels = bad.astype(np.float32)
            lost, _, _ = sep.sum_circle(pixels, x, y, core)
            some = np.flatnonzero(lost > 0)
            seen, _, _ = sep.sum_circle(1 - pixels, x[some], y[some], _AROUND * core)
            hollow[some[seen > _SEEN * np.pi * (_AROUND * core) ** 2]] = True
    p_galaxy = np.where(hollow, np.clip(found.p_galaxy, _SUREST_HOLLOW, 1 - _SUREST_HOLLOW), found.p_galaxy)
    return replace(found, p_galaxy=p_galaxy, p_star=np.where(hollow, 1 - p_galaxy, found.p_star))
