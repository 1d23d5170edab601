"""Find and classify the sources of an image."""

from __future__ import annotations

from astrogalaxy.detection.aligned import check_bands, field_seeing, find_aligned
from astrogalaxy.detection.detections import Detections
from astrogalaxy.detection.hollow import doubted
from astrogalaxy.detection.large import bridge_large
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.images import Image, Section
from astrogalaxy.measurement.starlight import image_seeing

__all__ = ["find"]


def find(
    image: Image,
    runtime: Runtime,
    *,
    section: Section | None = None,
    threshold: float | None = None,
) -> Detections:
    """Find the sources of an image or of a section of it.

    Parameters
    ----------
    image : Image
        Bands, aligned as needed.
    runtime : Runtime
        The network.
    section : Section, optional
        Part of the reference image; its origin should be a multiple of the network's coarsest
        stride, so that the same source meets the same cells whatever the tiling.
    threshold : float, optional
        Lowest ``det_score``; the weight card's by default.

    Returns
    -------
    Detections
        Best first.

    Raises
    ------
    WeightsError
        If the network cannot serve so many or so few bands.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import find, open_runtime
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2)
    >>> image = ag.Image.read({b: (scene.images[b], scene.wcs[b]) for b in "gri"})
    >>> found = find(image, open_runtime())
    >>> len(found) > 0, bool((found.det_score[:-1] >= found.det_score[1:]).all())
    (True, True)
    """
    check_bands(runtime.weights.card, len(image.bands))
    image.register()
    large = bridge_large(image, runtime)
    seeing, aligned = field_seeing(image, runtime.weights.card), image.aligned(section)
    found = find_aligned(aligned, runtime, seeing=seeing, threshold=threshold, large=large)
    return doubted(found, aligned, image_seeing(image))
