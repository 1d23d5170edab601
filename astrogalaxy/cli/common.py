"""What the verbs share: options, exit codes, errors, the log, and what Ctrl-C says."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from astrogalaxy.errors import AstrogalaxyError, ConfigError, OptionError
from astrogalaxy.files import LogHandler
from astrogalaxy.progress import progress_bar

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "PARTLY",
    "TERMINATED",
    "WRONG",
    "LogFile",
    "Quiet",
    "Verbose",
    "argument",
    "check_free",
    "check_target",
    "echo",
    "explained_by",
    "interruptible",
    "make_folder",
    "progress_bar",
    "short",
    "stop",
    "warn",
]

# Exit codes: 0 done, 1 nothing could be done, 2 the command or configuration is wrong, 3 partly done,
# 130 stopped by the user and 143 by SIGTERM, as shells have it.
FAILED, WRONG, PARTLY, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143


def _log_to_terminal(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        _attach(context, handler)
    return wanted


def _log_to_file(context: typer.Context, path: Path | None) -> Path | None:
    if path is not None:
        try:
            handler = LogHandler(path)
        except OSError as error:
            msg = f"--log-file {path}: cannot be written ({error.strerror})"
            raise OptionError(msg) from error
        _attach(context, handler)
    return path


def _attach(context: typer.Context, handler: logging.Handler) -> None:
    """Send the package's log to a handler until the command ends."""
    package = logging.getLogger("astrogalaxy")
    level = package.level
    package.addHandler(handler)
    package.setLevel(logging.INFO)

    def detach() -> None:
        """Close the log file, and leave logging as it was."""
        package.removeHandler(handler)
        package.setLevel(level)
        handler.close()

    context.call_on_close(detach)


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors, and no progress bar.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_log_to_terminal, help="Print the log to standard error.")
]
LogFile = Annotated[
    Path | None,
    typer.Option("--log-file", metavar="FILE", callback=_log_to_file, help="Also append the log to this file."),
]


def stop(message: str, code: int, *, page: str = "") -> NoReturn:
    """Print an error, a line for each of its lines, and where it is explained; end with an exit code."""
    typer.secho("\n".join(f"error: {line}" for line in message.splitlines()) + _docs(page), fg="red", err=True)
    raise SystemExit(code)


def _docs(page: str) -> str:
    """A link to a page of the documentation, or its name where the package says no address."""
    if not page:
        return ""
    from importlib.metadata import metadata

    addresses = [
        line.partition(", ")[2]
        for line in metadata("astrogalaxy").get_all("Project-URL") or ()
        if line.lower().startswith("documentation")
    ]
    return f" [docs: {addresses[0].rstrip('/')}/{page}.html]" if addresses else f" [docs: {page}]"


def echo(text: str, *, quiet: bool = False) -> None:
    """Print to standard output, unless it shall be quiet."""
    if not quiet:
        typer.echo(text)


@contextmanager
def argument() -> Iterator[None]:
    """Say that the command was called wrongly where what its arguments name is missing or cannot serve.

    Yields
    ------
    None

    Raises
    ------
    ConfigError
        With the message, and the page, of any other error.
    """
    try:
        yield
    except ConfigError:
        raise
    except AstrogalaxyError as error:
        wrong = ConfigError(str(error))
        wrong.page = error.page
        raise wrong from error


def check_free(path: Path, *, option: str = "--output", force: bool) -> None:
    """Refuse, before anything is done, to replace a file unasked."""
    if path.exists() and not force:
        msg = f"{path} exists; give another name with {option}, or --force"
        raise OptionError(msg)


def check_target(path: Path, *, option: str = "--output", force: bool) -> None:
    """Refuse, before anything is done, to replace a file unasked, and to write where there is no folder."""
    check_free(path, option=option, force=force)
    if not path.parent.exists():
        msg = f"{option} {path}: the folder {path.parent} does not exist; make it first"
        raise OptionError(msg)


def make_folder(path: Path) -> None:
    """Make the folder that ``--output`` names."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"--output {path}: the folder cannot be created ({error.strerror}); choose another one"
        raise OptionError(msg) from error


def warn(text: str) -> None:
    """Print what does not stop a command, but may not be what was meant."""
    typer.secho(f"warning: {text}", fg="yellow", err=True)


@contextmanager
def explained_by(page: str) -> Iterator[None]:
    """Let errors of a configuration name the page of the documentation that explains it.

    Parameters
    ----------
    page : str
        Such as ``reference/recipe``.

    Yields
    ------
    None
    """
    try:
        yield
    except ConfigError as error:
        error.page = page
        raise


@contextmanager
def interruptible(how_to_go_on: str) -> Iterator[None]:
    """Let Ctrl-C or SIGTERM end the command with one sentence that says what is kept and how to go on.

    Parameters
    ----------
    how_to_go_on : str
        The sentence, without its beginning "stopped;".

    Yields
    ------
    None
    """
    try:
        with _terminable():
            yield
    except KeyboardInterrupt as stopped:
        typer.secho(f"stopped; {how_to_go_on}", fg="yellow", err=True)
        raise typer.Exit(TERMINATED if isinstance(stopped, _Terminated) else INTERRUPTED) from None


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it when time is up."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM an interruption: what Ctrl-C closes and tidies up, it does too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> NoReturn:
        """Interrupt what is under way."""
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def short(path: Path) -> Path:
    """The path from here where it lies below, else the whole."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
