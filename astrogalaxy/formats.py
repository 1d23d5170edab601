"""The file formats of a catalogue: one registry from which configuration, files and documentation are made.

It names modules but imports none, so that a ``survey.yml`` is checked without loading any of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from astrogalaxy.errors import MissingExtraError
from astrogalaxy.extras import not_installed

__all__ = ["FORMATS", "Format", "format_of", "format_rows"]


@dataclass(frozen=True)
class Format:
    """One format that a run can write.

    Attributes
    ----------
    name : str
        Name in ``output.formats`` and for ``catalog.write(format=...)``.
    suffixes : tuple of str
        Ends of file names by which it is known; a run gives its files the first one.
    description : str
        What the file is, in one sentence.
    choose : str
        When to take it.
    holds : {"table", "positions", "area"}
        Every column; where the sources are; or which part of the sky was searched.
    reads_back : bool
        Whether ``SourceCatalog.read`` gives back what was written.
    modules : tuple of str
        Modules that are needed and do not come with the package itself.
    extra : str
        The extra that brings them; empty where none is needed.
    most_columns : int or None
        How many columns a table may have; None: any number.

    Examples
    --------
    >>> from astrogalaxy.formats import FORMATS
    >>> FORMATS["votable"].suffix, FORMATS["votable"].reads_back, FORMATS["parquet"].extra
    ('.vot', True, 'formats')
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    choose: str
    holds: Literal["table", "positions", "area"] = "table"
    reads_back: bool = True
    modules: tuple[str, ...] = ()
    extra: str = ""
    most_columns: int | None = None

    @property
    def suffix(self) -> str:
        """End of the names of a run's files."""
        return self.suffixes[0]

    @property
    def missing(self) -> str | None:
        """What must be installed for it, with the command that does so; None where everything is there."""
        return not_installed(f"the format {self.name!r}", self.modules, self.extra)

    def need(self) -> None:
        """Refuse to go on without the modules that it needs.

        Raises
        ------
        MissingExtraError
            Naming the extra that brings them.
        """
        if self.missing is not None:
            raise MissingExtraError(self.missing)

    def excess(self, n_columns: int) -> str | None:
        """What is wrong with so many columns, and what to do; None if the format holds them."""
        if self.most_columns is None or n_columns <= self.most_columns:
            return None
        return (
            f"{self.name} tables have at most {self.most_columns} columns, not {n_columns}: take another format, such "
            "as votable or parquet, or fewer bands or apertures"
        )


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(
            "fits",
            (".fits", ".fit", ".fits.gz", ".fit.gz"),
            "FITS binary table with units, UCDs, descriptions, provenance and checksums.",
            "For general use; astronomical software reads it.",
            most_columns=999,
        ),
        Format(
            "votable",
            (".vot", ".votable", ".xml", ".vot.gz", ".votable.gz", ".xml.gz"),
            "VOTable 1.4 with binary rows, units, UCDs, descriptions and provenance.",
            "For the Virtual Observatory: TOPCAT, Aladin, TAP services.",
        ),
        Format(
            "parquet",
            (".parquet", ".parq"),
            "Apache Parquet, compressed by column, with a VOTable header inside (VOParquet 1.0).",
            "For large catalogues, and for pandas, Polars, DuckDB and Spark.",
            modules=("pyarrow",),
            extra="formats",
        ),
        Format(
            "hats",
            (".hats",),
            "HATS: a folder of Parquet files, divided by HEALPix so that each has about the same number of rows.",
            "For surveys that are too large for one file; LSDB reads and joins them.",
            modules=("hats", "pyarrow"),
            extra="hats",
        ),
        Format(
            "ecsv",
            (".ecsv",),
            "Text in astropy's enhanced CSV, with units, UCDs, descriptions and provenance as YAML.",
            "For small catalogues, and for reading by eye.",
        ),
        Format(
            "regions",
            (".reg",),
            "DS9 regions: a circle for each star, an ellipse for each galaxy.",
            "To overlay on an image in DS9, CARTA or Aladin.",
            holds="positions",
            reads_back=False,
        ),
        Format(
            "moc",
            (".moc.fits",),
            "MOC: the part of the sky that was searched, as HEALPix cells.",
            "To know where a missing source really means that none was found.",
            holds="area",
            reads_back=False,
            modules=("mocpy",),
            extra="formats",
        ),
    )
}
"""The registry, in the order of the documentation."""


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """The format that a file's name tells, or None.

    Parameters
    ----------
    path : path-like
        The longest of the known ends counts; case does not matter.

    Returns
    -------
    Format or None
        An entry of `FORMATS`.

    Examples
    --------
    >>> from astrogalaxy.formats import format_of
    >>> format_of("m31.vot.gz").name, format_of("m31.moc.fits").name
    ('votable', 'moc')
    """
    name = os.fspath(path).lower().rstrip("/")
    known = [(len(suffix), form) for form in FORMATS.values() for suffix in form.suffixes if name.endswith(suffix)]
    return max(known, key=lambda entry: entry[0])[1] if known else None


def format_rows() -> list[tuple[str, str, str, str, str]]:
    """Rows of the documentation's table: name, end of the file's name, extra, what it is, when to take it.

    Returns
    -------
    list of tuple of str
        A row for each format; an empty extra where none is needed.

    Examples
    --------
    >>> from astrogalaxy.formats import format_rows
    >>> format_rows()[0][:3]
    ('fits', '.fits', '')
    """
    return [(form.name, form.suffix, form.extra, form.description, form.choose) for form in FORMATS.values()]
