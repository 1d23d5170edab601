"""``recipe.yml``: how to train the detector; and the reader of recipes of any task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from astrogalaxy.config import paths, values
from astrogalaxy.config.checking import Origin
from astrogalaxy.config.classifier import ClassifierRecipe, RunsSection
from astrogalaxy.config.file import File, locate
from astrogalaxy.config.images import ImagesSection
from astrogalaxy.config.problems import Loc, did_you_mean, fail, show
from astrogalaxy.config.schema import Section
from astrogalaxy.config.yaml import parse_yaml, read_text
from astrogalaxy.errors import ConfigError

if TYPE_CHECKING:
    from astrogalaxy.models.architecture import Architecture

__all__ = [
    "GalaxiesSection",
    "LabelsSection",
    "ModelSection",
    "PhosimSection",
    "RecipeConfig",
    "SimulationSection",
    "SkySection",
    "read_recipe",
]


class ModelSection(Section):
    """``model``: the network to train."""

    architecture: Literal["astroyolo"] = Field("astroyolo", description="Family of networks.")
    size: Literal["nano", "micro", "tiny", "s"] = Field("nano", description="Width and depth of the network.")
    levels: values.Levels = Field(
        (4, 8, 16),
        description="Strides of the detection levels, finest first, in pixels of the network input (after zoom).",
    )
    zoom: values.Zoom = Field(
        1.0,
        description="Factor by which the network magnifies its input. The cells become finer on the sky.",
    )
    inputs: int = Field(3, ge=1, le=64, description="Number of input channels, onto which the bands are mapped.")
    seeing: bool = Field(False, description="Whether an additional input channel holds the seeing of the image.")
    one_cell: bool = Field(
        False,
        description="Whether only one cell learns to detect each source, so that both members of a close pair can be "
        "kept. false: several cells, as in YOLOX.",
    )
    start: paths.OptionalModelName = Field(
        None,
        description="Weights from which the training starts: default, a name, a path, or the name of another recipe "
        "with the same output directory. Levels, inputs, seeing and size must be the same, except that a micro may "
        "start from a nano. Also a YOLOX of the same size that was trained on photographs (.onnx, as its authors "
        "release it). null: the training starts from random numbers.",
    )

    @property
    def shape(self) -> Architecture:
        """The network's, as weight files have it."""
        from astrogalaxy.models.architecture import Architecture

        return Architecture(self.size, tuple(self.levels), self.inputs, self.seeing, self.one_cell, self.zoom)

    @property
    def from_photographs(self) -> bool:
        """Whether the training starts from a published YOLOX."""
        return self.start is not None and self.start.endswith(".onnx")


class SimulationSection(Section):
    """``data.simulation``: scenes made with GalSim, whose truth is known."""

    scenes: int = Field(1000, ge=1, le=10**9, description="Number of scenes for training.")
    validation: int = Field(40, ge=1, le=10**9, description="Number of scenes kept for validation.")
    size: int = Field(512, ge=32, le=65536, description="Side of a scene in pixels.")
    surveys: values.Weights = Field(
        {"sdss": 1.0},
        description="Surveys whose pixel scale, seeing and depth are imitated, with the share of each.",
    )
    even: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the training scenes that have as many galaxies as stars at every magnitude, and galaxies "
        "of every size. The other scenes have the counts of the real sky, where bright compact galaxies are rare.",
    )


class LabelsSection(Section):
    """``data.labels[]``: real images with a table of their sources."""

    images: ImagesSection = Field(
        description="The images, as in a survey.yml.", examples=[{"path": "field-{band}.fits", "bands": ["r"]}]
    )
    field: str | None = Field(None, description="Name of the field. null: the only field.")
    truth: paths.InputPath = Field(
        description="Table of the sources (CSV) with x, y (0-based pixels of the reference band) and class.",
        examples=["truth.csv"],
    )
    split: paths.InputPath | None = Field(
        None, description="Table (CSV) that assigns the rows of truth to parts, with the columns row and part."
    )
    part: str = Field("train", min_length=1, max_length=100, description="Part of the split that is used.")
    region: tuple[int, int, int, int] | None = Field(
        None,
        strict=False,
        description="x0, x1, y0, y1 of the pixels that the labels cover. null: the bounding box of the labels.",
    )
    holdout: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the pixel rows of the labelled region, those with the highest y, that is kept out of "
        "training and used for validation and calibration.",
    )
    weight: float = Field(1.0, gt=0, le=1e6, description="How often the field is drawn, relative to one scene.")


