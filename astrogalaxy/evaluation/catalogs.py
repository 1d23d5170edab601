"""How good a catalogue is, against a table of what is really there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrogalaxy.catalog.crossmatch import as_table
from astrogalaxy.catalog.directions import directions
from astrogalaxy.errors import CatalogError
from astrogalaxy.evaluation.footprint import footprint_of
from astrogalaxy.evaluation.intervals import CONFIDENCE, wilson
from astrogalaxy.evaluation.matching import Match, match_positions, match_sky, precision_recall, repeated
from astrogalaxy.tables import numbers_of

__all__ = ["CatalogScore", "Estimate", "evaluate_catalog"]

# Default of the largest distance of a match.
_PIXELS, _ARCSEC = 3.0, 1.0
# A position lies outside of what a table covers if it is this many times as far from any of its sources as nearly all
# of these are from their nearest neighbour; tables of fewer than `_ENOUGH` sources cannot tell.
_AFAR, _NEARLY_ALL, _ENOUGH = 3.0, 0.99, 20
# True sources fill a rectangle if the share of it that their footprint lacks is at most this many times what any
# footprint lacks beyond its outermost sources: all simulated squares are full, and none of those with 1000 sources that
# are turned by 3 degrees.
_FULL = 1.5
# True sources within this part of the largest distance of a match are taken for one that is listed twice.
_SAME = 0.1

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Region = tuple[float, float, float, float]


class Estimate(NamedTuple):
    """A number, its 68 % interval, and how many sources it rests on; NaN where there are none.

    Attributes
    ----------
    value, low, high : float
        The number, and the lower and upper end.
    n : int
        Sources.

    Examples
    --------
    >>> from astrogalaxy.evaluation.catalogs import Estimate
    >>> completeness = Estimate(0.75, 0.52, 0.89, 4)
    >>> f"{completeness.value:.0%} of {completeness.n} sources"
    '75% of 4 sources'
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class CatalogScore:
    """What `evaluate_catalog` measures.

    Attributes
    ----------
    n_found, n_truth, n_matched : int
        Sources of the catalogue and of the truth that count, and those that are in both.
    average_precision : Estimate
        Area under the monotone curve of purity against completeness, over all thresholds; NaN
        without scores. Its interval is a bootstrap over sources.
    best_f1 : Estimate
        Highest harmonic mean of purity and completeness; interval as above.
    best_score : float
        Score at which it is reached.
    completeness : Estimate
        Share of the true sources that are in the catalogue, as it is. Wilson interval.
    purity : Estimate
        Share of the catalogue's sources that are true. Wilson interval.
    accuracy : Estimate
        Share of the matched stars and galaxies that are on their side of ``p_galaxy = 0.5``. Wilson
        interval.
    offset_median, offset_95 : float
        Median and 95th percentile of the distance of matched positions.
    unit : {'pix', 'arcsec'}
        Unit of the offsets.
    bins : Table or None
        Completeness by magnitude: ``mag_low``, ``mag_high``, ``n_truth``, ``n_found``,
        ``completeness``, ``low``, ``high``; None where the truth has no magnitudes.
    n_truth_afar, n_found_afar : int
        Of the true sources that count as missed those that are far from any source of the catalogue, as
        outside of its images; and of the sources that count as false those that are far from any true one.
    n_truth_twice : int
        True sources that are at the place of one before them (within a tenth of the largest distance of a match): of
        one that is written twice, one is missed.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.catalogs import evaluate_catalog
    >>> truth = Table({"x": [10.0, 20.0], "y": [5.0, 5.0], "mag": [18.2, 21.4]})
    >>> score = evaluate_catalog(Table({"x": [10.4], "y": [5.0], "det_score": [0.9]}), truth)
    >>> score.n_matched, score.unit, score.bins["completeness"].tolist()
    (1, 'pix', [1.0, 0.0])
    """

    n_found: int
    n_truth: int
    n_matched: int
    average_precision: Estimate
    best_f1: Estimate
    best_score: float
    completeness: Estimate
    purity: Estimate
    accuracy: Estimate
    offset_median: float
    offset_95: float
    unit: Literal["pix", "arcsec"]
    bins: Table | None
    n_truth_afar: int = 0
    n_found_afar: int = 0
    n_truth_twice: int = 0

    def table(self) -> Table:
        """Return the scores as a table to print or to write.

        Returns
        -------
        Table
            ``quantity``, ``value``, ``low``, ``high``, ``n`` (sources it rests on).
        """
        names = ("average_precision", "best_f1", "completeness", "purity", "accuracy")
        rows: list[tuple[Any, ...]] = [(name, *getattr(self, name)) for name in names]
        rows.insert(2, ("best_score", self.best_score, np.nan, np.nan, self.n_found))
        rows += [
            (f"offset_median [{self.unit}]", self.offset_median, np.nan, np.nan, self.n_matched),
            (f"offset_95 [{self.unit}]", self.offset_95, np.nan, np.nan, self.n_matched),
        ]
        table = Table(rows=rows, names=("quantity", "value", "low", "high", "n"))
        for name in ("value", "low", "high"):
            table[name].info.format = ".4f"
        return table


