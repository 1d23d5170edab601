"""The charts of the report; each is left out where the catalogue has nothing to show in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog, has_flags
from astrogalaxy.measurement.locus import stellar_locus
from astrogalaxy.survey.facts import FieldFacts, values
from astrogalaxy.survey.report import style
from astrogalaxy.survey.report.style import Chart, chart, new_axes
from astrogalaxy.survey.report.text import count, number, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["all_charts", "magnitudes"]

# So many points of a class are drawn; more only make the chart heavier.
_MOST_POINTS = 15000
_SEED = 20250102
# Colours with larger errors than this would only blur the chart.
_COLOUR_ERROR = 0.15
_FEWEST = 2

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def all_charts(
    run: Mapping[str, Any], catalog: SourceCatalog, facts: Sequence[FieldFacts], *, reference: str
) -> list[Chart]:
    """Draw every chart for which there is data.

    Parameters
    ----------
    run : mapping
        The run's record.
    catalog : SourceCatalog
        All its sources.
    facts : sequence of FieldFacts
        The fields in numbers.
    reference : str
        The reference band.

    Returns
    -------
    list of Chart
    """
    bands = _three_bands([str(band) for band in run.get("bands") or catalog.bands], reference)
    made = (
        _counts(catalog, reference, facts),
        _sizes(catalog, reference),
        _colour_magnitude(catalog, bands, reference),
        _colour_colour(catalog, bands),
        _probabilities(catalog),
        _morphology(catalog),
        _seeing(facts),
        _reliability(run),
    )
    return [one for one in made if one is not None]


def magnitudes(catalog: SourceCatalog, band: str) -> tuple[Floats, Floats]:
    """Magnitudes of a band and their errors: AB, or instrumental where it is not calibrated.

    Returns
    -------
    magnitude, error : ndarray
        NaN where the flux is not positive.
    """
    if band in catalog.calibrated:
        return values(catalog, f"mag_{band}"), values(catalog, f"mag_{band}_err")
    flux, error = values(catalog, f"flux_{band}"), values(catalog, f"flux_{band}_err")
    with np.errstate(invalid="ignore", divide="ignore"):
        positive = np.where(flux > 0, flux, np.nan)
        return -2.5 * np.log10(positive), 2.5 / np.log(10) * error / positive


def _label(catalog: SourceCatalog, *bands: str) -> str:
    """Name of a magnitude or of a colour, for an axis."""
    name = " \N{MINUS SIGN} ".join(bands)
    return style.magnitude_label(name, calibrated=set(bands) <= set(catalog.calibrated))


def _three_bands(bands: Sequence[str], reference: str) -> tuple[str, ...]:
    """Up to three neighbouring bands, the reference in the middle if it can be."""
    if reference not in bands:
        return tuple(bands[:3])
    first = min(max(bands.index(reference) - 1, 0), max(len(bands) - 3, 0))
    return tuple(bands[first : first + 3])


def _by_class(catalog: SourceCatalog, among: Bools) -> dict[str, NDArray[np.intp]]:
    """Rows of each class that has any: the most numerous first, so that it is drawn undermost."""
    kind = np.asarray(catalog["class"])
    rows = {name: np.flatnonzero(among & (kind == name)) for name in style.CLASS_COLOURS}
    return dict(sorted(((k, r) for k, r in rows.items() if len(r)), key=lambda item: -len(item[1])))


def _scatter(axes: Axes, catalog: SourceCatalog, x: Floats, y: Floats, among: Bools) -> str:
    """Draw points by class; say if some are left out."""
    note = ""
    for name, rows in _by_class(catalog, among & np.isfinite(x) & np.isfinite(y)).items():
        note = _points(axes, x, y, rows, name) or note
    if axes.collections:
        style.legend(axes, larger=2.2)
    return note


def _points(axes: Axes, x: Floats, y: Floats, rows: NDArray[np.intp], name: str) -> str:
    """Draw the points of a class, the fainter the more there are; say if some are left out."""
    drawn = rows
    if len(rows) > _MOST_POINTS:
        drawn = np.random.default_rng(_SEED).choice(rows, _MOST_POINTS, replace=False)
    n = len(drawn) + 1
    size, alpha = np.clip(13 - 2.5 * np.log10(n), 2.5, 9), np.clip(16 / np.sqrt(n), 0.2, 0.8)
    axes.scatter(
        x[drawn], y[drawn], s=float(size), alpha=float(alpha), linewidths=0, rasterized=True,
        color=style.CLASS_COLOURS[name], marker={"star": "D", "galaxy": "o"}.get(name, "s"),
        label=f"{style.CLASS_NAMES[name]} ({count(len(rows))})",
    )  # fmt: skip
    return f" At most {count(_MOST_POINTS)} sources of each class are drawn." if len(drawn) < len(rows) else ""


def _limits(data: Floats, *, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Ends of an axis that hold all but the outliers, with a margin."""
    first, last = np.percentile(data[np.isfinite(data)], [low, high])
    margin = max(0.06 * (last - first), (0.5 - (last - first)) / 2, 0.02)
    return float(first - margin), float(last + margin)


