"""What tables and files of scores have in common, whatever was scored."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from astropy.table import MaskedColumn, Row, Table

from astrogalaxy.config import ClassifierRecipe, RecipeConfig
from astrogalaxy.errors import RunError
from astrogalaxy.evaluation.intervals import Interval
from astrogalaxy.files import atomic_path, write_text
from astrogalaxy.training.scores.published import PUBLISHED

__all__ = [
    "by_paper",
    "check_trained",
    "interval_of",
    "lines_of",
    "milliseconds_of",
    "number_of",
    "paper_of",
    "percent",
    "read_records",
    "table_of",
    "write_evaluation",
]

Columns = Mapping[str, tuple[type, str]]


class Scored(Protocol):
    """A score that may belong to a row of a paper's table."""

    @property
    def published(self) -> str | None:
        """Key of the row in `~astrogalaxy.training.scores.published.PUBLISHED`."""
        ...


Score = TypeVar("Score", bound=Scored)


def by_paper(scores: Sequence[Score]) -> list[Score]:
    """Scores in the order of the papers' tables, those of no paper last."""
    order = list(PUBLISHED)
    return sorted(scores, key=lambda s: order.index(s.published) if s.published else len(order))


def paper_of(score: Scored) -> dict[str, Any] | None:
    """What the paper reports of a score's row."""
    return asdict(PUBLISHED[score.published]) if score.published else None


def table_of(rows: Sequence[Mapping[str, Any]], columns: Columns) -> Table:
    """Make a table of rows; numbers that there are none of (no entry, None or NaN) are masked.

    Parameters
    ----------
    rows : sequence of mapping
        Values by the name of their column.
    columns : mapping
        Type and description of each column.

    Returns
    -------
    Table
        A row for each, and a column with its description for each name.
    """
    table = Table()
    for name, (kind, description) in columns.items():
        given = [row.get(name) for row in rows]
        mask = [value is None or (isinstance(value, float) and math.isnan(value)) for value in given]
        empty = "" if kind is str else 0
        values = [empty if absent else value for value, absent in zip(given, mask, strict=True)]
        table[name] = MaskedColumn(np.array(values, dtype=kind), mask=mask, description=description)
    table.meta["astrogalaxy"] = version("astrogalaxy")
    return table


def lines_of(table: Table) -> list[str]:
    """All lines of a table, for the terminal."""
    return list(table.pformat(show_unit=False, max_lines=-1, max_width=-1, align="<"))


def percent(row: Row, name: str) -> str:
    """A share in per cent, with its interval if it has one; ``-`` where there is none."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if np.ma.is_masked(value):
        return "-"
    return f"{100 * value:.1f}" + ("" if np.ma.is_masked(low) else f" [{100 * low:.1f}, {100 * high:.1f}]")


def write_evaluation(folder: str | Path, records: Sequence[Mapping[str, Any]], table: Table, **more: Any) -> list[Path]:
    """Write scores into a folder: as ``evaluation.json``, and beside the papers' as ``evaluation.ecsv``.

    Parameters
    ----------
    folder : str or Path
        Where to write.
    records : sequence of mapping
        The scores.
    table : Table
        The scores beside the papers'.
    **more : str
        Further entries of the JSON.

    Returns
    -------
    list of Path
        The files.
    """
    folder = Path(folder)
    data = {"astrogalaxy": version("astrogalaxy"), **more, "scores": list(records)}
    files = [folder / "evaluation.json", folder / "evaluation.ecsv"]
    write_text(files[0], json.dumps(_plain(data), indent=1, allow_nan=False) + "\n")
    with atomic_path(files[1]) as path:
        table.write(path, format="ascii.ecsv", overwrite=True)
    return files


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """Read the scores of a JSON file, each without what its paper reports."""
    scores = json.loads(Path(path).read_text(encoding="utf-8"))["scores"]
    return [{name: value for name, value in given.items() if name != "paper"} for given in scores]


def interval_of(value: Mapping[str, float | None]) -> Interval:
    """Interval out of a record, in which null stands for NaN."""
    return Interval(**{name: number_of(n) for name, n in value.items()})


def number_of(value: Any) -> Any:
    """A value out of a record, in which null stands for NaN."""
    return math.nan if value is None else value


def check_trained(recipe: RecipeConfig | ClassifierRecipe, path: Path) -> None:
    """Refuse a recipe whose weight file is not there.

    Raises
    ------
    RunError
        If it is not.
    """
    if not path.is_file():
        msg = f"{recipe.name}: not trained yet, there is no {path}; astrogalaxy train makes it"
        raise RunError(msg)


def milliseconds_of(work: Callable[[], object], repeats: int, *, warm: int) -> float:
    """Median time of some work, without the first times, which warm up."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times[warm:]) * 1000)


def _plain(value: Any) -> Any:
    """The value with null for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
