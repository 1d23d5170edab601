"""The truth table of a scene: positions, fluxes, boxes, and which sources can be seen at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.images.sky import to_sky
from astrogalaxy.simulation.profiles import Conditions, SurveyProfile
from astrogalaxy.simulation.render import Positions, Stamp

__all__ = ["BOX_RADII", "VISIBLE_SNR", "complete_truth"]

#: Half side of a box in half-light radii of the source as seen (intrinsic and seeing).
BOX_RADII = 2.2
#: Matched-filter signal to noise (all bands) above which a source is to be found.
VISIBLE_SNR = 5.0
_SMALLEST_BOX = 6.0
# Below this share of the light at its own centre a source is only a bump in a brighter one.
_OWN_LIGHT = 0.4
# Closer to a brighter source than this many FWHM it is part of it.
_INSEPARABLE = 0.6

Floats = NDArray[np.float64]


def complete_truth(
    table: Table,
    stamps: Sequence[Stamp],
    light: Mapping[str, NDArray[np.float32]],
    profile: SurveyProfile,
    conditions: Conditions,
    wcs: WCS,
    positions: Mapping[str, Positions],
) -> Table:
    """Add what an observer could know of a population to its table.

    Parameters
    ----------
    table : Table
        The population, with ``x`` and ``y``.
    stamps : sequence of Stamp
        What was drawn, one per row.
    light : mapping
        The noise-free image of each band.
    profile : SurveyProfile
        The survey that they are like.
    conditions : Conditions
        Of this observation.
    wcs : WCS
        Of the reference band.
    positions : mapping
        Positions x and y of the sources in the pixels of each band.

    Returns
    -------
    Table
        The population with ``ra``, ``dec`` (deg), ``x_min`` ... ``y_max`` (0-based pixel
        positions of the box's sides), ``flux_<band>`` (image units),
        ``half_light_radius`` (arcsec, major axis, intrinsic; 0 for stars), ``snr``
        (matched filter, all bands) and ``visible``: whether the source is bright
        enough, far enough from a brighter one, and not lost in a brighter one's light.
    """
    truth = table.copy()
    truth["ra"], truth["dec"] = to_sky(wcs, truth["x"], truth["y"])
    for band in light:
        truth[f"flux_{band}"] = 10 ** (-0.4 * (truth[f"mag_{band}"] - profile.zeropoint))
    radius = _half_light(truth)
    truth["half_light_radius"] = radius
    seeing = np.mean(list(conditions.seeing.values()))
    core = _saturated_radius(truth, profile, conditions, float(seeing))
    for name, values in _boxes(truth, np.hypot(radius, core), float(seeing), profile.pixel_scale).items():
        truth[name] = values
    truth["snr"] = np.array([stamp.snr for stamp in stamps], dtype=float)
    own = _own_light(stamps, light, positions)
    alone = ~_inseparable(truth, _INSEPARABLE * float(seeing) / profile.pixel_scale)
    truth["visible"] = (truth["snr"] >= VISIBLE_SNR) & (own >= _OWN_LIGHT) & alone
    return truth


def _half_light(truth: Table) -> Floats:
    """Major-axis half-light radius of bulge and disk together, approximately."""
    fraction = np.nan_to_num(truth["bulge_fraction"], nan=0.0)
    parts = fraction * np.log(np.nan_to_num(truth["bulge_radius"], nan=1.0))
    parts = parts + (1 - fraction) * np.log(np.nan_to_num(truth["disk_radius"], nan=1.0))
    return np.where(truth["class"] == "galaxy", np.exp(parts), 0.0)


def _saturated_radius(truth: Table, profile: SurveyProfile, conditions: Conditions, seeing: float) -> Floats:
    """Radius in arcsec at which a star's Moffat profile falls below saturation."""
    band = "r" if "r" in profile.bands else profile.bands[0]
    excess = 10 ** (-0.4 * (np.asarray(truth[f"mag_{band}"]) - profile.saturation))
    beta = conditions.beta
    alpha = seeing / 2 / np.sqrt(2 ** (1 / beta) - 1)
    radius = alpha * np.sqrt(np.clip(excess, 1, None) ** (1 / beta) - 1)
    return np.where(truth["class"] == "star", radius, 0.0)


def _boxes(truth: Table, radius: Floats, seeing: float, scale: float) -> dict[str, Floats]:
    fraction = np.nan_to_num(truth["bulge_fraction"], nan=0.0)
    q = fraction * np.nan_to_num(truth["bulge_q"], nan=1.0)
    q = q + (1 - fraction) * np.nan_to_num(truth["disk_q"], nan=1.0)
    angle = np.nan_to_num(truth["angle"], nan=0.0)
    boxes = {}
    for axis, along, across in (("x", np.cos(angle), np.sin(angle)), ("y", np.sin(angle), np.cos(angle))):
        extent = np.sqrt(radius**2 * (along**2 + (q * across) ** 2) + (seeing / 2) ** 2) / scale
        half = np.maximum(BOX_RADII * extent, _SMALLEST_BOX / 2)
        boxes[f"{axis}_min"] = np.asarray(truth[axis] - half)
        boxes[f"{axis}_max"] = np.asarray(truth[axis] + half)
    return boxes


def _own_light(
    stamps: Sequence[Stamp],
    light: Mapping[str, NDArray[np.float32]],
    positions: Mapping[str, Positions],
) -> Floats:
    """Largest share, over bands, of the light at a source's centre that is its own."""
    share = np.zeros(len(stamps))
    for band, image in light.items():
        x, y = (np.rint(centre).astype(int) for centre in positions[band])
        x, y = np.clip(x, 0, image.shape[1] - 1), np.clip(y, 0, image.shape[0] - 1)
        peak = np.array([stamp.peak[band] for stamp in stamps], dtype=float)
        share = np.maximum(share, peak / np.maximum(image[y, x], 1e-30))
    return np.minimum(share, 1.0)


def _inseparable(truth: Table, distance: float) -> NDArray[np.bool_]:
    """Sources within ``distance`` pixels of one with a higher signal to noise."""
    lost = np.zeros(len(truth), dtype=bool)
    if len(truth) < 2:
        return lost
    pairs = cKDTree(np.column_stack([truth["x"], truth["y"]])).query_pairs(distance, output_type="ndarray")
    snr = np.asarray(truth["snr"])
    lost[np.where(snr[pairs[:, 0]] < snr[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = True
    return lost
