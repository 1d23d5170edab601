"""From the tiles of a field to its catalogue, as soon as the last of them is done."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import numpy as np

from astrogalaxy.catalog import SourceCatalog, has_flags
from astrogalaxy.config import SurveyConfig
from astrogalaxy.measurement.astrometry import check_field, read_positions
from astrogalaxy.models import WeightCard
from astrogalaxy.survey.facts import whole_field
from astrogalaxy.survey.failures import Failure, reason_of
from astrogalaxy.survey.merge import TileCatalog, merge_tiles
from astrogalaxy.survey.plan import FieldPlan, Plan
from astrogalaxy.survey.positions import given_rows
from astrogalaxy.survey.shelf import Shelf
from astrogalaxy.survey.stages import QUALITY, classify
from astrogalaxy.survey.store import RunDirectory, tile_path
from astrogalaxy.survey.tasks import TileOutcome, tile_catalog

__all__ = ["Finisher", "flagged_sources"]

logger = logging.getLogger(__name__)

# If more than this share of the bright sources (at least so many) is masked, the mask can hardly be one of bad pixels;
# if more are saturated, the level can hardly be right.
_MOST, _FEW = 0.5, 10
_ADVICE = {
    "masked": "lie on pixels that images.mask calls bad; if it marks good ones, too, such as those of sources, give "
    "the bits that are bad: images.mask_bits",
    "saturated": "are saturated; if the level (images.saturation, or the header's SATURATE) is in another unit than "
    "the pixels, or below the sky, give the right one: images.saturation",
}


class Finisher:
    """Joins each field's tiles, classifies its sources, and puts it on the shelf, while workers do other fields.

    Parameters
    ----------
    shelf : Shelf
        Where finished fields wait.
    plan : Plan
        What is to be done.
    directory : RunDirectory
        Where the tiles are.
    card : WeightCard
        Of the run's weights.
    config : SurveyConfig
        The run.

    Attributes
    ----------
    measured : dict
        What the sources of each finished field say of it, by its name; see `~astrogalaxy.survey.facts.whole_field`.
    failures : list of Failure
        Tiles that were done, but whose catalogue is damaged; fields that could not be joined, whose positions could
        not be checked, or whose masks, or levels of saturation, cover most sources.
    """

    def __init__(
        self, shelf: Shelf, plan: Plan, directory: RunDirectory, card: WeightCard, config: SurveyConfig
    ) -> None:
        self._shelf, self._directory, self._card, self._config = shelf, directory, card, config
        self._fields = {field.name: (number, field) for number, field in enumerate(plan.fields)}
        self._outcomes: dict[str, list[TileOutcome]] = {}
        # a table is the same for all fields, and may be large
        self._positions = cache(read_positions)
        self.measured: dict[str, Any] = {}
        self.failures: list[Failure] = []

    def take(self, outcome: TileOutcome) -> None:
        """Note what became of a tile, and finish its field if that was the last."""
        number, field = self._fields[outcome.field]
        outcomes = self._outcomes.setdefault(field.name, [])
        outcomes.append(outcome)
        if len(outcomes) == len(field.tiles):
            done = [o for o in self._outcomes.pop(field.name) if o.status != "failed"]
            try:
                tiles = self._tiles(field, {o.tile for o in done})
                if tiles:
                    self._finish(number, field, tiles, done[0].shifts)
            except Exception as error:  # noqa: BLE001 (one bad field must never end a run)
                self._fail(Failure(field.name, "merge", reason_of(error, f"field {field.name}")))

    def _tiles(self, field: FieldPlan, done: set[str]) -> list[TileCatalog]:
        tiles = []
        for tile in field.tiles:
            if tile.name not in done:
                continue
            path = tile_path(self._directory.shards(field.name), tile.name, "rows")
            shard = tile_catalog(path, field.keys[tile.name])
            if shard is None:
                path.unlink(missing_ok=True)
                reason = f"{path}: damaged after it was written; run again to do just this tile"
                self._fail(Failure(field.name, "merge", reason, tile=tile.name))
            else:
                tiles.append(TileCatalog(tile, shard))
        return tiles

    def _finish(
        self, number: int, field: FieldPlan, tiles: list[TileCatalog], shifts: Mapping[str, tuple[float, float]]
    ) -> None:
        catalog = classify(
            merge_tiles(tiles),
            self._card,
            field_prior=self._config.detection.field_prior,
            min_snr=self._config.morphology.min_snr,
        )
        measured = json.loads(catalog.meta.pop(QUALITY))
        logger.info("field %s: aperture corrections %s", field.name, _corrections(measured["corrections"]))
        measured["uncorrected"] = _uncorrected(measured, field.bands)
        if measured["uncorrected"]:
            which = "; ".join(f"{flux} in {', '.join(bands)}" for flux, bands in measured["uncorrected"].items())
            text = "field %s: %d clear stars, but too few are of use to correct %s; these fluxes are NaN"
            logger.warning(text, field.name, measured["stars"], which)
        taken = field.headers.bands[str(self._config.images.reference)].mjd
        measured["astrometry"] = check = check_field(catalog, self._config.astrometry, mjd=taken, read=self._positions)
        if check is not None and "error" in check:
            self._fail(Failure(field.name, "astrometry", check["error"]))
        for flag in ("saturated",) if self._config.images.mask is None else _ADVICE:
            if said := flagged_sources(catalog, flag):
                self._fail(Failure(field.name, "read", said))
        measured["shifts"] = dict(shifts)
        # a worker has logged this, too, but perhaps on another machine
        for band, (dx, dy) in shifts.items():
            logger.warning("field %s: the WCS of band %s was shifted by %+.2f, %+.2f pixels", field.name, band, dx, dy)
        self._shelf.put(number, catalog if field.positions is None else given_rows(catalog))
        self.measured[field.name] = whole_field(catalog, field.bands, measured)

    def _fail(self, failure: Failure) -> None:
        self.failures.append(failure)
        logger.warning("%s", failure)


def _corrections(corrections: Mapping[str, Mapping[str, Any]]) -> str:
    """Aperture corrections of a field, for the log."""
    known = [(band, entry) for band, entry in corrections.items() if entry["factor"] is not None]
    sources = {band: f"from {e['stars']} stars" if e["stars"] else "by the point spread" for band, e in known}
    texts = [f"{band} {e['factor']:.4f} +- {e['error']:.4f} {sources[band]}" for band, e in known]
    return ", ".join(texts) or "of no band, for want of stars"


def _uncorrected(measured: Mapping[str, Any], bands: Collection[str]) -> dict[str, list[str]]:
    """Those of a field's bands in which a flux of points is NaN, by flux, though the field has stars."""
    if measured["seeing"] is None:  # fewer than six stars
        return {}
    fluxes = {"flux_apcor": measured["corrections"], "flux_psf": measured["psf_corrections"]}
    lacking = {flux: [b for b in bands if known[b]["factor"] is None] for flux, known in fluxes.items()}
    return {flux: found for flux, found in lacking.items() if found}


def flagged_sources(catalog: SourceCatalog, flag: str) -> str:
    """Say that most of the bright sources of a field are masked, or saturated; an empty text if they are not.

    Parameters
    ----------
    catalog : SourceCatalog
        Rows of a field, with flags and signal to noise; those whose signal to noise is NaN do not count.
    flag : {'masked', 'saturated'}
        Which of the two to look for.

    Returns
    -------
    str
        One sentence, or empty.
    """
    snr = np.asarray(catalog["snr"], dtype=float)
    known = snr[np.isfinite(snr)]  # NaN where no band has data
    bright = catalog["flags"][snr >= np.median(known)] if len(known) else []
    flagged = int(has_flags(bright, flag).sum()) if len(bright) >= _FEW else 0
    if flagged <= _MOST * len(bright):
        return ""
    return f"of the brighter half of the sources, {flagged} of {len(bright)} {_ADVICE[flag]}"
