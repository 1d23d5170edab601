"""The command line: one thin function per verb, by groups; the work is done elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from astrogalaxy.cli import archives, cutouts, evaluation, results, scenes, surveys, training, weights
from astrogalaxy.cli.common import FAILED, INTERRUPTED, WRONG, LogFile, Verbose, stop
from astrogalaxy.errors import AstrogalaxyError, ConfigError
from astrogalaxy.files import DISK_ERRORS

__all__ = ["app", "main"]

app = typer.Typer(
    name="astrogalaxy",
    help="From a survey's FITS images to one catalogue of stars and galaxies.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command(epilog="Example: astrogalaxy run pipelines/quickstart.yml")(surveys.run)
app.command(epilog="Example: astrogalaxy check pipelines/quickstart.yml")(surveys.check)
app.command(epilog="Example: astrogalaxy init sdss -o survey.yml")(surveys.init)
app.command(epilog='Example: astrogalaxy fetch sdss "179.689 -0.454" --size 5arcmin --bands gri --init survey.yml')(
    archives.fetch
)
app.command(epilog="Example: astrogalaxy simulate sdss --size 256 --seed 3 -o scene")(scenes.simulate)
app.command(epilog="Example: astrogalaxy train pipelines/recipes/astroyolo-nano-simulated.yml")(training.train)
app.command(epilog="Example: astrogalaxy evaluate out/survey.fits truth.csv --radius 3")(evaluation.evaluate)
app.command(epilog="Example: astrogalaxy view quickstart-out --regions sources.reg")(results.view)
app.command(epilog="Example: astrogalaxy classify galaxy.jpg -o galaxies.csv")(cutouts.classify)
app.command(epilog="Example: astrogalaxy explain galaxy.jpg --model galaxyzoo-fine")(cutouts.explain)
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line; errors meant for the user are one line, not a traceback."""
    try:
        app()
    except ConfigError as error:
        stop(str(error), WRONG, page=error.page)
    except AstrogalaxyError as error:
        stop(str(error), FAILED, page=error.page)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        # a library's own folders, or what the command prints, of which there is no name
        stop(f"{error.filename or 'the output'}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        stop("stopped", INTERRUPTED)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"astrogalaxy {version('astrogalaxy')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Options of every verb."""
