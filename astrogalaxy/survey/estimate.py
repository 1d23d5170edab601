"""What a run will need: workers, memory and time."""

from __future__ import annotations

from dataclasses import dataclass

from astrogalaxy.config import SurveyConfig
from astrogalaxy.devices import usable_cores
from astrogalaxy.survey.cluster import local_workers, worker_memory
from astrogalaxy.survey.plan import Plan, tile_memory
from astrogalaxy.survey.store import RunDirectory, tile_path

__all__ = ["Estimate", "estimate"]

# Core-seconds for a million pixels of one band, all stages, and what a run needs whatever its size: the
# bundled weights on the simulated SDSS field of ``astrogalaxy simulate sdss --size 1200 --seed 3``.
_SECONDS_PER_MEGAPIXEL, _START = 0.7, 5.0
# What a field needs whatever its size: measured on cutouts of 128 x 128 pixels of SDSS frames.
_SECONDS_PER_FIELD = 0.35


@dataclass(frozen=True)
class Estimate:
    """What a run will need.

    Attributes
    ----------
    pixels : int
        Of all bands of all fields.
    todo : int
        Those in tiles that no earlier run has done.
    workers : int
        Processes; 0 for those of a running scheduler.
    memory : float
        Bytes that each will need at most, but for tiles that are larger than planned: those that read large galaxies
        whole, of which nothing is known before the pixels are read.
    allowed : float
        Bytes that each may have.
    seconds : float
        Rough wall time; NaN with a running scheduler, whose workers are not known.
    measured : bool
        Whether the rate is that of the last run in this directory, rather than a common one.
    """

    pixels: int
    todo: int
    workers: int
    memory: float
    allowed: float
    seconds: float
    measured: bool


def estimate(plan: Plan, config: SurveyConfig) -> Estimate:
    """Estimate what a run will need.

    Parameters
    ----------
    plan : Plan
        Its fields and tiles.
    config : SurveyConfig
        Its settings.

    Returns
    -------
    Estimate
        Its seconds are NaN where the speed is not known.
    """
    directory = RunDirectory.of(config)
    pixels = todo = tiles_left = fields_left = 0
    shapes = set()
    for field in plan.fields:
        bands, done = len(field.bands), todo
        for tile in field.tiles:
            n = tile.core.size * bands
            pixels += n
            shapes.add((tile.outer.shape, bands))
            # only reading a shard tells whether its content is this tile's; its name is a good guess
            if not tile_path(directory.shards(field.name), tile.name, "rows").is_file():
                todo += n
                tiles_left += 1
        fields_left += todo > done
    memory = max((tile_memory(shape, bands, config) for shape, bands in shapes), default=0.0)
    rate, measured = _rate(directory)
    if config.compute.scheduler is not None:
        return Estimate(pixels, todo, 0, memory, worker_memory(config.compute), float("nan"), measured)
    workers = local_workers(config.compute, tasks=tiles_left, need=memory)
    # a measured rate includes what a field needs whatever its size
    spent = todo / 1e6 * rate + (0.0 if measured else _SECONDS_PER_FIELD * fields_left)
    seconds = _START + spent / min(usable_cores(), workers)
    return Estimate(pixels, todo, workers, memory, worker_memory(config.compute, workers), seconds, measured)


def _rate(directory: RunDirectory) -> tuple[float, bool]:
    """Core-seconds per million pixels of a band, and whether that was measured by the last run here."""
    record = directory.read_json()
    bands = len(record.get("bands", ()))
    done = [tile for tile in record.get("tiles", ()) if tile.get("status") == "done"]
    pixels = sum(tile.get("pixels", 0) for tile in done) * bands
    spent = sum(sum(tile.get("seconds", {}).values()) for tile in done)
    if pixels < 1e6 or spent <= 0:
        return _SECONDS_PER_MEGAPIXEL, False
    return spent / (pixels / 1e6), True
