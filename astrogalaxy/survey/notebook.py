"""What a notebook shows of a run."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astrogalaxy.survey.run import RunSummary

__all__ = ["summary_html"]

_MOST_FAILURES = 10


def summary_html(summary: RunSummary) -> str:
    """Counts, files with links, and failures, in HTML."""
    counts, tiles = summary.counts, summary.tiles
    if not summary.counts:
        lines = ["<b>nothing could be done</b>"]
    else:
        lines = [
            f"<b>{counts['sources']} sources</b>: {counts['stars']} stars, {counts['galaxies']} galaxies",
            f"{tiles['done']} tiles done, {tiles['kept']} kept from before, {tiles['failed']} failed",
            f"{summary.seconds:.1f} s",
        ]
        lines += [_link(path) for path in summary.written]
    lines += [f"failed: {escape(str(failure))}" for failure in summary.failures[:_MOST_FAILURES]]
    left = len(summary.failures) - _MOST_FAILURES
    if left > 0:
        lines.append(f"and {left} more failures: {_link(summary.directory / 'failures.ecsv')}")
    return f"<div>{'<br>'.join(lines)}</div>"


def _link(path: Path) -> str:
    """A link that Jupyter follows: relative to the notebook where the file lies below it."""
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f'<a href="{escape(str(shown))}" target="_blank">{escape(str(shown))}</a>'
