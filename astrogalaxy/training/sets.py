"""The two data sets of the AstroYOLO paper, ready for training and for the test: fields, and single galaxies.

They are made once for all recipes that share them, in a folder beside their runs that is named after the settings. The
parts do not depend on the recipe's seed: every recipe is measured on the same images.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from astrogalaxy.config import RecipeConfig
from astrogalaxy.config.file import sha256
from astrogalaxy.config.recipe import GalaxiesSection, PhosimSection
from astrogalaxy.datasets.astrorcnn import FieldSet, find_sets, read_set
from astrogalaxy.datasets.galaxyzoo import read_galaxy_zoo
from astrogalaxy.datasets.splits import Part, part_of
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.training.galaxies import GalaxyBank
from astrogalaxy.training.parallel import in_processes
from astrogalaxy.training.phosim import isophotal_example, simulated_field

__all__ = ["LabelledSets", "prepare_sets"]

logger = logging.getLogger(__name__)

# Where the numbers of the simulated fields of each part start, so that no field is in two.
_FIRST: dict[Part, int] = {"train": 0, "val": 10**6, "test": 2 * 10**6}
_SEED = 2023

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelledSets:
    """One part of a recipe's sets.

    Attributes
    ----------
    fields : tuple of Path
        Examples of fields; none if the recipe has no ``data.phosim``.
    galaxies : Path or None
        Bank of single galaxies; None if the recipe has no ``data.galaxies``.
    """

    fields: tuple[Path, ...] = ()
    galaxies: Path | None = None


def prepare_sets(
    recipe: RecipeConfig, part: Part, *, workers: int = 0, progress: Progress | None = None
) -> LabelledSets:
    """Make one part of the sets of a recipe, as far as it is not there yet.

    Parameters
    ----------
    recipe : RecipeConfig
        With ``data.phosim``, ``data.galaxies``, both or neither.
    part : {'train', 'val', 'test'}
        Which part.
    workers : int
        Processes; none are started for 0 or 1.
    progress : callable, optional
        Called with (done, all).

    Returns
    -------
    LabelledSets

    Raises
    ------
    ConfigError
        If a folder that the recipe names does not hold such a set, or nothing of the part.
    """
    folder = Path(recipe.output.directory)
    fields = _fields(recipe.data.phosim, folder, part, workers, progress) if recipe.data.phosim else ()
    galaxies = _galaxies(recipe.data.galaxies, folder, part) if recipe.data.galaxies else None
    return LabelledSets(fields, galaxies)


# -- fields ----------------------------------------------------------------------------------------


def _fields(
    section: PhosimSection, directory: Path, part: Part, workers: int, progress: Progress | None
) -> tuple[Path, ...]:
    made_with = section.model_dump(mode="json", exclude={"train", "validation", "test"})
    folder = directory / f"phosim-{sha256(made_with)[:8]}" / part
    folder.mkdir(parents=True, exist_ok=True)
    items = _found(section, part) if section.folder else _numbers(section, part)
    paths = [folder / f"field-{number:05d}.npy" for number in range(len(items))]
    todo = [(item, path) for item, path in zip(items, paths, strict=True) if not path.exists()]
    logger.info("%s: %d fields, %d to be made", folder, len(items), len(todo))
    for done, _ in enumerate(in_processes(partial(_make_field, section), todo, workers), start=1):
        if progress:
            progress(len(items) - len(todo) + done, len(items))
    return tuple(paths)


def _numbers(section: PhosimSection, part: Part) -> list[int]:
    count = {"train": section.train, "val": section.validation, "test": section.test}[part]
    return [_FIRST[part] + number for number in range(count)]


def _found(section: PhosimSection, part: Part) -> list[FieldSet]:
    try:
        sets = [found for found in find_sets(str(section.folder)) if found.part == part]
    except ImageError as error:
        msg = f"data.phosim.folder: {error}"
        raise ConfigError(msg) from error
    if not sets:
        msg = f"data.phosim.folder: {section.folder}: no set of the part {part!r}"
        raise ConfigError(msg)
    return sets


def _make_field(section: PhosimSection, item: tuple[int | FieldSet, Path]) -> None:
    source, path = item
    if isinstance(source, FieldSet):
        image, objects = read_set(source)
        example = isophotal_example(
            image, objects, isophote=section.isophote, faintest=section.faintest, name=path.stem
        )
    else:
        example = simulated_field(
            section.size,
            isophote=section.isophote,
            faintest=section.faintest,
            seed=np.random.SeedSequence([_SEED, source]),
            name=path.stem,
        )
    example.save(path.parent)


# -- single galaxies -------------------------------------------------------------------------------


def _galaxies(section: GalaxiesSection, directory: Path, part: Part) -> Path:
    votes = Path(section.folder) / "labels.csv"
    try:
        written = votes.stat().st_mtime_ns
        made_with = {"folder": section.folder, "centre": section.centre, "side": section.side, "written": written}
        folder = directory / f"galaxies-{sha256(made_with)[:8]}"
        path = folder / f"{part}.npy"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            cutouts = [cutout for cutout in read_galaxy_zoo(section.folder) if part_of(cutout.name) == part]
            bank = GalaxyBank.make(cutouts, path, side=section.side, centre=section.centre)
            logger.info("%s: %d galaxies", path, len(bank))
    except (ImageError, OSError) as error:
        msg = f"data.galaxies.folder: {error}"
        raise ConfigError(msg) from error
    return path
