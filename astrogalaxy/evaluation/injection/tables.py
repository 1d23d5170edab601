"""Tables of injections: completeness, classes, photometry, positions and purity by magnitude, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import pairwise

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.evaluation.injection.curve import CompletenessCurve, fit_completeness
from astrogalaxy.evaluation.intervals import magnitude_bins, share, wilson
from astrogalaxy.gaussian import MEDIAN_ERROR
from astrogalaxy.tables import numbers_of

__all__ = [
    "FLUXES",
    "classification_table",
    "completeness_map",
    "completeness_table",
    "curves",
    "photometry_table",
    "position_table",
    "purity_table",
    "radius_edges",
]

#: Fluxes that are compared with the truth, and of which sources each of them is the total.
FLUXES = {"flux": ("star", "galaxy"), "flux_psf": ("star",)}
# Fewer sources than this say nothing of a median.
_FEWEST = 5

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def _table(rows: Sequence[tuple[object, ...]], columns: str) -> Table:
    """A table of rows, also of none; ``columns`` says which hold no floats (``name:str``, ``name:int``)."""
    names, kinds = zip(*(column.partition(":")[::2] for column in columns.split()), strict=True)
    dtypes = [{"str": "str", "int": "i8", "": "f8"}[kind] for kind in kinds]
    table = Table(rows=list(rows) or None, names=names, dtype=dtypes)
    for name, kind in zip(names, kinds, strict=True):
        if not kind:
            decimals = ".2f" if name.startswith("mag") else ".4g" if name.startswith("radius") else ".4f"
            table[name].info.format = decimals
    return table


def radius_edges(injected: Table, *, bins: int = 4) -> list[float]:
    """Edges of half-light radii that hold equally many injected galaxies, to a twentieth of an arcsec.

    Parameters
    ----------
    injected : Table
        See `~astrogalaxy.evaluation.injection.Recovery`.
    bins : int
        Number of bins.

    Returns
    -------
    list of float
        Arcsec; empty without galaxies.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import radius_edges
    >>> injected = Table({"class": ["galaxy"] * 4, "half_light_radius": [0.5, 1.0, 2.0, 3.0]})
    >>> radius_edges(injected, bins=2)
    [0.0, 1.5, inf]
    """
    radius = numbers_of(injected, "half_light_radius")[np.asarray(injected["class"]) == "galaxy"]
    if not len(radius):
        return []
    inner = np.round(np.quantile(radius, np.arange(1, bins) / bins) * 20) / 20
    return [0.0, *(float(edge) for edge in np.unique(inner) if edge > 0), float("inf")]


def _stars_and_galaxies(injected: Table, rows: Bools) -> Iterator[tuple[str, Bools]]:
    """Both classes, each with those of the rows that are of it."""
    kind = np.asarray(injected["class"]).astype(str)
    for name in ("star", "galaxy"):
        yield name, rows & (kind == name)


def _groups(injected: Table) -> Iterator[tuple[str, float, float, Bools]]:
    """Stars; galaxies; galaxies by half-light radius: class, radii (NaN: all), rows."""
    kind, radius = np.asarray(injected["class"]).astype(str), numbers_of(injected, "half_light_radius")
    for name in ("star", "galaxy"):
        yield name, np.nan, np.nan, kind == name
    for low, high in pairwise(radius_edges(injected)):
        yield "galaxy", low, high, (kind == "galaxy") & (radius >= low) & (radius < high)


def completeness_table(injected: Table, *, band: str) -> Table:
    """Completeness by magnitude, of stars, of galaxies, and of galaxies of each size.

    Parameters
    ----------
    injected : Table
        See `~astrogalaxy.evaluation.injection.Recovery`.
    band : str
        The reference band.

    Returns
    -------
    Table
        ``class``, ``radius_low``, ``radius_high`` (arcsec; NaN: all sizes), ``mag_low``,
        ``mag_high``, ``n_injected``, ``n_found``, ``n_confused`` (not found where the frame has a
        source of its own), ``completeness``, ``low``, ``high`` (Wilson).

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import completeness_table
    >>> injected = Table({"class": ["star"] * 3, "mag_r": [20.1, 20.2, 21.3], "half_light_radius": [0.0] * 3})
    >>> injected["found"], injected["confused"] = [True, False, True], False
    >>> table = completeness_table(injected, band="r")
    >>> table["mag_low"].tolist(), table["completeness"].tolist()
    ([20.0, 21.0], [0.5, 1.0])
    """
    magnitude, found = numbers_of(injected, f"mag_{band}"), np.asarray(injected["found"], bool)
    confused, rows = np.asarray(injected["confused"], bool), []
    for name, r_low, r_high, group in _groups(injected):
        for low, high, here in magnitude_bins(np.where(group, magnitude, np.nan)):
            n, k = int(here.sum()), int(found[here].sum())
            rows.append((name, r_low, r_high, low, high, n, k, int(confused[here].sum()), *astuple(share(k, n))))
    columns = "class:str radius_low radius_high mag_low mag_high n_injected:int n_found:int n_confused:int"
    table = _table(rows, f"{columns} completeness low high")
    table["radius_low"].unit = table["radius_high"].unit = "arcsec"
    return table


def curves(injected: Table, *, band: str) -> list[tuple[str, float, float, CompletenessCurve]]:
    """Fit curves to the groups of `completeness_table`.

    Parameters
    ----------
    injected : Table
        See `~astrogalaxy.evaluation.injection.Recovery`.
    band : str
        The reference band.

    Returns
    -------
    list of (str, float, float, CompletenessCurve)
        Class, radii in arcsec (NaN: all sizes) and curve; groups of too few sources are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import curves
    >>> magnitude = np.linspace(20, 25, 200)
    >>> injected = Table({"class": ["star"] * 200, "mag_r": magnitude, "half_light_radius": np.zeros(200)})
    >>> injected["found"] = magnitude < 22.5
    >>> [(name, round(float(curve.half.value), 1)) for name, _, _, curve in curves(injected, band="r")]
    [('star', 22.5)]
    """
    magnitude, found = numbers_of(injected, f"mag_{band}"), np.asarray(injected["found"], bool)
    fits = [(*group[:3], fit_completeness(magnitude[group[3]], found[group[3]])) for group in _groups(injected)]
    return [(name, low, high, curve) for name, low, high, curve in fits if curve is not None]


def completeness_map(injected: Table, *, band: str) -> tuple[Floats, Floats, Floats, Floats]:
    """Completeness of galaxies by magnitude and size.

    Parameters
    ----------
    injected : Table
        See `~astrogalaxy.evaluation.injection.Recovery`.
    band : str
        The reference band.

    Returns
    -------
    magnitudes, radii : ndarray
        Edges; radii in arcsec, a bin for each factor of two.
    n, share : ndarray
        ``(n_radii, n_magnitudes)`` injected galaxies and share of them found (NaN without any).

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import completeness_map
    >>> injected = Table({"class": ["galaxy"] * 3, "mag_r": [20.1, 20.2, 21.3], "half_light_radius": [1.5, 1.6, 1.7]})
    >>> injected["found"] = [True, False, True]
    >>> magnitudes, radii, n, share = completeness_map(injected, band="r")
    >>> magnitudes.tolist(), radii.tolist(), share.tolist()
    ([20.0, 21.0, 22.0], [1.0, 2.0], [[0.5, 1.0]])
    """
    galaxy = np.asarray(injected["class"]).astype(str) == "galaxy"
    magnitude, radius = numbers_of(injected, f"mag_{band}")[galaxy], numbers_of(injected, "half_light_radius")[galaxy]
    found = np.asarray(injected["found"], bool)[galaxy]
    known = np.isfinite(magnitude) & (radius > 0)
    if not known.any():
        nothing = np.zeros((0, 0))
        return np.zeros(0), np.zeros(0), nothing, nothing
    magnitude, size, found = magnitude[known], np.log2(radius[known]), found[known]
    first, last = np.floor(np.quantile(size, 0.01)), np.ceil(np.quantile(size, 0.99))
    x = np.arange(np.floor(magnitude.min()), np.ceil(magnitude.max()) + 1)
    y = np.arange(first, max(last, first + 1) + 1)
    size = np.clip(size, y[0], y[-1] - 1e-9)
    n, _, _ = np.histogram2d(size, magnitude, [y, x])
    k, _, _ = np.histogram2d(size[found], magnitude[found], [y, x])
    with np.errstate(invalid="ignore", divide="ignore"):
        return x, 2.0**y, n, k / n


def classification_table(injected: Table, *, band: str) -> Table:
    """Stars and galaxies told apart, of those found.

    Parameters
    ----------
    injected : Table
        See `~astrogalaxy.evaluation.injection.Recovery`.
    band : str
        The reference band.

    Returns
    -------
    Table
        ``class``, ``mag_low``, ``mag_high``, ``n_found`` (of that class), what they were called:
        ``n_star``, ``n_galaxy``, ``n_unsure``; ``completeness``, ``completeness_low``,
        ``completeness_high``: share that was called what it is; ``n_called`` and ``purity``,
        ``purity_low``, ``purity_high``: of as many found stars as galaxies, the share of those called
        so that are it. Wilson intervals.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import classification_table
    >>> injected = Table({"class": ["star", "star", "galaxy"], "found_class": ["star", "galaxy", "galaxy"]})
    >>> injected["mag_r"], injected["found"] = [20.1, 20.2, 20.3], True
    >>> table = classification_table(injected, band="r")
    >>> table["class"].tolist(), table["completeness"].tolist()
    (['star', 'galaxy'], [0.5, 1.0])
    """
    magnitude, found = numbers_of(injected, f"mag_{band}"), np.asarray(injected["found"], bool)
    true, called = (np.asarray(injected[name]).astype(str) for name in ("class", "found_class"))
    rows = []
    for low, high, here in magnitude_bins(np.where(found, magnitude, np.nan)):
        for name, other in (("star", "galaxy"), ("galaxy", "star")):
            mine, theirs = here & (true == name), here & (true == other)
            n, n_other = int(mine.sum()), int(theirs.sum())
            counts = [int((called[mine] == word).sum()) for word in ("star", "galaxy", "unsure")]
            right, wrong = int((called[mine] == name).sum()), int((called[theirs] == name).sum())
            rows.append((name, low, high, n, *counts, *astuple(share(right, n)), *_purity(right, n, wrong, n_other)))
    columns = "class:str mag_low mag_high n_found:int n_star:int n_galaxy:int n_unsure:int"
    columns += " completeness completeness_low completeness_high n_called:int purity purity_low purity_high"
    return _table(rows, columns)


def _purity(right: int, n: int, wrong: int, n_other: int) -> tuple[int, float, float, float]:
    """Share of sources of one name that are it, were both classes equally many."""
    called = right + wrong
    if not (called and n and n_other):
        return called, np.nan, np.nan, np.nan
    pure = right / n / (right / n + wrong / n_other)
    low, high = wilson(pure * called, called)
    return called, pure, float(low), float(high)


def photometry_table(injected: Table, *, bands: Sequence[str]) -> Table:
    """How far measured fluxes are off, of the sources found.

    Parameters
    ----------
    injected : Table
        See `~astrogalaxy.evaluation.injection.Recovery`.
    bands : sequence of str
        Bands.

    Returns
    -------
    Table
        ``band``, ``class``; ``flux``: which flux was measured, ``flux`` or, for stars, also ``flux_psf``;
        ``mag_low``, ``mag_high``, ``n``; ``bias``: median of measured minus true magnitude, ``bias_err`` its error;
        ``scatter``: half of the range of the middle 68 %; ``pull``: the same for the difference of the fluxes over its
        stated error, 1 where errors are right.
        Bins of fewer than five sources are left out.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import photometry_table
    >>> injected = Table({"class": ["star"] * 6, "mag_r": [20.1] * 6, "flux_r": [100.0] * 6, "found": [True] * 6})
    >>> injected["found_flux_r"], injected["found_flux_r_err"] = [101.0, 99.0, 100.0, 102.0, 98.0, 100.0], 1.5
    >>> table = photometry_table(injected, bands=["r"])
    >>> table["n"].tolist(), bool(abs(table["bias"][0]) < 0.01)
    ([6], True)
    """
    found = np.asarray(injected["found"], bool)
    rows = []
    measured = [(band, flux) for band in bands for flux in FLUXES if f"found_{flux}_{band}" in injected.colnames]
    for band, flux in measured:
        true, seen = numbers_of(injected, f"flux_{band}"), numbers_of(injected, f"found_{flux}_{band}")
        with np.errstate(invalid="ignore", divide="ignore"):
            # no light at all is infinitely faint: medians and percentiles can hold that
            off = np.where(np.isnan(seen), np.nan, -2.5 * np.log10(np.maximum(seen / true, 1e-300)))
            off = np.where(seen <= 0, np.inf, off)
            pull = (seen - true) / numbers_of(injected, f"found_{flux}_{band}_err")
        for name, usable in _stars_and_galaxies(injected, found & ~np.isnan(off)):
            if name not in FLUXES[flux]:
                continue
            for low, high, here in magnitude_bins(np.where(usable, numbers_of(injected, f"mag_{band}"), np.nan)):
                if (n := int(here.sum())) >= _FEWEST:
                    bias, scatter = _middle(off[here])
                    error = MEDIAN_ERROR * scatter / np.sqrt(n)
                    rows.append((band, name, flux, low, high, n, bias, error, scatter, _middle(pull[here])[1]))
    return _table(rows, "band:str class:str flux:str mag_low mag_high n:int bias bias_err scatter pull")


def _middle(values: Floats) -> tuple[float, float]:
    """Median, and half of the range that holds the middle 68 %; NaN where they are not finite."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, middle, high = np.quantile(values, [0.1587, 0.5, 0.8413], method="nearest")
    with np.errstate(invalid="ignore"):
        spread = (high - low) / 2
    return tuple(float(v) if np.isfinite(v) else float("nan") for v in (middle, spread))  # type: ignore[return-value]


