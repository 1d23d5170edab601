"""Make a recipe's training examples: once, in parallel, and kept for the next time.

Every example is a pure function of the recipe's seed and its own number, so that an
interrupted preparation goes on where it stopped and a repeated one changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.config import RecipeConfig
from astrogalaxy.config.file import sha256
from astrogalaxy.config.images import ImagesSection
from astrogalaxy.config.recipe import LabelsSection, SimulationSection, SkySection
from astrogalaxy.datasets.galaxyzoo import GalaxyCutout, read_galaxy_zoo
from astrogalaxy.datasets.splits import part_of
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.files import write_text
from astrogalaxy.images import Image, Section
from astrogalaxy.images.fields import Field, closed_folders, find_fields, open_field
from astrogalaxy.simulation import PROFILES, Scene, draw_conditions, simulate_scene, vary
from astrogalaxy.simulation.profiles import SurveyProfile
from astrogalaxy.training.examples import cut_out, example_from_scene, scene_image, truth_sources
from astrogalaxy.training.fields import injected_example, labelled_example
from astrogalaxy.training.labels import apart, label_bounds, parted, read_labels
from astrogalaxy.training.parallel import in_processes
from astrogalaxy.training.stamps import paste_galaxies

__all__ = ["Prepared", "plan_examples", "prepare", "unseen_images"]

logger = logging.getLogger(__name__)

_KINDS = ("train", "val", "sky", "labels", "held")
# First seed of each kind of example that is random; their ranges do not meet.
_FIRST_SEED = {"train": 0, "val": 10**6, "sky": 2 * 10**6}
# File beside the examples, with the hash of the settings that they were made with.
_RECORD = "settings.sha256"


@dataclass(frozen=True)
class Prepared:
    """An example to make: its kind, number and share of the training.

    The kinds: simulated scenes to train on (``train``) and not to train on (``val``), injections
    into real fields (``sky``), labelled fields (``labels``), and what is held out of these (``held``).
    """

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
        If data that the recipe names are not there, or a survey is not known.
    """
    _check_names(recipe)
    simulation = recipe.data.simulation
    plan = []
    if simulation:
        plan += [Prepared("train", i, 1.0, f"scene-{i:05d}") for i in range(simulation.scenes)]
        plan += [Prepared("val", i, 1.0, f"val-{i:05d}") for i in range(simulation.validation)]
    labelled = _labelled_fields(recipe)
    for number, sky in enumerate(recipe.data.sky):
        key = f"data.sky[{number}]"
        known = _fields(sky.images, key)
        _check_fields(sky, known, key)
        fields = _wanted(sky, known)
        _warn_of_shared(fields, labelled, key)
        if not fields:
            msg = f"{key}: no field left to inject into under {sky.images.path}"
            raise ConfigError(msg)
        plan += [
            Prepared("sky", i, sky.weight, f"sky-{number}-{i:03d}", number) for i in range(len(fields) * sky.injections)
        ]
    # what is held out is validated on as often, beside the scenes, as the rest is trained on
    share = simulation.validation / simulation.scenes if simulation else 1.0
    for number, labels in enumerate(recipe.data.labels):
        plan.append(Prepared("labels", 0, labels.weight, f"labels-{number}", number))
        if labels.holdout:
            plan.append(Prepared("held", 0, labels.weight * share, f"held-{number}", number))
    return plan


