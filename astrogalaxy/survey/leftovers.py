"""Which files of a run directory runs have written, and which of them are left over from earlier runs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.plan import Plan
from astrogalaxy.survey.store import TILE_FILES, RunDirectory, safe_name, sky_path

__all__ = ["Earlier", "forget_changed", "forget_removed", "listing"]

logger = logging.getLogger(__name__)

# So many fields are named.
_MOST_NAMES = 5


def listing(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Entries of ``run.json`` for files that were written: name, size, and time of the last change."""
    return [entry for path in paths if (entry := _entry(path)) is not None]


def _entry(path: Path) -> dict[str, Any] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return {"name": path.name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


@dataclass(frozen=True)
class Earlier:
    """What earlier runs have left in a run directory; to be made before a run writes anything there.

    Attributes
    ----------
    record : dict
        The ``run.json`` of the last; empty if there is none.
    files : list of Path
        What they wrote beside it and nobody has changed since; a file that somebody has put in the place of one of
        them is not among these.
    """

    record: dict[str, Any]
    files: list[Path]

    @classmethod
    def of(cls, directory: RunDirectory) -> Self:
        """Look at a directory."""
        record = directory.read_json()
        entries = [entry for key in ("files", "earlier_files") for entry in record.get(key, [])]
        # whatever a record says, nothing outside the directory is a run's
        paths = [(directory.path / Path(str(entry.get("name"))).name, entry) for entry in entries]
        return cls(record, [path for path, entry in paths if _entry(path) == entry])

    def vanished(self, name: str, plan: Plan) -> list[str]:
        """Fields of the last run, if it had this name, that a plan has no images of."""
        if self.record.get("name") != name:
            return []
        there = {field.name for field in plan.fields}
        return [entry["name"] for entry in self.record.get("fields", []) if entry["name"] not in there]

    def remarks(self, name: str, plan: Plan) -> list[str]:
        """What to say of these."""
        gone = self.vanished(name, plan)
        if not gone:
            return []
        more = f", and {len(gone) - _MOST_NAMES} more" if len(gone) > _MOST_NAMES else ""
        which = "1 field of the last run has" if len(gone) == 1 else f"{len(gone)} fields of the last run have"
        return [f"{which} no images any more: {', '.join(gone[:_MOST_NAMES])}{more}; the catalogue goes without"]

    def remove(
        self, name: str, written: Iterable[Mapping[str, Any]], keep: Iterable[Path], *, made: bool
    ) -> list[Path]:
        """Remove what a run of the same name has not written again, so that nothing old passes for new.

        Folders stay, and so does everything if the run has made no catalogue or has another name; a warning in the log
        then names what is left of an earlier run.

        Parameters
        ----------
        name : str
            Of the run.
        written : iterable of mapping
            Entries of the files that it wrote; see `listing`.
        keep : iterable of Path
            What the run reads, and what it was to write: if that failed, as on a full disk, the old file stays.

        made : bool
            Whether it has made a catalogue.

        Returns
        -------
        list of Path
            What is left of earlier runs.
        """
        spared = {entry["name"] for entry in written}
        old = [path for path in self.files if path.name not in spared and path.exists()]
        kept = {path.resolve() for path in keep}
        replaced = made and self.record.get("name") == name
        left = [path for path in old if not replaced or path.is_dir() or path.resolve() in kept]
        for path in old:
            if path in left:
                logger.warning(
                    "%s: of an earlier run, this one has not written it; remove it if you need it no more", path
                )
            else:
                path.unlink(missing_ok=True)
                logger.info("removed %s of an earlier run", path)
        return left


def forget_changed(directory: RunDirectory, plan: Plan, changed: Iterable[Failure]) -> None:
    """Remove the tiles of fields whose inputs changed during the run: their keys may not be those of what they saw."""
    names = {failure.field for failure in changed}
    for field in plan.fields:
        if field.name in names:
            _forget(directory.shards(field.name), [])


def forget_removed(directory: RunDirectory, plan: Plan, spared: Collection[str] = ()) -> None:
    """Remove what earlier runs kept of fields that no longer exist, and of tiles that are no longer in the plan.

    Those of the ``spared`` fields stay.
    """
    folders = {safe_name(name) for name in spared}
    fields = {safe_name(field.name): field for field in plan.fields}
    for folder in directory.tiles.glob("*/"):
        if folder.name in folders:
            continue
        field = fields.get(folder.name)
        _forget(folder, [] if field is None else [sky_path(folder, field.key).name, *field.keys])


def _forget(folder: Path, keep: Sequence[str]) -> None:
    """Remove files of tiles from a folder, except those whose tile or name is in ``keep``; and the folder, if empty."""
    kept = set(keep)
    for path in folder.glob("*"):
        ours = TILE_FILES.fullmatch(path.name)
        if ours is not None and not {path.name, ours["tile"]} & kept:
            path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