def evaluate_catalog(
    catalog: Table,
    truth: Table,
    *,
    radius: float | u.Quantity | None = None,
    radius_arcsec: float | u.Quantity | None = None,
    region: Region | Literal["truth"] | None = None,
    field: str | None = None,
    score: str = "det_score",
    magnitude: str | None = None,
    bin_width: float = 0.5,
    resamples: int = 500,
    seed: int = 0,
) -> CatalogScore:
    """Compare a catalogue with the truth.

    Sources are matched one to one, the best score first, each with the nearest true source
    that is still free. True sources that are not ``visible``, or lie outside of the region, are
    neither asked for, nor is finding them wrong.

    Parameters
    ----------
    catalog : SourceCatalog, Table or pandas.DataFrame
        With ``x`` and ``y`` (pixels), or ``ra`` and ``dec`` (deg), and if possible a score and
        ``p_galaxy``.
    truth : Table or pandas.DataFrame
        See `~astrogalaxy.evaluation.truth.read_truth`.
    radius : float or Quantity, optional
        Largest distance of a match: in pixels where both tables have ``x`` and ``y`` (default 3), else in arcsec
        (default 1).
    radius_arcsec : float or Quantity, optional
        Match on the sky within this distance, even where both tables have pixels.
    region : (x0, x1, y0, y1) or 'truth', optional
        Pixels that the truth covers, half open as a `~astrogalaxy.images.Section`: what the catalogue
        has elsewhere does not count. ``truth``: from the first to the last true source, in right ascension and
        declination where the match is on the sky, if true sources fill that rectangle; else up to the outermost of
        them, without gaps (`~astrogalaxy.evaluation.footprint.footprint_of`). Default: all.
    field : str, optional
        Only this field of the catalogue; needed to match pixels where it has several.
    score : str
        Column that orders the catalogue. Without ``det_score`` there is no average precision and no F1.
    magnitude : str, optional
        Column of the truth for the completeness by magnitude; by default ``mag``, ``mag_r``, or the
        first ``mag_<band>``.
    bin_width : float
        Width of a magnitude bin.
    resamples : int
        Bootstrap samples.
    seed : int
        Of the bootstrap.

    Returns
    -------
    CatalogScore

    Raises
    ------
    CatalogError
        If positions to match by, a named column, or the field are missing, a true source has no position, pixels are
        ambiguous, a radius is not a number above 0, the region is none, or with the region ``truth`` both lie in
        different places.

    Examples
    --------
    >>> from astropy.table import Table
    >>> truth = Table({"x": [10.0, 20.0, 30.0], "y": [5.0, 5.0, 5.0], "class": ["star", "galaxy", "star"]})
    >>> found = Table({"x": [10.4, 20.0], "y": [5.0, 5.0], "det_score": [0.9, 0.8], "p_galaxy": [0.1, 0.9]})
    >>> result = evaluate_catalog(found, truth)
    >>> round(result.completeness.value, 2), result.purity.value, result.accuracy.value
    (0.67, 1.0, 1.0)
    """
    if not bin_width > 0:
        msg = f"bin_width must be more than 0 mag, not {bin_width}"
        raise CatalogError(msg)
    catalog, truth = as_table(catalog, "the catalogue"), as_table(truth, "the truth")
    if field is not None:
        catalog = _of_field(catalog, field)
    sky = _on_the_sky(catalog, truth, radius_arcsec)
    reach = _reach(radius, radius_arcsec, sky=sky)
    asked = np.asarray(truth["visible"], dtype=bool) if "visible" in truth.colnames else np.ones(len(truth), dtype=bool)
    _check_placed(catalog, truth, asked, sky=sky)
    near, covered = _inside(catalog, truth, region, sky=sky)
    asked = asked & covered
    if score != "det_score":
        _column(catalog, score, "the catalogue")
    scores = numbers_of(catalog, score) if score in catalog.colnames else np.full(len(catalog), np.nan)
    match = _match(catalog, scores, truth[asked], reach, sky=sky)
    if _is_truth(region) and not (near | match.matched).any():
        _check_shared(catalog, truth, sky=sky)
    excused = _match(catalog[~match.matched], scores[~match.matched], truth[~asked], reach, sky=sky)
    counts = match.matched | near
    counts[np.nonzero(~match.matched)[0][excused.matched]] = False
    counted = Match(match.truth[counts], match.distance[counts], match.n_truth)
    missed = np.delete(np.flatnonzero(asked), match.truth[match.matched])
    return _score(
        catalog[counts],
        scores[counts],
        truth[asked],
        counted,
        afar=(
            _afar(truth[missed], catalog, sky=sky),
            _afar(catalog[counts & ~match.matched], truth, sky=sky),
        ),
        twice=repeated(_places(truth[asked], sky=sky), np.radians(_SAME * reach / 3600) if sky else _SAME * reach),
        unit="arcsec" if sky else "pix",
        magnitude=magnitude,
        bin_width=bin_width,
        resamples=resamples,
        seed=seed,
    )


