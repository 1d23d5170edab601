"""How good a catalogue is, against a table of what is really there."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any, Literal

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.catalog.crossmatch import as_table
from astrogalaxy.errors import CatalogError
from astrogalaxy.evaluation.intervals import BIN_WIDTH, Interval, magnitude_bins, percentile_interval, share
from astrogalaxy.evaluation.matching import Match, precision_recall
from astrogalaxy.evaluation.regions import (
    Region,
    check_placed,
    check_shared,
    column_of,
    first_names,
    frame_of,
    inside,
)
from astrogalaxy.tables import numbers_of

__all__ = ["CatalogScore", "evaluate_catalog"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CatalogScore:
    """What `evaluate_catalog` measures.

    Attributes
    ----------
    n_found, n_truth, n_matched : int
        Sources of the catalogue and of the truth that count, and those that are in both.
    n_classified : int
        Those of the last that are stars or galaxies, and have a class in the catalogue.
    average_precision : Interval
        Area under the monotone curve of purity against completeness, over all thresholds; NaN
        without scores. Its interval is a bootstrap over sources.
    best_f1 : Interval
        Highest harmonic mean of purity and completeness; interval as above.
    best_score : float
        Score at which it is reached.
    completeness : Interval
        Share of the true sources that are in the catalogue, as it is. Wilson interval.
    purity : Interval
        Share of the catalogue's sources that are true. Wilson interval.
    accuracy : Interval
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
    n_classified: int
    average_precision: Interval
    best_f1: Interval
    best_score: float
    completeness: Interval
    purity: Interval
    accuracy: Interval
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
        counts = {
            "average_precision": self.n_found, "best_f1": self.n_found, "completeness": self.n_truth,
            "purity": self.n_found, "accuracy": self.n_classified,
        }  # fmt: skip
        rows: list[tuple[Any, ...]] = [(name, *astuple(getattr(self, name)), n) for name, n in counts.items()]
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
    region: Region = None,
    field: str | None = None,
    score: str = "det_score",
    magnitude: str | None = None,
    magnitudes: tuple[float, float] | None = None,
    bin_width: float = BIN_WIDTH,
    resamples: int = 500,
    seed: int = 0,
) -> CatalogScore:
    """Compare a catalogue with the truth.

    Sources are matched one to one, the best score first, each with the nearest true source
    that is still free. True sources that are not ``visible``, or lie outside of the region or of the magnitudes, are
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
    magnitudes : (float, float), optional
        Brightest and faintest magnitude in that column, which the catalogue must have, too; the fainter end is left
        out. True sources of other magnitudes are not asked for, and false ones of other magnitudes do not count. By
        default all do.
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
        If positions to match by, a named column, magnitudes that are asked for, or the field are missing, a true source
        has no position, pixels are ambiguous, a radius is not a number above 0, the region is none, or with the region
        ``truth`` both lie in different places.

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
    frame = frame_of(catalog, truth, sky=radius_arcsec is not None)
    reach = frame.reach(radius if radius_arcsec is None else radius_arcsec)
    asked = np.asarray(truth["visible"], dtype=bool) if "visible" in truth.colnames else np.ones(len(truth), dtype=bool)
    magnitude = _magnitude_column(truth, magnitude)
    asked = asked & _between(truth, magnitude, magnitudes, "the truth")
    check_placed(catalog, truth, asked, frame)
    near, covered = inside(catalog, truth, region, frame)
    asked = asked & covered
    if score != "det_score":
        column_of(catalog, score, "the catalogue")
    scores = numbers_of(catalog, score) if score in catalog.colnames else np.full(len(catalog), np.nan)
    match = frame.match(catalog, scores, truth[asked], reach)
    if not (near | match.matched).any():
        check_shared(catalog, truth, region, frame)
    excused = frame.match(catalog[~match.matched], scores[~match.matched], truth[~asked], reach)
    counts = match.matched | (near & _between(catalog, magnitude, magnitudes, "the catalogue"))
    counts[np.nonzero(~match.matched)[0][excused.matched]] = False
    missed = np.delete(np.flatnonzero(asked), match.truth[match.matched])
    false = catalog[counts & ~match.matched]
    match = Match(match.truth[counts], match.distance[counts], match.n_truth)
    found, true, n, distance = catalog[counts], truth[asked], int(match.matched.sum()), match.distance[match.matched]
    average_precision, best_f1, best_score = _ranking(scores[counts], match, resamples, seed)
    told = _classes_told(found, true, match)
    return CatalogScore(
        n_found=len(found),
        n_truth=len(true),
        n_matched=n,
        n_classified=len(told),
        average_precision=average_precision,
        best_f1=best_f1,
        best_score=best_score,
        completeness=share(n, len(true)),
        purity=share(n, len(found)),
        accuracy=share(told.sum(), len(told)),
        offset_median=float(np.median(distance)) if n else float("nan"),
        offset_95=float(np.percentile(distance, 95)) if n else float("nan"),
        unit=frame.unit,
        bins=_bins(true, match, magnitude, bin_width),
        n_truth_afar=frame.afar(truth[missed], catalog),
        n_found_afar=frame.afar(false, truth),
        n_truth_twice=frame.twice(true, reach),
    )


def _of_field(catalog: Table, field: str) -> Table:
    """The catalogue's rows of one field."""
    fields = np.asarray(column_of(catalog, "field", "the catalogue")).astype(str)
    if field not in fields:
        msg = f"the catalogue has no field {field!r}; it has {first_names(fields) or 'no rows'}"
        raise CatalogError(msg)
    return catalog[fields == field]


