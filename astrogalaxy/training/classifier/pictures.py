"""The cutouts of a recipe, cut, made small and kept in one file, and what a step sees of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.config.classifier import CutoutsSection
from astrogalaxy.config.file import sha256
from astrogalaxy.datasets import efigi, galaxy10
from astrogalaxy.datasets.cutouts import LabelledCutouts
from astrogalaxy.datasets.folders import read_catalog, read_folders
from astrogalaxy.datasets.splits import Part, part_of, read_split
from astrogalaxy.datasets.votes import read_votes
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.files import atomic_path
from astrogalaxy.morphology.pictures import resized

__all__ = ["EpochSampler", "PictureBank", "PictureSet", "choose_data", "open_bank", "read_cutouts"]

logger = logging.getLogger(__name__)

_WHERE = {
    "galaxy10": galaxy10.WHERE,
    "efigi": efigi.WHERE,
    "galaxyzoo": "https://data.galaxyzoo.org (vote tables; labels.csv and images/ in one folder)",
}


def choose_data(recipe: ClassifierRecipe) -> CutoutsSection:
    """The first of a recipe's sets that is there.

    Raises
    ------
    ConfigError
        If none is; the message says where each is to be had.
    """
    for section in recipe.data:
        if Path(section.path).exists():
            return section
    hints = "; or ".join(
        f"{section.path}, {section.format}" + (f" from {_WHERE[section.format]}" if section.format in _WHERE else "")
        for section in recipe.data
    )
    msg = f"{recipe.name}: data: there is none of its sets; put one there: {hints}"
    raise ConfigError(msg)


def read_cutouts(section: CutoutsSection) -> LabelledCutouts:
    """Open a labelled set.

    Raises
    ------
    ConfigError
        If it is not what its section says.
    """
    try:
        if section.format == "galaxyzoo":
            return read_votes(section.path, classes=section.classes, soft=section.soft)
        if section.format == "galaxy10":
            return galaxy10.read_galaxy10(section.path)
        if section.format == "efigi":
            return efigi.read_efigi(section.path)
        if section.format == "catalog":
            return read_catalog(section.path, str(section.survey))
        return read_folders(section.path)
    except ImageError as error:
        msg = f"data.path: {error}"
        raise ConfigError(msg) from error


@dataclass(frozen=True)
class PictureBank:
    """Small pictures of a set, and their labels.

    Attributes
    ----------
    pictures : ndarray
        ``(n, side, side, 3)`` uint8, on the disk.
    shares : ndarray
        ``(n, n_classes)`` shares of the votes.
    names, parts : ndarray
        ``(n,)`` identifiers, and ``train``, ``val`` or ``test``.
    classes : tuple of str
        What is told apart.
    source : str
        What it is.
    """

    pictures: NDArray[np.uint8]
    shares: NDArray[np.float32]
    names: NDArray[np.str_]
    parts: NDArray[np.str_]
    classes: tuple[str, ...]
    source: str

    def rows(self, part: Part) -> NDArray[np.intp]:
        """Indices of a part."""
        return np.flatnonzero(self.parts == part)


def open_bank(recipe: ClassifierRecipe, *, progress: Callable[[int, int], None] | None = None) -> PictureBank:
    """Make the pictures of a recipe, or take those that an earlier call made.

    Parameters
    ----------
    recipe : ClassifierRecipe
        Recipes with the same output folder, set and side share one bank.
    progress : callable, optional
        Called with (done, all).

    Returns
    -------
    PictureBank
        With the parts of the recipe.

    Raises
    ------
    ConfigError
        If the set is missing, or a part of it is empty.
    """
    section, side = choose_data(recipe), recipe.input.side
    cutouts = read_cutouts(section)
    place = Path(section.path)
    stamp = [p.stat().st_mtime_ns for p in (place, place / "labels.csv") if p.exists()]
    # the names, too: a picture that is added in a folder below would shift all labels against the kept pictures
    made_with = section.model_dump(mode="json", exclude={"clear", "split"})
    made_with |= {"side": side, "stamp": stamp, "names": [str(name) for name in cutouts.names]}
    folder = Path(recipe.output.directory) / "pictures" / sha256(made_with)[:12]
    index = folder / "index.json"
    if not index.is_file():
        _make(cutouts, folder, side=side, centre=section.centre, progress=progress)
    kept = json.loads(index.read_text(encoding="utf-8"))
    rows = np.array(kept["rows"], dtype=int)
    bank = PictureBank(
        np.load(folder / "pictures.npy", mmap_mode="r"),
        cutouts.shares[rows],
        np.array([cutouts.names[i] for i in rows], dtype=str),
        _parts(section, cutouts, rows),
        cutouts.classes,
        cutouts.source,
    )
    for part in ("train", "val", "test"):
        if not (bank.parts == part).any():
            msg = f"{recipe.name}: data: no cutout is in the part {part}; check data.split, or give more cutouts"
            raise ConfigError(msg)
    return bank


def _make(
    cutouts: LabelledCutouts, folder: Path, *, side: int, centre: float, progress: Callable[[int, int], None] | None
) -> None:
    """Write the pictures one by one; those that cannot be read are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[int] = []
    # made for all, cut to those that could be read
    with atomic_path(folder / "pictures.npy") as path:
        pictures = np.lib.format.open_memmap(path, "w+", np.uint8, (len(cutouts), side, side, 3))
        for index in range(len(cutouts)):
            try:
                pictures[len(rows)] = resized(cutouts.read(index), side, centre=centre)
                rows.append(index)
            except ImageError as error:
                logger.warning("%s; left out", error)
            if progress:
                progress(index + 1, len(cutouts))
        pictures.flush()
    if not rows:
        msg = f"data.path: none of {len(cutouts)} cutouts can be read"
        raise ConfigError(msg)
    with atomic_path(folder / "index.json") as path:
        path.write_text(json.dumps({"rows": rows}), encoding="utf-8")


