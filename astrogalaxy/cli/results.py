"""Verbs of results: view."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrogalaxy.cli.common import PARTLY, LogFile, Verbose, argument, check_target, short, warn
from astrogalaxy.errors import OptionError
from astrogalaxy.formats import FORMATS, format_of

if TYPE_CHECKING:
    from astrogalaxy.catalog.samp import Delivery

__all__ = ["view"]


def view(
    results: Annotated[
        Path, typer.Argument(metavar="RUN_DIR|CATALOGUE", help="Output directory of a run, or a catalogue.")
    ],
    regions: Annotated[
        Path | None, typer.Option(metavar="OUT.reg", help="Write the sources as DS9 regions, to overlay on an image.")
    ] = None,
    samp: Annotated[
        bool, typer.Option("--samp", help="Send the catalogue to TOPCAT, Aladin and similar programs.")
    ] = False,
    image: Annotated[Path | None, typer.Option(metavar="IMG.fits", help="With --samp: also send this image.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing region file.")] = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Open a run's report in the browser, write its sources as regions, or send them to other programs.

    Programs on this machine are reached over SAMP: start TOPCAT or Aladin first.
    """
    from astrogalaxy.survey.view import find_results, open_in_browser

    if image is not None and not samp:
        msg = "--image is sent over SAMP; add --samp"
        raise OptionError(msg)
    if regions is not None:
        form = format_of(regions)
        if form is None or form.name != "regions":
            msg = f"--regions {regions}: the name must end in {' or '.join(FORMATS['regions'].suffixes)}"
            raise OptionError(msg)
        check_target(regions, option="--regions", force=force)
    with argument():
        found = find_results(results)
    if found.status not in {"", "complete"}:
        warn(f"{results}: the run is {found.status}; its failures.ecsv lists what could not be done")
    if regions is not None:
        number = found.write_regions(regions, overwrite=force)
        typer.echo(f"wrote {number} regions to {short(regions)}")
    if samp:
        _send(found.send(image=image))
    if regions is None and not samp:
        if found.report is None:
            msg = f"{results}: there is no report; --regions and --samp work with the catalogue alone"
            raise OptionError(msg)
        opened = open_in_browser(found.report)
        typer.echo(f"{'opened' if opened else 'no browser to open it with:'} {short(found.report)}")


def _send(deliveries: list[Delivery]) -> None:
    """Say who took what."""
    for delivery in deliveries:
        if delivery.problem:
            typer.secho(f"{delivery.program} did not take {delivery.path.name}: {delivery.problem}", fg="red", err=True)
        else:
            typer.echo(f"sent {delivery.path.name} to {delivery.program}")
    if any(delivery.problem for delivery in deliveries):
        raise typer.Exit(PARTLY)