def _counts(catalog: SourceCatalog, band: str, facts: Sequence[FieldFacts]) -> Chart | None:
    """How many sources there are at each magnitude."""
    magnitude, _ = magnitudes(catalog, band)
    known = np.isfinite(magnitude)
    if np.count_nonzero(known) < _FEWEST:
        return None
    low, high = _limits(magnitude, low=0.05, high=99.9)
    width = 0.25 if high - low < 14 else 0.5
    bins = np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
    totals, _ = np.histogram(magnitude[known], bins)
    with new_axes() as (figure, axes):
        for name, rows in _by_class(catalog, known).items():
            n, _ = np.histogram(magnitude[rows], bins)
            axes.stairs(
                n, bins, color=style.CLASS_COLOURS[name], lw=1.6, ls=":" if name == "unsure" else "-",
                label=f"{style.CLASS_NAMES[name]} ({count(len(rows))})",
            )  # fmt: skip
        axes.set_yscale("log")
        axes.set_ylim(0.7, 1.6 * max(int(totals.max()), 2))
        limit = _median_depth(facts, band)
        if np.isfinite(limit) and bins[0] < limit < bins[-1]:
            axes.axvline(limit, color=style.MUTED, lw=1, ls=style.DASHED)
            axes.annotate(
                "5\N{GREEK SMALL LETTER SIGMA}", (limit, 0.99), xycoords=("data", "axes fraction"), xytext=(-3, 0),
                textcoords="offset points", ha="right", va="top", fontsize=8.5, color=style.MUTED,
            )  # fmt: skip
        axes.set_xlabel(_label(catalog, band))
        axes.set_ylabel(f"sources per {width:g} mag")
        style.legend(axes)
        peak = float((bins[:-1] + width / 2)[np.argmax(totals)])
        caption = f"The counts peak at {band} ≈ {number(peak, 1)}. At fainter magnitudes the catalogue is incomplete."
        if np.isfinite(limit):
            caption += f" Dashed line: {number(limit)}, five times the noise in the fixed aperture."
        return chart(figure, title="Number counts", caption=caption, alt=f"Histogram of {band} magnitudes by class")


def _median_depth(facts: Sequence[FieldFacts], band: str) -> float:
    depths = [f.depth[band].value for f in facts if band in f.depth and f.depth[band].is_magnitude]
    return float(np.median(depths)) if depths else float("nan")


def _sizes(catalog: SourceCatalog, band: str) -> Chart | None:
    """Size against magnitude: stars lie on a level line."""
    magnitude, _ = magnitudes(catalog, band)
    name, size = "half-light radius", values(catalog, "half_light_radius")
    if not np.isfinite(size).any():
        name, size = "FWHM", values(catalog, "fwhm")
    with np.errstate(invalid="ignore"):
        good = np.isfinite(magnitude) & np.isfinite(size) & (size > 0)
    if np.count_nonzero(good) < _FEWEST:
        return None
    with new_axes() as (figure, axes):
        note = _scatter(axes, catalog, magnitude, size, good)
        axes.set_xlim(*_limits(magnitude[good], low=0.1, high=99.9))
        low, high = np.percentile(size[good], [0.3, 99.7])
        axes.set_yscale("log")
        axes.set_ylim(low / 1.2, max(high * 1.2, low * 1.5))
        _plain_ticks(axes)
        axes.set_xlabel(_label(catalog, band))
        axes.set_ylabel(f"{name}  (arcsec)")
        caption = "Observed sizes, which include the seeing. Stars lie on a horizontal line, galaxies above it." + note
        return chart(figure, title="Size and magnitude", caption=caption, alt=f"{name} against {band} magnitude")


