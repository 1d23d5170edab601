"""Make a recipe's training examples: once, in parallel, and kept for the next time.

Every example is a pure function of the recipe's seed and its own number, so that an
interrupted preparation goes on where it stopped and a repeated one changes nothing.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrogalaxy.config import RecipeConfig, SimulationSection
from astrogalaxy.datasets.galaxyzoo import GalaxyCutout, read_galaxy_zoo2
from astrogalaxy.datasets.splits import part_of
from astrogalaxy.errors import ConfigError
from astrogalaxy.images import Section
from astrogalaxy.images.fields import find_fields, open_field
from astrogalaxy.simulation import PROFILES, simulate_scene, vary
from astrogalaxy.simulation.profiles import SurveyProfile
from astrogalaxy.training.examples import example_from_scene
from astrogalaxy.training.fields import injected_example, labelled_example, read_labels
from astrogalaxy.training.stamps import paste_galaxies

__all__ = ["Prepared", "plan_examples", "prepare"]

logger = logging.getLogger(__name__)

# Where the seeds of each kind of example start, so that their streams never meet.
_FIRST_SEED = {"train": 0, "val": 10**6, "sky": 2 * 10**6}


@dataclass(frozen=True)
class Prepared:
    """An example to make: its kind, number and share of the training."""

    kind: str
    index: int
    weight: float
    name: str
    section: int = 0


def plan_examples(recipe: RecipeConfig) -> list[Prepared]:
    """List the examples of a recipe.

    Raises
    ------
    ConfigError
        If data that the recipe names are not there.
    """
    simulation = recipe.data.simulation
    plan = []
    if simulation:
        plan += [Prepared("train", i, 1.0, f"scene-{i:05d}") for i in range(simulation.scenes)]
        plan += [Prepared("val", i, 1.0, f"val-{i:05d}") for i in range(simulation.validation)]
    for number, sky in enumerate(recipe.data.sky):
        fields = [f for f in find_fields(sky.images) if f.name not in sky.exclude]
        if not fields:
            msg = f"data.sky: no field left to inject into under {sky.images.path}"
            raise ConfigError(msg)
        plan += [
            Prepared("sky", i, sky.weight, f"sky-{number}-{i:03d}", number)
            for i in range(len(fields) * sky.injections)
        ]
    plan += [
        Prepared("labels", 0, labels.weight, f"labels-{number}", number)
        for number, labels in enumerate(recipe.data.labels)
    ]
    return plan


def prepare(
    recipe: RecipeConfig, folder: Path, *, workers: int, progress: Callable[[int, int], None] | None = None
) -> list[Prepared]:
    """Make the examples that are not there yet.

    Parameters
    ----------
    recipe : RecipeConfig
        What to make.
    folder : Path
        Where the examples are kept.
    workers : int
        Processes.
    progress : callable, optional
        Called with (done, all).

    Returns
    -------
    list of Prepared
        All examples of the recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_examples(recipe)
    todo = [item for item in plan if not (folder / f"{item.name}.npy").exists()]
    logger.info("%d examples, %d to be made", len(plan), len(todo))
    for done, _ in enumerate(_in_processes(recipe, folder, todo, workers), start=1):
        if progress:
            progress(len(plan) - len(todo) + done, len(plan))
    return plan


def _in_processes(
    recipe: RecipeConfig, folder: Path, todo: list[Prepared], workers: int
) -> Iterator[None]:
    if not todo:
        return
    # spawned, not forked: torch may already be at work in this process
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(workers, 1), mp_context=context, initializer=_one_thread) as pool:
        for future in as_completed([pool.submit(_make, recipe, folder, item) for item in todo]):
            yield future.result()


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _make(recipe: RecipeConfig, folder: Path, item: Prepared) -> None:
    makers = {"train": _scene, "val": _scene, "sky": _sky, "labels": _labels}
    makers[item.kind](recipe, item, folder)


def _scene(recipe: RecipeConfig, item: Prepared, folder: Path) -> None:
    seeds = np.random.SeedSequence([recipe.seed, _FIRST_SEED[item.kind] + item.index]).spawn(3)
    rng = np.random.default_rng(seeds[0])
    simulation = recipe.data.simulation
    if simulation is None:
        return
    profile = _draw_profile(simulation, rng)
    scene = simulate_scene(profile, size=simulation.size, seed=seeds[1])
    example = example_from_scene(scene, name=item.name)
    cutouts = _cutouts(recipe, item.kind, rng)
    if cutouts:
        example = paste_galaxies(example, cutouts, seed=seeds[2])
    example.save(folder)


def _draw_profile(simulation: SimulationSection, rng: np.random.Generator) -> SurveyProfile:
    names, shares = list(simulation.surveys), np.array(list(simulation.surveys.values()))
    unknown = sorted(set(names) - set(PROFILES))
    if unknown:
        msg = f"data.simulation.surveys: {unknown[0]!r} is not known; choose from {', '.join(PROFILES)}"
        raise ConfigError(msg)
    return vary(PROFILES[names[rng.choice(len(names), p=shares / shares.sum())]], rng)


def _cutouts(recipe: RecipeConfig, kind: str, rng: np.random.Generator) -> list[GalaxyCutout]:
    """A handful of real galaxies for a share of the scenes."""
    stamps = recipe.data.stamps
    if stamps is None or rng.random() >= stamps.share:
        return []
    part = stamps.part if kind == "train" else "val"
    known = [c for c in read_galaxy_zoo2(stamps.folder) if part_of(c.name) == part]
    return [known[i] for i in rng.choice(len(known), min(stamps.per_scene, len(known)), replace=False)]


def _sky(recipe: RecipeConfig, item: Prepared, folder: Path) -> None:
    sky = recipe.data.sky[item.section]
    fields = [f for f in find_fields(sky.images) if f.name not in sky.exclude]
    image = open_field(fields[item.index % len(fields)], sky.images)
    number = _FIRST_SEED["sky"] + 10**5 * item.section + item.index
    seed = np.random.SeedSequence([recipe.seed, number])
    injected_example(image, PROFILES[sky.profile], seed=seed, name=item.name).save(folder)


def _labels(recipe: RecipeConfig, item: Prepared, folder: Path) -> None:
    labels = recipe.data.labels[item.section]
    fields = {f.name: f for f in find_fields(labels.images)}
    name = labels.field or next(iter(fields))
    if name not in fields:
        msg = f"data.labels: no field {name!r} under {labels.images.path}"
        raise ConfigError(msg)
    image = open_field(fields[name], labels.images)
    table = read_labels(labels.truth, labels.split, labels.part)
    region = Section(*labels.region) if labels.region else None
    labelled_example(image, table, region=region, name=item.name).save(folder)