def _check_names(recipe: RecipeConfig) -> None:
    """Refuse a recipe before an hour of work if a name in it leads nowhere."""
    data = recipe.data
    surveys = [("data.simulation.surveys", name) for name in (data.simulation.surveys if data.simulation else ())]
    surveys += [(f"data.sky[{i}].profile", sky.profile) for i, sky in enumerate(data.sky)]
    for key, name in surveys:
        if name not in PROFILES:
            msg = f"{key}: {name!r} is not known; choose from {', '.join(PROFILES)}"
            raise ConfigError(msg)
    files = [(f"data.labels[{i}].truth", labels.truth) for i, labels in enumerate(data.labels)]
    files += [(f"data.labels[{i}].split", labels.split) for i, labels in enumerate(data.labels) if labels.split]
    if recipe.model.from_photographs:
        files.append(("model.start", str(recipe.model.start)))
    if data.stamps:
        files.append(("data.stamps.folder", str(Path(data.stamps.folder) / "labels.csv")))
    for key, path in files:
        if not Path(path).is_file():
            msg = f"{key}: {path}: no such file"
            raise ConfigError(msg)


def _fields(images: ImagesSection, key: str) -> list[Field]:
    try:
        return find_fields(images)
    except ImageError as error:
        msg = f"{key}: {error}"
        raise ConfigError(msg) from error


def _check_fields(sky: SkySection, known: list[Field], key: str) -> None:
    """Refuse fields to use that are not there, and warn of ones to leave out: both may be misspelt."""
    names = {field.name for field in known}
    for name in sorted(set(sky.fields) - names):
        msg = f"{key}.fields: no field {name!r} under {sky.images.path}"
        raise ConfigError(msg)
    for name in sorted(set(sky.exclude) - names):
        logger.warning("%s.exclude: no field %r under %s", key, name, sky.images.path)
    for closed in closed_folders(sky.images):
        logger.warning("%s.images: %s", key, closed)


def _warn_of_shared(fields: Sequence[Field], labelled: Sequence[tuple[LabelsSection, Field]], key: str) -> None:
    """Warn where injections would show the pixels of labels that a split keeps for other parts."""
    for field in fields:
        for labels in _labels_of(field, labelled):
            if labels.split:
                words = "%s: all of field %r is trained on, but %s keeps some of its labels for another part; %s"
                logger.warning(words, key, field.name, labels.split, f"name it in {key}.exclude")


def _wanted(sky: SkySection, fields: list[Field]) -> list[Field]:
    """Return the fields that are injected into."""
    return [f for f in fields if f.name not in sky.exclude and (not sky.fields or f.name in sky.fields)]


def _labelled_field(labels: LabelsSection, key: str) -> Field:
    """Return the field that labels belong to."""
    fields = {f.name: f for f in _fields(labels.images, key)}
    if labels.field is None and len(fields) > 1:
        msg = f"{key}.field: {labels.images.path} has {len(fields)} fields; name the labelled one"
        raise ConfigError(msg)
    name = labels.field or next(iter(fields))
    if name not in fields:
        msg = f"{key}.field: no field {name!r} under {labels.images.path}"
        raise ConfigError(msg)
    return fields[name]


def prepare(
    recipe: RecipeConfig,
    folder: Path,
    *,
    workers: int,
    kinds: Collection[str] = _KINDS,
    progress: Callable[[int, int], None] | None = None,
) -> list[Prepared]:
    """Make the examples that are not there yet.

    Parameters
    ----------
    recipe : RecipeConfig
        What to make.
    folder : Path
        Where the examples are kept.
    workers : int
        Processes; none are started for 0 or 1.
    kinds : collection of str
        Which kinds of examples; see `Prepared`.
    progress : callable, optional
        Called with (done, all).

    Returns
    -------
    list of Prepared
        All examples of these kinds.

    Raises
    ------
    ConfigError
        See `plan_examples`.

    Notes
    -----
    Examples in the folder that were made with other settings (seed or data; not their number
    or weight) are removed. Those of real images are made anew if one of their files is younger.
    """
    plan = [item for item in plan_examples(recipe) if item.kind in kinds]
    folder.mkdir(parents=True, exist_ok=True)
    _forget_others(recipe, folder)
    files = _real_files(recipe)
    todo = [item for item in plan if not _made(folder, item, files)]
    # files may be wrong: they are looked at before hours of simulation
    todo.sort(key=lambda item: item.kind in {"train", "val"})
    logger.info("%d examples, %d to be made", len(plan), len(todo))
    for done, _ in enumerate(in_processes(partial(_make, recipe, folder), todo, workers), start=1):
        if progress:
            progress(len(plan) - len(todo) + done, len(plan))
    return plan


