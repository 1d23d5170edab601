"""The work that is sent to Dask: one function per task, small things in, small things out."""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.config import SurveyConfig, length_in_pixels
from astrogalaxy.detection import Runtime, bridge_large, open_runtime
from astrogalaxy.devices import Device, Precision
from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Tile
from astrogalaxy.images.fields import Field
from astrogalaxy.morphology import open_classifier
from astrogalaxy.survey.failures import Failure, reason_of
from astrogalaxy.survey.positions import Positions
from astrogalaxy.survey.preview import make_preview, preview_step
from astrogalaxy.survey.reading import forget_fields, keep_open, read_field, save_sky
from astrogalaxy.survey.shards import peek_shard, read_shard, write_shard
from astrogalaxy.survey.stages import Stopwatch, TileResult, TileSettings, extract
from astrogalaxy.survey.store import TileContent, sky_path, tile_path

__all__ = [
    "TileOutcome",
    "TileTask",
    "find_in_tile",
    "kept_tile",
    "measure_sky",
    "process_tile",
    "tile_catalog",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class TileTask:
    """Everything a worker needs for one tile.

    Attributes
    ----------
    field, tile, key
        What to do, and its content key.
    field_key : str
        Content key of the whole field.
    config : SurveyConfig
        How.
    folder : Path
        Where the field's shards go.
    threads : int
        CPU threads of the network.
    alone : bool
        Whether the field is a single tile: its sky is then measured on the way.
    positions : Positions, optional
        Given positions on the tile.
    run : str
        Identifies the run: a worker keeps no field open from one run to the next.
    """

    field: Field
    tile: Tile
    key: str
    field_key: str
    config: SurveyConfig
    folder: Path
    threads: int
    alone: bool
    positions: Positions | None = None
    run: str = ""

    def path(self, content: TileContent) -> Path:
        """Where the tile's catalogue goes, its picture, or those of its classified galaxies."""
        return tile_path(self.folder, self.tile.name, content)

    @property
    def sky(self) -> Path:
        """Where the sky of the whole field goes."""
        return sky_path(self.folder, self.field_key)


@dataclass(frozen=True)
class TileOutcome:
    """What became of a tile.

    Attributes
    ----------
    field, tile, key : str
        Names of field and tile, and the content key of the tile.
    status : str
        ``done``, ``kept`` (an earlier run had done it) or ``failed``.
    sources : int
        Rows of the shard.
    pixels : int
        Of its core, in one band.
    seconds : dict
        Wall time by stage.
    failures : list of Failure
        What went wrong, including bands that could not be read.
    shifts : dict of str to (float, float)
        See `~astrogalaxy.images.Image.shifts`.
    """

    field: str
    tile: str
    key: str
    status: str
    sources: int = 0
    pixels: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    shifts: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


def measure_sky(task: TileTask) -> None:
    """Measure background and noise of a field's bands, its stars, seeing and large galaxies, once for all its tiles.

    Nothing is reported: the tiles find what cannot be read, too.
    """
    with warnings.catch_warnings(action="ignore"):
        image, _ = _open(task)
        if image is not None:
            # after it was registered, as in a tile that is alone
            bridge_large(image, _runtime(task.config, task.threads))
            save_sky(task.sky, image)
            for other in set(task.folder.glob("sky-*.npz")) - {task.sky}:
                other.unlink(missing_ok=True)  # of other content: it is not needed any more


def process_tile(task: TileTask) -> TileOutcome:
    """Turn a tile into a shard on disk; whatever goes wrong is returned, not raised.

    Returns
    -------
    TileOutcome
        Its failures say what went wrong.
    """
    watch = Stopwatch()
    name, known = task.field.label, []
    try:
        # warnings of libraries are for developers; what matters to the user is in the failures
        with warnings.catch_warnings(action="ignore"):
            for anew in (False, True):
                try:
                    with watch("read"):
                        image, known = _open(task, anew=anew)
                    if image is None:
                        return TileOutcome(name, task.tile.name, task.key, "failed", failures=known)
                    sources = _make_shard(task, image, known, watch)
                    break
                except ImageError:
                    # a file may have been damaged since the field was opened; the other bands can still be done
                    if anew:
                        raise
    except Exception as error:  # noqa: BLE001 (one bad tile must never end a run)
        reason = reason_of(error, f"field {name}, tile {task.tile.name}")
    else:
        ny, nx = task.tile.core.shape
        return TileOutcome(name, task.tile.name, task.key, "done", sources, ny * nx, watch.seconds, known, image.shifts)
    failures = [*known, Failure(name, "tile", reason, tile=task.tile.name)]
    return TileOutcome(name, task.tile.name, task.key, "failed", seconds=watch.seconds, failures=failures)


def _make_shard(task: TileTask, image: Image, known: list[Failure], watch: Stopwatch) -> int:
    result = find_in_tile(image, task.tile, task.config, threads=task.threads, positions=task.positions, watch=watch)
    with watch("write"):
        step = preview_step(image.shape)
        make_preview(result.aligned, task.tile.core, step=step).save(task.path("preview"))
        if result.gallery is not None:
            result.gallery.save(task.path("gallery"))
        result.catalog.meta["TILEKEY"] = task.key
        # a rerun that keeps this tile must still report what it lacks and which bands were shifted
        result.catalog.meta["TILESHFT"] = json.dumps(image.shifts)
        result.catalog.meta["TILEFAIL"] = json.dumps([asdict(failure) for failure in known])
        write_shard(task.path("rows"), result.catalog)
    return len(result.catalog)


def find_in_tile(
    image: Image,
    tile: Tile,
    config: SurveyConfig,
    *,
    threads: int,
    positions: Positions | None = None,
    watch: Stopwatch | None = None,
) -> TileResult:
    """Find and measure the sources of a tile, with the weights and settings of a survey.

    Parameters
    ----------
    image : Image
        The field.
    tile : Tile
        See `~astrogalaxy.survey.stages.extract`.
    config : SurveyConfig
        The survey.
    threads : int
        CPU threads of the network.
    positions : Positions, optional
        Where sources are given; by default they are found, whatever the survey says.
    watch : Stopwatch, optional
        Takes the time of the stages.

    Returns
    -------
    TileResult
    """
    threshold, classifier = config.detection.threshold, config.morphology.model
    settings = TileSettings(
        bands=config.images.bands,
        calibrated=dict.fromkeys(config.images.bands, config.images.zeropoint is not None),
        threshold=None if threshold == "default" else threshold,
        apertures=_arcsec(config, image.pixel_scale),
        classifier=open_classifier(classifier, *_where(config, threads)) if classifier else None,
        min_snr=config.morphology.min_snr,
        min_size=config.morphology.min_size,
    )
    return extract(image, tile, _runtime(config, threads), settings, positions=positions, watch=watch)


def _runtime(config: SurveyConfig, threads: int) -> Runtime:
    """The network that finds sources."""
    return open_runtime(config.detection.model, *_where(config, threads))


def _where(config: SurveyConfig, threads: int) -> tuple[Device, int, Precision]:
    """Where, and how precisely, networks run."""
    return config.compute.device, threads, config.compute.precision


def _arcsec(config: SurveyConfig, pixel_scale: float) -> list[float]:
    """Diameters of the fixed apertures in arcsec; in pixels if the pixel scale is not known."""
    scale = pixel_scale if np.isfinite(pixel_scale) else 1.0
    return [length_in_pixels(length, scale) * scale for length in config.measurement.apertures]


def _open(task: TileTask, *, anew: bool = False) -> tuple[Image | None, list[Failure]]:
    """The field with its sky measured, without bands whose pixels cannot be read; ``anew``: read once more.

    The key has run and paths besides the content: files with the same content may be there in one folder and gone from
    another, and what could not be read in one run may be readable in the next.
    """
    key = (task.run, task.field_key, *map(str, task.field.files))
    if anew:
        forget_fields()
    # with a sky that was measured before, no pixels would be read, and damage would not show
    return keep_open(key, lambda: read_field(task.field, task.config, sky=None if anew else task.sky))


def tile_catalog(path: Path, key: str) -> SourceCatalog | None:
    """The catalogue of a finished tile; None if there is none, it is damaged, or its content key is another."""
    catalog = _from_shard(path, read_shard)
    return catalog if catalog is not None and catalog.meta.get("TILEKEY") == key else None


def _from_shard(path: Path, read: Callable[[Path], T]) -> T | None:
    """What ``read`` gives of a shard; None if there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        return read(path)
    except Exception as error:  # noqa: BLE001 (whatever is wrong with it, it must be made again)
        logger.warning("%s: not a readable shard; the tile is done again (%s)", path, reason_of(error, path.name))
        return None


def kept_tile(
    field: str,
    tile: Tile,
    key: str,
    folder: Path,
    bands: Collection[str],
    readable: Callable[[str], bool] = lambda _band: False,
) -> TileOutcome | None:
    """Outcome of a tile that an earlier run has done, from the note in its shard; None if it has to be done (again).

    It has to be done again if it lacks one of the ``bands`` that can be opened now, or a band whose pixels could not be
    read then and are ``readable`` now. What could not be opened then is not reported again: the plan reports what
    cannot be opened now.
    """
    note = _from_shard(tile_path(folder, tile.name, "rows"), _peek)
    if note is None:
        return None
    rows, found, failures, shifts = note
    unopened, unread = ({failure.band for failure in failures if failure.stage == stage} for stage in ("open", "read"))
    if found != key or unopened & set(bands) or any(map(readable, unread & set(bands))):
        return None
    failures = [failure for failure in failures if failure.stage != "open"]
    ny, nx = tile.core.shape
    return TileOutcome(field, tile.name, key, "kept", rows, ny * nx, failures=failures, shifts=shifts)


def _peek(path: Path) -> tuple[int, str | None, list[Failure], dict[str, Any]]:
    """Rows of a tile, its content key, what went wrong, and shifts of bands, from the note in its shard."""
    rows, meta = peek_shard(path)
    failures = [Failure(**entry) for entry in json.loads(str(meta.get("TILEFAIL", "[]")))]
    return rows, meta.get("TILEKEY"), failures, json.loads(str(meta.get("TILESHFT", "{}")))
