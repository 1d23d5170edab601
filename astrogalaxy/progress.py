"""Progress of long work: a bar on a terminal, one in a notebook, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from time import monotonic
from typing import Any

__all__ = ["Progress", "in_notebook", "notebook_bar", "progress_bar", "silent"]

#: Called with (done, total, what is being done); the total is 0 while it is not known.
Progress = Callable[[int, int, str], None]

# Seconds between two updates of a bar in a notebook: each is a message to the browser.
_BETWEEN = 0.2


def silent(_done: int, _total: int, _what: str) -> None:
    """Take progress, and show nothing.

    Parameters
    ----------
    _done, _total, _what
        See `Progress`.

    Examples
    --------
    >>> from astrogalaxy.progress import silent
    >>> silent(1, 2, "tile 1 of field m31")
    """


def in_notebook() -> bool:
    """Whether the code runs in a Jupyter notebook, whose pages show HTML.

    Returns
    -------
    bool
        False also in a terminal's IPython, which shows text.

    Examples
    --------
    >>> from astrogalaxy.progress import in_notebook
    >>> in_notebook()
    False
    """
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    current = shell.get_ipython()
    return current is not None and type(current).__name__ == "ZMQInteractiveShell"


@contextmanager
def progress_bar(*, quiet: bool = False, unit: str = "tiles") -> Iterator[Progress | None]:
    """A bar for the length of some work.

    Parameters
    ----------
    quiet : bool, optional
        Show none.
    unit : str, optional
        What is counted.

    Yields
    ------
    callable or None
        To be called with (done, total, what is being done); None where nothing is shown.

    Examples
    --------
    >>> with progress_bar(unit="images", quiet=True) as progress:
    ...     progress is None
    True
    """
    if quiet:
        yield None
    elif in_notebook():
        with notebook_bar(unit) as progress:
            yield progress
    elif sys.stderr.isatty():
        with _terminal_bar(unit) as progress:
            yield progress
    else:
        yield None


@contextmanager
def _terminal_bar(unit: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn(unit),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, what: str) -> None:
            """Move the bar."""
            bar.update(task, completed=done, total=total or None, description=what)

        yield progress


@contextmanager
def notebook_bar(unit: str = "tiles") -> Iterator[Progress]:
    """A bar in a notebook's page, in plain HTML: no widgets are needed.

    Parameters
    ----------
    unit : str, optional
        What is counted.

    Yields
    ------
    callable
        See `progress_bar`.

    Examples
    --------
    >>> from astrogalaxy.progress import notebook_bar
    >>> with notebook_bar("fields") as progress:  # a notebook shows the bar
    ...     progress(1, 2, "tile 1 of field m31")
    <IPython.core.display.HTML object>
    """
    from IPython.display import HTML, display

    begin, last = monotonic(), 0.0
    handle: Any = display(HTML(_html(0, 0, "", unit, 0.0)), display_id=True)

    def progress(done: int, total: int, what: str) -> None:
        """Draw the bar anew, not too often."""
        nonlocal last
        now = monotonic()
        if handle is not None and (now - last > _BETWEEN or done == total):
            last = now
            handle.update(HTML(_html(done, total, what, unit, now - begin)))

    yield progress


def _html(done: int, total: int, what: str, unit: str, seconds: float) -> str:
    value = f' value="{done}" max="{total}"' if total else ""
    count = f"{done}/{total} {unit}" if total else unit
    return f"<progress{value}></progress> {escape(count)}, {seconds:.0f} s {escape(what)}"
