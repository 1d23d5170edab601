"""What a run tells of itself when it has ended, to programs and to notebooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.errors import RunError
from astrogalaxy.formats import format_of
from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.store import RunDirectory

__all__ = ["RunSummary"]

# Most failures that a notebook shows.
_MOST_FAILURES = 10


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes
    ----------
    directory : Path
        The run directory.
    files : list of Path
        Catalogues written.
    counts : dict
        Sources, stars, galaxies, unsure, duplicates.
    failures : list of Failure
        What could not be done.
    tiles : dict of str to int
        Tiles by status: done, kept, failed.
    seconds : float
        Wall time.
    remarks : list of str
        What is odd about the inputs, though nothing failed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.survey import Failure, RunSummary
    >>> summary = RunSummary(Path("out"), failures=[Failure("m31", "open", "m31-r.fits: no such file")])
    >>> summary.exit_code  # nothing could be done
    1
    """

    directory: Path
    files: list[Path] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    tiles: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @cached_property
    def catalog(self) -> SourceCatalog | None:
        """The catalogue, read back when it is asked for first; None if nothing could be done.

        Raises
        ------
        RunError
            If no format was written that holds all columns.
        """
        if not self.counts:
            return None
        for path in self.files:
            form = format_of(path)
            if form is not None and form.reads_back:
                return SourceCatalog.read(path)
        msg = f"{self.directory}: no catalogue was written that can be read back; add fits to output.formats"
        raise RunError(msg)

    @property
    def written(self) -> list[Path]:
        """Catalogues, and the report and the table of fields if they could be written."""
        if not self.counts:
            return self.files
        paths = RunDirectory(self.directory, "")
        failed = {failure.stage for failure in self.failures}
        others = {"report": paths.report, "fields": paths.fields}
        return [*self.files, *(path for stage, path in others.items() if stage not in failed)]

    @property
    def exit_code(self) -> int:
        """0: all done; 1: nothing could be done; 3: a catalogue, but something failed."""
        if not self.counts:
            return 1
        return 3 if self.failures else 0

    def _repr_html_(self) -> str:
        """What was done, with links to the files, for notebooks."""
        counts, tiles = self.counts, self.tiles
        if not counts:
            lines = ["<b>nothing could be done</b>"]
        else:
            lines = [
                f"<b>{counts['sources']} sources</b>: {counts['stars']} stars, {counts['galaxies']} galaxies",
                f"{tiles['done']} tiles done, {tiles['kept']} kept from before, {tiles['failed']} failed",
                f"{self.seconds:.1f} s",
            ]
            lines += [_link(path) for path in self.written]
        lines += [f"warning: {escape(remark)}" for remark in self.remarks]
        lines += [f"failed: {escape(str(failure))}" for failure in self.failures[:_MOST_FAILURES]]
        left = len(self.failures) - _MOST_FAILURES
        if left > 0:
            lines.append(f"and {left} more failures: {_link(self.directory / 'failures.ecsv')}")
        return f"<div>{'<br>'.join(lines)}</div>"


def _link(path: Path) -> str:
    """A link that Jupyter follows: relative to the notebook where the file lies below it."""
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f'<a href="{escape(str(shown))}" target="_blank">{escape(str(shown))}</a>'