def position_table(injected: Table, *, band: str) -> Table:
    """How far measured positions are off, of the sources found.

    Parameters
    ----------
    injected : Table
        See `~astrogalaxy.evaluation.injection.Recovery`.
    band : str
        The reference band.

    Returns
    -------
    Table
        ``class``, ``mag_low``, ``mag_high``, ``n``; ``east``, ``north``: medians of measured minus
        true position, arcsec; ``scatter``: half of the range of the middle 68 %, along one axis, mean
        of both, arcsec. Bins of fewer than five sources are left out.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import position_table
    >>> injected = Table({"class": ["star"] * 6, "mag_r": [20.1] * 6, "ra": [10.0] * 6, "dec": [0.0] * 6})
    >>> injected["found_ra"], injected["found_dec"], injected["found"] = 10.0001, 0.0, True
    >>> position_table(injected, band="r")["east"].round(2).tolist()
    [0.36]
    """
    found = np.asarray(injected["found"], bool)
    east = (numbers_of(injected, "found_ra") - numbers_of(injected, "ra") + 180) % 360 - 180
    east = east * np.cos(np.radians(numbers_of(injected, "dec"))) * 3600
    north = (numbers_of(injected, "found_dec") - numbers_of(injected, "dec")) * 3600
    rows = []
    for name, usable in _stars_and_galaxies(injected, found & np.isfinite(east + north)):
        for low, high, here in magnitude_bins(np.where(usable, numbers_of(injected, f"mag_{band}"), np.nan)):
            if (n := int(here.sum())) >= _FEWEST:
                (x, spread_x), (y, spread_y) = _middle(east[here]), _middle(north[here])
                rows.append((name, low, high, n, x, y, (spread_x + spread_y) / 2))
    table = _table(rows, "class:str mag_low mag_high n:int east north scatter")
    for name in ("east", "north", "scatter"):
        table[name].unit = "arcsec"
    return table


