"""Random crops of examples, varied as surveys vary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from astrogalaxy.detection.inputs import network_input
from astrogalaxy.detection.loss import Targets
from astrogalaxy.images import Section
from astrogalaxy.simulation.truth import VISIBLE_SNR
from astrogalaxy.training.examples import Example

__all__ = ["Batch", "CropStream", "collate", "opened", "random_crop", "random_cut", "turn", "worker_rng"]

# Examples that are open at a time.
_MOST_OPEN = 128
_HOPELESS = 0.5 * VISIBLE_SNR
# A source of which less than this share of the box is inside the crop is ignored.
_INSIDE = 0.5
# How often a crop shows fewer bands, or more noise, than its example.
_ONE_BAND, _TWO_BANDS, _NOISIER = 0.12, 0.1, 0.3
# How well the seeing is known: often not at all, seldom wrongly, else to a few per cent.
_SEEING_UNKNOWN, _SEEING_WRONG, _SEEING_SCATTER = 0.12, 0.02, 0.04

Sources = NDArray[np.void]


class Batch(NamedTuple):
    """Network input and targets of a batch of crops."""

    image: Tensor
    targets: Targets


class CropStream(IterableDataset[tuple[NDArray[np.float32], Sources]]):
    """Endless random crops of a set of examples.

    Parameters
    ----------
    paths : sequence of Path
        Examples on disk.
    weights : sequence of float
        How often each example is drawn, relative to the others.
    crop : int
        Side in pixels.
    channels : int
        Input channels of the network for bands.
    seeing : bool
        Whether the network has a channel for the seeing.
    seed : int
        With the worker's number it determines the stream.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        weights: Sequence[float],
        *,
        crop: int,
        channels: int,
        seeing: bool = False,
        seed: int,
    ) -> None:
        self.paths = list(paths)
        self.share = np.asarray(weights, dtype=float) / np.sum(weights)
        self.crop, self.channels, self.seeing, self.seed = crop, channels, seeing, seed

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], Sources]]:
        """Yield (network input, sources in pixels of the crop)."""
        examples, rng = opened(self.paths, self.seed)
        while True:
            example = examples[rng.choice(len(examples), p=self.share)]
            snr, sources = random_crop(example, self.crop, rng)
            seeing = _seeing_as_known(example.seeing, rng) if self.seeing else None
            yield network_input(snr, self.channels, seeing=seeing), sources


def opened(paths: Sequence[Path], seed: int) -> tuple[Sequence[Example], np.random.Generator]:
    """Examples, and random numbers, of the worker that asks.

    They are mapped by it, not earlier: a map that is sent to a worker process becomes a copy in memory.
    """
    return _Examples(paths), worker_rng(seed)


class _Examples(Sequence[Example]):
    """Examples on disk, mapped when they are asked for: a process may hold a thousand open files, or fewer."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._load = lru_cache(_MOST_OPEN)(Example.load)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: Any) -> Any:
        return self._load(self._paths[number])


def worker_rng(seed: int) -> np.random.Generator:
    """Random numbers of the worker that asks: each has its own."""
    worker = get_worker_info()
    return np.random.default_rng([seed, worker.id if worker else 0])


def random_crop(example: Example, side: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Sources]:
    """Cut, turn and vary a crop of an example.

    Returns
    -------
    snr : ndarray
        ``(n_bands, side, side)`` float32; possibly fewer bands than the example.
    sources : ndarray
        Records in pixels of the crop; those cut by its edge, or sunk into added noise,
        are marked to be ignored.
    """
    snr, x0, y0 = random_cut(example, side, rng)
    snr, sources = turn(snr, _inside(example.sources, x0, y0, side), rng)
    snr, dimming = _fewer_bands(snr, rng)
    if rng.random() < _NOISIER:
        extra = float(rng.uniform(0.1, 1.5))
        snr = (snr + extra * rng.standard_normal(snr.shape, dtype=np.float32)) / np.hypot(1, extra)
        dimming /= np.hypot(1, extra)
    return np.ascontiguousarray(snr, dtype=np.float32), _fade(sources, float(dimming))


def random_cut(example: Example, side: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], int, int]:
    """Pixels of a square of an example, 0 where it is smaller than that, and the square's first column and row."""
    n_bands, ny, nx = example.snr.shape
    y0, x0 = int(rng.integers(0, max(ny - side, 0) + 1)), int(rng.integers(0, max(nx - side, 0) + 1))
    snr = np.zeros((n_bands, side, side), np.float32)
    cut = example.snr[:, y0 : y0 + side, x0 : x0 + side]
    snr[:, : cut.shape[1], : cut.shape[2]] = cut
    return snr, x0, y0


