"""Catalogues on the screen: marks on matplotlib axes, and tables for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from astropy.table import Table

from astrogalaxy.errors import CatalogError
from astrogalaxy.tables import numbers_of

__all__ = ["CLASS_COLOURS", "catalog_html", "draw_catalog"]

#: Of the palette of Okabe and Ito, bright enough for a dark sky: yellow, sky blue, grey.
CLASS_COLOURS = {"star": "#f0e442", "galaxy": "#56b4e9", "unsure": "#c9c9c9"}
_NAMES = {"star": "stars", "galaxy": "galaxies", "unsure": "unsure"}
# Semi-axes of a mark in those of the source, and its least semi-axis in full widths of the median source.
_TIMES, _LEAST = 3.0, 0.75
_FEW = 14
_SHOWN = ("source_id", "field", "ra", "dec", "class", "p_galaxy", "det_score", "morphology", "snr", "flags")


def draw_catalog(catalog: Table, *, image: Any = None, ax: Any = None, **options: Any) -> Any:
    """Mark sources; see `SourceCatalog.plot`."""
    import matplotlib.pyplot as plt

    x, y = _places(catalog, ("ra", "dec") if image is None else ("x", "y"))
    if ax is None:
        if image is not None:
            ax = image.plot()
        else:
            ax = plt.figure(figsize=(7, 7), layout="constrained").add_subplot(facecolor="#202020")
    if image is None:
        dec = np.radians(float(np.median(y[np.isfinite(y)]))) if len(y) else 0.0
        stretch = 1 / max(np.cos(dec), 0.01)
        x = _unbroken(x)
        _sky_axes(ax, x, y, stretch)
        sky_to_axes = np.diag([stretch, 1.0]) / 3600
    else:
        sky_to_axes = _pixels_of_arcsec(x, y, image.wcs)
    if len(catalog):
        _mark(ax, catalog, sky_to_axes, x, y, options)
    return ax


def _places(catalog: Table, names: tuple[str, str]) -> list[np.ndarray]:
    """Two coordinates of the sources; an error where none has both."""
    absent = [name for name in names if name not in catalog.colnames]
    if not absent:
        places = [_numbers(catalog, name) for name in names]
        if not len(catalog) or np.isfinite(places).all(axis=0).any():
            return places
    lacks = f"the catalogue has no column {absent[0]!r}" if absent else f"no source has {' and '.join(names)}"
    instead = "pass image= to draw on the image" if "ra" in names else "leave image= out to draw on the sky"
    msg = f"{lacks}, so it cannot be drawn here; {instead}"
    raise CatalogError(msg)


def _numbers(catalog: Table, name: str) -> np.ndarray:
    """A column as floats; NaN where there is no value, or no such column."""
    if name not in catalog.colnames:
        return np.full(len(catalog), np.nan)
    return numbers_of(catalog, name)


def _unbroken(ra: np.ndarray) -> np.ndarray:
    """Right ascensions that do not jump at 0 h where the sources lie on both of its sides."""
    known = ra[np.isfinite(ra)]
    if not len(known):
        return ra
    middle = np.degrees(np.angle(np.exp(1j * np.radians(known)).sum()))
    around = middle + (ra - middle + 180) % 360 - 180
    # Shifted only if that saves more than rounding: otherwise the numbers stay as they are.
    return around if np.ptp(around[np.isfinite(ra)]) < np.ptp(known) - 1e-6 else ra


def _mark(ax: Any, catalog: Table, sky_to_axes: np.ndarray, x: np.ndarray, y: np.ndarray, options: Any) -> None:
    """Draw an ellipse around each source, a colour for each class."""
    from matplotlib.collections import EllipseCollection
    from matplotlib.lines import Line2D

    fwhm = _numbers(catalog, "fwhm")
    least = _LEAST * float(np.nanmedian(fwhm)) if np.isfinite(fwhm).any() else 1.0
    a, b = (np.fmax(_TIMES * _numbers(catalog, axis), least) for axis in ("a", "b"))
    theta = np.radians(np.nan_to_num(_numbers(catalog, "theta")))
    # Both semi-axes as vectors to the east and north; on the axes they are an ellipse again.
    east, north = np.stack([a * np.sin(theta), b * np.cos(theta)]), np.stack([a * np.cos(theta), -b * np.sin(theta)])
    turned, lengths, _ = np.linalg.svd(sky_to_axes @ np.moveaxis(np.stack([east, north]), 2, 0))
    angle = np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    # A colour for each class; a catalogue without the column has one colour.
    kinds = np.asarray(catalog["class"], str) if "class" in catalog.colnames else np.full(len(catalog), "unsure")
    handles = []
    for kind, colour in CLASS_COLOURS.items():
        which = (kinds == kind) & np.isfinite(x) & np.isfinite(y)
        if which.any():
            marks = EllipseCollection(
                2 * lengths[which, 0], 2 * lengths[which, 1], angle[which], units="xy",
                offsets=np.column_stack([x[which], y[which]]), offset_transform=ax.transData, facecolors="none",
                edgecolors=colour, **({"linewidths": 1.2} | options),
            )  # fmt: skip
            ax.add_collection(marks)
            handles.append(
                Line2D([], [], marker="o", ls="", mfc="none", mec=colour, label=f"{which.sum()} {_NAMES[kind]}")
            )
    ax.legend(handles=handles, loc="upper right", fontsize="small", facecolor="#303030", labelcolor="white")


def _pixels_of_arcsec(x: np.ndarray, y: np.ndarray, wcs: Any) -> np.ndarray:
    """Pixels that one arcsec to the east and one to the north make in the middle of the sources, as columns."""
    if wcs is None or not len(x):
        return np.array([[-1.0, 0.0], [0.0, 1.0]])
    from astropy.wcs.utils import local_partial_pixel_derivatives

    middle = float(np.nanmedian(x)), float(np.nanmedian(y))
    degrees = local_partial_pixel_derivatives(wcs, *middle)
    degrees[0] = (degrees[0] + 180) % 360 - 180  # a step over right ascension 0 is none of 360 degrees
    degrees[0] *= np.cos(np.radians(wcs.pixel_to_world_values(*middle)[1]))
    return np.asarray(np.linalg.inv(degrees) / 3600)


def _sky_axes(ax: Any, ra: np.ndarray, dec: np.ndarray, stretch: float) -> None:
    """Right ascension to the left, and angles true in the middle."""
    ax.set_xlabel("right ascension (deg)")
    ax.set_ylabel("declination (deg)")
    ax.set_aspect(stretch)
    places = np.stack([ra, dec])[:, np.isfinite(ra) & np.isfinite(dec)]
    if not places.size:
        return
    low, high = places.min(axis=1), places.max(axis=1)
    edge = np.maximum(0.05 * (high - low), 1e-3)
    ax.set_xlim(high[0] + edge[0], low[0] - edge[0])
    ax.set_ylim(low[1] - edge[1], high[1] + edge[1])
    if low[0] < 0 or high[0] >= 360:
        ax.xaxis.set_major_formatter(lambda degrees, _: f"{round(degrees, 7) % 360:.9g}")


def catalog_html(catalog: Table, light: Sequence[str]) -> str:
    """A line about the catalogue and its most important columns, in HTML; `light` are those of the bands."""
    counts = ""
    if "class" in catalog.colnames:
        kinds = np.asarray(catalog["class"], str)
        counts = f" ({', '.join(f'{int((kinds == kind).sum())} {name}' for kind, name in _NAMES.items())})"
    wanted = [name for name in (*_SHOWN[:-2], *light, *_SHOWN[-2:]) if name in catalog.colnames]
    if len(catalog.colnames) <= _FEW:
        wanted = list(catalog.colnames)  # someone has chosen them
    rest = [name for name in catalog.colnames if name not in wanted]
    head = f"<b>SourceCatalog</b>: {len(catalog)} sources{counts}, {len(catalog.colnames)} columns"
    more = f"<details><summary>{len(rest)} more columns</summary>{escape(', '.join(rest))}</details>" if rest else ""
    # The rows are shared: a format of one's own must not take a copy of millions of them.
    shown = Table([catalog[name] for name in wanted], names=wanted, copy=False)
    for name in wanted:
        if shown[name].dtype.kind == "f":
            shown[name].info.format = ".6f" if name in {"ra", "dec"} else ".4g"
    return f"<div>{head}</div>{shown._repr_html_()}{more}"
