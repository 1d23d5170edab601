"""What a run writes at its end: the catalogue in each format, and the area that was searched."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import CatalogWriter, SourceCatalog, covered_area, write_moc
from astrogalaxy.catalog.coverage import union_area
from astrogalaxy.config import SurveyConfig
from astrogalaxy.images import Section
from astrogalaxy.images.fields import open_field
from astrogalaxy.survey.failures import Failure, reason_of
from astrogalaxy.survey.headers import outline_of
from astrogalaxy.survey.plan import FieldPlan, Plan
from astrogalaxy.survey.store import RunDirectory
from astrogalaxy.survey.tasks import TileOutcome

__all__ = ["footprints", "searched_area", "write_products"]

logger = logging.getLogger(__name__)

# Of more fields the area is not computed: pairs of them grow with their square. Up to here it is little beside finding
# their sources.
_MANY_FIELDS = 10_000


def write_products(
    chunks: Iterable[SourceCatalog],
    meta: Mapping[str, Any],
    config: SurveyConfig,
    directory: RunDirectory,
    plan: Plan,
    outcomes: Sequence[TileOutcome],
) -> tuple[list[Path], list[Failure]]:
    """Write every format of ``output.formats``; if one cannot be written, the others still are.

    Parameters
    ----------
    chunks : iterable of SourceCatalog
        The rows; one chunk is held at a time.
    meta : mapping
        Provenance.
    config : SurveyConfig
        The run.
    directory : RunDirectory
        Where to write.
    plan : Plan
        Its fields.
    outcomes : sequence of TileOutcome
        What came of the tiles of those that are in the catalogue.

    Returns
    -------
    files : list of Path
        What was written.
    failures : list of Failure
        One for each format that could not be written.
    """
    paths = {name: directory.catalog(name) for name in config.output.formats}
    tables = [path for name, path in paths.items() if name != "moc"]
    errors: dict[Path, Exception] = {}
    n = 0
    if tables:
        with CatalogWriter(*tables, meta=meta, overwrite=True, keep_going=True) as writer:
            for chunk in chunks:
                writer.write(chunk)
        errors, n = writer.errors, len(writer)
    else:
        n = sum(len(chunk) for chunk in chunks)
    if "moc" in paths:
        try:
            write_moc(covered_area(footprints(plan, outcomes, config)), paths["moc"], meta=meta, overwrite=True)
        except Exception as error:  # noqa: BLE001 (the other formats are there)
            errors[paths["moc"]] = error
    failures = [
        Failure("(catalogue)", "write", f"no {path.name}: {reason_of(error, path.name)}")
        for path, error in errors.items()
    ]
    files = [path for path in paths.values() if path not in errors]
    for path in files:
        logger.info("wrote %s, %d sources", path, n)
    return files, failures


def footprints(plan: Plan, outcomes: Sequence[TileOutcome], config: SurveyConfig) -> Iterator[NDArray[np.float64]]:
    """Outlines of what was searched: whole fields, or their tiles where some failed.

    Yields
    ------
    ndarray
        ``(n, 2)`` right ascension and declination (ICRS, degrees) of an outline's corners.
    """
    done = {(outcome.field, outcome.tile) for outcome in outcomes if outcome.status != "failed"}
    for field_plan in plan.fields:
        tiles = [tile for tile in field_plan.tiles if (field_plan.name, tile.name) in done]
        if not tiles:
            continue
        outline = field_plan.headers.outline
        if outline and len(tiles) == len(field_plan.tiles):
            yield np.array(outline)
        else:
            yield from _outlines(field_plan, [tile.core for tile in tiles], config)


def searched_area(plan: Plan, outcomes: Sequence[TileOutcome], config: SurveyConfig) -> float | None:
    """Square degrees that were searched, overlaps counted once; None where it is not known, or of too many fields."""
    if len(plan.fields) > _MANY_FIELDS:
        return None
    try:
        area = union_area(footprints(plan, outcomes, config))
    except Exception as error:  # noqa: BLE001 (a number for the record, whose catalogue is written)
        logger.info("the area that was searched is not known: %s", reason_of(error, "its outlines"))
        return None
    return area if np.isfinite(area) else None


def _outlines(
    field_plan: FieldPlan, sections: Sequence[Section], config: SurveyConfig
) -> Iterator[NDArray[np.float64]]:
    """Those of parts of a field, which is opened for them."""
    reference = str(config.images.reference)
    wcs = open_field(field_plan.field, config.images, bands=[reference]).bands[reference].wcs
    for section in sections:
        yield outline_of(wcs, section)