def _seeing_as_known(seeing: float, rng: np.random.Generator) -> float:
    """Return the seeing as a measurement would give it."""
    draw = rng.random()
    if draw < _SEEING_UNKNOWN:
        return float("nan")
    wrong = rng.uniform(1.1, 1.4) if draw > 1 - _SEEING_WRONG else 1.0
    return float(seeing * wrong * rng.lognormal(0, _SEEING_SCATTER))


def _inside(sources: Sources, x0: int, y0: int, side: int) -> Sources:
    moved = sources.copy()
    moved["x"] -= x0
    moved["y"] -= y0
    seen = np.ones(len(moved))
    for centre, size in (("x", "width"), ("y", "height")):
        low = np.clip(moved[centre] - moved[size] / 2, -0.5, side - 0.5)
        high = np.clip(moved[centre] + moved[size] / 2, -0.5, side - 0.5)
        seen *= (high - low) / moved[size]
    centred = Section(0, side, 0, side).contains(moved["x"], moved["y"])
    moved["ignore"] |= (seen < _INSIDE) | ~centred
    return moved[seen > 0]


def turn(snr: NDArray[np.float32], sources: Sources, rng: np.random.Generator) -> tuple[NDArray[np.float32], Sources]:
    """One of the eight symmetries of the square."""
    side = snr.shape[-1]
    if rng.random() < 0.5:
        snr = snr.swapaxes(1, 2)
        turned = sources.copy()
        turned["x"], turned["y"] = sources["y"], sources["x"]
        turned["width"], turned["height"] = sources["height"], sources["width"]
        sources = turned
    for axis, centre in ((2, "x"), (1, "y")):
        if rng.random() < 0.5:
            snr = np.flip(snr, axis)
            sources[centre] = side - 1 - sources[centre]
    return snr, sources


def _fewer_bands(snr: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
    """Now and then show one or two bands; return how much signal to noise that costs."""
    n, draw = len(snr), rng.random()
    if draw >= _ONE_BAND + _TWO_BANDS or n < 2:
        return snr, 1.0
    keep = min(1 if draw < _ONE_BAND else 2, n)
    bands = np.sort(rng.choice(n, keep, replace=False))
    return snr[bands], float(np.sqrt(keep / n))


def _fade(sources: Sources, dimming: float) -> Sources:
    """Ignore what the added noise hides; forget what was hidden anyway."""
    if dimming == 1.0:
        return sources
    sources["snr"] *= dimming
    with np.errstate(invalid="ignore"):
        sources["ignore"] |= sources["snr"] < VISIBLE_SNR
        return sources[~(sources["snr"] < _HOPELESS)]


def collate(items: Sequence[tuple[NDArray[np.float32], Sources]]) -> Batch:
    """Stack crops; their sources follow each other in one list."""
    image = torch.from_numpy(np.stack([image for image, _ in items]))
    batch = np.repeat(np.arange(len(items)), [len(s) for _, s in items])
    sources = np.concatenate([s for _, s in items])
    # the network counts from the edge of the first pixel, astronomers from its centre
    boxes = np.stack([sources["x"] + 0.5, sources["y"] + 0.5, sources["width"], sources["height"]], axis=1)
    return Batch(
        image,
        Targets(
            torch.from_numpy(batch),
            torch.from_numpy(boxes),
            torch.from_numpy(sources["galaxy"].copy()),
            torch.from_numpy(sources["disk"].copy()),
            torch.from_numpy(sources["ignore"].copy()),
        ),
    )