def _score(
    catalog: Table,
    scores: Floats,
    truth: Table,
    match: Match,
    *,
    afar: tuple[int, int],
    twice: int,
    unit: Literal["pix", "arcsec"],
    magnitude: str | None,
    bin_width: float,
    resamples: int,
    seed: int,
) -> CatalogScore:
    hit = match.matched
    curve = precision_recall(scores, match)
    ranked = bool(np.isfinite(scores).all()) and len(truth) > 0
    area, f1 = _bootstrap(scores, match, resamples, seed) if ranked else (None, None)
    distance = match.distance[hit]
    return CatalogScore(
        n_found=len(catalog),
        n_truth=len(truth),
        n_matched=int(hit.sum()),
        average_precision=_estimate(curve.average_precision if ranked else np.nan, area, len(catalog)),
        best_f1=_estimate(curve.best_f1 if ranked else np.nan, f1, len(catalog)),
        best_score=curve.best_score if ranked else float("nan"),
        completeness=_share(hit.sum(), len(truth)),
        purity=_share(hit.sum(), len(catalog)),
        accuracy=_accuracy(catalog, truth, match),
        offset_median=float(np.median(distance)) if len(distance) else float("nan"),
        offset_95=float(np.percentile(distance, 95)) if len(distance) else float("nan"),
        unit=unit,
        bins=_bins(truth, match, magnitude, bin_width),
        n_truth_afar=afar[0],
        n_found_afar=afar[1],
        n_truth_twice=twice,
    )


def _column(table: Table, name: str, what: str) -> Any:
    if name not in table.colnames:
        msg = f"{what} has no column {name!r}, only {', '.join(table.colnames[:12]) or 'none'}"
        raise CatalogError(msg)
    return table[name]


