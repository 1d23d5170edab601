"""The charts of injections: completeness, classes, fluxes, positions and purity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.evaluation.injection import CompletenessCurve, Recovery
from astrogalaxy.evaluation.injection.tables import completeness_map
from astrogalaxy.survey.report import style
from astrogalaxy.survey.report.style import Chart, chart, new_axes
from astrogalaxy.survey.report.text import count, number, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["injection_charts", "radius_words"]

# From small to large galaxies: one hue, ever darker.
_BY_SIZE = ("#f0b27a", "#e67e22", "#b9540a", "#6e2c00")
_SIZE_MARKS = "osD^"
# Bins and cells with fewer sources say nothing.
_FEWEST = 3
# Points of several curves stand beside each other by so many magnitudes.
_ASIDE = 0.07
_PRIME, _MINUS = "\N{DOUBLE PRIME}", "\N{MINUS SIGN}"

Floats = NDArray[np.float64]


def injection_charts(recovery: Recovery) -> list[Chart]:
    """Draw every chart for which there is data.

    Parameters
    ----------
    recovery : Recovery
        What came of the injections.

    Returns
    -------
    list of Chart
    """
    made = (
        _completeness(recovery),
        _by_size(recovery),
        _map(recovery),
        _classes(recovery),
        _purity(recovery),
        _fluxes(recovery),
        _positions(recovery),
    )
    return [one for one in made if one is not None]


def radius_words(low: float | None, high: float | None) -> str:
    """A range of half-light radii in words."""
    if low is None or not np.isfinite(low):
        return "all sizes"
    if high is None or not np.isfinite(high):
        return f"above {low:g}{_PRIME}"
    return f"up to {high:g}{_PRIME}" if low == 0 else f"{low:g} to {high:g}{_PRIME}"


def _centres(table: Table) -> Floats:
    return np.asarray((table["mag_low"] + table["mag_high"]) / 2, dtype=float)


def _errors(axes: Axes, table: Table, value: str, *, aside: float = 0.0, **look: object) -> None:
    """Points with their intervals."""
    y = np.asarray(table[value], dtype=float)
    bars = np.maximum([y - np.asarray(table["low"]), np.asarray(table["high"]) - y], 0)
    look = {"fmt": "o", "ms": 4, "lw": 1.1, "capsize": 0} | look
    axes.errorbar(_centres(table) + aside, y, bars, **look)  # type: ignore[arg-type]


def _share_axis(axes: Axes, label: str, *, low: float = -0.02) -> None:
    axes.set_ylim(low, 1.03)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_ylabel(label)


def _is(table: Table, kind: str) -> Table:
    return table[np.asarray(table["class"]).astype(str) == kind]


def _range(recovery: Recovery) -> tuple[float, float]:
    """Ends of the axis of magnitudes: those that were injected."""
    magnitude = np.asarray(recovery.injected[f"mag_{recovery.reference}"], dtype=float)
    low, high = np.quantile(magnitude[np.isfinite(magnitude)], [0.002, 0.998])
    return float(low) - 0.3, float(high) + 0.3


def _magnitude_axis(axes: Axes, recovery: Recovery, *, word: str = "") -> None:
    axes.set_xlim(*_range(recovery))
    axes.set_xlabel(style.magnitude_label(f"{word}{recovery.reference}", calibrated=recovery.calibrated))


def _found(
    axes: Axes, recovery: Recovery, part: Table, curve: CompletenessCurve | None, *, color: str, **look: object
) -> None:
    """Shares of sources that were found, and the curve that was fitted to them."""
    if curve is not None:
        x = np.linspace(*_range(recovery), 300)
        axes.plot(x, curve(x), color=color, lw=1.5)
    _errors(axes, part, "completeness", color=color, **look)


def _completeness(recovery: Recovery) -> Chart | None:
    """Completeness of stars and of galaxies."""
    table = recovery.completeness()
    table = table[~np.isfinite(table["radius_low"]) & (table["n_injected"] >= _FEWEST)]
    if not len(table):
        return None
    curves = {kind: curve for kind, low, _, curve in recovery.curves if not np.isfinite(low)}
    with new_axes() as (figure, axes):
        for level in (0.5, 0.9):
            axes.axhline(level, color=style.FAINT, lw=0.9, ls=style.DASHED)
        for kind, marker in (("star", "D"), ("galaxy", "o")):
            part = _is(table, kind)
            if not len(part):
                continue
            _found(
                axes, recovery, part, curves.get(kind), color=style.CLASS_COLOURS[kind], fmt=marker,
                aside=_ASIDE if kind == "star" else -_ASIDE,
                label=f"{style.CLASS_NAMES[kind]} ({count(part['n_injected'].sum())})",
            )  # fmt: skip
            if kind in curves and np.isfinite(half := curves[kind].half.value):
                axes.plot([half, half], [-0.02, 0.5], color=style.CLASS_COLOURS[kind], lw=0.9, ls=":")
        _magnitude_axis(axes, recovery)
        _share_axis(axes, "sources found")
        style.legend(axes)
        said = [f"{style.CLASS_NAMES[kind]} at {_pair(curve)}" for kind, curve in curves.items()]
        caption = f"Completeness is 50 % and 90 % for {' and for '.join(said)}." if said else ""
        caption += " Bars: 68 % Wilson intervals. Lines: fits to the individual sources."
        return chart(figure, title="Completeness", caption=caption.strip(), alt="Completeness against magnitude")


def _pair(curve: CompletenessCurve) -> str:
    half, ninety = (number(estimate.value) for estimate in (curve.half, curve.ninety))
    return f"{half} and {ninety}"


def _by_size(recovery: Recovery) -> Chart | None:
    """Completeness of galaxies of each size."""
    table = recovery.completeness()
    table = table[np.isfinite(table["radius_low"]) & (table["n_injected"] >= _FEWEST)]
    ranges = list(dict.fromkeys(zip(table["radius_low"].tolist(), table["radius_high"].tolist(), strict=True)))
    if len(ranges) < 2:
        return None
    curves = {low: curve for _, low, _, curve in recovery.curves if np.isfinite(low)}
    with new_axes() as (figure, axes):
        for i, (low, high) in enumerate(ranges):
            _found(
                axes, recovery, table[table["radius_low"] == low], curves.get(low), color=_BY_SIZE[i % len(_BY_SIZE)],
                fmt=_SIZE_MARKS[i % len(_SIZE_MARKS)], aside=(i - (len(ranges) - 1) / 2) * _ASIDE,
                ms=3.6, lw=0.7, alpha=0.85, label=radius_words(low, high),
            )  # fmt: skip
        _magnitude_axis(axes, recovery)
        _share_axis(axes, "galaxies found")
        style.legend(axes)
        caption = (
            "By half-light radius (along the major axis, without seeing). Each colour is a quarter of the galaxies. "
            "At a given magnitude, larger galaxies have a lower surface brightness."
        )
        return chart(
            figure, title="Completeness by size", caption=caption,
            alt="Completeness of galaxies against magnitude, by half-light radius",
        )  # fmt: skip


def _map(recovery: Recovery) -> Chart | None:
    """Completeness of galaxies over magnitude and size."""
    magnitudes, radii, n, found = completeness_map(recovery.injected, band=recovery.reference)
    if not n.size or not (n >= _FEWEST).any():
        return None
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("found", ["#ffffff", "#fbd9bd", "#e98b45", "#a34700"])
    shown = np.where(n >= _FEWEST, found, np.nan)
    with new_axes() as (figure, axes):
        axes.pcolormesh(magnitudes, np.arange(len(radii)), shown, cmap=shades, vmin=0, vmax=1, ec="#e4e8ec", lw=0.6)
        for row, column in np.argwhere(np.isfinite(shown)):
            value = shown[row, column]
            axes.text(
                (magnitudes[column] + magnitudes[column + 1]) / 2, row + 0.5, f"{100 * value:.0f}",
                ha="center", va="center", fontsize=7.5, color="#ffffff" if value > 0.62 else style.INK,
            )  # fmt: skip
        axes.set_yticks(np.arange(len(radii)), [f"{radius:.2g}" for radius in radii])
        _magnitude_axis(axes, recovery)
        axes.set_xlim(magnitudes[0], magnitudes[-1])
        axes.set_ylabel("half-light radius  (arcsec)")
        axes.grid(visible=False)
        caption = (
            f"Galaxies found, in percent. Cells with fewer than {_FEWEST} galaxies are empty. The lowest and highest "
            "rows include all smaller and all larger galaxies."
        )
        return chart(
            figure, title="Completeness over magnitude and size", caption=caption,
            alt="Map of the completeness of galaxies",
        )  # fmt: skip


def _classes(recovery: Recovery) -> Chart | None:
    """What stars and galaxies are called."""
    table = recovery.classification()
    if not len(table):
        return None
    with new_axes(columns=2) as (figure, axes):
        for here, kind in ((axes, "star"), (style.beside(axes), "galaxy")):
            part = _is(table, kind)
            part = part[part["n_found"] > 0]
            _stack(here, part, kind)
            style.heading(here, kind, int(part["n_found"].sum()))
            _magnitude_axis(here, recovery)
            here.grid(visible=False, axis="x")
        _share_axis(axes, "classified as", low=0)
        axes.set_ylim(0, 1)
        style.legend(axes)
        right_of = {
            kind: (int(part[f"n_{kind}"].sum()), int(part["n_found"].sum()))
            for kind, part in ((k, _is(table, k)) for k in ("star", "galaxy"))
        }
        caption = (
            f"Of the sources found, {share(*right_of['star'])} of the stars are classified as stars, and "
            f"{share(*right_of['galaxy'])} of the galaxies as galaxies. Narrow bars have few sources."
        )
        return chart(figure, title="Star or galaxy", caption=caption, alt="Classes of injected stars and galaxies")


def _stack(axes: Axes, part: Table, kind: str) -> None:
    """Shares of the names that a class is given, the right one lowest."""
    n = np.asarray(part["n_found"], dtype=float)
    wide = np.clip(np.asarray(part["mag_high"] - part["mag_low"]), 0, None) * np.where(n < 5, 0.35, 0.94)
    floor = np.zeros(len(part))
    other = "galaxy" if kind == "star" else "star"
    for name in (kind, "unsure", other):
        height = np.asarray(part[f"n_{name}"], dtype=float) / np.maximum(n, 1)
        axes.bar(
            _centres(part), height, wide, floor, color=style.CLASS_COLOURS[name], linewidth=0,
            label=name,
        )  # fmt: skip
        floor += height


def _purity(recovery: Recovery) -> Chart | None:
    """Share of the catalogue's sources that are not noise."""
    table = recovery.purity()
    whole, table = table[:1], table[1:]
    table = table[(table["n_catalog"] >= _FEWEST) & np.isfinite(table["purity"])]
    if not len(table):
        return None
    with new_axes() as (figure, axes):
        x = _centres(table)
        axes.plot(x, np.asarray(table["said"]), color=style.MUTED, lw=1.3, ls=style.DASHED, label="mean det_score")
        _errors(axes, table, "purity", color=style.CLASS_COLOURS["star"], label="from the inverted frames")
        lowest = float(min(np.nanmin(table["low"]), np.nanmin(table["said"])))
        _magnitude_axis(axes, recovery, word="measured ")
        axes.set_xlim(x.min() - 0.5, x.max() + 0.5)
        _share_axis(axes, "sources that are real", low=max(min(lowest - 0.05, 0.75), -0.02))
        style.legend(axes)
        share_, low, high = (f"{100 * float(whole[name][0]):.1f}" for name in ("purity", "low", "high"))
        caption = (
            f"Of all {count(whole['n_catalog'][0])} sources of the original frames, {share_} % [{low}, {high}] are not "
            f"noise: the inverted frames imply {number(whole['n_false'][0], 1)} false detections. Artefacts and "
            "fragments of other sources do not show here."
        )
        return chart(figure, title="Purity", caption=caption, alt="Purity against measured magnitude")