class SkySection(Section):
    """``data.sky[]``: real images into which simulated sources are injected."""

    images: ImagesSection = Field(
        description="The images, as in a survey.yml.", examples=[{"path": "field-{band}.fits", "bands": ["r"]}]
    )
    fields: values.NameList = Field((), description="Names of the fields to use. Empty: all.")
    exclude: values.NameList = Field((), description="Names of the fields to leave out.")
    profile: str = Field("sdss", description="Survey whose population of sources is injected.")
    injections: int = Field(2, ge=1, le=10**6, description="Number of examples that are made from each field.")
    weight: float = Field(1.0, gt=0, le=1e6, description="How often each example is drawn, relative to one scene.")


class StampsSection(Section):
    """``data.stamps``: cutouts of real galaxies with votes on their morphology."""

    folder: paths.InputPath = Field(
        description="Folder of a sample of Galaxy Zoo DECaLS or Galaxy Zoo 2: labels.csv and images/.",
        examples=["gz2"],
    )
    part: Literal["train", "val", "test"] = Field("train", description="Part of the sample that is used for training.")
    share: float = Field(0.3, ge=0, le=1, description="Share of the scenes into which cutouts are inserted.")
    per_scene: int = Field(10, ge=1, le=1000, description="Number of galaxies inserted into such a scene.")


class PhosimSection(Section):
    """``data.phosim``: fields like those of Astro R-CNN, on which the AstroYOLO paper tells stars from galaxies."""

    folder: paths.InputPath | None = Field(
        None,
        description="Folder of sets in the layout of Astro R-CNN (set_0/img_g.fits, ..., masks). null: similar fields "
        "are simulated.",
    )
    train: int = Field(
        200, ge=1, le=10**6, description="Number of fields simulated for training. From a folder, all fields are used."
    )
    validation: int = Field(12, ge=1, le=10**6, description="Number of fields simulated for validation.")
    test: int = Field(50, ge=1, le=10**6, description="Number of fields simulated for the test.")
    size: int = Field(512, ge=64, le=4096, description="Side of a simulated field in pixels.")
    isophote: float = Field(
        0.3,
        gt=0,
        le=100,
        description="Surface brightness at which the box of a source ends, in units of the sky noise of all bands "
        "combined. Only the source's own light counts.",
    )
    faintest: float = Field(
        15.0,
        gt=0,
        le=1000,
        description="Signal-to-noise ratio below which a source is ignored: neither finding it nor missing it counts.",
    )


class GalaxiesSection(Section):
    """``data.galaxies``: cutouts of single galaxies with votes for smooth or disk."""

    folder: paths.InputPath = Field(
        description="Folder of a sample of Galaxy Zoo DECaLS or Galaxy Zoo 2: labels.csv and images/.",
        examples=["gz2"],
    )
    centre: values.CentralSide = 0.5
    side: int = Field(96, ge=16, le=1024, description="Side in pixels to which that square is scaled down.")
    mix_up: float = Field(0.3, ge=0, le=1, description="Probability that two mosaics are superposed.")
    majority: float = Field(
        0.8,
        ge=0.5,
        lt=1,
        description="Share of the votes that makes a clear majority. The accuracy of the test is that of galaxies with "
        "a clear majority.",
    )


