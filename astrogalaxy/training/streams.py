"""Streams of training crops: of fields whose boxes are exact, and of several sets by a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from astrogalaxy.detection.inputs import network_input
from astrogalaxy.training.crops import opened, random_cut, turn
from astrogalaxy.training.examples import Example
from astrogalaxy.training.schedule import Data, Schedule

__all__ = ["FieldStream", "ScheduledStream", "exact_crop"]

# A source of which less than this share of the box is inside a crop is ignored.
_INSIDE = 0.4

Item = tuple[NDArray[np.float32], NDArray[np.void]]
Stream = IterableDataset[Item]


class FieldStream(IterableDataset[Item]):
    """Endless random crops of fields, turned but else as they are: their boxes belong to their depth.

    Parameters
    ----------
    paths : sequence of Path
        Examples on disk.
    crop : int
        Side in pixels.
    channels : int
        Input channels of the network for bands.
    seeing : bool
        Whether the network has a channel for the seeing.
    seed : int
        With the worker's number it determines the stream.
    """

    def __init__(self, paths: Sequence[Path], *, crop: int, channels: int, seeing: bool = False, seed: int) -> None:
        self.paths, self.crop, self.channels, self.seeing, self.seed = list(paths), crop, channels, seeing, seed

    def __iter__(self) -> Iterator[Item]:
        """Yield (network input, sources in pixels of the crop)."""
        examples, rng = opened(self.paths, self.seed)
        while True:
            example = examples[rng.integers(len(examples))]
            snr, sources = exact_crop(example, self.crop, rng)
            yield network_input(snr, self.channels, seeing=example.seeing if self.seeing else None), sources


def exact_crop(example: Example, side: int, rng: np.random.Generator) -> Item:
    """Cut and turn a crop of an example.

    Returns
    -------
    snr : ndarray
        ``(n_bands, side, side)`` float32.
    sources : ndarray
        Records in pixels of the crop. Boxes end at its edge, as they do at the edge of an image; sources of which
        too little is left are marked to be ignored.
    """
    snr, x0, y0 = random_cut(example, side, rng)
    snr, sources = turn(snr, _clipped(example.sources, x0, y0, side), rng)
    return np.ascontiguousarray(snr), sources


def _clipped(sources: NDArray[np.void], x0: int, y0: int, side: int) -> NDArray[np.void]:
    cut = sources.copy()
    left = np.ones(len(cut))
    for start, centre, size in ((x0, "x", "width"), (y0, "y", "height")):
        low, high = (np.clip(sources[centre] - start + sign * sources[size] / 2, -0.5, side - 0.5) for sign in (-1, 1))
        cut[centre], cut[size] = (low + high) / 2, high - low
        left *= (high - low) / sources[size]
    cut["ignore"] |= left < _INSIDE
    return cut[left > 0]


class ScheduledStream(IterableDataset[Item]):
    """Items of several sets, each batch from the set that the schedule has for its step.

    Parameters
    ----------
    schedule : Schedule
        The phases.
    streams : mapping
        The sets' own endless streams.
    batch : int
        Items in a step.
    start : int
        Step of the first batch.

    Notes
    -----
    Where a step has samples of both sets, single galaxies do not train the star/galaxy head: among them are no stars.

    A loader takes batches from its workers in turn, so each worker knows the steps of its own. A run that goes on from
    a step therefore meets the phases that it would have met without the interruption.
    """

    def __init__(self, schedule: Schedule, streams: Mapping[Data, Stream], *, batch: int, start: int = 0) -> None:
        self.schedule, self.streams, self.batch, self.start = schedule, dict(streams), batch, start

    def __iter__(self) -> Iterator[Item]:
        """Yield the items of one batch after the other."""
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        sources = {name: iter(stream) for name, stream in self.streams.items()}
        step = self.start + number
        while True:
            names = self.schedule.at(step).sets
            for sample in range(self.batch):
                name = names[sample % len(names)]
                item = next(sources[name])
                yield _without_class(item) if len(names) > 1 and name == "galaxies" else item
            step += workers


def _without_class(item: Item) -> Item:
    """An item whose sources are neither known to be stars nor galaxies."""
    image, sources = item
    sources = sources.copy()
    sources["galaxy"] = np.nan
    return image, sources