def _of_field(catalog: Table, field: str) -> Table:
    """The catalogue's rows of one field."""
    fields = np.asarray(_column(catalog, "field", "the catalogue")).astype(str)
    if field not in fields:
        msg = f"the catalogue has no field {field!r}; it has {_few(fields) or 'no rows'}"
        raise CatalogError(msg)
    return catalog[fields == field]


def _few(fields: NDArray[np.str_]) -> str:
    """The first of the names."""
    names = sorted(set(fields.tolist()))
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")


def _reach(radius: float | u.Quantity | None, radius_arcsec: float | u.Quantity | None, *, sky: bool) -> float:
    """How far a match may be, in the unit that it is made in."""
    asked = radius if radius_arcsec is None else radius_arcsec
    reach = (_ARCSEC if sky else _PIXELS) if asked is None else asked
    try:
        reach = float(u.Quantity(reach, u.arcsec if sky else u.pix).value)
    except (TypeError, u.UnitConversionError):
        msg = f"a radius of {reach} is no number of {'arcsec' if sky else 'pixels, in which both tables are matched'}"
        raise CatalogError(msg) from None
    if not 0 < reach < np.inf:
        msg = f"a radius of {reach:g} matches nothing; give a number above 0, in {'arcsec' if sky else 'pixels'}"
        raise CatalogError(msg)
    return reach


def _on_the_sky(catalog: Table, truth: Table, radius_arcsec: float | None) -> bool:
    """Whether to match by ra and dec; refuse tables that have no positions in common."""
    pixels, sky = ({*pair} <= {*catalog.colnames} & {*truth.colnames} for pair in (("x", "y"), ("ra", "dec")))
    if not (sky or (pixels and radius_arcsec is None)):
        wanted = "ra and dec" if radius_arcsec is not None else "x and y, or ra and dec"
        msg = f"catalogue and truth cannot be matched: both need {wanted}"
        raise CatalogError(msg)
    if radius_arcsec is not None or not pixels:
        return True
    fields = np.asarray(catalog["field"]).astype(str) if "field" in catalog.colnames else np.array([], dtype=str)
    if len(set(fields)) > 1:
        many = f"{len(set(fields))} fields ({_few(fields)})"
        msg = f"pixels are ambiguous: the catalogue has {many}; name one, or match on the sky"
        raise CatalogError(msg)
    return False


def _match(catalog: Table, scores: Floats, truth: Table, radius: float, *, sky: bool) -> Match:
    found, true = ([numbers_of(t, name) for name in _axes(sky=sky)] for t in (catalog, truth))
    if sky:
        return match_sky(*found, scores, *true, radius=radius)
    return match_positions(*found, scores, *true, radius=radius)


def _afar(table: Table, others: Table, *, sky: bool) -> int:
    """How many sources are far from any of the others, measured by how far these are from each other."""
    points, there = (_places(one, sky=sky) for one in (table, others))
    if not len(points) or len(there) < _ENOUGH:
        return 0
    tree = cKDTree(there)
    spacing = np.quantile(tree.query(there, k=2)[0][:, 1], _NEARLY_ALL)
    return int(np.sum(tree.query(points)[0] > _AFAR * spacing))


def _places(table: Table, *, sky: bool) -> Floats:
    """Positions between which distances can be taken, without those that are unknown."""
    places = _points(table, sky=sky)
    return places[np.isfinite(places).all(axis=1)]


def _points(table: Table, *, sky: bool) -> Floats:
    """Pixels, or unit vectors to places on the sky; NaN where they are unknown."""
    first, second = (numbers_of(table, name) for name in _axes(sky=sky))
    return directions(first, second) if sky else np.column_stack([first, second])


def _axes(*, sky: bool) -> tuple[str, str]:
    return ("ra", "dec") if sky else ("x", "y")


