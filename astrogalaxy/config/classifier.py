"""Recipes of ``task: morphology``: how to train a classifier of galaxy cutouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from astrogalaxy.config import paths, values
from astrogalaxy.config.file import File
from astrogalaxy.config.problems import Loc
from astrogalaxy.config.schema import Section

__all__ = [
    "AugmentationSection",
    "ClassifierRecipe",
    "CutoutsSection",
    "DistillationSection",
    "SelfSupervisedSection",
]


class CutoutsSection(Section):
    """``data[]``: a labelled set of galaxy cutouts."""

    format: Literal["galaxyzoo", "galaxy10", "efigi", "folders", "catalog"] = Field(
        description="Layout of the set: galaxyzoo (a folder of Galaxy Zoo 2 or Galaxy Zoo DECaLS with labels.csv and "
        "images/), galaxy10 (the HDF5 file of Galaxy10 DECaLS), efigi (a folder with the attribute table and the "
        "images), folders (a folder with one folder per class), or catalog (a table of sources, and the survey.yml of "
        "its images).",
        examples=["galaxyzoo"],
    )
    path: paths.InputPath = Field(description="File or folder of the set.", examples=["gz2"])
    classes: Literal["labels", "smooth-disk", "fine", "galaxy10"] = Field(
        "labels",
        description="Classes that are made from Galaxy Zoo votes: labels (those of the sample itself), smooth-disk, "
        "fine (seven classes), or galaxy10 (the ten of Galaxy10, as far as the votes define them). Other sets have "
        "their own classes.",
    )
    soft: bool = Field(
        True, description="Learn the shares of the votes as soft labels. false: the class with most votes."
    )
    split: paths.InputPath | None = Field(
        None,
        description="Table (CSV) that assigns galaxies to parts, with the columns name and part. null: a hash of the "
        "name decides.",
    )
    survey: paths.InputPath | None = Field(
        None, description="The survey.yml of the images; required with format catalog."
    )
    width: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Width of the cutouts in half-light radii of their galaxies. A survey makes its cutouts as wide. "
        "null: 19.5 for the published sets and for catalogues with half-light radii; otherwise it is measured in the "
        "pictures.",
    )
    centre: values.CentralSide = 1.0
    clear: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of the votes above which the class of a test galaxy is clear enough to count.",
    )


class NetworkSection(Section):
    """``model``: the classifier."""

    architecture: str = Field(
        "efficientnet-lite0",
        min_length=1,
        description="A name of astrogalaxy.morphology.ARCHITECTURES, or timm:<name> for any model of timm.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Additional arguments of the architecture, such as fused_share."
    )
    attention: Literal["none", "cbam", "self"] = Field(
        "none", description="Attention on the last feature map: cbam, or self (self-attention over its pixels)."
    )
    hidden: int | None = Field(
        None,
        ge=1,
        le=65536,
        description="Number of units of a dense layer before the output layer. null: no such layer.",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout rate before the output layer.")
    pretrained: Literal["auto", "true", "false"] = Field(
        "auto",
        description="Start from published weights: true (an error if they are not available), false, or auto (if they "
        "are available). The weight card names the start.",
    )
    weights: paths.InputPath | None = Field(
        None, description="File with the weights to start from (safetensors or a state dict), instead of pretrained."
    )
    tuning: Literal["all", "deep", "shallow"] = Field(
        "all",
        description="Layers that are trained. all: every layer. deep: the later feature layers (starting from random "
        "numbers), all layers after them (starting from the given weights) and the head. shallow: only the head and "
        "the dense layers before it.",
    )
    frozen: float = Field(
        0.5,
        ge=0,
        le=1,
        description="With tuning deep: share of the feature layers that stay fixed, like all layers before them.",
    )

    @field_validator("pretrained", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return str(value).lower() if isinstance(value, bool) else value


class InputSection(Section):
    """``input``: how pixels become network input."""

    side: int = Field(96, ge=16, le=1024, description="Side in pixels to which the cutout is scaled.")
    normalise: Literal["symmetric", "imagenet", "unit"] = Field(
        "symmetric",
        description="Normalisation of a pixel value x. symmetric: x/127.5 - 1; imagenet: with the mean and standard "
        "deviation of ImageNet; unit: x/255.",
    )


class AugmentationSection(Section):
    """``augmentation``: what is changed of the training images, at random."""

    rotation: float = Field(0.0, ge=0, le=180, description="Largest rotation in degrees. Empty corners become black.")
    flip: bool = Field(False, description="Flip left to right and upside down, each with a probability of one half.")
    zoom: float = Field(0.0, ge=0, lt=1, description="Largest relative change of the scale.")
    shear: float = Field(0.0, ge=0, lt=1, description="Largest shear, as a fraction.")
    shift: float = Field(0.0, ge=0, lt=1, description="Largest shift, as a fraction of the side (a random crop).")
    noise: float = Field(0.0, ge=0, le=1, description="Standard deviation of Gaussian noise, for pixels from 0 to 1.")
    rand_augment: int = Field(0, ge=0, le=10, description="Number of RandAugment operations on each image.")
    rand_magnitude: int = Field(5, ge=0, le=30, description="Strength of the RandAugment operations.")
    mix_up: float = Field(0.0, ge=0, le=10, description="Parameter of the beta distribution of mix-up. 0: no mix-up.")
    cut_mix: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Parameter of the beta distribution of CutMix. 0: no CutMix. With mix-up too, each is used half of "
        "the time.",
    )


class DistillationSection(Section):
    """``training.distillation``: learning from a teacher."""

    teacher: paths.ModelName = Field(
        description="The teacher: a recipe with the same output directory, or a weight file.", examples=["my-teacher"]
    )
    temperature: float = Field(4.0, gt=0, le=100, description="Divisor of the logits of both networks.")
    predictions: float = Field(
        0.7, ge=0, le=1, description="Weight of the teacher's predictions in the loss. The labels have the rest."
    )
    features: float = Field(1.0, ge=0, le=1000, description="Weight of the teacher's features in the loss.")


class SelfSupervisedSection(Section):
    """``training.dino``: tuning without labels before the clusters are found."""

    epochs: int = Field(10, ge=0, le=10**6, description="Number of passes over the training images.")
    rank: int = Field(8, ge=1, le=1024, description="Rank of the student's LoRA matrices.")
    prototypes: int = Field(1024, ge=2, le=10**6, description="Number of outputs of the projection heads.")
    local_views: int = Field(
        4, ge=0, le=32, description="Number of small crops of each image, in addition to the two large ones."
    )
    momentum: float = Field(0.996, gt=0, lt=1, description="Momentum of the teacher.")


class LearningSection(Section):
    """``training``: how to learn."""

    objective: Literal["classes", "clusters"] = Field(
        "classes",
        description="What is learned. classes: the labels. clusters: k-means clusters of features, which are then "
        "matched with the classes.",
    )
    distillation: DistillationSection | None = Field(
        None, description="Learning from a teacher. null: only from labels."
    )
    dino: SelfSupervisedSection | None = Field(
        None, description="Self-supervised tuning before the clusters are found. null: none."
    )
    batch: int = Field(64, ge=1, le=65536, description="Number of images in a step.")
    epochs: int = Field(30, ge=1, le=10**6, description="Number of passes over the training images.")
    optimiser: Literal["adamw", "adam", "sgd"] = Field("adamw", description="Optimiser.")
    learning_rate: float = Field(5e-4, gt=0, le=10, description="Highest learning rate.")
    weight_decay: float = Field(
        0.01, ge=0, le=10, description="Weight decay. With adam it is an L2 term of the gradient."
    )
    l2: float = Field(0.0, ge=0, le=10, description="L2 penalty on the hidden dense layer.")
    schedule: Literal["constant", "cosine", "exponential", "inverse"] = Field(
        "cosine",
        description="Learning rate as a function of the step s. cosine: falls to lowest_rate at the end; exponential: "
        "learning_rate times decay^(s/decay_steps); inverse: learning_rate / (1 + decay s).",
    )
    lowest_rate: float = Field(1e-6, ge=0, le=10, description="Learning rate at the end of the schedule cosine.")
    decay: float = Field(0.01, gt=0, le=1, description="Parameter of the schedules exponential and inverse.")
    decay_steps: int = Field(10_000, ge=1, le=10**9, description="Parameter of the schedule exponential.")
    warmup: int = Field(
        0, ge=0, le=10**9, description="Number of steps over which the learning rate rises to its highest value."
    )
    smoothing: float = Field(0.0, ge=0, lt=1, description="Label smoothing.")
    balance: Literal["none", "sampling", "loss"] = Field(
        "none",
        description="How rare classes are balanced. sampling: their images are drawn more often; loss: their loss has "
        "a larger weight.",
    )
    clip: float | None = Field(
        None, gt=0, le=10**6, description="Norm to which larger gradients are clipped. null: no clipping."
    )
    monitor: Literal["loss", "accuracy"] = Field(
        "loss", description="Validation metric that decides which epoch is best."
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="Number of epochs without a better one after which training stops. null: all epochs are done.",
    )
    patience_from: int = Field(0, ge=0, le=10**6, description="Epoch from which patience counts.")
    restore_best: bool = Field(True, description="Keep the weights of the best epoch. false: those of the last epoch.")
    precision: values.TrainingPrecision = Field("32", description="Number format of the forward pass.")
    workers: int = Field(0, ge=0, le=1024, description="Number of processes that prepare images. 0: none.")


class TestSection(Section):
    """``evaluation``: how the classifier is measured."""

    __test__ = False  # for pytest: no test
    views: Literal[1, 8] = Field(
        1,
        description="Number of views of a cutout over which predictions are averaged. 8: all rotations by right angles "
        "and flips (test-time augmentation).",
    )
    bootstrap: int = Field(1000, ge=0, le=10**6, description="Number of bootstrap resamplings for the intervals.")
    timing: bool = Field(True, description="Whether the time per image is measured, in milliseconds.")


class RunsSection(Section):
    """``output`` of any recipe: where checkpoints and logs go, and the words of the weight card that only you know."""

    directory: paths.OutputPath = Field("runs", description="Folder for the trainings, relative to this file.")
    licence: str = Field(
        "not stated",
        min_length=1,
        description="Licence of the trained weights, for their card. It depends on the terms of the data and of "
        "model.start.",
        examples=["CC-BY-4.0"],
    )
    terms: str = Field(
        "not stated",
        min_length=1,
        description="Terms of the training data, for the weight card.",
        examples=["images of the survey, for members of the collaboration until 2030"],
    )


class ClassifierOutputSection(RunsSection):
    """``output`` of a classifier's recipe."""

    graph: bool = Field(
        True, description="Put the ONNX graph into the weight file. A survey.yml needs it to use the classifier."
    )
    half: bool = Field(
        False,
        description="Store the weights of layers in half precision: half the file size, and the same probabilities to "
        "about 0.001.",
    )


