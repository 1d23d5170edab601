"""Tables that users give: read in any format, and their columns as plain numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.errors import AstrogalaxyError, ConfigError

__all__ = ["numbers", "numbers_of", "read_table", "spans"]


def read_table(
    path: str | os.PathLike[str], *, text: Iterable[str] = (), error: type[AstrogalaxyError] = ConfigError
) -> Table:
    r"""Read a table of any format that astropy knows.

    Parameters
    ----------
    path : path-like
        CSV (lines that begin with # are comments), ECSV, FITS, VOTable or another.
    text : iterable of str, optional
        Columns of a CSV, in any case, that are text whatever they look like: as numbers, names would lose the zeros in
        front and long ones their last digits. Other formats say themselves what their columns hold.
    error : type, optional
        Class of the error to raise if it cannot be read.

    Returns
    -------
    Table
        Its strings are str, not bytes.

    Raises
    ------
    AstrogalaxyError
        Of the class asked for: one line that names the file and what is wrong.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.tables import read_table
    >>> _ = Path("labels.csv").write_text("# by hand\nx,y,class\n10,20,star\n", encoding="utf-8")
    >>> read_table("labels.csv")["class"].tolist()
    ['star']
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: {'a folder; give the file of a table' if path.is_dir() else 'no such file'}"
        raise error(msg)
    is_csv = path.name.lower().endswith((".csv", ".csv.gz"))
    options: dict[str, Any] = {"format": "ascii.csv", "comment": "#"} if is_csv else {}
    try:
        table = Table.read(path, **options)
        if is_csv:
            wanted = {name.lower() for name in text}
            _restore_text(table, path, options, {name for name in table.colnames if name.lower() in wanted})
        table.convert_bytestring_to_unicode()
    except IORegistryError as problem:
        msg = f"{path}: not known as a table by its name or content; give CSV, ECSV, FITS or VOTable"
        raise error(msg) from problem
    except Exception as problem:  # every one of astropy's readers has its own kinds of errors
        reason = " ".join(str(problem).split())[:200]
        msg = f"{path}: cannot be read as a table: {reason or type(problem).__name__}"
        raise error(msg) from problem
    return table


def _restore_text(table: Table, path: Path, options: dict[str, Any], names: set[str]) -> None:
    """Put the text of columns that look like numbers in their place.

    Astropy's fast reader cannot be told of them; its other one takes several times as long for all columns.
    """
    names = {name for name in names if table[name].dtype.kind not in "OSU"}
    if names:
        text = Table.read(path, **options, include_names=list(names), converters=dict.fromkeys(names, str))
        if len(text) != len(table):
            msg = "a cell goes on in a line that begins with #"
            raise ValueError(msg)
        for name in names:
            table[name] = text[name]


def numbers_of(
    table: Table, name: str, *, source: str | os.PathLike[str] = "", error: type[AstrogalaxyError] = ConfigError
) -> NDArray[np.float64]:
    """Numbers of a column, NaN where they are masked.

    Parameters
    ----------
    table : Table
        Any table.
    name : str
        One of its columns.
    source : path-like, optional
        File that the table was read from, for the message of an error.
    error : type, optional
        Class of that error.

    Returns
    -------
    ndarray of float64
        ``(n,)``, without a unit.

    Raises
    ------
    TypeError, ValueError
        If the column holds something else.
    AstrogalaxyError
        Of the class asked for, instead of these, where the source is given.

    Examples
    --------
    >>> from astropy.table import MaskedColumn, Table
    >>> from astrogalaxy.tables import numbers_of
    >>> numbers_of(Table({"mag": MaskedColumn([21, 22], mask=[False, True])}), "mag")
    array([21., nan])
    """
    try:
        return numbers(table[name])
    except (TypeError, ValueError) as problem:
        if not source:
            raise
        msg = f"{source}: column {name!r} must hold numbers: {problem}"
        raise error(msg) from problem


def numbers(values: ArrayLike) -> NDArray[np.float64]:
    """Numbers of an array, column or quantity, without its unit; NaN where they are masked.

    Parameters
    ----------
    values : array_like, Column or Quantity
        Any shape.

    Returns
    -------
    ndarray of float64
        Of that shape.

    Raises
    ------
    TypeError, ValueError
        If it holds something else.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.tables import numbers
    >>> numbers(np.ma.array([1, 2], mask=[False, True]))
    array([ 1., nan])
    """
    values = getattr(values, "value", values)
    return np.asarray(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan), dtype=float)


def spans(**columns: ArrayLike) -> str:
    """The range of each column, for messages about positions that lie elsewhere.

    Parameters
    ----------
    **columns : array_like
        Numbers, by name; values that are not finite are left out.

    Returns
    -------
    str
        Without the columns that have no finite number.

    Examples
    --------
    >>> from astrogalaxy.tables import spans
    >>> spans(ra=[9.61, 9.72], dec=[-0.8])
    'ra 9.61 to 9.72, dec -0.8'
    """
    ranges = []
    for name, values in columns.items():
        known = numbers(values)
        known = known[np.isfinite(known)]
        if known.size:
            low, high = f"{known.min():.6g}", f"{known.max():.6g}"
            ranges.append(f"{name} {low}" + f" to {high}" * (high != low))
    return ", ".join(ranges)
