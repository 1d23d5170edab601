"""What a run leaves for programs: the record in ``run.json``, of which the next run makes use."""

from __future__ import annotations

import hashlib
import logging
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from astrogalaxy.catalog import provenance
from astrogalaxy.config import SurveyConfig
from astrogalaxy.config.file import sha256
from astrogalaxy.models import ClassifierCard, WeightCard
from astrogalaxy.survey.cluster import Crew
from astrogalaxy.survey.contents import Content
from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.headers import FieldHeaders
from astrogalaxy.survey.plan import FieldPlan, Opened, Plan
from astrogalaxy.survey.store import RECORD_FORMAT
from astrogalaxy.survey.tasks import TileOutcome

__all__ = ["RunRecord", "known_fields", "known_hashes"]

logger = logging.getLogger(__name__)

# Roles of files by the keys of a field's record.
_ROLES = {"inputs": "paths", "masks": "masks", "weights": "weights", "psfs": "psfs"}

# Hashes of more input files than this stand only in ``run.json``; catalogues have one over all of them.
_MOST_HASHES = 200


@dataclass(frozen=True)
class RunRecord:
    """What a run was and what has become of it so far, for ``run.json``, the report and the catalogues.

    Attributes
    ----------
    config : SurveyConfig
        The run.
    card : WeightCard
        Of its weights.
    classifier : ClassifierCard or None
        Of those of its classifier, if it has one.
    plan : Plan
        What was to be done.
    started : datetime
        When it began.
    outcomes : sequence of TileOutcome
        What came of it, tile by tile.
    measured : mapping
        What the sources of each field tell of it, by its name.
    crew : Crew or None
        The workers that did it; None if there was nothing to do.
    failures : tuple of Failure
        What could not be done.
    counts : mapping
        Of the catalogue; empty if there is none.
    sources : mapping of str to int
        Rows of the catalogue by field.
    area : float, optional
        What its fields cover of the sky, overlaps once, square degrees; None where it is not known.
    files, earlier_files : sequence of mapping
        See `~astrogalaxy.survey.leftovers.listing`: what was written, and what is left of earlier runs.
    seconds : mapping of str to float
        Wall time of the stages that are not those of tiles.
    wall_seconds : float
        Of all.
    finished : datetime, optional
        When it ended, but for the report.
    """

    config: SurveyConfig
    card: WeightCard
    classifier: ClassifierCard | None
    plan: Plan
    started: datetime
    outcomes: Sequence[TileOutcome]
    measured: Mapping[str, Any]
    crew: Crew | None
    failures: tuple[Failure, ...]
    counts: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    area: float | None = None
    files: Sequence[Mapping[str, Any]] = ()
    earlier_files: Sequence[Mapping[str, Any]] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    wall_seconds: float = 0.0
    finished: datetime | None = None

    def failed(self, *failures: Failure) -> Self:
        """The record with more that could not be done, which the log is told, too."""
        for failure in failures:
            logger.warning("%s", failure)
        return replace(self, failures=(*self.failures, *failures))

    def to_dict(self) -> dict[str, Any]:
        """Everything in ``run.json``, as plain values."""
        config, crew = self.config, self.crew
        tiles, flaws = _by_field(self.outcomes), _by_field(self.failures)
        seconds: dict[str, float] = defaultdict(float)
        for outcome in self.outcomes:
            for stage, value in outcome.seconds.items():
                seconds[stage] += value
        record = {
            "format": RECORD_FORMAT,
            "name": config.name,
            "status": "failed" if not self.counts else "partial" if self.failures else "complete",
            "started": _moment(self.started),
            "versions": _versions(),
            "weights": {n: getattr(self.card, n) for n in ("name", "version", "sha256", "metrics", "reliability")},
            "config_sha256": config.digest(),
            "images_sha256": _images_digest(config),
            "bands": list(config.images.bands),
            "reference": config.images.reference,
            "workers": crew.workers if crew else 0,
            "threads": crew.threads if crew else 0,
            "device": crew.networks if crew else config.compute.device,
            "fields": [
                {
                    **_field_record(f, flaws[f.name], tiles[f.name]),
                    "sources": self.sources.get(f.name, 0),
                    "measured": self.measured.get(f.name),
                }
                for f in self.plan.fields
            ],
            "tiles": [_tile_record(o) for o in self.outcomes],
            "failures": [asdict(f) for f in self.failures],
            "seconds": {**seconds, **self.seconds},
            "counts": dict(self.counts),
            "area": self.area,
        }
        if self.classifier is not None:
            names = ("name", "version", "sha256", "classes", "metrics")
            record["classifier"] = {n: getattr(self.classifier, n) for n in names}
        record |= {"files": list(self.files), "wall_seconds": self.wall_seconds, "finished": _moment(self.finished)}
        return record | {"earlier_files": list(self.earlier_files)}

    def provenance(self) -> dict[str, Any]:
        """What the run's catalogues tell of it."""
        fields = self.plan.fields
        inputs = [_inputs_record(f.field.paths, f) for f in fields]
        hashes = [entry["sha256"][:16] for by_band in inputs for entry in by_band.values()]
        if len(hashes) > _MOST_HASHES:
            hashes = [hashlib.sha256(",".join(hashes).encode()).hexdigest()]
        return provenance(
            SURVEY=self.config.name, CFGHASH=self.config.digest(), **self.card.provenance,
            NFIELDS=len(fields), NFAILED=len(self.failures), INHASHES=",".join(hashes),
        )  # fmt: skip


