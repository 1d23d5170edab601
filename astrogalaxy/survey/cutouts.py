"""Classify the galaxies of a tile by cutouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import COLUMNS, class_column
from astrogalaxy.detection.inputs import map_bands
from astrogalaxy.images import Aligned, Image, Section
from astrogalaxy.morphology import Classifier
from astrogalaxy.morphology.pictures import SIDES, colour_picture, cut

__all__ = ["CutoutClasses", "classify_sources", "new_classes"]

#: Galaxies less probable than this, by the network alone, get no cutout.
LEAST_GALAXY = 0.1
# Sides of boxes over half-light radii, where none could be measured.
_BOX = 4.4


@dataclass(frozen=True)
class CutoutClasses:
    """What a classifier says of the sources of a tile.

    Attributes
    ----------
    rows : ndarray
        Sources that were classified, by their row.
    pictures : ndarray
        ``(len(rows), side, side, 3)`` uint8, what it saw.
    probability : ndarray
        ``(len(rows), n_classes)``.
    """

    rows: NDArray[np.intp]
    pictures: NDArray[np.uint8]
    probability: NDArray[np.float64]


def new_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes that get columns of their own; smooth and disk go into those that every catalogue has.

    Examples
    --------
    >>> new_classes(("smooth", "disk", "edge-on"))
    ('edge-on',)
    """
    return tuple(name for name in classes if class_column(name) not in COLUMNS)


def classify_sources(
    image: Image,
    aligned: Aligned,
    classifier: Classifier,
    columns: Mapping[str, NDArray[np.generic]],
    *,
    min_snr: float,
    min_size: float = 0.0,
) -> CutoutClasses:
    """Classify the galaxies of a tile above a signal to noise, by cutouts scaled to their angular size.

    Parameters
    ----------
    image : Image
        The field.
    aligned : Aligned
        The tile.
    classifier : Classifier
        What classifies; its card says how much of a galaxy's surroundings it sees.
    columns : mapping of str to ndarray
        ``x``, ``y``, ``x_min`` ... ``y_max`` (pixels of the field), ``p_galaxy``, ``snr`` and ``half_light_radius``
        (arcsec; NaN without a WCS or where it was not measured: then the box tells the size).
    min_snr : float
        Fainter ones are left out.
    min_size : float
        So are those of a smaller half-light radius, in those of the field's stars; where these are not known, none.

    Returns
    -------
    CutoutClasses
        The same, whatever the tile: no cutout is larger than 256 pixels, and what lies outside the tile is read.
    """
    card = classifier.card
    with np.errstate(invalid="ignore"):
        bright = np.asarray(columns["snr"], float) >= min_snr
        wanted = bright & (np.asarray(columns["p_galaxy"], float) >= LEAST_GALAXY)
        radius = _radius(image, columns)
        wanted &= ~(radius < min_size * image.bands[image.reference].seeing / 2)
    rows = np.flatnonzero(wanted)
    x, y = (np.asarray(columns[name], float)[rows] for name in ("x", "y"))
    side = np.clip(card.field_of_view * radius[rows], *SIDES)
    cubes = np.zeros((len(rows), 3, card.side, card.side), np.float32)
    inside = _inside(aligned.section, x, y, side, image.shape)
    here = map_bands(aligned.snr, 3) if inside.any() else None
    if here is not None:
        x0, y0 = aligned.section.x0, aligned.section.y0
        cubes[inside] = cut(here, x[inside] - x0, y[inside] - y0, side[inside], pixels=card.side)
    for number in np.flatnonzero(~inside):
        reach = int(np.ceil(side[number] / 2)) + 3
        at_x, at_y = int(x[number]), int(y[number])
        section = Section(at_x - reach, at_x + reach + 1, at_y - reach, at_y + reach + 1).clip(image.shape)
        cube = map_bands(image.aligned(section).snr, 3)
        (cubes[number],) = cut(
            cube, [x[number] - section.x0], [y[number] - section.y0], [side[number]], pixels=card.side
        )
    pictures = colour_picture(cubes)
    probability = classifier(pictures) if len(rows) else np.zeros((0, len(card.classes)))
    return CutoutClasses(rows, pictures, probability)


def _radius(image: Image, columns: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float64]:
    """Half-light radii in pixels."""
    radius = np.asarray(columns["half_light_radius"], float) / image.pixel_scale
    box = np.maximum(
        np.asarray(columns["x_max"], float) - np.asarray(columns["x_min"], float),
        np.asarray(columns["y_max"], float) - np.asarray(columns["y_min"], float),
    )
    return np.where(np.isfinite(radius), radius, box / _BOX)


def _inside(
    section: Section,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    side: NDArray[np.floating],
    shape: tuple[int, int],
) -> NDArray[np.bool_]:
    """Whether a tile holds all of a cutout that the image does."""
    half = side / 2 + 3
    left = (x - half >= section.x0) | (section.x0 == 0)
    right = (x + half < section.x1) | (section.x1 == shape[1])
    below = (y - half >= section.y0) | (section.y0 == 0)
    above = (y + half < section.y1) | (section.y1 == shape[0])
    return np.asarray(left & right & below & above)
