"""Marks around sources: diamonds for stars, ellipses for galaxies, squares for what is unsure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.catalog.directions import directions
from astrogalaxy.survey.facts import values

__all__ = ["Frame", "Orientation", "mark_paths", "orientation"]

# An ellipse of this many times the rms of the light holds nearly all of a galaxy.
_ELLIPSE = 3.0
# A diamond has less room than the box; a star should be seen in it.
_DIAMOND = 1.3
# The picture of a bright star is wider than its box: each factor of ten above this signal to noise widens its diamond.
_GLARE, _GLARE_SNR = 0.7, 50.0
# A galaxy's mark may be this much larger than its box before the shape is not believed.
_LARGEST = 2.0
# Positions that no straight map from pixels to the sky fits within this, pixels, give no orientation.
_STRAIGHT = 3.0
_FEWEST = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Orientation:
    """How a field lies on the sky.

    Attributes
    ----------
    matrix : ndarray, shape (2, 2)
        Pixels (x, y) that one arcsec to the east and one to the north make.
    """

    matrix: Floats

    @property
    def scale(self) -> float:
        """Pixels per arcsec."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def direction(self, angle: Floats | float) -> Floats:
        """Unit vector in pixels of a position angle, degrees east of north; shape (2, ...)."""
        radians = np.radians(angle)
        vector = np.tensordot(self.matrix, np.array([np.sin(radians), np.cos(radians)]), axes=1)
        return np.asarray(vector / np.hypot(*vector))


def orientation(catalog: SourceCatalog) -> Orientation | None:
    """Fit how pixels lie on the sky, from the sources of one field.

    Parameters
    ----------
    catalog : SourceCatalog
        Sources of one field, with ``x``, ``y``, ``ra`` and ``dec``.

    Returns
    -------
    Orientation or None
        None where too few sources have a position, they lie in a line, or no straight map fits.
    """
    x, y, ra, dec = (values(catalog, name) for name in ("x", "y", "ra", "dec"))
    known = np.isfinite(x + y + ra + dec)
    if np.count_nonzero(known) < _FEWEST:
        return None
    x, y = x[known], y[known]
    east, north = _tangent_plane(ra[known], dec[known])
    design = np.column_stack([x - x.mean(), y - y.mean(), np.ones(len(x))])
    fit, _, rank, _ = np.linalg.lstsq(design, np.column_stack([east, north]), rcond=1e-9)
    if rank < 3:
        return None
    to_sky = fit[:2].T
    if not np.isfinite(to_sky).all() or abs(np.linalg.det(to_sky)) < 1e-12:
        return None
    matrix = np.linalg.inv(to_sky)
    off = matrix @ (np.column_stack([east, north]) - design @ fit).T
    return Orientation(matrix) if np.median(np.hypot(*off)) < _STRAIGHT else None