def _moment(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")


def _by_field(things: Iterable[Any]) -> defaultdict[str, list[Any]]:
    found = defaultdict(list)
    for thing in things:
        found[thing.field].append(thing)
    return found


def _field_record(plan: FieldPlan, failures: list[Failure], outcomes: list[TileOutcome]) -> dict[str, Any]:
    done = [o for o in outcomes if o.status != "failed"]
    status = "failed" if not done else "partial" if failures or len(done) < len(outcomes) else "done"
    # bands with other failures, such as a missing mask, were used all the same
    lost = {failure.band for outcome in outcomes for failure in outcome.failures}
    return {
        "name": plan.name,
        "status": status,
        "bands": [b for b in plan.bands if b not in lost],
        **plan.headers.to_record(),
        **{key: _inputs_record(plan.field.roles[role], plan) for key, role in _ROLES.items()},
    }


def _inputs_record(paths: Mapping[str, Path], plan: FieldPlan) -> dict[str, Any]:
    """Content of the files when they were hashed, not what may have been written to them since."""
    return {
        band: {"path": str(path), **(plan.inputs[path]._asdict() if path in plan.inputs else {"sha256": ""})}
        for band, path in paths.items()
    }


def _tile_record(outcome: TileOutcome) -> dict[str, Any]:
    record = {name: value for name, value in vars(outcome).items() if name != "failures"}
    record["seconds"] = {stage: round(value, 4) for stage, value in outcome.seconds.items()}
    return record


def known_hashes(record: Mapping[str, Any]) -> dict[str, Content]:
    """Contents of inputs by path, from the record of an earlier run."""
    return {
        entry["path"]: Content(entry["bytes"], entry["mtime_ns"], entry["sha256"])
        for field_record in record.get("fields", [])
        for role in _ROLES
        for entry in field_record.get(role, {}).values()
        if "mtime_ns" in entry
    }


def known_fields(record: Mapping[str, Any], config: SurveyConfig) -> dict[str, Opened]:
    """Fields, by name, that an earlier run with the same images and software opened, and that had no failures."""
    if record.get("images_sha256") != _images_digest(config) or record.get("versions") != _versions():
        return {}
    hashes = known_hashes(record)
    return {
        entry["name"]: Opened(
            {
                role: {band: (file["path"], hashes.get(file["path"])) for band, file in entry.get(key, {}).items()}
                for key, role in _ROLES.items()
            },
            headers,
        )
        for entry in record["fields"]
        if entry["status"] == "done" and (headers := FieldHeaders.from_record(entry)) is not None
    }


def _images_digest(config: SurveyConfig) -> str:
    return sha256(config.images.model_dump(mode="json"))


def _versions() -> dict[str, str]:
    entries = str(provenance()["SOFTWARE"]).split(", ")
    versions = dict(entry.split(" ", 1) for entry in entries)
    return {"astrogalaxy": str(provenance()["CREATOR"]).split()[-1], **versions, "system": platform.platform()}
