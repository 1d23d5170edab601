"""Read tables of true sources: labels for training, truth for evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Column, Table
from astropy.units import UnitBase

from astrogalaxy.errors import ConfigError
from astrogalaxy.tables import numbers_of, read_table

__all__ = ["read_truth"]

_POSITIONS = (("x", "y"), ("ra", "dec"))
# Columns whose names are known in any case: catalogues write RA as often as ra.
_KNOWN = ("x", "y", "ra", "dec", "class", "visible")
_CLASSES = {"star": "star", "galaxy": "galaxy"}
_TRUE = {"true", "t", "1", "1.0", "yes"}


def read_truth(
    path: str | Path, *, split: str | Path | None = None, part: str = "test", classes: bool = False
) -> Table:
    r"""Read a table of true sources, or of labels.

    Parameters
    ----------
    path : path-like
        CSV (comments after ``#``), ECSV, FITS, VOTable, or what `astropy.table.Table` reads
        besides. Its columns, in any case: ``x`` and ``y`` (0-based pixels of the reference
        image), or ``ra`` and ``dec`` (deg), or all four; ``class`` if known (star, galaxy; anything
        else means unknown); ``visible`` if some sources need not be found, and are not false if they are;
        others are kept as they are.
    split : path-like, optional
        CSV with ``row`` (of the table, from 0) and ``part``.
    part : str, optional
        Part of the split to keep; without a split all rows are kept.
    classes : bool, optional
        Refuse a table in which nothing is a star or a galaxy.

    Returns
    -------
    Table
        Positions as float64, ``class`` star, galaxy or empty, ``visible`` bool; in the order of
        the file, or of the split.

    Raises
    ------
    ConfigError
        If a file is missing or unreadable, has no positions or impossible ones, or no classes where these are needed,
        or the split names rows or a part that do not exist.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "truth.csv"
    >>> _ = path.write_text("# made up\nRA,Dec,class\n150.1,2.2,STAR\n")
    >>> read_truth(path)["ra", "dec", "class"][0].as_void().tolist()
    (150.1, 2.2, 'star')
    """
    table = read_table(path)
    for name in table.colnames:
        if name.lower() in _KNOWN and name.lower() not in table.colnames:
            table.rename_column(name, name.lower())
    found = [name for pair in _POSITIONS if set(pair) <= set(table.colnames) for name in pair]
    if not found:
        msg = f"{path}: no positions; it needs columns x and y, or ra and dec, not only {_some(table)}"
        raise ConfigError(msg)
    for name in found:
        table[name] = _numbers(table, name, path)
    if classes:
        _check_classes(table, path)
    if "class" in table.colnames:
        table["class"] = [_class(value) for value in table["class"]]
    if "visible" in table.colnames:
        table["visible"] = [str(value).strip().lower() in _TRUE for value in table["visible"]]
    return table if split is None else table[_rows(Path(split), part, len(table), path)]


def _class(value: object) -> str:
    return _CLASSES.get(str(value).strip().lower(), "")


def _check_classes(table: Table, path: str | Path) -> None:
    """Refuse labels that name neither stars nor galaxies."""
    if "class" not in table.colnames:
        msg = f"{path}: no column 'class'; labels need a position and a class (star or galaxy)"
        raise ConfigError(msg)
    if not any(_class(value) for value in table["class"]):
        held = sorted({" ".join(str(value).split())[:20] for value in table["class"] if value is not np.ma.masked})
        some = ", ".join(value for value in held[:5] if value) + (", ..." if len(held) > 5 else "")
        msg = f"{path}: class holds {some or 'nothing'}; it needs star, galaxy"
        raise ConfigError(msg)


def _some(table: Table) -> str:
    return " ".join(", ".join(table.colnames[:8]).split()) or "none"


def _numbers(table: Table, name: str, path: str | Path) -> np.ndarray:
    """Positions as plain float64, NaN where masked; angles in degrees."""
    column = table[name]
    try:
        values = numbers_of(table, name)
    except (TypeError, ValueError) as error:
        row = _first_without_number(column)
        text = " ".join(str(column[row]).split())[:60]
        msg = f"{path}: column {name!r} must hold numbers, but row {row} (from 0) has {text!r}"
        raise ConfigError(msg) from error
    if name in {"ra", "dec"} and column.unit is not None:
        values = _degrees(values, column.unit, name, path)
    return _on_the_sphere(values, path) if name == "dec" else values


def _first_without_number(column: Column) -> int:
    """Row of the first value that is no number."""
    for row, value in enumerate(column):
        try:
            # a masked value is unknown, and not wrong
            float(np.nan if value is np.ma.masked else value)
        except (TypeError, ValueError):
            return row
    return 0


def _degrees(values: np.ndarray, unit: UnitBase, name: str, path: str | Path) -> np.ndarray:
    try:
        return np.asarray(unit.to("deg", values))
    except (TypeError, ValueError) as error:
        msg = f"{path}: column {name!r} is in {unit}, which is no unit of an angle"
        raise ConfigError(msg) from error


def _on_the_sphere(dec: np.ndarray, path: str | Path) -> np.ndarray:
    """Declinations; none is beyond a pole."""
    wrong = np.flatnonzero(np.abs(dec) > 90)
    if len(wrong):
        msg = (
            f"{path}: column 'dec' has {dec[wrong[0]]:g} in row {wrong[0]} (from 0), which is no declination: it must "
            "be from -90 to 90 degrees; mask what is unknown, or make it NaN"
        )
        raise ConfigError(msg)
    return dec


def _rows(split: Path, part: str, n_rows: int, path: str | Path) -> np.ndarray:
    """Rows of a part."""
    table = read_table(split, text=("part",))
    missing = {"row", "part"} - set(table.colnames)
    if missing:
        msg = f"{split}: no column {min(missing)!r}; a split has row and part"
        raise ConfigError(msg)
    parts = np.asarray(table["part"]).astype(str)
    chosen = parts == part
    if not chosen.any():
        msg = f"{split}: no part {part!r}; there are {', '.join(np.unique(parts)) or 'none'}"
        raise ConfigError(msg)
    rows = np.asarray(table["row"][chosen], dtype=int)
    if rows.min() < 0 or rows.max() >= n_rows:
        wrong = rows[(rows < 0) | (rows >= n_rows)][0]
        msg = f"{split}: names row {wrong}, but {path} has {n_rows} rows"
        raise ConfigError(msg)
    return rows
