"""The cutouts of a recipe, cut, made small and kept in one file, and what a step sees of them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from astrogalaxy.catalog import CatalogError, check_classes, check_served
from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.config.classifier import CutoutsSection
from astrogalaxy.config.file import sha256
from astrogalaxy.datasets import efigi, galaxy10
from astrogalaxy.datasets.cutouts import LabelledCutouts
from astrogalaxy.datasets.folders import read_catalog, read_folders
from astrogalaxy.datasets.splits import PARTS, Part, part_of, read_split
from astrogalaxy.datasets.votes import read_votes
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.files import atomic_path, write_text
from astrogalaxy.morphology.framing import is_square, measured_frame, warn_of_oblong
from astrogalaxy.morphology.pictures import FIELD_OF_VIEW, resized
from astrogalaxy.training.classifier.parts import PartCounts, copies_of_training

__all__ = ["EpochSampler", "PictureBank", "PictureSet", "choose_data", "inputs_of", "open_bank", "read_cutouts"]

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


def inputs_of(recipe: ClassifierRecipe) -> dict[str, float | str]:
    """What decides how pictures become input, by key; the weight card has the last word of each key.

    Raises
    ------
    ConfigError
        If none of the recipe's sets is there.
    """
    return {
        "data.centre": choose_data(recipe).centre,
        "input.side": recipe.input.side,
        "input.normalise": recipe.input.normalise,
    }


def read_cutouts(section: CutoutsSection) -> LabelledCutouts:
    """Open a labelled set.

    Raises
    ------
    ConfigError
        If it is not what its section says.
    """
    cutouts = _read(section)
    return cutouts if section.width is None else replace(cutouts, width=section.width)


def _read(section: CutoutsSection) -> LabelledCutouts:
    try:
        if section.format == "galaxyzoo":
            return read_votes(section.path, classes=section.classes, soft=section.soft)
        if section.format == "galaxy10":
            return galaxy10.read_galaxy10(section.path)
        if section.format == "efigi":
            return efigi.read_efigi(section.path)
        if section.format == "catalog":
            width = FIELD_OF_VIEW if section.width is None else section.width
            return read_catalog(section.path, str(section.survey), centre=section.centre, width=width)
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
    width : float
        Of the cutouts, in half-light radii of their galaxies.
    """

    pictures: NDArray[np.uint8]
    shares: NDArray[np.float32]
    names: NDArray[np.str_]
    parts: NDArray[np.str_]
    classes: tuple[str, ...]
    source: str
    width: float

    def rows(self, part: Part) -> NDArray[np.intp]:
        """Indices of a part."""
        return np.flatnonzero(self.parts == part)


def open_bank(recipe: ClassifierRecipe, *, progress: Callable[[int, int], None] | None = None) -> PictureBank:
    """Make the pictures of a recipe, or take those that an earlier call made of the same files.

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
        If the set is missing, a part of it is empty, or its classes cannot be columns of a catalogue.
    """
    section, side = choose_data(recipe), recipe.input.side
    cutouts = read_cutouts(section)
    try:
        # weights without a graph are for comparisons and cannot be part of a survey
        (check_served if recipe.output.graph else check_classes)(cutouts.classes)
    except CatalogError as error:
        msg = f"data.path: {section.path}: {error}"
        raise ConfigError(msg) from error
    # a width is what is said of pictures; only those of a catalogue are made by it
    said = {"clear", "split"} | ({"width"} if section.format != "catalog" else set())
    made_with = section.model_dump(mode="json", exclude=said)
    # the names in their order, too: kept pictures would be shifted against the labels by one that is added
    made_with |= {"side": side, "version": version("astrogalaxy"), "names": [str(name) for name in cutouts.names]}
    made_with |= {} if np.isfinite(cutouts.width) else {"measured": True}
    made_with["files"] = [_stamp(path) for path in cutouts.files]
    folder = Path(recipe.output.directory) / "pictures" / sha256(made_with)[:12]
    index = folder / "index.json"
    rows, digests, widths = _kept(index)
    if not len(rows) or _more_can_be_read(cutouts, rows):
        _make(cutouts, folder, side=side, centre=section.centre, progress=progress)
        rows, digests, widths = _kept(index)
    parts = _parts(section, cutouts, rows)
    bank = PictureBank(
        np.load(folder / "pictures.npy", mmap_mode="r")[: len(rows)],
        cutouts.shares[rows],
        np.array([cutouts.names[i] for i in rows], dtype=str),
        parts,
        cutouts.classes,
        cutouts.source,
        cutouts.width if np.isfinite(cutouts.width) else _median_width(recipe.name, widths[parts == "train"]),
    )
    for part in PARTS:
        if not (bank.parts == part).any():
            msg = f"{recipe.name}: data: no cutout is in the part {part}; check data.split, or give more cutouts"
            raise ConfigError(msg)
    _report_parts(recipe, bank, digests)
    return bank