def _fluxes(recovery: Recovery) -> Chart | None:
    """Measured minus true magnitudes."""
    band, injected = recovery.reference, recovery.injected
    table = recovery.photometry()
    table = table[(np.asarray(table["band"]).astype(str) == band) & (np.asarray(table["flux"]).astype(str) == "flux")]
    if not len(table):
        return None
    true, seen = (np.asarray(injected[name], dtype=float) for name in (f"flux_{band}", f"found_flux_{band}"))
    with np.errstate(invalid="ignore", divide="ignore"):
        off = -2.5 * np.log10(np.where(seen > 0, seen, np.nan) / true)
    magnitude, kinds = np.asarray(injected[f"mag_{band}"], dtype=float), np.asarray(injected["class"]).astype(str)
    reach = float(np.clip(np.nanquantile(np.abs(off), 0.97), 0.15, 2.0)) if np.isfinite(off).any() else 1.0
    with new_axes(columns=2) as (figure, axes):
        for here, kind in ((axes, "star"), (style.beside(axes), "galaxy")):
            rows, part = np.flatnonzero((kinds == kind) & np.isfinite(off)), _is(table, kind)
            colour = style.CLASS_COLOURS[kind]
            here.scatter(magnitude[rows], off[rows], s=4, alpha=0.35, lw=0, color=colour, rasterized=True)
            here.axhline(0, color=style.FAINT, lw=0.9)
            x, bias, spread = _centres(part), np.asarray(part["bias"], float), np.asarray(part["scatter"], float)
            here.fill_between(x, bias - spread, bias + spread, color=colour, alpha=0.16, lw=0)
            here.plot(x, bias, color=style.INK, lw=1.3, marker="o", ms=3)
            style.heading(here, kind, len(rows))
            _magnitude_axis(here, recovery, word="true ")
        axes.set_ylim(-reach, reach)
        axes.set_ylabel(f"measured {_MINUS} true  (mag)")
        caption = (
            f"Total fluxes in {band} of the sources found. Black: medians. Shaded: the central 68 %. Values above zero "
            "mean that light was missed. Other bands, and PSF fluxes of stars, are in photometry.ecsv."
        )
        return chart(figure, title="Fluxes", caption=caption, alt="Measured minus true magnitude, stars and galaxies")


