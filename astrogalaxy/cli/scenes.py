"""Verbs that make images: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrogalaxy.cli.common import check_free, make_folder
from astrogalaxy.errors import OptionError, need

__all__ = ["simulate"]


def simulate(
    survey: Annotated[str, typer.Argument(metavar="SURVEY", help="Survey to imitate: sdss, decam, hsc or panstarrs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")] = Path("scene"),
    size: Annotated[int, typer.Option(min=32, help="Side in pixels.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same scene.")] = 0,
    artefacts: Annotated[bool, typer.Option(help="Add occasional cosmic rays, trails and bad columns.")] = True,
    compress: Annotated[bool, typer.Option("--compress", help="Compress the images with Rice compression.")] = False,
    name: Annotated[str | None, typer.Option(help="Beginning of the file names.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace existing files.")] = False,
) -> None:
    """Simulate a field: a FITS image for each band, the true sources, and a survey.yml to run."""
    need("galsim", "train")
    from astrogalaxy.simulation import PROFILES, simulate_scene
    from astrogalaxy.simulation.write import scene_files, write_scene

    if survey not in PROFILES:
        msg = f"there is no survey {survey!r} to imitate; choose from {', '.join(PROFILES)}"
        raise OptionError(msg)
    profile, name = PROFILES[survey], name or f"{survey}-{seed}"
    for path in scene_files(profile.bands, output, name=name):
        check_free(path, force=force)
    make_folder(output)
    scene = simulate_scene(profile, size=size, seed=seed, artefacts=artefacts, accurate=True)
    for path in write_scene(scene, output, name=name, compress=compress):
        typer.echo(str(path))
