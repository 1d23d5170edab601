"""Find and classify the sources of bands that are aligned."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr, ndtri

from astrogalaxy.catalog.crossmatch import closest_first
from astrogalaxy.detection.blanks import fill_blanks
from astrogalaxy.detection.decode import Boxes, cells, decode
from astrogalaxy.detection.detections import Detections
from astrogalaxy.detection.inputs import UNKNOWN_SEEING, network_input
from astrogalaxy.detection.pieces import one_each, whole_galaxies
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.detection.significance import significance
from astrogalaxy.errors import WeightsError
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images import Aligned, Image, Section
from astrogalaxy.measurement.starlight import image_seeing
from astrogalaxy.models import HEADS, WeightCard

__all__ = ["card_input", "check_bands", "field_seeing", "find_aligned", "find_at"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
# Cells below this logit are never sources, whatever their light.
_CANDIDATE_LOGIT = -3.0
# Least significance of a source where all noise is correlated. In independent noise nearly all have more.
_CORRELATED = 4.0
# A source found within this share of its box's side of a given position is what lies there.
_SAME_SHARE = 0.25
# Cells that are looked at around a given position where no source was found.
_NEAR_CELLS = 24
# Seeing where there are no stars to measure it (pixels), and the least distance at which positions agree.
_USUAL_SEEING, _LEAST_REACH = 3.0, 1.5
# Side of a star's box in units of the seeing, and the smallest.
_STAR_BOX, _SMALLEST_BOX = 2.2, 6.0


def field_seeing(image: Image, card: WeightCard) -> float:
    """Seeing of an image for weights that want it, NaN for others: measuring it takes time."""
    return image_seeing(image) if card.seeing_input else UNKNOWN_SEEING


def find_aligned(
    aligned: Aligned,
    runtime: Runtime,
    *,
    seeing: float = UNKNOWN_SEEING,
    threshold: float | None = None,
    large: Detections | None = None,
) -> Detections:
    """Find the sources on bands that are aligned already; see `find`.

    Parameters
    ----------
    aligned : Aligned
        Bands on the reference grid.
    runtime : Runtime
        The network.
    seeing : float, optional
        That of the whole field, so that its tiles agree: the half-light diameter of stars in pixels,
        NaN where it is not known.
    threshold : float, optional
        Lowest ``det_score``; the weight card's by default.
    large : Detections, optional
        Galaxies of the image that are larger than what the network sees at once (see `bridge_large`):
        each is one source.

    Returns
    -------
    Detections
        Best first.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import find_aligned, open_runtime
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2)
    >>> aligned = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}).aligned()
    >>> len(find_aligned(aligned, open_runtime(), threshold=1.0))
    0
    """
    maps = _maps(aligned, runtime, seeing)
    return _best(maps, aligned, runtime.weights.card, seeing, threshold, large)


def find_at(
    aligned: Aligned,
    runtime: Runtime,
    x: Floats,
    y: Floats,
    *,
    stars: float = np.nan,
    seeing: float = UNKNOWN_SEEING,
    threshold: float | None = None,
    large: Detections | None = None,
) -> tuple[Detections, Detections]:
    """Classify what is at given positions, and find the sources that are not at any of them.

    Sources that are found as usual are matched with the positions within a quarter of their box's side (the geometric
    mean of both sides), or within half of the seeing: the closest pairs first, and each at most once. A position
    without a source gets the probabilities of the surest of the cells whose boxes are centred within half of the
    seeing, however unsure that is. Where no box is centred there, ``det_score`` is 0 and the class is that of the
    nearest.

    Parameters
    ----------
    aligned : Aligned
        Bands on the reference grid.
    runtime : Runtime
        The network.
    x, y : ndarray, shape (n,)
        Positions in 0-based pixels of the whole reference image.
    stars : float, optional
        Half-light diameter of stars, pixels; 3 where it is NaN.
    seeing, threshold, large
        See `find_aligned`.

    Returns
    -------
    at : Detections
        One per position, in their order, centred on them. Boxes have the size of the source that was found, or of a
        star's.
    others : Detections
        Sources found that belong to no position, best first.

    Examples
    --------
    >>> import numpy as np
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import find_aligned, find_at, open_runtime
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2)
    >>> aligned = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}).aligned()
    >>> found = find_aligned(aligned, open_runtime())
    >>> at, others = find_at(aligned, open_runtime(), found.x[:1], found.y[:1])
    >>> bool(at.det_score[0] == found.det_score[0]), len(found) - len(others)
    (True, 1)
    """
    card = runtime.weights.card
    maps = _maps(aligned, runtime, seeing)
    found = _best(maps, aligned, card, seeing, threshold, large)
    wide = stars if np.isfinite(stars) else _USUAL_SEEING
    reach = max(_LEAST_REACH, wide / 2)
    position, source = _belonging(x, y, found, reach)
    at = _nearest_cells(maps, aligned, card, x, y, reach)
    side_x, side_y = (np.full(len(x), max(_STAR_BOX * wide, _SMALLEST_BOX)) for _ in range(2))
    side_x[position], side_y[position] = (found.x_max - found.x_min)[source], (found.y_max - found.y_min)[source]
    for name in ("significance", "det_score", "p_star", "p_galaxy", "p_smooth", "p_disk"):
        getattr(at, name)[position] = getattr(found, name)[source]
    sides = {"x_min": x - side_x / 2, "x_max": x + side_x / 2, "y_min": y - side_y / 2, "y_max": y + side_y / 2}
    others = np.ones(len(found), dtype=bool)
    others[source] = False
    return replace(at, x=x.copy(), y=y.copy(), **sides), found.take(others)


def _belonging(x: Floats, y: Floats, found: Detections, reach: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Matched pairs: indices of the positions and of the sources found there."""
    none = np.zeros(0, dtype=np.intp)
    if not (len(x) and len(found)):
        return none, none
    side = np.sqrt((found.x_max - found.x_min) * (found.y_max - found.y_min))
    radius = np.maximum(reach, _SAME_SHARE * side)
    near = cKDTree(np.column_stack([x, y])).query_ball_point(np.column_stack([found.x, found.y]), radius)
    source = np.repeat(np.arange(len(found)), [len(members) for members in near])
    position = np.array([member for members in near for member in members], dtype=np.intp)
    distance = np.hypot(found.x[source] - x[position], found.y[source] - y[position])
    chosen = closest_first(position, source, distance)
    return position[chosen], source[chosen]


