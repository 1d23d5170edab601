"""Tables that show what recipes reach beside what the papers report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from astrogalaxy.evaluation.boxes import MeanPrecision
from astrogalaxy.training.scores.published import PUBLISHED
from astrogalaxy.training.scores.recipes import RecipeScore
from astrogalaxy.training.scores.scoretables import (
    by_paper,
    interval_of,
    lines_of,
    paper_of,
    percent,
    read_records,
    table_of,
    write_evaluation,
)

__all__ = ["comparison", "printed", "read_scores", "write_scores"]

_COLUMNS = {
    "recipe": (str, "recipe; the rows without one are of the paper alone"),
    "method": (str, "row of the paper's table"),
    "size": (str, "size of the network"),
    "map_50_90": (float, "mean average precision, overlaps 0.50 to 0.90, star and galaxy"),
    "map_50_90_low": (float, "lower end of its 68 % interval (bootstrap over fields)"),
    "map_50_90_high": (float, "upper end"),
    "map_50_90_paper": (float, "the paper's"),
    "map_50_95": (float, "mean average precision, overlaps 0.50 to 0.95"),
    "map_50_95_low": (float, "lower end of its 68 % interval"),
    "map_50_95_high": (float, "upper end"),
    "ap_star": (float, "average precision of stars, overlaps 0.50 to 0.90"),
    "ap_star_low": (float, "lower end of its 68 % interval"),
    "ap_star_high": (float, "upper end"),
    "ap_galaxy": (float, "the same of galaxies"),
    "ap_galaxy_low": (float, "lower end of its 68 % interval"),
    "ap_galaxy_high": (float, "upper end"),
    "accuracy": (float, "share of galaxies with the right class, smooth or disk; those with a clear majority of votes"),
    "accuracy_low": (float, "lower end of its 68 % interval (Wilson)"),
    "accuracy_high": (float, "upper end"),
    "accuracy_paper": (float, "the paper's"),
    "accuracy_all": (float, "the same over all galaxies"),
    "accuracy_all_low": (float, "lower end of its 68 % interval"),
    "accuracy_all_high": (float, "upper end"),
    "milliseconds": (float, "time for an image of 512 x 512 pixels by itself"),
    "device": (str, "where that was measured"),
    "n_fields": (int, "test fields"),
    "n_clear": (int, "test galaxies with a clear majority"),
    "n_galaxies": (int, "test galaxies"),
}


def comparison(scores: Sequence[RecipeScore]) -> Table:
    """Make a table of scores beside the papers' numbers.

    Parameters
    ----------
    scores : sequence of RecipeScore
        One or more.

    Returns
    -------
    Table
        A row for each, in the order of the paper's table, under what the paper itself compares with. Numbers that there
        are none of are masked.

    Examples
    --------
    >>> from astrogalaxy.evaluation.intervals import Interval
    >>> from astrogalaxy.training.scores.comparison import comparison
    >>> from astrogalaxy.training.scores.recipes import RecipeScore
    >>> right = Interval(0.83, 0.80, 0.86)
    >>> score = RecipeScore("mine", None, "nano", "abc", None, right, right, 0, 70, 122, 12.3, "cpu")
    >>> comparison([score])["recipe", "accuracy"].pformat(show_unit=False)[-1].split()
    ['mine', '0.83']
    """
    rows = [{"method": PUBLISHED["astro-rcnn"].method, "map_50_90_paper": PUBLISHED["astro-rcnn"].map_50_90}]
    rows = rows if any(score.published for score in scores) else []
    rows += [_row(score) for score in by_paper(scores)]
    return table_of(rows, _COLUMNS)


def _row(score: RecipeScore) -> dict[str, object]:
    row: dict[str, object] = {"recipe": score.name, "method": score.name}
    row |= {n: getattr(score, n) for n in ("size", "milliseconds", "device", "n_fields", "n_clear", "n_galaxies")}
    if score.published:
        paper = PUBLISHED[score.published]
        row |= {"method": paper.method, "map_50_90_paper": paper.map_50_90, "accuracy_paper": paper.accuracy}
    measured = {"accuracy": score.accuracy, "accuracy_all": score.accuracy_all}
    if score.precision:
        names = {"map_50_90": "map_50_90", "map_50_95": "map_50_95", "ap_star": "star", "ap_galaxy": "galaxy"}
        measured |= {column: getattr(score.precision, name) for column, name in names.items()}
    for name, interval in measured.items():
        if interval:
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return row


def printed(table: Table) -> list[str]:
    """Lines of a comparison for the terminal: percentages with their intervals, beside the paper's.

    Parameters
    ----------
    table : Table
        See `comparison`.

    Returns
    -------
    list of str
        A head, and a line for each row; ``-`` where there is no number.

    Examples
    --------
    >>> from astrogalaxy.evaluation.intervals import Interval
    >>> from astrogalaxy.training.scores.comparison import comparison, printed
    >>> from astrogalaxy.training.scores.recipes import RecipeScore
    >>> right = Interval(0.83, 0.80, 0.86)
    >>> score = RecipeScore("mine", None, "nano", "abc", None, right, right, 0, 70, 122, 12.3, "cpu")
    >>> "83.0 [80.0, 86.0]" in printed(comparison([score]))[-1]
    True
    """
    shown = Table()
    shown["method"] = table["method"]
    shown["recipe"] = table["recipe"].filled("-")
    for name, title, paper in (
        ("map_50_90", "mAP 50-90 (%)", True),
        ("map_50_95", "mAP 50-95 (%)", False),
        ("ap_star", "star", False),
        ("ap_galaxy", "galaxy", False),
        ("accuracy", "smooth/disk (%)", True),
    ):
        shown[title] = [percent(row, name) for row in table]
        if paper:
            shown[f"paper's {title.split(' (')[0]}"] = [_number(row[f"{name}_paper"]) for row in table]
    shown["ms"] = ["-" if np.ma.is_masked(ms) else f"{ms:.1f}" for ms in table["milliseconds"]]
    return lines_of(shown)


def _number(value: float) -> str:
    return "-" if np.ma.is_masked(value) else f"{100 * value:.1f}"


def write_scores(scores: Sequence[RecipeScore], folder: str | Path) -> list[Path]:
    """Write scores into a folder: as ``evaluation.json``, and beside the paper's as ``evaluation.ecsv``.

    Parameters
    ----------
    scores : sequence of RecipeScore
        One or more.
    folder : path-like
        Must be there.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    RunError
        If the folder or the disk does not take the files.

    Examples
    --------
    >>> from astrogalaxy.training.scores.comparison import write_scores
    >>> from astrogalaxy.training.scores.recipes import RecipeScore
    >>> score = RecipeScore("mine", None, "nano", "abc", None, None, None, 0, 0, 0, 12.3, "cpu")
    >>> [path.name for path in write_scores([score], ".")]
    ['evaluation.json', 'evaluation.ecsv']
    """
    records = [asdict(score) | {"paper": paper_of(score)} for score in scores]
    return write_evaluation(folder, records, comparison(scores))


def read_scores(path: str | Path) -> list[RecipeScore]:
    """Read what `write_scores` wrote as JSON.

    Parameters
    ----------
    path : path-like
        ``evaluation.json``.

    Returns
    -------
    list of RecipeScore
        As they were written.

    Examples
    --------
    >>> from astrogalaxy.training.scores.comparison import read_scores, write_scores
    >>> from astrogalaxy.training.scores.recipes import RecipeScore
    >>> score = RecipeScore("mine", None, "nano", "abc", None, None, None, 0, 0, 0, 12.3, "cpu")
    >>> files = write_scores([score], ".")
    >>> read_scores(files[0]) == [score]
    True
    """
    return [_score(given) for given in read_records(path)]


def _score(fields: dict[str, Any]) -> RecipeScore:
    intervals = {name: fields[name] and interval_of(fields[name]) for name in ("accuracy", "accuracy_all")}
    precision = fields["precision"]
    if precision:
        precision = MeanPrecision(**{name: value and interval_of(value) for name, value in precision.items()})
    return RecipeScore(**fields | intervals | {"precision": precision})
