"""Look at what a run has made: its report, its catalogue as regions or in other programs."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from astrogalaxy.catalog import CatalogError, SourceCatalog
from astrogalaxy.catalog.samp import Delivery, send_image, send_table
from astrogalaxy.errors import AstrogalaxyError, RunError
from astrogalaxy.formats import FORMATS, format_of
from astrogalaxy.survey.store import RunDirectory

__all__ = ["Results", "find_results", "open_in_browser", "read_catalog"]


@dataclass(frozen=True)
class Results:
    """What there is to look at.

    Attributes
    ----------
    report : Path or None
        The run's report.
    catalogs : dict of str to Path
        The catalogue's files by format.
    status : str
        How the run ended: ``complete``, ``partial`` or ``failed``; empty where that is not known.
    """

    report: Path | None
    catalogs: dict[str, Path]
    status: str = ""

    def read(self) -> SourceCatalog:
        """Read the catalogue.

        Raises
        ------
        RunError
            If there is none that can be read.
        """
        return SourceCatalog.read(self._catalog([name for name in FORMATS if FORMATS[name].reads_back]))

    def write_regions(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write the sources as DS9 regions; give their number.

        Raises
        ------
        RunError
            If no catalogue can be read.
        FileExistsError
            If the file exists and ``overwrite`` is false.
        """
        catalog = self.read()
        catalog.write(path, format="regions", overwrite=overwrite)
        return len(catalog)

    def send(self, *, image: str | os.PathLike[str] | None = None) -> list[Delivery]:
        """Send the catalogue, and an image, to the programs that take them over SAMP.

        Raises
        ------
        RunError
            If there is no FITS or VOTable to send.
        CatalogError
            If no hub or no such program is running.
        """
        sent = send_table(self._catalog(["votable", "fits"]))
        return sent if image is None else [*sent, *send_image(image)]

    def _catalog(self, wanted: list[str]) -> Path:
        for name in wanted:
            if name in self.catalogs:
                return self.catalogs[name]
        have = ", ".join(path.name for path in self.catalogs.values()) or "nothing"
        msg = f"the catalogue is needed as {' or '.join(wanted)}, but there is {have}; add it to output.formats"
        raise RunError(msg)


def find_results(path: str | os.PathLike[str]) -> Results:
    """Find what belongs to a run directory or to a catalogue.

    Parameters
    ----------
    path : path-like
        The directory of a run, or a catalogue in any format.

    Returns
    -------
    Results
        For a catalogue, the report is the one that lies beside it.

    Raises
    ------
    RunError
        If there is nothing, or neither of both.
    """
    path = Path(path)
    form = format_of(path)
    if not path.exists():
        msg = f"{path}: no such run directory or catalogue"
        raise RunError(msg)
    if form is not None and path.is_dir() == (form.name == "hats"):
        report = RunDirectory(path.absolute().parent, path.stem).report
        return Results(report if report.is_file() else None, {form.name: path})
    if not path.is_dir():
        known = ", ".join(known.suffix for known in FORMATS.values() if known.reads_back)
        msg = f"{path}: neither a run directory nor a catalogue; the names of catalogues end with {known}"
        raise RunError(msg)
    return _of_run(path)


def _of_run(path: Path) -> Results:
    record = RunDirectory(path, "").read_json()
    try:
        directory = RunDirectory(path, str(record["name"]))
        # other files there are of an earlier run; the oldest records have no list
        written = {entry["name"] for entry in record["files"]} if "files" in record else None
    except (LookupError, TypeError) as error:
        msg = f"{path}: not a run directory, it has no run.json that can be read; is the run finished?"
        raise RunError(msg) from error

    def is_there(file: Path) -> bool:
        """Whether a file is there, and of the last run."""
        return file.exists() and (written is None or file.name in written)

    catalogs = {form: file for form in FORMATS if is_there(file := directory.catalog(form))}
    report = directory.report if is_there(directory.report) else None
    return Results(report, catalogs, str(record.get("status", "")))


def read_catalog(path: Path) -> SourceCatalog:
    """Read the catalogue of a run directory or of a file, also of one that is not ours.

    Raises
    ------
    RunError
        If the directory holds no catalogue that can be read.
    CatalogError
        If the file cannot be read as one.
    """
    if not path.is_file():
        return find_results(path).read()
    try:
        return SourceCatalog.read(path)
    except AstrogalaxyError:
        raise
    except Exception as error:  # every one of astropy's readers has its own kinds of errors
        reason = " ".join(str(error).split())[:200]
        msg = f"{path}: cannot be read as a catalogue: {reason or type(error).__name__}"
        raise CatalogError(msg) from error


def open_in_browser(path: Path) -> bool:
    """Open a file in the user's browser; false where there is none, or no display for it."""
    unix = os.name == "posix" and sys.platform != "darwin"
    if unix and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        # A browser for the terminal would take it over.
        return False
    try:
        return webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        return False
