"""What a run will do: fields, their files and tiles, and the keys of their content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from astrogalaxy.config import SurveyConfig, length_in_pixels
from astrogalaxy.detection.runtime import pieces_of
from astrogalaxy.errors import ConfigError
from astrogalaxy.images import Tile, plan_tiles
from astrogalaxy.images.fields import Field, closed_folders, find_fields, missing_maps, unread_parts
from astrogalaxy.images.tiling import STRETCH
from astrogalaxy.models import Weights, load_classifier
from astrogalaxy.models.files import file_of
from astrogalaxy.survey.contents import Content, hashes, hashing
from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.headers import FieldHeaders
from astrogalaxy.survey.opening import check_targets
from astrogalaxy.survey.positions import Positions, SkyTable, place, read_sky
from astrogalaxy.survey.reading import open_bands
from astrogalaxy.tables import spans

__all__ = [
    "FieldPlan",
    "Opened",
    "Plan",
    "make_plan",
    "tile_memory",
    "tiles_of",
]

logger = logging.getLogger(__name__)

# Version of what a shard holds: a change here makes every earlier shard stale.
_SHARD_FORMAT = 10
# Memory of a task: what a process needs whatever the tile, bytes per pixel of a tile, and bytes per pixel that goes
# through the network at once. Up to 30 % more than the peaks that were measured on SDSS frames of 1500 to 10000 sources
# and on larger images, of one to nine bands, in tiles of 1.6 to 18 million pixels, several in turn: 480 to 2300 MB.
# Smaller tiles need half as much, and so do classifiers where sources are few. Networks other than the default one look
# at a finer image, or are larger. `python tests/benchmarks/bench_scaling.py --only memory` measures such peaks.
_BASE_BYTES, _CLASSIFIER_BYTES = 390e6, 680e6
_BYTES_PER_PIXEL, _BYTES_PER_BAND_PIXEL = 32, 16
_NETWORK_BYTES_PER_PIXEL, _OTHER_NETWORK_BYTES_PER_PIXEL = 39, 120
_SMALLEST_TILE, _LARGEST_TILE = 512, 4096
# Wider than the network sees and than all but the largest galaxies; their light is not cut.
_OVERLAP = 128


class Opened(NamedTuple):
    """What an earlier run found when it opened the files of a field, if nothing was wrong with any of them.

    Attributes
    ----------
    contents : dict of str to dict of str to (str, Content or None)
        Path, and content if it is known, of each file, by role and band; see `Field.roles`.
    headers : FieldHeaders
        What they say.
    """

    contents: dict[str, dict[str, tuple[str, Content | None]]]
    headers: FieldHeaders

    def holds(self, field: Field, inputs: Mapping[Path, Content]) -> bool:
        """Whether a field has the same files with the same content."""
        now = {
            role: {band: (str(path), inputs.get(path)) for band, path in by_band.items()}
            for role, by_band in field.roles.items()
        }
        return now == self.contents and all(path in inputs for path in field.files)


@dataclass(frozen=True)
class FieldPlan:
    """What there is to do of one field.

    Attributes
    ----------
    field : Field
        Its files.
    headers : FieldHeaders
        What they say.
    tiles : list of Tile
        Its tiles; none if it cannot be done.
    keys : dict of str to str
        Content key of each tile, by the tile's name.
    inputs : dict of Path to Content
        Content of every file that could be read.
    positions : Positions or None
        Given positions on the field; None where the network finds the sources.
    """

    field: Field
    headers: FieldHeaders = dataclasses.field(default_factory=FieldHeaders)
    tiles: list[Tile] = dataclasses.field(default_factory=list)
    keys: dict[str, str] = dataclasses.field(default_factory=dict)
    inputs: dict[Path, Content] = dataclasses.field(default_factory=dict)
    positions: Positions | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that can be opened, reference included; none if the field cannot be done."""
        return tuple(self.headers.bands)

    @cached_property
    def key(self) -> str:
        """Content key of the whole field; made once, for it is asked for with each of its tiles."""
        return _digest(self.keys)

    @property
    def name(self) -> str:
        """Name of the field; ``field`` for a survey of one."""
        return self.field.label

    def changed(self) -> list[Failure]:
        """Files that were written to after they were hashed: which content the tiles have seen is not known."""
        return [
            Failure(self.name, "read", f"{path}: changed while the run was at work; run again", band=band)
            for by_band in self.field.roles.values()
            for band, path in by_band.items()
            if path in self.inputs and not self.inputs[path].is_still_in(path)
        ]