def _real_files(recipe: RecipeConfig) -> dict[tuple[str, int], list[list[Path]]]:
    """What examples of real images are made of, by kind and section; by field where there are several."""
    labelled = _labelled_fields(recipe)
    found = {
        ("sky", number): [
            [
                *field.files,
                *(path for labels in _labels_of(field, labelled) if labels.holdout for path in _tables(labels)),
            ]
            for field in _wanted(sky, find_fields(sky.images))
        ]
        for number, sky in enumerate(recipe.data.sky)
    }
    for number, (labels, field) in enumerate(labelled):
        files = [*_tables(labels), *field.files]
        found["labels", number] = found["held", number] = [files]
    return found


def _tables(labels: LabelsSection) -> list[Path]:
    return [Path(path) for path in (labels.truth, labels.split) if path]


def _made(folder: Path, item: Prepared, files: Mapping[tuple[str, int], list[list[Path]]]) -> bool:
    """Whether an example is there, made of its files as they are now."""
    path = folder / f"{item.name}.npy"
    if not path.exists():
        return False
    made, given = path.stat().st_mtime, files.get((item.kind, item.section), [[]])
    return all(file.stat().st_mtime <= made for file in given[item.index % len(given)])


def _forget_others(recipe: RecipeConfig, folder: Path) -> None:
    """Remove examples that other settings left under the same names."""
    data = recipe.data.model_dump(
        mode="json",
        exclude={
            "simulation": {"scenes", "validation"},
            "labels": {"__all__": {"weight"}},
            "sky": {"__all__": {"weight", "injections"}},
        },
    )
    record, made_with = folder / _RECORD, sha256({"seed": recipe.seed, "data": data})
    known = record.read_text(encoding="ascii") if record.is_file() else made_with
    if known != made_with:
        logger.info("%s: examples of other settings are made anew", folder)
        for path in folder.glob("*.np[yz]"):
            path.unlink()
    write_text(record, made_with)


def _make(recipe: RecipeConfig, folder: Path, item: Prepared) -> None:
    makers = {"train": _scene, "val": _scene, "sky": _sky, "labels": _labels, "held": _labels}
    makers[item.kind](recipe, item, folder)


def _scene(recipe: RecipeConfig, item: Prepared, folder: Path) -> None:
    simulation = recipe.data.simulation
    if simulation is None:
        return
    scene, rng, seed = _simulated(recipe.seed, simulation, item.kind, item.index)
    example = example_from_scene(scene, name=item.name)
    cutouts = _cutouts(recipe, item.kind, rng)
    if cutouts:
        example = paste_galaxies(example, cutouts, seed=seed)
    example.save(folder)


def _simulated(
    seed: int, simulation: SimulationSection, kind: str, index: int
) -> tuple[Scene, np.random.Generator, np.random.SeedSequence]:
    """A scene, and what its example draws from then on."""
    seeds = np.random.SeedSequence([seed, _FIRST_SEED[kind] + index]).spawn(5)
    rng = np.random.default_rng(seeds[0])
    profile = _draw_profile(simulation, rng)
    conditions = None
    # what calibrates is like the sky; and seeds of their own, so that scenes that are not even stay what they are
    if kind == "train" and np.random.default_rng(seeds[3]).random() < simulation.even:
        conditions = replace(draw_conditions(profile, np.random.default_rng(seeds[4])), even=True)
    return simulate_scene(profile, size=simulation.size, seed=seeds[1], conditions=conditions), rng, seeds[2]


