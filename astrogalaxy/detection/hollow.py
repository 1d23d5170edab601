"""Sources with pixels without data in their cores, whose shapes the network cannot see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sep

from astrogalaxy.detection.detections import Detections
from astrogalaxy.images import Aligned

__all__ = ["doubted"]

# The network is never surer than this of a source without data in its core: it takes the hole for a shape. The core's
# radius is this share of the seeing, or one pixel; of the circle that is so many times larger this share must have
# data, for the edges of images and of bands are nothing new to the network.
_SUREST_HOLLOW = 0.4
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