def _nearest_cells(
    maps: list[NDArray[np.float32]], aligned: Aligned, card: WeightCard, x: Floats, y: Floats, reach: float
) -> Detections:
    """The surest of the cells whose boxes are centred within reach of each position."""
    boxes = cells(maps, card.architecture.strides)
    points = np.column_stack([x - aligned.section.x0, y - aligned.section.y0])
    neighbours = np.arange(1, min(_NEAR_CELLS, len(boxes)) + 1)
    distance, near = cKDTree(np.column_stack([boxes.x, boxes.y])).query(points, k=neighbours)
    within = distance <= reach
    # without any within reach the first, which is the nearest
    chosen = near[np.arange(len(x)), np.where(within, boxes.source[near], -np.inf).argmax(axis=1)]
    boxes = boxes.take(chosen)
    at = _detections(boxes, _significance(aligned, *points.T), card, aligned.section)
    return replace(at, det_score=np.where(within.any(axis=1), at.det_score, 0.0))


def _maps(aligned: Aligned, runtime: Runtime, seeing: float) -> list[NDArray[np.float32]]:
    """Output of the network for aligned bands, level by level."""
    card = runtime.weights.card
    check_bands(card, len(aligned.snr))
    return runtime(card_input(card, fill_blanks(aligned, card.inputs), seeing))


def _best(
    maps: list[NDArray[np.float32]],
    aligned: Aligned,
    card: WeightCard,
    seeing: float,
    threshold: float | None,
    large: Detections | None,
) -> Detections:
    """The sources of an image, best first, out of the network's output."""
    iou, extended = card.architecture.overlaps
    boxes = decode(maps, card.architecture.strides, threshold=_CANDIDATE_LOGIT, iou=iou, extended=extended)
    ny, nx = aligned.snr.shape[1:]
    # padding and the outermost half pixel may attract a centre off the image
    on_image = (boxes.x > -0.5) & (boxes.x < nx - 0.5) & (boxes.y > -0.5) & (boxes.y < ny - 0.5)
    boxes = boxes.take(on_image)
    found = _detections(boxes, _significance(aligned, boxes.x, boxes.y), card, aligned.section)
    lowest = card.threshold if threshold is None else threshold
    found = found.take(found.det_score >= lowest)
    found = found.take(_stands_out(found, aligned, seeing))
    # the boxes came in the order of their logits, which is not quite that of the probabilities
    found = one_each(found.take(np.argsort(-found.det_score, kind="stable")), aligned, seeing)
    return found if large is None else whole_galaxies(found, aligned, large)


def _significance(aligned: Aligned, x: Floats, y: Floats) -> Floats:
    """Signal to noise of the light at positions of the section, where noise may be correlated."""
    return significance(aligned.snr, x, y, bad=aligned.bad) / aligned.correlation


def _stands_out(found: Detections, aligned: Aligned, seeing: float) -> NDArray[np.bool_]:
    """Which sources are more than blobs of correlated noise, which the network takes for sources however faint."""
    least = _CORRELATED * np.sqrt(1 - 1 / aligned.correlation**2)
    if least == 0:
        return np.ones(len(found), dtype=bool)
    x, y = found.x - aligned.section.x0, found.y - aligned.section.y0
    width = (seeing if np.isfinite(seeing) else _USUAL_SEEING) / FWHM_PER_SIGMA
    clear = significance(aligned.snr, x, y, sigma=width) >= least * aligned.correlation
    # a source drowns in the sum with bands that hardly show it, the more so the more their noise is correlated; this
    # limit lets no more blobs of all single bands through than the one for the sum does
    alone = -ndtri(ndtr(-least) / len(aligned.snr))
    if len(aligned.snr) > 1:
        factors = aligned.factors or (aligned.correlation,) * len(aligned.snr)
        for snr, factor in zip(aligned.snr, factors, strict=True):
            clear |= significance(snr[None], x, y, sigma=width) >= alone * factor
    return clear


def card_input(card: WeightCard, snr: NDArray[np.float32], seeing: float) -> NDArray[np.float32]:
    """Return the network input of a card: bands mapped onto its channels, stretched and padded."""
    known = seeing if card.seeing_input else None
    return network_input(snr, card.inputs, seeing=known, multiple=card.architecture.multiple)


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
