"""Find and classify the sources of an image."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.detection.decode import Boxes, decode
from astrogalaxy.detection.inputs import UNKNOWN_SEEING, network_input, pad_to_multiple
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.detection.significance import significance
from astrogalaxy.errors import WeightsError
from astrogalaxy.images import Aligned, Image, Section
from astrogalaxy.models import HEADS, WeightCard

__all__ = ["Detections", "find", "find_aligned"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
# Cells below this logit are never sources, whatever their light.
_CANDIDATE_LOGIT = -3.0


@dataclass(frozen=True)
class Detections:
    """Sources as the network sees them, best first.

    Attributes
    ----------
    x, y : ndarray
        Centres in 0-based pixels of the whole reference image.
    x_min, x_max, y_min, y_max : ndarray
        Sides of the boxes, same pixels.
    significance : ndarray
        Signal to noise of a matched filter at the centre, all bands together.
    det_score, p_star, p_galaxy, p_smooth, p_disk : ndarray
        Calibrated probabilities. ``p_star + p_galaxy = 1``; ``p_smooth`` and
        ``p_disk`` hold if the source is a galaxy, and add up to 1.
    """

    x: Floats
    y: Floats
    x_min: Floats
    x_max: Floats
    y_min: Floats
    y_max: Floats
    significance: Floats
    det_score: Floats
    p_star: Floats
    p_galaxy: Floats
    p_smooth: Floats
    p_disk: Floats

    def __len__(self) -> int:
        return len(self.x)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Return a selection of the sources."""
        return Detections(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


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

    Raises
    ------
    WeightsError
        If the network cannot serve so many or so few bands.
    """
    check_bands(runtime.weights.card, len(image.bands))
    seeing = field_seeing(image, runtime.weights.card)
    return find_aligned(image.aligned(section), runtime, seeing=seeing, threshold=threshold)


def field_seeing(image: Image, card: WeightCard) -> float:
    """Seeing of the reference band for weights that want it, NaN for others: measuring it takes time."""
    return image.bands[image.reference].seeing if card.seeing_input else UNKNOWN_SEEING


def find_aligned(
    aligned: Aligned, runtime: Runtime, *, seeing: float = UNKNOWN_SEEING, threshold: float | None = None
) -> Detections:
    """Find the sources on bands that are aligned already; see `find`.

    ``seeing`` is that of the whole field, so that its tiles agree: the half-light diameter of
    stars in pixels, NaN where it is not known.
    """
    card = runtime.weights.card
    check_bands(card, len(aligned.snr))
    cube = card_input(card, aligned.snr, seeing)
    iou, extended = card.architecture.overlaps
    boxes = decode(runtime(cube), card.levels, threshold=_CANDIDATE_LOGIT, iou=iou, extended=extended)
    ny, nx = aligned.snr.shape[1:]
    # padding and the outermost half pixel may attract a centre off the image
    on_image = (boxes.x > -0.5) & (boxes.x < nx - 0.5) & (boxes.y > -0.5) & (boxes.y < ny - 0.5)
    boxes = boxes.take(on_image)
    found = _detections(boxes, significance(aligned.snr, boxes.x, boxes.y), card, aligned.section)
    lowest = card.threshold if threshold is None else threshold
    found = found.take(found.det_score >= lowest)
    # the boxes came in the order of their logits, which is not quite that of the probabilities
    return found.take(np.argsort(-found.det_score, kind="stable"))


def card_input(card: WeightCard, snr: NDArray[np.float32], seeing: float) -> NDArray[np.float32]:
    """Return what the network of a card sees of bands: mapped, stretched, padded."""
    cube = network_input(snr, card.inputs, seeing=seeing if card.seeing_input else None)
    return pad_to_multiple(cube, card.architecture.stride)


def check_bands(card: WeightCard, n_bands: int) -> None:
    """Refuse a number of bands that the weights were not made for."""
    if not card.min_bands <= n_bands <= card.max_bands:
        served = f"{card.min_bands} to {card.max_bands} bands, not {n_bands}"
        msg = f"weights {card.name} serve {served}; choose other weights or bands"
        raise WeightsError(msg)


def _detections(boxes: Boxes, light: Floats, card: WeightCard, section: Section) -> Detections:
    x = boxes.x.astype(float) + section.x0
    y = boxes.y.astype(float) + section.y0
    source, galaxy, disk = (card.calibration[head].probability(getattr(boxes, head), light) for head in HEADS)
    return Detections(
        x,
        y,
        x - boxes.width / 2,
        x + boxes.width / 2,
        y - boxes.height / 2,
        y + boxes.height / 2,
        light,
        source,
        1 - galaxy,
        galaxy,
        1 - disk,
        disk,
    )