def _check_placed(catalog: Table, truth: Table, asked: Bools, *, sky: bool) -> None:
    """Refuse true sources without a position, and a catalogue in which no source has one: nothing could match."""
    axes = _axes(sky=sky)
    found, true = (np.isfinite([numbers_of(table, name) for name in axes]).all(axis=0) for table in (catalog, truth))
    if len(catalog) and not found.any():
        msg = f"no source of the catalogue has {' and '.join(axes)}{': its images have no WCS' if sky else ''}"
        raise CatalogError(msg)
    lost = np.flatnonzero(asked & ~true)
    if len(lost):
        more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
        msg = (
            f"the truth's row {lost[0]} (from 0{more}) has no {' and '.join(axes)}: NaN or missing; leave such rows out"
        )
        raise CatalogError(msg)


def _floats_of(table: Table, name: str, what: str) -> Floats:
    _column(table, name, what)
    return numbers_of(table, name)


def _inside(
    catalog: Table, truth: Table, region: Region | Literal["truth"] | None, *, sky: bool
) -> tuple[Bools, Bools]:
    """Rows of both in the region; those without a position count as inside."""
    if region is None:
        return np.ones(len(catalog), dtype=bool), np.ones(len(truth), dtype=bool)
    of_truth = _is_truth(region)
    if of_truth and not len(truth):
        msg = "the truth has no rows, and so covers no area; give at least one true source"
        raise CatalogError(msg)
    axes = _axes(sky=sky and of_truth)
    edges = [] if of_truth else _edges(region)
    found, true = _coordinates(catalog, truth, axes)
    if axes == ("ra", "dec"):
        edges = [(np.nanmin(a), np.nextafter(np.nanmax(a), np.inf)) for a in true]
    elif of_truth:
        edges = [(np.nanmin(a) - 0.5, np.nanmax(a) + 0.5) for a in true]
    near, covered = (
        ~np.any([(a < low) | (a >= high) for a, (low, high) in zip(pair, edges, strict=True)], axis=0)
        for pair in (found, true)
    )
    if of_truth:
        footprint = footprint_of(_points(truth, sky=sky))
        if footprint.area < (1 - _FULL * footprint.missing) * _area(true, sky=sky):
            points = _points(catalog, sky=sky)
            near = footprint.holds(points) | ~np.isfinite(points).all(axis=1)
    return near, covered


def _is_truth(region: object) -> bool:
    """Whether the region is that of the truth; four edges may be an array, which is equal to no word."""
    return isinstance(region, str) and region == "truth"


def _edges(region: object) -> list[tuple[float, float]]:
    """First and last positions in x and y within a range of pixels."""
    try:
        x0, x1, y0, y1 = (float(edge) for edge in region)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        msg = f"region must be 'truth', or x0, x1, y0, y1 in pixels, not {region!r}"
        raise CatalogError(msg) from None
    return [(x0 - 0.5, x1 - 0.5), (y0 - 0.5, y1 - 0.5)]


def _area(places: list[Floats], *, sky: bool) -> float:
    """Area from the first to the last: square pixels, or steradian."""
    across, along = places
    if sky:
        across, along = np.radians(across), np.sin(np.radians(along))
    return float((np.nanmax(across) - np.nanmin(across)) * (np.nanmax(along) - np.nanmin(along)))


def _coordinates(catalog: Table, truth: Table, axes: tuple[str, str]) -> tuple[list[Floats], list[Floats]]:
    """Positions of both; right ascension is counted from the middle of the truth, so that no field is cut at 0 h."""
    found, true = (
        [_floats_of(table, name, what) for name in axes]
        for table, what in ((catalog, "the catalogue"), (truth, "the truth"))
    )
    if axes == ("ra", "dec"):
        middle = np.degrees(np.angle(np.nanmean(np.exp(1j * np.radians(true[0])))))
        found[0], true[0] = ((ra - middle + 180) % 360 - 180 for ra in (found[0], true[0]))
    return found, true