def purity_table(catalog: Table, false: Table) -> Table:
    """Purity by measured magnitude: against what the mirrored frames gave.

    Parameters
    ----------
    catalog : Table
        Sources of the untouched frames: ``mag``, ``det_score``.
    false : Table
        Sources of the mirrored frames: ``mag``, and ``weight``, how many on the whole frame each stands for.

    Returns
    -------
    Table
        ``mag_low``, ``mag_high`` (NaN: all sources, those without a magnitude too), ``n_catalog``,
        ``n_false`` (expected), ``purity``, ``low``, ``high`` (Wilson), ``said``: mean ``det_score``.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection.tables import purity_table
    >>> catalog = Table({"mag": [20.1, 20.2, 20.3, 20.4], "det_score": [0.9, 0.8, 0.9, 0.8]})
    >>> false = Table({"mag": [20.2], "weight": [1.0]})
    >>> purity_table(catalog, false)["purity"].tolist()  # of all, and of the only bin
    [0.75, 0.75]
    """
    mag, wrong, weight = numbers_of(catalog, "mag"), numbers_of(false, "mag"), numbers_of(false, "weight")
    score = numbers_of(catalog, "det_score")
    everything = np.ones(len(catalog), bool), np.ones(len(false), bool)
    bins: list[tuple[float, float, Bools, Bools]] = [(np.nan, np.nan, *everything)]
    bins += [(low, high, here, (wrong >= low) & (wrong < high)) for low, high, here in magnitude_bins(mag)]
    rows = []
    for low, high, here, bad in bins:
        if n := int(here.sum()):
            expected = float(weight[bad].sum())
            pure = min(max(1 - expected / n, 0.0), 1.0)
            # one that stands for several is no better known than one
            effective = n / max(float(np.mean(weight)) if len(weight) else 1.0, 1.0)
            interval = (float(edge) for edge in wilson(pure * effective, max(effective, 1)))
            said = float(np.mean(score[here]))
            rows.append((low, high, n, expected, pure, *interval, said))
    return _table(rows, "mag_low mag_high n_catalog:int n_false purity low high said")
