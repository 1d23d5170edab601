"""Single galaxies with votes as training images: mosaics of four, mixed up, in units of noise.

A colour picture has no noise that could be trusted: its sky is cut off at black, and its stretch squeezes what is
bright. So the stretch is undone, the brightest pixel is given a signal to noise, and noise is added. From there on a
picture is what a FITS image is: (pixel - background) / noise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.utils.data import IterableDataset

from astrogalaxy.datasets.galaxyzoo import GalaxyCutout, central_light
from astrogalaxy.detection.inputs import UNKNOWN_SEEING, network_input
from astrogalaxy.errors import ImageError
from astrogalaxy.files import atomic_path
from astrogalaxy.training.crops import worker_rng
from astrogalaxy.training.examples import SOURCE_DTYPE, Example

__all__ = ["TYPICAL_PEAK", "GalaxyBank", "MosaicStream", "mosaic"]

logger = logging.getLogger(__name__)

#: Signal to noise of the brightest pixel of a galaxy that is shown alone, and the range of those in mosaics.
TYPICAL_PEAK = 100.0
_PEAK = (30.0, 300.0)
# Factors on the size, where in the mosaic's sides its four parts meet, and how far colours are changed.
_SCALE, _MEET, _TINT = (0.35, 1.25), (0.4, 0.6), 0.1

Planes = NDArray[np.float32]
Sources = NDArray[np.void]


@dataclass(frozen=True)
class GalaxyBank:
    """Galaxies of a set, made small and linear once.

    Attributes
    ----------
    planes : ndarray
        ``(n, 4, side, side)`` float16: three bands, shortest wavelength first, the brightest pixel of their mean 1;
        and 1 on the galaxy's own pixels.
    p_disk : ndarray
        ``(n,)`` share of the votes for disk.
    names : ndarray
        ``(n,)`` identifiers.
    """

    planes: NDArray[np.float16]
    p_disk: NDArray[np.float64]
    names: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.p_disk)

    @classmethod
    def make(cls, cutouts: Sequence[GalaxyCutout], path: Path, *, side: int, centre: float) -> GalaxyBank:
        """Read cutouts and write the bank; those whose image cannot be read are left out.

        Raises
        ------
        ImageError
            If no image can be read.
        """
        planes, kept = [], []
        for cutout in cutouts:
            try:
                light, galaxy = central_light(cutout.path, side=side, centre=centre)
            except ImageError as error:
                logger.warning("%s; left out", error)
                continue
            planes.append(np.concatenate([light, galaxy[None]]).astype(np.float16))
            kept.append(cutout)
        if not kept:
            msg = f"{path.stem}: none of {len(cutouts)} galaxies has an image that can be read"
            raise ImageError(msg)
        for suffix, array in (
            (".votes.npy", np.array([c.p_disk for c in kept])),
            (".names.npy", np.array([c.name for c in kept])),
            (".npy", np.stack(planes)),
        ):
            with atomic_path(path.with_suffix(suffix)) as temporary, temporary.open("wb") as file:
                np.save(file, array)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> GalaxyBank:
        """Map a bank from disk."""
        votes, names = (np.load(path.with_suffix(suffix)) for suffix in (".votes.npy", ".names.npy"))
        return cls(np.load(path, mmap_mode="r"), votes, names)

    def example(self, index: int) -> Example:
        """One galaxy alone in the middle, with the same noise each time."""
        side = self.planes.shape[-1]
        placed = _place(self.planes[index], (side, side), side / 2 - 0.5, side / 2 - 0.5, scale=1.0, turn=0.0)
        noise = np.random.default_rng([0, index]).standard_normal(placed[:3].shape, dtype=np.float32)
        source = _source(placed[3], self.p_disk[index], 0, 0)
        snr = (TYPICAL_PEAK * placed[:3] + noise).astype(np.float16)
        return Example(snr, np.array([] if source is None else [source], SOURCE_DTYPE), str(self.names[index]))


class MosaicStream(IterableDataset[tuple[Planes, Sources]]):
    """Endless mosaics of a bank's galaxies.

    Parameters
    ----------
    path : Path
        The bank.
    crop : int
        Side in pixels.
    channels : int
        Input channels of the network.
    mix_up : float
        How often two mosaics are laid over each other.
    seeing : bool
        Whether the network has a channel for the seeing, which is not known of a mosaic.
    seed : int
        With the worker's number it determines the stream.
    """

    def __init__(self, path: Path, *, crop: int, channels: int, mix_up: float, seeing: bool = False, seed: int) -> None:
        self.path, self.crop, self.channels, self.mix_up, self.seed = path, crop, channels, mix_up, seed
        self.seeing = UNKNOWN_SEEING if seeing else None

    def __iter__(self) -> Iterator[tuple[Planes, Sources]]:
        """Yield (network input, sources in pixels of the mosaic)."""
        rng = worker_rng(self.seed)
        bank = GalaxyBank.load(self.path)
        while True:
            snr, sources = mosaic(bank, self.crop, rng)
            if rng.random() < self.mix_up:
                # light adds up, and both stay what they are
                other, more = mosaic(bank, self.crop, rng)
                snr, sources = snr + other, np.concatenate([sources, more])
            snr += rng.standard_normal(snr.shape, dtype=np.float32)
            yield network_input(snr, self.channels, seeing=self.seeing), sources


def mosaic(bank: GalaxyBank, side: int, rng: np.random.Generator) -> tuple[Planes, Sources]:
    """Lay four galaxies side by side, turned and scaled at random, so that they look like a field.

    Returns
    -------
    snr : ndarray
        ``(3, side, side)`` float32 signal to noise, without noise.
    sources : ndarray
        Records of the galaxies in pixels of the mosaic.
    """
    snr = np.zeros((3, side, side), np.float32)
    meet_x, meet_y = (round(side * m) for m in rng.uniform(*_MEET, 2))
    sources = []
    for number, galaxy in enumerate(rng.integers(0, len(bank), 4)):
        x0, x1 = ((0, meet_x), (meet_x, side))[number % 2]
        y0, y1 = ((0, meet_y), (meet_y, side))[number // 2]
        height, width = y1 - y0, x1 - x0
        scale = float(np.exp(rng.uniform(*np.log(_SCALE))))
        room = 0.5 * bank.planes.shape[-1] * scale
        y, x = (_somewhere(n, room, rng) for n in (height, width))
        placed = _place(
            bank.planes[galaxy],
            (height, width),
            x,
            y,
            scale=scale,
            turn=rng.uniform(0, 2 * np.pi),
            flip=rng.random() < 0.5,
        )
        peak = np.exp(rng.uniform(*np.log(_PEAK))) * rng.lognormal(0, _TINT, (3, 1, 1))
        snr[:, y0:y1, x0:x1] = peak.astype(np.float32) * placed[:3]
        source = _source(placed[3], bank.p_disk[galaxy], x0, y0)
        if source is not None:
            sources.append(source)
    return snr, np.array(sources, dtype=SOURCE_DTYPE)


def _somewhere(size: int, room: float, rng: np.random.Generator) -> float:
    """A place for the middle of a galaxy that needs ``room`` on either side, as far as there is room."""
    return float(rng.uniform(min(room, size / 2), max(size - room, size / 2)))


def _place(
    planes: NDArray[np.float16],
    shape: tuple[int, int],
    x: float,
    y: float,
    *,
    scale: float,
    turn: float,
    flip: bool = False,
) -> Planes:
    """Lay a galaxy's planes into an image so that its middle comes to lie at x, y; the brightest pixel stays 1."""
    side = planes.shape[-1]
    # a galaxy that is made smaller is the mean of what falls into each pixel, not what lies in its middle
    parts = max(round(1 / scale), 1)
    dy, dx = ((np.arange(n * parts) + 0.5) / parts - 0.5 for n in shape)
    dx, dy = (dx[None, :] - x) / scale, (dy[:, None] - y) / scale
    u, v = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
    grid = np.stack([-u if flip else u, v], axis=-1).astype(np.float32) * np.float32(2 / side)
    source = torch.from_numpy(planes.astype(np.float32))[None]
    sampled = F.avg_pool2d(F.grid_sample(source, torch.from_numpy(grid)[None], align_corners=False), parts)
    placed = np.asarray(sampled[0].numpy())
    peak = placed[:3].mean(axis=0).max()
    if peak > 0:
        placed[:3] /= peak
    return placed


def _source(galaxy: Planes, p_disk: float, x0: int, y0: int) -> np.void | None:
    """Record of a galaxy from its pixels on a part that begins at x0, y0; None where none are seen."""
    # what is thin fills half of no pixel once it is small
    seen = galaxy > 0.5 * galaxy.max()
    rows, columns = np.nonzero(seen.any(axis=1))[0], np.nonzero(seen.any(axis=0))[0]
    if not len(rows):
        return None
    source = np.zeros(1, dtype=SOURCE_DTYPE)[0]
    source["x"], source["y"] = x0 + (columns[0] + columns[-1]) / 2, y0 + (rows[0] + rows[-1]) / 2
    source["width"], source["height"] = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    source["galaxy"], source["disk"], source["snr"] = 1.0, p_disk, np.nan
    return source
