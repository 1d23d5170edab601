"""Verbs of archives: fetch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrogalaxy.cli.common import (
    FAILED,
    LogFile,
    Quiet,
    Verbose,
    check_target,
    echo,
    interruptible,
    progress_bar,
    short,
)
from astrogalaxy.errors import ConfigError, OptionError

if TYPE_CHECKING:
    from astrogalaxy.images.archives import FetchSummary
    from astrogalaxy.progress import Progress

__all__ = ["fetch"]


def fetch(
    archive: Annotated[
        str,
        typer.Argument(metavar="ARCHIVE|SURVEY.yml", help="sdss, panstarrs, skyview or hips2fits; or a survey.yml."),
    ],
    positions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="POSITION...",
            help='In quotes: "10.68 41.27" (degrees), "0:42:44 +41:16:09" or a name. Or a table with ra and dec.',
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Side of the square around each position.")] = "5 arcmin",
    bands: Annotated[
        str | None, typer.Option(help="Bands, such as gri or dss2_blue,dss2_red. The default depends on the archive.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the images.")] = Path("images"),
    init: Annotated[
        Path | None, typer.Option(metavar="SURVEY.yml", help="Write a survey.yml that runs on the fetched images.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Let --init replace an existing file.")] = False,
    retries: Annotated[int, typer.Option(min=0, help="How often a failed request is repeated.")] = 3,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Fetch images around positions from an archive, with a survey.yml to run on them.

    Images that are there already are not fetched again. Failures are listed, and the same command
    retries them. With a survey.yml, the images that its images.archive describes are fetched.
    """
    if init is not None:
        check_target(init, option="--init", force=force)
    going_on = interruptible("fetched images are kept, and the same command fetches the rest")
    with going_on, progress_bar(quiet=quiet, unit="images") as progress:
        if archive.endswith((".yml", ".yaml")):
            summary = _from_survey(Path(archive), positions, retries, progress)
        else:
            from astrogalaxy.images.archives import fetch as fetch_images

            summary = fetch_images(
                archive, positions or (), size=_angle(size), bands=_bands(bands), folder=output.resolve(),
                retries=retries, progress=progress,
            )  # fmt: skip
    _print(summary, quiet=quiet)
    if summary.files and not archive.endswith((".yml", ".yaml")):
        _next_step(summary, positions or [], size, init, quiet=quiet)
    raise typer.Exit(summary.exit_code)


def _from_survey(path: Path, positions: list[str] | None, retries: int, progress: Progress | None) -> FetchSummary:
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.images.archives import fetch_survey

    if positions:
        msg = f"{path} gives the positions itself; leave out {positions[0]!r}"
        raise OptionError(msg)
    summary = fetch_survey(SurveyConfig.read(path).images, progress=progress, retries=retries)
    if summary is None:
        msg = f"{path}: images.archive is null, so there is nothing to fetch"
        raise ConfigError(msg)
    return summary


def _print(summary: FetchSummary, *, quiet: bool) -> None:
    for loss in summary.losses:
        typer.secho(f"failed: {loss}", fg="red", err=True)
    if not summary.files:
        typer.secho("error: no image could be fetched", fg="red", err=True)
        raise typer.Exit(FAILED)
    n, old = len(summary.files), len(summary.files) - summary.fetched
    known = f", {old} of them already there" if old else ""
    echo(f"{n} image{'s'[: n != 1]} in {short(summary.folder)}{known}", quiet=quiet)


def _next_step(summary: FetchSummary, positions: list[str], size: str, init: Path | None, *, quiet: bool) -> None:
    from astrogalaxy.files import write_text
    from astrogalaxy.images.archives.survey import survey_yaml

    file = init or Path("survey.yml")
    text = survey_yaml(summary, positions, size, file=file)
    if init is None:
        echo(f"save this as {file}, then: astrogalaxy run {file}\n\n{text.rstrip()}", quiet=quiet)
        return
    write_text(init, text)
    echo(f"wrote {init}; next: astrogalaxy run {init}", quiet=quiet)


def _bands(text: str | None) -> list[str] | None:
    """Bands from gri, or from names with commas."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    return names if "," in text or "_" in text else list(text.strip())


def _angle(text: str) -> object:
    """An angle such as 10arcmin."""
    from astropy.coordinates import Angle
    from astropy.units import UnitsError

    try:
        return Angle(text)
    except (TypeError, ValueError, UnitsError):
        msg = f"--size {text}: must be an angle such as 10arcmin"
        raise OptionError(msg) from None