def unseen_images(recipe: RecipeConfig) -> Iterator[tuple[Image, NDArray[np.void]]]:
    """Simulated scenes that are not trained on, as images: those of the examples, without pasted galaxies.

    An example holds bands on one grid; what is measured is measured on the pixels of each band.

    Parameters
    ----------
    recipe : RecipeConfig
        None come where it has no simulation.

    Yields
    ------
    image : Image
    sources : ndarray
        Records of `~astrogalaxy.training.examples.SOURCE_DTYPE`.
    """
    simulation = recipe.data.simulation
    if simulation is None:
        return
    for index in range(simulation.validation):
        scene, _, _ = _simulated(recipe.seed, simulation, "val", index)
        yield scene_image(scene), truth_sources(scene.truth, float(np.mean(list(scene.conditions.seeing.values()))))


def _draw_profile(simulation: SimulationSection, rng: np.random.Generator) -> SurveyProfile:
    names, shares = list(simulation.surveys), np.array(list(simulation.surveys.values()))
    return vary(PROFILES[names[rng.choice(len(names), p=shares / shares.sum())]], rng)


def _cutouts(recipe: RecipeConfig, kind: str, rng: np.random.Generator) -> list[GalaxyCutout]:
    """A handful of real galaxies for a share of the scenes."""
    stamps = recipe.data.stamps
    if stamps is None or rng.random() >= stamps.share:
        return []
    part = stamps.part if kind == "train" else "val"
    known = _sample(stamps.folder, part)
    return [known[i] for i in rng.choice(len(known), min(stamps.per_scene, len(known)), replace=False)]


@lru_cache(maxsize=2)
def _sample(folder: str, part: str) -> list[GalaxyCutout]:
    """The cutouts of a part of a sample, which all scenes draw from."""
    return [c for c in read_galaxy_zoo(folder) if part_of(c.name) == part]


def _sky(recipe: RecipeConfig, item: Prepared, folder: Path) -> None:
    sky = recipe.data.sky[item.section]
    fields = _wanted(sky, find_fields(sky.images))
    field = fields[item.index % len(fields)]
    image = open_field(field, sky.images)
    number = _FIRST_SEED["sky"] + 10**5 * item.section + item.index
    seed = np.random.SeedSequence([recipe.seed, number])
    example = injected_example(image, PROFILES[sky.profile], seed=seed, name=item.name)
    part = Section.whole(image.shape)
    for labels in _labels_of(field, _labelled_fields(recipe, held=True)):
        part = apart(part, _labelled(labels, image)[1], labels.holdout)
    cut_out(example, part).save(folder)


def _labelled_fields(recipe: RecipeConfig, *, held: bool = False) -> list[tuple[LabelsSection, Field]]:
    """All labels, or those part of which is not to be trained on, and their fields."""
    return [
        (labels, _labelled_field(labels, f"data.labels[{number}]"))
        for number, labels in enumerate(recipe.data.labels)
        if labels.holdout or not held
    ]


def _labels_of(field: Field, labelled: Sequence[tuple[LabelsSection, Field]]) -> Iterator[LabelsSection]:
    """Those that are of a field, or of a band of it."""
    for labels, other in labelled:
        if other.extension == field.extension and not set(other.paths.values()).isdisjoint(field.paths.values()):
            yield labels


def _labels(recipe: RecipeConfig, item: Prepared, folder: Path) -> None:
    labels = recipe.data.labels[item.section]
    image = open_field(_labelled_field(labels, f"data.labels[{item.section}]"), labels.images)
    table, region = _labelled(labels, image)
    if labels.holdout:
        region = parted(region, labels.holdout, held=item.kind == "held")
        table = table[region.contains(table["x"], table["y"])]
    labelled_example(image, table, region=region, name=item.name).save(folder)


def _labelled(labels: LabelsSection, image: Image) -> tuple[Table, Section]:
    """Labels of an image, and what they cover."""
    region = Section(*labels.region) if labels.region else None
    table = read_labels(labels.truth, image, labels.split, labels.part, region=region)
    return table, (region or label_bounds(table)).clip(image.shape)