class ClassifierRecipe(File):
    """A ``recipe.yml`` with ``task: morphology``: how to train a classifier of galaxy cutouts.

    Make one with `read` or `from_dict`.

    Examples
    --------
    >>> from astrogalaxy.config import ClassifierRecipe
    >>> recipe = ClassifierRecipe.from_dict(
    ...     {"name": "mine", "task": "morphology", "data": [{"format": "galaxyzoo", "path": "gz2"}]}
    ... )
    >>> recipe.name, recipe.seeds, recipe.folder(2)
    ('mine', 1, 'mine/seed-2')
    """

    name: values.FileName = Field(description="Name of the weights.", examples=["my-classifier"])
    published: str | None = Field(
        None, description="Row of a paper's table that 'astrogalaxy evaluate' prints beside the numbers of this recipe."
    )
    task: Literal["morphology"] = Field("morphology", description="Task to train for.")
    model: NetworkSection = Field(default_factory=dict, description="The classifier.")
    data: tuple[CutoutsSection, ...] = Field(
        strict=False,
        min_length=1,
        description="Labelled sets. The first one that exists is used.",
        examples=[[{"format": "galaxyzoo", "path": "gz2"}]],
    )
    input: InputSection = Field(default_factory=dict, description="How pixels become the input of the network.")
    augmentation: AugmentationSection = Field(
        default_factory=dict, description="Random changes of the training images."
    )
    training: LearningSection = Field(default_factory=dict, description="How the classifier is trained.")
    evaluation: TestSection = Field(default_factory=dict, description="How the classifier is evaluated.")
    seed: int = Field(1, ge=0, lt=2**31, description="Seed of every random choice.")
    seeds: int = Field(
        1,
        ge=1,
        le=1000,
        description="Number of trainings, each with the next seed. The weights to use are those of the first.",
    )
    output: ClassifierOutputSection = Field(
        default_factory=dict, description="Where checkpoints, logs and weights are written."
    )

    def _conflicts(self) -> Iterator[tuple[Loc, str]]:
        training = self.training
        if training.dino and training.objective != "clusters":
            yield ("training", "dino"), "needs training.objective: clusters"
        if training.distillation and training.objective == "clusters":
            yield ("training", "distillation"), "cannot be used with training.objective: clusters"
        for number, data in enumerate(self.data):
            if data.format == "catalog" and data.survey is None:
                yield ("data", number, "survey"), "required with format: catalog"
            if data.format != "galaxyzoo" and data.classes != "labels":
                problem = f"{data.classes} needs format: galaxyzoo; {data.format} has its own classes"
                yield ("data", number, "classes"), problem

    def folder(self, seed: int) -> str:
        """Folder below the output directory in which a training with a seed lies."""
        return self.name if seed == self.seed else f"{self.name}/seed-{seed}"