def _report_parts(recipe: ClassifierRecipe, bank: PictureBank, digests: NDArray[np.str_]) -> None:
    """Log what is in each part, and warn of parts that are too small, or hold copies of what trains."""
    counts = PartCounts.of(bank.shares.argmax(axis=1), bank.parts, bank.classes)
    logger.info("%s: %s", recipe.name, counts)
    for doubt in counts.doubts:
        logger.warning("%s: %s", recipe.name, doubt)
    for part, n in copies_of_training(digests, bank.parts).items():
        if n:
            logger.warning("%s: %d pictures of the part %s are copies of ones that train", recipe.name, n, part)


def _stamp(path: Path) -> tuple[str, int, int]:
    """Path, size and time of a file, which change when it does."""
    try:
        state = path.stat()
    except OSError:  # the picture is left out when it is asked for
        return str(path), -1, -1
    return str(path), state.st_size, state.st_mtime_ns


def _kept(index: Path) -> tuple[NDArray[np.intp], NDArray[np.str_], NDArray[np.float64]]:
    """Rows of the cutouts that an earlier call could read, hashes of their pictures, and widths of the cutouts.

    None without such a call.
    """
    kept = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    types = {"rows": np.intp, "digests": str, "widths": float}
    rows, digests, widths = (np.array(kept.get(name, []), dtype=kind) for name, kind in types.items())
    return rows, digests, widths


def _median_width(name: str, widths: NDArray[np.float64]) -> float:
    """How wide most cutouts look, in half-light radii of their galaxies.

    A single one says it roughly, the median well; `astrogalaxy classify` compares it with that of other cutouts.
    """
    seen = widths[np.isfinite(widths)]
    if not seen.size:
        words = "%s: no galaxy is seen in the middle of the pictures; the weight card says %.1f half-light radii"
        logger.warning(words, name, FIELD_OF_VIEW)
        return FIELD_OF_VIEW
    width = round(float(np.median(seen)), 1)
    logger.info("%s: the cutouts look %.1f half-light radii of their galaxies wide", name, width)
    return width


def _more_can_be_read(cutouts: LabelledCutouts, rows: NDArray[np.intp]) -> bool:
    """Whether a cutout that an earlier call left out can be read now: a disk may have been away."""
    for index in np.setdiff1d(np.arange(len(cutouts)), rows):
        try:
            cutouts.read(int(index))
        except ImageError as error:
            logger.warning("%s; left out", error)
        else:
            return True
    return False


def _make(
    cutouts: LabelledCutouts, folder: Path, *, side: int, centre: float, progress: Callable[[int, int], None] | None
) -> None:
    """Write the pictures one by one; those that cannot be read are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "index.json"
    # an interruption between the two files must not leave old rows beside new pictures
    record.unlink(missing_ok=True)
    rows: list[int] = []
    digests: list[str] = []
    widths: list[float | None] = []
    known, oblong = np.isfinite(cutouts.width), 0
    # made for all; the last ones stay empty where some cannot be read
    with atomic_path(folder / "pictures.npy") as path:
        pictures = np.lib.format.open_memmap(path, "w+", np.uint8, (len(cutouts), side, side, 3))
        for index in range(len(cutouts)):
            try:
                whole = cutouts.read(index)
                oblong += not is_square(whole)
                picture = resized(whole, side, centre=centre)
                pictures[len(rows)] = picture
                rows.append(index)
                digests.append(hashlib.sha256(picture.tobytes()).hexdigest()[:16])
                width = cutouts.width if known else measured_frame(whole)
                widths.append(width if np.isfinite(width) else None)
            except ImageError as error:
                logger.warning("%s; left out", error)
            if progress:
                progress(index + 1, len(cutouts))
        pictures.flush()
    warn_of_oblong(oblong, len(rows))
    if not rows:
        msg = f"data.path: none of {len(cutouts)} cutouts can be read"
        raise ConfigError(msg)
    write_text(record, json.dumps({"rows": rows, "digests": digests, "widths": widths}))


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
