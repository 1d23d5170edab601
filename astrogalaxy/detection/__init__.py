"""AstroYOLO: find sources and tell stars from galaxies, smooth ones from disks."""

from astrogalaxy.detection.find import Detections, find, find_aligned, find_at
from astrogalaxy.detection.runtime import Runtime, open_runtime

__all__ = ["Detections", "Runtime", "find", "find_aligned", "find_at", "open_runtime"]