def _ranking(scores: Floats, match: Match, resamples: int, seed: int) -> tuple[Interval, Interval, float]:
    """Average precision, best F1, and the score at which that is reached; NaN without scores or true sources."""
    if not (np.isfinite(scores).all() and match.n_truth):
        nothing = percentile_interval(float("nan"), ())
        return nothing, nothing, float("nan")
    curve, (area, f1) = precision_recall(scores, match), _bootstrap(scores, match, resamples, seed)
    return percentile_interval(curve.average_precision, area), percentile_interval(curve.best_f1, f1), curve.best_score


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


def _classes_told(catalog: Table, truth: Table, match: Match) -> Bools:
    """Whether stars and galaxies are told apart, of those matched whose class is known."""
    if "p_galaxy" not in catalog.colnames or "class" not in truth.colnames:
        return np.zeros(0, dtype=bool)
    p = numbers_of(catalog, "p_galaxy")[match.matched]
    label = np.asarray(truth["class"]).astype(str)[match.truth[match.matched]]
    known = np.isin(label, ("star", "galaxy")) & np.isfinite(p)
    return ((p > 0.5) == (label == "galaxy"))[known]


def _magnitude_column(truth: Table, name: str | None) -> str | None:
    """The column of a truth that says how bright its sources are; None if it has none."""
    if name is not None:
        column_of(truth, name, "the truth")
        return name
    candidates = ("mag", "mag_r", *(column for column in truth.colnames if column.startswith("mag_")))
    return next((column for column in candidates if column in truth.colnames), None)


def _between(table: Table, magnitude: str | None, magnitudes: tuple[float, float] | None, what: str) -> Bools:
    """Sources of the magnitudes that are asked for, or all; those whose own is not known are not."""
    if magnitudes is None:
        return np.ones(len(table), dtype=bool)
    low, high = magnitudes
    if not low < high:
        msg = f"magnitudes go from the brightest to the faintest, not from {low:g} to {high:g}"
        raise CatalogError(msg)
    if magnitude is None:
        msg = f"magnitudes are asked for, but {what} has no column mag or mag_<band>"
        raise CatalogError(msg)
    column_of(table, magnitude, what)
    values = numbers_of(table, magnitude)
    with np.errstate(invalid="ignore"):
        return (values >= low) & (values < high)


def _bins(truth: Table, match: Match, magnitude: str | None, width: float) -> Table | None:
    if magnitude is None:
        return None
    seen = np.zeros(len(truth), dtype=bool)
    seen[match.truth[match.matched]] = True
    rows = []
    for low, high, here in magnitude_bins(numbers_of(truth, magnitude), width):
        n, k = int(here.sum()), int(seen[here].sum())
        rows.append((low, high, n, k, *astuple(share(k, n))))
    names = ("mag_low", "mag_high", "n_truth", "n_found", "completeness", "low", "high")
    table = Table(rows=rows or None, names=names, dtype=("f8", "f8", "i8", "i8", "f8", "f8", "f8"))
    table.meta["magnitude"] = magnitude
    for name in names[4:]:
        table[name].info.format = ".3f"
    return table