class DataSection(Section):
    """``data``: what to learn from."""

    simulation: SimulationSection | None = Field(None, description="Simulated scenes. null: none.")
    labels: tuple[LabelsSection, ...] = Field((), strict=False, description="Real images with labelled sources.")
    sky: tuple[SkySection, ...] = Field(
        (), strict=False, description="Real images into which simulated sources are injected."
    )
    stamps: StampsSection | None = Field(None, description="Galaxy cutouts for the morphology head. null: none.")
    phosim: PhosimSection | None = Field(
        None, description="Fields of Astro R-CNN, or similar simulated fields, instead of the above. null: none."
    )
    galaxies: GalaxiesSection | None = Field(
        None, description="Cutouts of single galaxies, shown on their own instead of within fields. null: none."
    )

    @model_validator(mode="after")
    def _there_is_some(self) -> Self:
        mixed = self.simulation or self.labels or self.sky or self.stamps
        if self.phosim and mixed:
            fail([("phosim", "cannot be used together with simulation, labels, sky or stamps")])
        if not self.sets:
            fail([((), "needs simulation, labels, phosim or galaxies")])
        return self

    @property
    def sets(self) -> tuple[str, ...]:
        """What a phase of the schedule may name: ``fields`` with many sources, ``galaxies`` one by one."""
        fields = self.simulation or self.labels or self.phosim
        return tuple(name for name, there in (("fields", fields), ("galaxies", self.galaxies)) if there)


class PhaseSection(Section):
    """``training.schedule.phases[]``: a part of the training with one data set."""

    data: Literal["fields", "galaxies", "both"] = Field(
        description="Data set: fields (phosim, simulation, labels, sky), galaxies, or both in equal numbers per step.",
        examples=["fields"],
    )
    heads: values.Heads = Field(
        strict=False,
        min_length=1,
        description="Heads that learn from the data set. The others stay as they are.",
        examples=[["detection", "stargalaxy"]],
    )
    samples: int = Field(
        1000, ge=1, le=10**9, description="Number of crops or mosaics after which the next phase begins."
    )
    freeze: bool = Field(False, description="Whether the backbone stays as it is.")
    rate: float = Field(1.0, gt=0, le=10, description="Factor by which the learning rate is multiplied.")


class ScheduleSection(Section):
    """``training.schedule``: data sets one after another."""

    phases: tuple[PhaseSection, ...] = Field(
        strict=False,
        min_length=1,
        description="The phases, in order.",
        examples=[[{"data": "fields", "heads": ["detection", "stargalaxy"]}]],
    )
    repeat: bool = Field(
        True,
        description="Start again with the first phase after the last one, until all steps are done. false: the last "
        "phase continues to the end.",
    )


class TrainingSection(Section):
    """``training``: how to learn."""

    crop: int = Field(256, ge=32, le=65536, description="Side of a training crop in pixels.")
    batch: int = Field(24, ge=1, le=65536, description="Number of crops in a step, on each device.")
    steps: int = Field(20_000, ge=1, le=10**9, description="Number of optimiser steps.")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="Highest learning rate.")
    weight_decay: float = Field(0.05, ge=0, le=10, description="Weight decay (AdamW).")
    warmup: int = Field(
        1000, ge=0, le=10**9, description="Number of steps over which the learning rate rises to its highest value."
    )
    precision: values.TrainingPrecision = Field("32", description="Number format of the forward pass.")
    workers: int = Field(2, ge=0, le=1024, description="Number of processes that prepare the data. 0: none.")
    validate_every: int = Field(1000, ge=1, le=10**9, description="Number of steps between two validations.")
    patience: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="Number of validations without a better loss after which training stops; the best weights are "
        "kept. null: all steps are done, and the last weights are kept.",
    )
    devices: values.Workers = Field(
        "auto",
        description="Number of GPUs that train together, or of processes on a machine without a GPU. auto: all GPUs, "
        "or one process.",
    )
    start_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of model.start in the final weights, which are the weighted mean of it and the trained "
        "weights. The mean keeps more of what the start has learned about images unlike the training data.",
    )
    normalisation: Literal["learn", "keep"] = Field(
        "learn",
        description="Statistics of the batch normalisation. learn: those of the data. keep: those of model.start, so "
        "that alternating data sets do not disturb each other's statistics.",
    )
    schedule: ScheduleSection | None = Field(
        None,
        description="Order in which data sets and heads are trained. null: all heads learn from all fields throughout.",
    )

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup > self.steps:
            fail([("warmup", f"{self.warmup} is more than steps, {self.steps}")])
        return self


