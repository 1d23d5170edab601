"""The run directory: what is in it, and how it is written so that nothing is half there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from astrogalaxy.config import SurveyConfig
from astrogalaxy.files import write_text
from astrogalaxy.folders import LOCK, locked, unwritable
from astrogalaxy.formats import FORMATS

__all__ = ["TILE_FILES", "RunDirectory", "TileContent", "safe_name", "sky_path", "tile_path"]

#: What the files of a tile hold.
TileContent = Literal["rows", "preview", "gallery"]

#: ``format`` of ``run.json``.
RECORD_FORMAT = 1
#: Names of what lies in the folder of a field: see `tile_path` and `sky_path`.
TILE_FILES = re.compile(r"(?P<tile>x\d+y\d+)\.(rows|preview|gallery)\.npz|sky-[0-9a-f]{16}\.npz")
# First line of a survey.yml that a run has written, and may replace.
_FROZEN = "# The settings of a run, every key written out; written anew by each run into this folder.\n"


def safe_name(field: str) -> str:
    """Name of a field's folder: fields are named after files, and the name must not lead out of the directory."""
    safe = re.sub(r"[^\w.+-]", "_", field).lstrip(".")
    if safe == field == field.lower():
        return safe or "field"
    # names that differ only in what was replaced must not share a folder, nor, where the disk makes no difference
    # between large letters and small ones, those that differ only in these
    return f"{safe[:50]}-{hashlib.sha256(os.fsencode(field)).hexdigest()[:8]}".lstrip("-")


def tile_path(folder: Path, tile: str, content: TileContent) -> Path:
    """File of a tile in the folder of its field: its catalogue, its picture, or pictures of its classified galaxies."""
    return folder / f"{tile}.{content}.npz"


def sky_path(folder: Path, field_key: str) -> Path:
    """File of a field's sky in its folder; named by content, so that a changed input cannot find the old one."""
    return folder / f"sky-{field_key[:16]}.npz"


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run's results.

    Parameters
    ----------
    path : Path
        The directory.
    name : str
        Name of the survey: the catalogues are ``<name>.fits`` and ``<name>.vot``.
    """

    path: Path
    name: str

    @classmethod
    def of(cls, config: SurveyConfig) -> Self:
        """The one that a survey's settings name."""
        return cls(Path(config.output.directory), config.name)

    @property
    def report(self) -> Path:
        """The report for the browser."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What happened, line by line."""
        return self.path / "run.log"

    @property
    def lock(self) -> Path:
        """Held by the run that is at work."""
        return self.path / LOCK

    @property
    def record(self) -> Path:
        """What was done, for programs."""
        return self.path / "run.json"

    @property
    def fields(self) -> Path:
        """A row for each field."""
        return self.path / "fields.ecsv"

    @property
    def failures(self) -> Path:
        """What could not be done."""
        return self.path / "failures.ecsv"

    @property
    def settings(self) -> Path:
        """The settings of the run, every key written out."""
        return self.path / "survey.yml"

    @property
    def tiles(self) -> Path:
        """Folder of the shards of all fields."""
        return self.path / "tiles"

    @property
    def waiting(self) -> Path:
        """Where finished fields wait for each other."""
        return self.path / ".fields"

    def catalog(self, format_: str) -> Path:
        """The catalogue in one of its formats."""
        return self.path / f"{self.name}{FORMATS[format_].suffix}"

    def shards(self, field: str) -> Path:
        """Folder of a field's shards; it need not be there."""
        return self.tiles / safe_name(field)

    @property
    def fixed(self) -> list[Path]:
        """Files and folders of every run, whatever its name; no catalogue may have the name of one of them."""
        return [
            self.report, self.settings, self.record, self.fields, self.failures, self.log, self.lock, self.tiles,
            self.waiting,
        ]  # fmt: skip

    def targets(self, formats: Iterable[str]) -> list[Path]:
        """Every file that a run with these formats replaces, and every folder that it empties."""
        return [*(self.catalog(name) for name in formats), *self.fixed]

    def has_foreign_settings(self) -> bool:
        """Whether there is a survey.yml here that no run has written."""
        if not os.path.isfile(self.settings):
            return False
        try:
            with self.settings.open("rb") as file:
                return file.read(len(_FROZEN)) != _FROZEN.encode()
        except OSError:  # a file that cannot be read must not be replaced either
            return True

    def write_settings(self, text: str) -> None:
        """Write ``survey.yml`` atomically, with a comment by which the next run knows it as a run's."""
        write_text(self.settings, _FROZEN + text)

    def check(self) -> None:
        """Raise what `locked` would raise for a directory that cannot be made or written to, without making anything.

        Raises
        ------
        RunError
            If it is no folder or lies in none, may not be written to, or has folders in the place of files.
        """
        nearest = next(path for path in (self.path, *self.path.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise unwritable(self.path, errno.EEXIST if nearest == self.path else errno.ENOTDIR)
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise unwritable(self.path, errno.EACCES)
        # these may belong to somebody else who can write to the folder, too
        for path in (self.lock, self.log, self.tiles):
            if path.exists() and not os.access(path, os.W_OK):
                raise unwritable(self.path, errno.EACCES, path)
        for path in (self.settings, self.record, self.fields, self.failures):
            if path.is_dir():
                raise unwritable(self.path, errno.EISDIR, path)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the directory for one run; see `~astrogalaxy.folders.locked`."""
        return locked(self.path)

    def write_json(self, record: Mapping[str, Any]) -> None:
        """Write ``run.json`` atomically."""
        write_text(self.record, json.dumps(record, indent=1, allow_nan=False) + "\n")

    def read_json(self) -> dict[str, Any]:
        """What an earlier run recorded; empty where there is no ``run.json``, it is damaged, or of another program."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) and record.get("format") == RECORD_FORMAT else {}