@dataclass(frozen=True)
class Plan:
    """All fields of a run, and what is known to be wrong before it starts.

    Attributes
    ----------
    fields : list of FieldPlan
        What there is to do of each.
    failures : list of Failure
        What cannot be done.
    n_positions : int or None
        Rows of the table of given positions; None without one.
    """

    fields: list[FieldPlan]
    failures: list[Failure]
    n_positions: int | None = None

    @property
    def n_placed(self) -> int:
        """Number of given positions that lie on a field."""
        rows = [f.positions.row for f in self.fields if f.positions is not None]
        return len(np.unique(np.concatenate(rows))) if rows else 0

    @property
    def n_off(self) -> int:
        """Number of given positions that lie on no image of the reference band, and so have no row."""
        return (self.n_positions or 0) - self.n_placed

    @property
    def remarks(self) -> list[str]:
        """What is odd about the given positions, though all of them can be done."""
        if not self.n_off:
            return []
        where = "on no image of the reference band, and have no row"
        return [f"{self.n_off} of the {self.n_positions} given positions are {where}"]

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return sum(len(f.tiles) for f in self.fields)


def make_plan(
    config: SurveyConfig,
    weights: Weights,
    *,
    memory: float,
    known_hashes: Mapping[str, Content] | None = None,
    known_fields: Mapping[str, Opened] | None = None,
    own: Collection[Path] = (),
    contents: bool = True,
) -> Plan:
    """Open every header and cut every field into tiles; no pixels are read.

    Parameters
    ----------
    config : SurveyConfig
        The run.
    weights : Weights
        Part of the content keys.
    memory : float
        Bytes that a worker may use.
    known_hashes : mapping, optional
        Contents by path, from an earlier run; files that have not changed since are not read again.
    known_fields : mapping, optional
        By name, from an earlier run with the same ``images``; fields of which no file has changed are not opened again.
    own : collection of Path, optional
        Files that earlier runs wrote: they are no images, even if their names match the patterns.
    contents : bool, optional
        Whether to hash the files, which reads all of them; without that, keys of tiles say nothing of their content.

    Returns
    -------
    Plan
        The work, and what cannot be done.

    Raises
    ------
    ImageError
        If no file matches.
    ConfigError
        If the table of given positions is wrong, none of them lies on any field, or the run would write over what it
        reads.
    """
    sky = None if config.detection.positions is None else read_sky(config.detection.positions)
    found = find_fields(config.images, without=own)
    check_targets(config, (path for one in found for path in one.files))
    settings = {
        "format": _SHARD_FORMAT, "code": version("astrogalaxy"), "config": config.science_digest(),
        "weights": weights.card.sha256,
    }  # fmt: skip
    if config.morphology.model is not None:
        settings["classifier"] = load_classifier(config.morphology.model).card.sha256
    failures = [Failure("(images)", "open", closed) for closed in closed_folders(config.images)]
    fields = []
    # headers are read while threads hash the files
    with hashing([path for field in found for path in field.files if contents], known_hashes or {}) as digest:
        for field in found:
            inputs = {path: content for path in field.files if (content := digest(path))}
            known = (known_fields or {}).get(field.label)
            field_plan, problems = _plan_field(field, config, memory, inputs, settings, sky, known)
            fields.append(field_plan)
            failures += problems
    plan = Plan(fields, failures, None if sky is None else len(sky))
    if sky is not None and plan.n_tiles and not plan.n_placed:
        where = spans(ra=sky.ra, dec=sky.dec)
        msg = (
            f"detection.positions: none of the {len(sky)} positions of {config.detection.positions} lies on any image "
            f"({where}, degrees)"
        )
        raise ConfigError(msg)
    return plan