def _plain_ticks(axes: Axes) -> None:
    """Write 0.7 and 2, not powers of ten, on a logarithmic axis that spans few of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _colour(catalog: SourceCatalog, blue: str, red: str) -> tuple[Floats, Bools]:
    """A colour, and where it is known well enough."""
    (first, first_error), (second, second_error) = magnitudes(catalog, blue), magnitudes(catalog, red)
    with np.errstate(invalid="ignore"):
        good = (first_error < _COLOUR_ERROR) & (second_error < _COLOUR_ERROR) & np.isfinite(first - second)
    return first - second, good & ~has_flags(catalog["flags"], "edge", "saturated", "masked")


def _facets(axes: Axes, catalog: SourceCatalog, x: Floats, y: Floats, among: Bools, labels: tuple[str, str]) -> str:
    """Stars and galaxies side by side on the same axes, where one would hide the other."""
    kind = np.asarray(catalog["class"])
    note = ""
    for here, name in ((axes, "star"), (style.beside(axes), "galaxy")):
        rows = np.flatnonzero(among & (kind == name))
        note = _points(here, x, y, rows, name) or note
        style.heading(here, name, len(rows))
        here.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    unsure = int(np.count_nonzero(among & (kind == "unsure")))
    return note + (f" Unsure sources are not drawn ({count(unsure)})." if unsure else "")


def _colour_magnitude(catalog: SourceCatalog, bands: Sequence[str], reference: str) -> Chart | None:
    if len(bands) < 2:
        return None
    blue, red = bands[:2]
    colour, good = _colour(catalog, blue, red)
    magnitude, _ = magnitudes(catalog, reference)
    good &= np.isfinite(magnitude)
    if np.count_nonzero(good) < _FEWEST:
        return None
    with new_axes(columns=2) as (figure, axes):
        note = _facets(axes, catalog, colour, magnitude, good, (_label(catalog, blue, red), _label(catalog, reference)))
        axes.set_xlim(*_limits(colour[good]))
        axes.set_ylim(*_limits(magnitude[good], low=0.1, high=99.9)[::-1])
        return chart(
            figure, title="Colour and magnitude", caption=_colour_caption(good) + note,
            alt=f"{reference} magnitude against the colour {blue} minus {red}",
        )  # fmt: skip


def _colour_caption(good: Bools) -> str:
    return (
        f"{count(good.sum())} sources with magnitude errors below {_COLOUR_ERROR} mag, "
        "without the flags edge, saturated and masked."
    )


def _colour_colour(catalog: SourceCatalog, bands: Sequence[str]) -> Chart | None:
    if len(bands) < 3:
        return None
    (across, good), (up, also) = _colour(catalog, bands[0], bands[1]), _colour(catalog, bands[1], bands[2])
    good &= also
    if np.count_nonzero(good) < _FEWEST:
        return None
    labels = _label(catalog, bands[0], bands[1]), _label(catalog, bands[1], bands[2])
    with new_axes(columns=2) as (figure, axes):
        note = _facets(axes, catalog, across, up, good, labels)
        axes.set_xlim(*_limits(across[good]))
        axes.set_ylim(*_limits(up[good]))
        caption = "Stars follow a narrow track, whose position tests the zero points. " + _colour_caption(good)
        track = stellar_locus(bands) if set(bands) <= set(catalog.calibrated) else None
        if track is not None:
            for panel in figure.axes:
                panel.plot(*track, color=style.MUTED, linewidth=1.0, scalex=False, scaley=False)
            caption += " The line is the stellar locus of Covey et al. (2007)."
        return chart(figure, title="Two colours", caption=caption + note, alt="Colour against colour by class")


def _stacked(
    axes: Axes, probability: Floats, kinds: NDArray[np.str_], colours: Mapping[str, str], names: Mapping[str, str]
) -> None:
    """Histogram of a probability, coloured by what was decided."""
    from matplotlib.ticker import MaxNLocator

    bins = np.linspace(0, 1, 26)
    floor = np.zeros(len(bins) - 1)
    for kind, colour in colours.items():
        chosen = np.isfinite(probability) & (kinds == kind)
        n, _ = np.histogram(probability[chosen], bins)
        if n.sum():
            axes.bar(
                bins[:-1], n, np.diff(bins), floor, align="edge", color=colour, edgecolor="white", linewidth=0.5,
                label=f"{names.get(kind, kind)} ({count(n.sum())})",
            )  # fmt: skip
            floor += n
    axes.set_xlim(0, 1)
    axes.set_ylabel("sources")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=False, axis="x")
    style.legend(axes)


def _probabilities(catalog: SourceCatalog) -> Chart | None:
    """How sure the network is of star or galaxy."""
    galaxy = values(catalog, "p_galaxy")
    known = np.isfinite(galaxy)
    if not known.any():
        return None
    with new_axes() as (figure, axes):
        _stacked(axes, galaxy, np.asarray(catalog["class"]), style.CLASS_COLOURS, style.CLASS_NAMES)
        axes.set_xlabel("p_galaxy  (calibrated; p_star = 1 \N{MINUS SIGN} p_galaxy)")
        n = int(known.sum())
        caption = (
            f"The sums of the probabilities predict {count(round(float(galaxy[known].sum())))} galaxies and "
            f"{count(round(float((1 - galaxy[known]).sum())))} stars among {count(n)} sources."
        )
        return chart(figure, title="Star or galaxy", caption=caption, alt="Histogram of the probability of a galaxy")


def _morphology(catalog: SourceCatalog) -> Chart | None:
    """How sure the network is of smooth or disk."""
    disk, shape = values(catalog, "p_disk"), np.asarray(catalog["morphology"])
    known = np.isfinite(disk) & (shape != "")
    if np.count_nonzero(known) < _FEWEST:
        return None
    with new_axes() as (figure, axes):
        _stacked(axes, np.where(known, disk, np.nan), shape, style.SHAPE_COLOURS, {})
        axes.set_xlabel("p_disk  (calibrated; p_smooth = 1 \N{MINUS SIGN} p_disk)")
        n = int(known.sum())
        caption = (
            f"Of {count(n)} sources that are more probably galaxies than stars, "
            f"{share(int((shape == 'disk').sum()), n)} are classified as disks and "
            f"{share(int((shape == 'smooth').sum()), n)} as smooth. The others are unsure: too faint, or with neither "
            "probability high enough."
        )
        return chart(figure, title="Smooth or disk", caption=caption, alt="Histogram of the probability of a disk")


def _seeing(facts: Sequence[FieldFacts]) -> Chart | None:
    """Seeing of each field, where there are several."""
    measured = [(i, f) for i, f in enumerate(facts) if f.seeing is not None]
    if len(measured) < 2:
        return None
    found = [f.seeing for _, f in measured if f.seeing is not None]
    at = np.array([i for i, _ in measured])
    median = np.array([s.median for s in found])
    spread = np.array([[s.median - s.low for s in found], [s.high - s.median for s in found]])
    with new_axes() as (figure, axes):
        axes.errorbar(at, median, spread, fmt="o", ms=4.5, color=style.CLASS_COLOURS["star"], lw=1.2, capsize=0)
        axes.set_xlim(-0.6, len(facts) - 0.4)
        low, high = float((median - spread[0]).min()), float((median + spread[1]).max())
        margin = max(0.2 * (high - low), 0.05 * high)
        axes.set_ylim(low - margin, high + margin)
        axes.grid(visible=False, axis="x")
        if len(facts) <= 12:
            names = [f.name if len(f.name) <= 16 else f"{f.name[:15]}…" for f in facts]
            axes.set_xticks(range(len(facts)), names, rotation=30, ha="right", fontsize=8, parse_math=False)
        else:
            axes.set_xlabel("field, in the order of the table")
        axes.set_ylabel("FWHM of stars  (arcsec)")
        caption = "Median of the bright, isolated, unsaturated stars of each field. Bars show their scatter."
        return chart(figure, title="Seeing", caption=caption, alt="Seeing of each field")


def _reliability(run: Mapping[str, Any]) -> Chart | None:
    """What was promised against what came true, where the weights' record has it.

    ``run["weights"]["reliability"]`` maps a head's name to points of two numbers or more:
    the mean probability of a bin, and the share of it that was true.
    """
    curves = (run.get("weights") or {}).get("reliability") or {}
    colours = {"source": style.MUTED, "galaxy": style.CLASS_COLOURS["galaxy"], "disk": style.SHAPE_COLOURS["disk"]}
    if not curves:
        return None
    with new_axes() as (figure, axes):
        style.one_to_one(axes)
        for name, points in curves.items():
            said, true = np.array([point[:2] for point in points], dtype=float).reshape(-1, 2).T
            axes.plot(said, true, "o-", ms=4, lw=1.4, color=colours.get(name), label=f"is a {name}")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("observed share")
        style.legend(axes)
        caption = (
            "Measured with these weights on data that were not used for training. "
            "On the dashed line the probabilities are exact."
        )
        return chart(figure, title="Reliability", caption=caption, alt="Reliability of the probabilities")