class RecipeConfig(File):
    """A ``recipe.yml``: how to train a network. Make one with `read` or `from_dict`.

    Examples
    --------
    >>> from astrogalaxy.config import RecipeConfig
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"simulation": {"scenes": 100}}})
    >>> recipe.task, recipe.data.simulation.scenes, recipe.seed
    ('detection', 100, 1)
    """

    name: values.FileName = Field(description="Name of the weights.", examples=["my-detector"])
    published: str | None = Field(
        None, description="Row of a paper's table that 'astrogalaxy evaluate' prints beside the numbers of this recipe."
    )
    task: Literal["detection"] = Field("detection", description="Task to train for.")
    model: ModelSection = Field(default_factory=dict, description="The network.")
    data: DataSection = Field(description="The training data.", examples=[{"simulation": {"scenes": 1000}}])
    training: TrainingSection = Field(default_factory=dict, description="How the network is trained.")
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of every random choice.")
    output: RunsSection = Field(default_factory=dict, description="Where checkpoints, logs and weights are written.")

    def _conflicts(self) -> Iterator[tuple[Loc, str]]:
        multiple = self.model.shape.multiple
        if self.training.crop % multiple:
            problem = f"must be a multiple of the coarsest cells, {multiple}, not {self.training.crop}"
            yield ("training", "crop"), problem
        for key, nothing in (("normalisation", "learn"), ("start_share", 0)):
            value = getattr(self.training, key)
            if value != nothing and (self.model.start is None or self.model.from_photographs):
                problem = f"{value!r} needs weights of astrogalaxy to go on from; name them as model.start"
                yield ("training", key), problem
        for number, phase in enumerate(self.training.schedule.phases if self.training.schedule else ()):
            for name in ("fields", "galaxies") if phase.data == "both" else (phase.data,):
                if name not in self.data.sets:
                    problem = f"the recipe has no {name}; add them under data"
                    yield ("training", "schedule", "phases", number, "data"), problem


def read_recipe(path: str | Path) -> RecipeConfig | ClassifierRecipe:
    r"""Read a ``recipe.yml`` of any task: a detector's, or, with ``task: morphology``, a classifier's.

    Parameters
    ----------
    path : path-like
        The file, or one of the pipelines that come with astrogalaxy, such as
        ``pipelines/recipes/astroyolo-nano.yml``.

    Returns
    -------
    RecipeConfig or ClassifierRecipe
        With absolute paths.

    Raises
    ------
    ConfigError
        Anything is wrong: one line ``file:line: key: what is wrong`` for each problem.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.config import read_recipe
    >>> read_recipe("pipelines/recipes/astroyolo-nano-simulated.yml").task
    'detection'
    >>> text = "name: mine\ntask: morphology\ndata:\n  - {format: folders, path: galaxies}\n"
    >>> _ = Path("mine.yml").write_text(text, encoding="utf-8")
    >>> read_recipe("mine.yml").task
    'morphology'
    """
    document = parse_yaml(read_text(locate(Path(path))), source=str(path))
    if "images" in document.data and "data" not in document.data:
        msg = f"{path}: is a survey.yml and no recipe; to tune weights to labels of its images give --truth labels.csv"
        raise ConfigError(msg)
    detection, morphology = (kind.model_fields["task"].default for kind in (RecipeConfig, ClassifierRecipe))
    task = document.data.get("task", detection)
    if task not in {detection, morphology}:
        hint = did_you_mean(str(task), [detection, morphology])
        raise Origin(document).error(("task",), f"must be {detection} or {morphology}, not {show(task)}{hint}")
    return (ClassifierRecipe if task == morphology else RecipeConfig).read(path)