def _plan_field(
    field: Field,
    config: SurveyConfig,
    memory: float,
    inputs: dict[Path, Content],
    settings: Mapping[str, object],
    sky: SkyTable | None,
    known: Opened | None,
) -> tuple[FieldPlan, list[Failure]]:
    """Plan one field, and say what is wrong with its files."""
    failures: list[Failure] = []
    given = None
    # to place given positions takes the WCS
    if known is not None and sky is None and known.holds(field, inputs):
        headers = known.headers
    else:
        image, failures = open_bands(field, config)
        if image is None:
            return FieldPlan(field, inputs=inputs), failures
        for name, band in image.bands.items():
            # one that is not used is told once, by `astrogalaxy check`
            if band.zeropoint is not None and (remark := band.zeropoint_remark):
                logger.warning("%s", remark)
            flaws = missing_maps(field, config.images, name) + unread_parts(band, config.images)
            failures += [Failure(image.name, "open", flaw, band=name) for flaw in flaws]
        headers = FieldHeaders.of(image)
        given = None if sky is None else place(image, sky)
    tiles = tiles_of(headers.shape, headers.pixel_scale, config, memory=memory)
    content = {**settings, "inputs": hashes(field, inputs), "field": field.label}
    keys = {}
    for tile in tiles:
        own = {} if given is None else {"positions": given.within(tile.outer).digest()}
        keys[tile.name] = _digest({**content, **own, "core": tile.core, "outer": tile.outer})
    return FieldPlan(field, headers, tiles, keys, inputs, given), failures


def tiles_of(shape: tuple[int, int], pixel_scale: float, config: SurveyConfig, *, memory: float) -> list[Tile]:
    """Cut a field into tiles, as large as the settings and the memory of a worker (bytes) allow."""
    overlap = _overlap(config, pixel_scale)
    return plan_tiles(shape, size=_tile_size(config, memory, overlap), overlap=overlap)


def _tile_size(config: SurveyConfig, memory: float, overlap: int) -> int:
    if isinstance(config.tiles.size, int):
        return config.tiles.size
    needed = _memory_of(len(config.images.bands), config)
    for size in range(_LARGEST_TILE, _SMALLEST_TILE, -32):
        # a core may be stretched, and has the overlap on both sides
        outer = int(size * (1 + STRETCH)) + 2 * (overlap + 32)
        if needed((outer, outer)) <= memory:
            return size
    return _SMALLEST_TILE


def tile_memory(shape: tuple[int, int], bands: int, config: SurveyConfig) -> float:
    """Bytes that a worker needs at most while it does a tile of some rows and columns."""
    return _memory_of(bands, config)(shape)


def _memory_of(bands: int, config: SurveyConfig) -> Callable[[tuple[int, int]], float]:
    """What `tile_memory` says of tiles, whose weights are looked up once."""
    base = _BASE_BYTES + (config.morphology.model is not None) * _CLASSIFIER_BYTES
    pixel = _BYTES_PER_PIXEL + _BYTES_PER_BAND_PIXEL * bands
    other = file_of(config.detection.model) != file_of("default")
    network = _NETWORK_BYTES_PER_PIXEL + other * _OTHER_NETWORK_BYTES_PER_PIXEL
    return lambda shape: base + shape[0] * shape[1] * pixel + _largest_piece(shape) * network


@lru_cache(maxsize=1024)
def _largest_piece(shape: tuple[int, int]) -> int:
    """Most pixels that go through the network at once."""
    return max(piece.outer.size for piece in pieces_of(shape))


def _overlap(config: SurveyConfig, pixel_scale: float) -> int:
    if config.tiles.overlap == "auto":
        return _OVERLAP
    return int(np.ceil(length_in_pixels(config.tiles.overlap, pixel_scale)))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()