def _tangent_plane(ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """Arcsec to the east and to the north of the middle, in the plane that touches the sky there."""
    vectors = directions(ra, dec).T
    middle = vectors.mean(axis=1)
    middle /= np.linalg.norm(middle)
    along = np.hypot(middle[0], middle[1])
    turn = np.array([-middle[1], middle[0], 0.0]) / along if along > 0 else np.array([0.0, 1.0, 0.0])
    up = np.cross(middle, turn)
    depth = np.maximum(middle @ vectors, 1e-6)
    arcsec = np.degrees(1) * 3600
    return arcsec * (turn @ vectors) / depth, arcsec * (up @ vectors) / depth


@dataclass(frozen=True)
class Frame:
    """A picture with y upwards, drawn on a canvas with y downwards.

    Attributes
    ----------
    x0, y0 : float
        Pixel of the field in the picture's lower left corner.
    step : float
        Pixels of the field per unit of the canvas.
    width, height : int
        Of the canvas.
    smallest : float
        Least radius of a mark, units of the canvas.
    """

    x0: float
    y0: float
    step: float
    width: int
    height: int
    smallest: float

    def place(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Where pixels of the field are on the canvas; the first pixel's edge is at 0."""
        return (x - self.x0 + 0.5) / self.step, self.height - (y - self.y0 + 0.5) / self.step

    def holds(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Which positions are on the canvas; NaN is not."""
        u, v = self.place(x, y)
        with np.errstate(invalid="ignore"):
            return np.asarray((u >= 0) & (u <= self.width) & (v >= 0) & (v <= self.height))


def mark_paths(catalog: SourceCatalog, frame: Frame, turned: Orientation | None) -> dict[str, list[str]]:
    """Marks of sources as SVG paths.

    Parameters
    ----------
    catalog : SourceCatalog
        Sources on the canvas.
    frame : Frame
        The canvas.
    turned : Orientation or None
        How the field lies on the sky; without it a galaxy's mark is as wide and high as its box.

    Returns
    -------
    dict of str to list of str
        ``""`` for each row of another class; by class ``star``, ``galaxy`` and ``unsure``.
    """
    u, v = frame.place(values(catalog, "x"), values(catalog, "y"))
    wide, high = (_half(catalog, axis) / frame.step for axis in "xy")
    side = np.maximum(np.nan_to_num(np.sqrt(wide * high)), frame.smallest)
    ellipses = _ellipses(catalog, frame, turned, wide, high)
    glare = 1 + _GLARE * np.log10(np.fmax(values(catalog, "snr") / _GLARE_SNR, 1.0))
    kinds = np.asarray(catalog["class"])
    paths: dict[str, list[str]] = {"star": [], "galaxy": [], "unsure": []}
    for i, kind in enumerate(kinds):
        at, r = (float(u[i]), float(v[i])), float(side[i])
        if kind == "galaxy":
            path = _ellipse(*at, *ellipses[:, i])
        elif kind == "star":
            r = _DIAMOND * r * float(glare[i])
            path = f"M{_n(at[0] - r)} {_n(at[1])}l{_n(r)}{_m(-r)}{_m(r)}{_m(r)}{_m(-r)}{_m(r)}z"
        else:
            half = 0.8 * r
            path = f"M{_n(at[0] - half)} {_n(at[1] - half)}h{_n(2 * half)}v{_n(2 * half)}h{_n(-2 * half)}z"
        for name, each in paths.items():
            each.append(path if name == kind else "")
    return paths


def _half(catalog: SourceCatalog, axis: str) -> Floats:
    """Half of the side of the boxes, pixels; NaN where there is none."""
    half = (values(catalog, f"{axis}_max") - values(catalog, f"{axis}_min")) / 2
    with np.errstate(invalid="ignore"):
        return np.where(half > 0, half, np.nan)


def _ellipses(catalog: SourceCatalog, frame: Frame, turned: Orientation | None, wide: Floats, high: Floats) -> Floats:
    """Semi-axes and the angle of the major one on the canvas, degrees clockwise from the right."""
    # where no shape was measured, or it is far off the box, the box tells
    major, minor, angle = wide.copy(), high.copy(), np.zeros(len(wide))
    if turned is not None:
        a, b, theta = (values(catalog, name) for name in ("a", "b", "theta"))
        along, across = (_ELLIPSE * turned.scale / frame.step * length for length in (a, b))
        with np.errstate(invalid="ignore"):
            sound = (across > 0) & np.isfinite(along + theta)
            sound &= ~(along > _LARGEST * np.fmax(wide, high))
        vector = turned.direction(np.where(sound, theta, 0.0))
        major, minor = np.where(sound, along, major), np.where(sound, across, minor)
        angle = np.where(sound, np.degrees(np.arctan2(-vector[1], vector[0])), angle)
    major, minor = np.nan_to_num(major), np.nan_to_num(minor)
    grown = np.maximum(frame.smallest / np.maximum(np.sqrt(major * minor), 1e-9), 1.0)
    flat = np.maximum(minor * grown, 0.3 * frame.smallest)
    return np.array([np.maximum(major * grown, flat), flat, angle])


def _ellipse(u: float, v: float, major: float, minor: float, angle: float) -> str:
    """An ellipse as two arcs."""
    du, dv = major * np.cos(np.radians(angle)), major * np.sin(np.radians(angle))
    arc = f"{_n(major)} {_n(minor)} {angle:.0f} 1 0"
    return f"M{_n(u + du)} {_n(v + dv)}a{arc}{_m(-2 * du)}{_m(-2 * dv)} {arc}{_m(2 * du)}{_m(2 * dv)}z"


def _n(value: float) -> str:
    """A number as short as SVG allows, to a tenth."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _m(value: float) -> str:
    """A number that follows another: the minus sign parts them as well as a space."""
    text = _n(value)
    return text if text.startswith("-") else f" {text}"