def _check_shared(catalog: Table, truth: Table, *, sky: bool) -> None:
    """Refuse a catalogue and a truth of different parts of the sky, which have nothing to compare."""
    axes = _axes(sky=sky)
    pairs = zip(*_coordinates(catalog, truth, axes), strict=True)
    if not len(catalog) or all(
        np.nanmin(found) <= np.nanmax(true) and np.nanmin(true) <= np.nanmax(found) for found, true in pairs
    ):
        return
    here, there = (_first_place(table, axes) for table in (catalog, truth))
    msg = f"no source of the catalogue lies in the area of the truth: its first is at {here}, the truth's at {there}"
    raise CatalogError(msg)


def _first_place(table: Table, axes: tuple[str, str]) -> str:
    """Where the first source with a position is."""
    places = np.transpose([numbers_of(table, name) for name in axes])
    place = places[np.isfinite(places).all(axis=1)][0]
    return ", ".join(f"{name} {value:.7g}" for name, value in zip(axes, place, strict=True))


def _share(k: int, n: int) -> Estimate:
    """Share with its Wilson interval."""
    if not n:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    low, high = wilson(k, n)
    return Estimate(float(k / n), float(low), float(high), int(n))


def _estimate(value: float, samples: Floats | None, n: int) -> Estimate:
    if samples is None:
        return Estimate(float(value), float("nan"), float("nan"), n)
    low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(value), float(low), float(high), n)


def _bootstrap(scores: Floats, match: Match, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Average precision and best F1 of resampled sources: true ones found, true ones missed, false ones."""
    rng = np.random.default_rng(seed)
    hit = match.matched[np.argsort(-scores, kind="stable")]
    n = len(hit) + match.n_truth - int(hit.sum())
    area, f1 = np.zeros(resamples), np.zeros(resamples)
    for i in range(resamples if len(hit) else 0):
        weight = np.bincount(rng.integers(0, n, n), minlength=n)
        missed = int(weight[len(hit) :].sum())
        weight = weight[: len(hit)]
        true, found = np.cumsum(weight * hit), np.cumsum(weight)
        n_truth = max(int(true[-1]) + missed, 1)
        precision = true / np.maximum(found, 1)
        monotone = np.maximum.accumulate(precision[::-1])[::-1]
        area[i] = np.sum(np.diff(true / n_truth, prepend=0.0) * monotone)
        f1[i] = np.max(2 * true / np.maximum(found + n_truth, 1))
    return area, f1


def _accuracy(catalog: Table, truth: Table, match: Match) -> Estimate:
    """Stars and galaxies told apart, of those matched whose class is known."""
    if "p_galaxy" not in catalog.colnames or "class" not in truth.colnames:
        return _share(0, 0)
    p = numbers_of(catalog, "p_galaxy")[match.matched]
    label = np.asarray(truth["class"]).astype(str)[match.truth[match.matched]]
    known = np.isin(label, ("star", "galaxy")) & np.isfinite(p)
    right = (p > 0.5) == (label == "galaxy")
    return _share(right[known].sum(), int(known.sum()))


def _bins(truth: Table, match: Match, magnitude: str | None, width: float) -> Table | None:
    if magnitude is None:
        candidates = ("mag", "mag_r", *(name for name in truth.colnames if name.startswith("mag_")))
        magnitude = next((name for name in candidates if name in truth.colnames), None)
    if magnitude is None:
        return None
    mag = _floats_of(truth, magnitude, "the truth")
    seen = np.zeros(len(truth), dtype=bool)
    seen[match.truth[match.matched]] = True
    number = np.floor(mag[np.isfinite(mag)] / width).astype(int)
    seen = seen[np.isfinite(mag)]
    rows = []
    for bin_ in np.unique(number):
        here = seen[number == bin_]
        share = _share(here.sum(), len(here))
        rows.append((bin_ * width, (bin_ + 1) * width, len(here), int(here.sum()), *share[:3]))
    names = ("mag_low", "mag_high", "n_truth", "n_found", "completeness", "low", "high")
    table = Table(rows=rows or None, names=names, dtype=("f8", "f8", "i8", "i8", "f8", "f8", "f8"))
    table.meta["magnitude"] = magnitude
    for name in names[4:]:
        table[name].info.format = ".3f"
    return table
