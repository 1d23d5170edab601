"""Catalogues on the screen: marks on matplotlib axes, and tables for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

if TYPE_CHECKING:
    from astrogalaxy.catalog.catalog import SourceCatalog

__all__ = ["CLASS_COLOURS", "catalog_html", "draw_catalog"]

#: Of the palette of Okabe and Ito, bright enough for a dark sky: yellow, sky blue, grey.
CLASS_COLOURS = {"star": "#f0e442", "galaxy": "#56b4e9", "unsure": "#c9c9c9"}
_NAMES = {"star": "stars", "galaxy": "galaxies", "unsure": "unsure"}
# Semi-axes of a mark in those of the source, and its least semi-axis in full widths of the median source.
_TIMES, _LEAST = 3.0, 0.75
_FEW = 14
_SHOWN = ("source_id", "field", "ra", "dec", "class", "p_galaxy", "det_score", "morphology", "snr", "flags")


def draw_catalog(catalog: SourceCatalog, *, image: Any = None, ax: Any = None, **options: Any) -> Any:
    """Mark sources; see `SourceCatalog.plot`."""
    import matplotlib.pyplot as plt

    if ax is None:
        if image is not None:
            ax = image.plot()
        else:
            ax = plt.figure(figsize=(7, 7), layout="constrained").add_subplot(facecolor="#202020")
    if not len(catalog):
        return ax
    if image is not None:
        _mark(ax, catalog, _pixels_of_arcsec(catalog, image.wcs), ("x", "y"), options)
    else:
        dec = np.radians(float(np.nanmedian(np.asarray(catalog["dec"], float))))
        _mark(ax, catalog, np.diag([1 / max(np.cos(dec), 0.01), 1.0]) / 3600, ("ra", "dec"), options)
        _sky_axes(ax, catalog, dec)
    return ax


def _mark(ax: Any, catalog: SourceCatalog, sky_to_axes: np.ndarray, names: tuple[str, str], options: Any) -> None:
    """Draw an ellipse around each source, a colour for each class."""
    from matplotlib.collections import EllipseCollection
    from matplotlib.lines import Line2D

    x, y = (np.asarray(catalog[name], float) for name in names)
    fwhm = np.asarray(catalog["fwhm"], float)
    least = _LEAST * float(np.nanmedian(fwhm)) if np.isfinite(fwhm).any() else 1.0
    a, b = (np.fmax(_TIMES * np.asarray(catalog[axis], float), least) for axis in ("a", "b"))
    theta = np.radians(np.nan_to_num(np.asarray(catalog["theta"], float)))
    # Both semi-axes as vectors to the east and north; on the axes they are an ellipse again.
    east, north = np.stack([a * np.sin(theta), b * np.cos(theta)]), np.stack([a * np.cos(theta), -b * np.sin(theta)])
    turned, lengths, _ = np.linalg.svd(sky_to_axes @ np.moveaxis(np.stack([east, north]), 2, 0))
    angle = np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    kinds, handles = np.asarray(catalog["class"], str), []
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


def _pixels_of_arcsec(catalog: SourceCatalog, wcs: Any) -> np.ndarray:
    """Pixels that one arcsec to the east and one to the north make, as columns."""
    if wcs is None or not len(catalog):
        return np.array([[-1.0, 0.0], [0.0, 1.0]])
    from astropy.wcs.utils import local_partial_pixel_derivatives

    x, y, dec = (float(np.nanmedian(np.asarray(catalog[name], float))) for name in ("x", "y", "dec"))
    degrees = local_partial_pixel_derivatives(wcs, x, y)
    degrees[0] *= np.cos(np.radians(dec))
    return np.asarray(np.linalg.inv(degrees) / 3600)


def _sky_axes(ax: Any, catalog: SourceCatalog, dec: float) -> None:
    """Right ascension to the left, and angles true in the middle."""
    ax.set_aspect(1 / max(np.cos(dec), 0.01))
    low, high = (
        np.array([limit(np.asarray(catalog[name], float)) for name in ("ra", "dec")])
        for limit in (np.nanmin, np.nanmax)
    )
    edge = np.maximum(0.05 * (high - low), 1e-3)
    ax.set_xlim(high[0] + edge[0], low[0] - edge[0])
    ax.set_ylim(low[1] - edge[1], high[1] + edge[1])
    ax.set_xlabel("right ascension (deg)")
    ax.set_ylabel("declination (deg)")


def catalog_html(catalog: SourceCatalog) -> str:
    """A line about the catalogue, and its columns that are looked at first, in HTML."""
    counts = ""
    if "class" in catalog.colnames:
        kinds = np.asarray(catalog["class"], str)
        counts = f" ({', '.join(f'{int((kinds == kind).sum())} {name}' for kind, name in _NAMES.items())})"
    light = [f"{'mag' if band in catalog.calibrated else 'flux'}_{band}" for band in catalog.bands]
    wanted = [name for name in (*_SHOWN[:-2], *light, *_SHOWN[-2:]) if name in catalog.colnames]
    if len(catalog.colnames) <= _FEW:
        wanted = list(catalog.colnames)  # someone has chosen them
    rest = [name for name in catalog.colnames if name not in wanted]
    head = f"<b>SourceCatalog</b>: {len(catalog)} sources{counts}, {len(catalog.colnames)} columns"
    more = f"<details><summary>{len(rest)} more columns</summary>{escape(', '.join(rest))}</details>" if rest else ""
    shown = Table(catalog[wanted])
    for name in wanted:
        if shown[name].dtype.kind == "f":
            shown[name].info.format = ".6f" if name in {"ra", "dec"} else ".4g"
    return f"<div>{head}</div>{shown._repr_html_()}{more}"
