"""AstroYOLO: find sources and tell stars from galaxies, smooth ones from disks."""

from astrogalaxy.detection.aligned import find_aligned, find_at
from astrogalaxy.detection.detections import Detections
from astrogalaxy.detection.find import find
from astrogalaxy.detection.large import bridge_large, find_large
from astrogalaxy.detection.runtime import Runtime, open_runtime

__all__ = ["Detections", "Runtime", "bridge_large", "find", "find_aligned", "find_at", "find_large", "open_runtime"]
