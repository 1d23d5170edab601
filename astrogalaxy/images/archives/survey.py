"""A survey.yml for what was fetched."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from astrogalaxy.config.paths import TABLES
from astrogalaxy.config.yaml import flow

if TYPE_CHECKING:
    from astrogalaxy.images.archives.fetch import FetchSummary

__all__ = ["survey_yaml"]


def survey_yaml(summary: FetchSummary, positions: Sequence[str], size: str, *, file: Path) -> str:
    """The text of a survey.yml that runs on fetched images.

    Parameters
    ----------
    summary : FetchSummary
        What came.
    positions : sequence of str
        What was asked for, as it was written.
    size : str
        The size, as it was written.
    file : Path
        Where the text will be: its paths are relative to that.

    Returns
    -------
    str
        With comments.
    """
    archive, bands = summary.archive, list(summary.bands)
    folder = _relative(summary.folder, file)
    name = _survey_name(archive.name, positions)
    places = [_relative(one, file) if one.lower().endswith(TABLES) else one for one in positions]
    comment = [f"# Images of {archive.title}, fetched with 'astrogalaxy fetch'."]
    comment += [f"# {line}" for line in wrap(archive.note, 96)]
    comment += [f"# {archive.docs}"] if archive.docs else []
    zero = "null: fluxes are in image units" if archive.zeropoint is None else "AB magnitude of one image unit"
    lines = [
        *comment,
        f"name: {flow(name)}",
        "images:",
        "  # A run first fetches the images that are missing. Remove this key to use only those that are there.",
        f"  archive: {flow({'name': archive.name, 'position': places, 'size': size})}",
        f"  path: {flow(os.path.join(folder, archive.pattern))}",
        f"  bands: {flow(bands)}",
        f"  reference: {flow(bands[len(bands) // 2])}",
        f"  hdu: {flow(archive.hdu)}",
        f"  # {zero}.",
        f"  zeropoint: {flow(archive.zeropoint)}",
        "output:",
        f"  directory: {flow(name + '-out')}",
    ]
    return "\n".join(lines) + "\n"


def _survey_name(archive: str, positions: Sequence[str]) -> str:
    """A name for files: of the archive, and of the only position or the table that was asked for."""
    only = positions[0] if len(positions) == 1 else ""
    if only.lower().endswith(TABLES):
        only = Path(only).stem
    return re.sub(r"[^a-z0-9.+-]+", "_", f"{archive}-{only}".lower())[:60].strip("._+-")


def _relative(path: str | Path, file: Path) -> str:
    """A path as seen from the folder of a file."""
    return Path(os.path.relpath(Path(path).resolve(), file.resolve().parent)).as_posix()