def _parts(section: CutoutsSection, cutouts: LabelledCutouts, rows: NDArray[np.intp]) -> NDArray[np.str_]:
    if section.split is None:
        return np.array([part_of(cutouts.group_names[i]) for i in rows], dtype=str)
    given = read_split(section.split)
    return np.array([given.get(cutouts.names[i], "none") for i in rows], dtype=str)


class PictureSet(Dataset[tuple[Tensor, Tensor, int]]):
    """Pictures of a part, as bytes, with the shares of their classes.

    Parameters
    ----------
    bank : PictureBank
        The pictures.
    rows : ndarray
        Which of them.
    rand_augment : int
        Operations of RandAugment on each; 0 for none.
    magnitude : int
        Their strength.
    """

    def __init__(self, bank: PictureBank, rows: NDArray[np.intp], *, rand_augment: int = 0, magnitude: int = 5) -> None:
        self.bank, self.rows = bank, rows
        self._change: Any = None
        if rand_augment:
            from torchvision.transforms.v2 import RandAugment

            self._change = RandAugment(num_ops=rand_augment, magnitude=magnitude)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        """Picture ``(3, side, side)`` uint8, shares ``(n_classes,)``, index in the bank."""
        row = int(self.rows[index])
        picture = torch.from_numpy(np.array(self.bank.pictures[row])).permute(2, 0, 1)
        if self._change is not None:
            picture = self._change(picture)
        return picture, torch.from_numpy(self.bank.shares[row]), row


class EpochSampler(Sampler[int]):
    """Order of a part's pictures in an epoch: a pure function of seed and epoch.

    Parameters
    ----------
    labels : ndarray
        ``(n,)`` class of each.
    seed : int
        Of the order.
    balanced : bool
        Draw each class as often as the others, with replacement.
    """

    def __init__(self, labels: NDArray[np.intp], *, seed: int, balanced: bool = False) -> None:
        self.labels, self.seed, self.balanced, self.epoch = labels, seed, balanced, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells which epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[int]:
        """Indices of the epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        n = len(self.labels)
        if not self.balanced:
            return iter(rng.permutation(n).tolist())
        share = 1 / np.bincount(self.labels)[self.labels]
        return iter(rng.choice(n, n, p=share / share.sum()).tolist())