def _positions(recovery: Recovery) -> Chart | None:
    """Scatter of measured positions."""
    from matplotlib.ticker import LogFormatter

    table = recovery.positions()
    if not len(table) or not np.isfinite(table["scatter"]).any():
        return None
    with new_axes() as (figure, axes):
        for kind, marker in (("star", "D"), ("galaxy", "o")):
            part = _is(table, kind)
            part = part[np.asarray(part["scatter"]) > 0]
            if len(part):
                axes.plot(
                    _centres(part), 1000 * np.asarray(part["scatter"], float), marker=marker, ms=4, lw=1.3,
                    color=style.CLASS_COLOURS[kind], label=style.CLASS_NAMES[kind],
                )  # fmt: skip
        axes.set_yscale("log")
        # without 10 to the power of anything, and between the powers where there is hardly more than one
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))
        _magnitude_axis(axes, recovery)
        axes.set_ylabel("scatter along one axis  (mas)")
        style.legend(axes)
        east, north = (float(np.nanmedian(np.asarray(table[name], float))) * 1000 for name in ("east", "north"))
        caption = (
            "Scatter: half the range of the central 68 %. Median over all bins of measured minus true positions: "
            f"{number(east, 1)} mas to the east, {number(north, 1)} mas to the north."
        )
        return chart(figure, title="Positions", caption=caption, alt="Scatter of positions against magnitude")
