"""Recipes of ``task: morphology``: how to train a classifier of galaxy cutouts."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from astrogalaxy.config import paths, values
from astrogalaxy.config.file import File
from astrogalaxy.config.problems import fail
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
        description="Layout of the set: galaxyzoo (a folder of Galaxy Zoo 2 or Galaxy Zoo DECaLS: labels.csv and "
        "images/), galaxy10 (the HDF5 file of Galaxy10 DECaLS), efigi (folder with the attribute table and the "
        "images), folders (a folder of class folders), catalog (a table of sources, and the survey.yml of its images).",
        examples=["galaxyzoo"],
    )
    path: paths.InputPath = Field(description="File or folder of the set.", examples=["gz2"])
    classes: Literal["labels", "smooth-disk", "fine", "galaxy10"] = Field(
        "labels",
        description="Of Galaxy Zoo votes: labels (the sample's own), smooth-disk, fine (seven classes), or galaxy10 "
        "(the ten of Galaxy10, as far as the votes tell). Other sets have their own classes.",
    )
    soft: bool = Field(True, description="Learn the shares of the votes; false: the class with most of them.")
    split: paths.InputPath | None = Field(
        None, description="Table (CSV) that assigns galaxies to parts: name, part. null: by a hash of the name."
    )
    survey: paths.InputPath | None = Field(None, description="Of a catalog: the survey.yml with its images.")
    centre: float = Field(1.0, gt=0, le=1, description="Side of the middle that is cut out, in sides of the image.")
    clear: float = Field(
        0.5, ge=0, lt=1, description="Share of the votes above which a test galaxy's class is clear enough to count."
    )


class NetworkSection(Section):
    """``model``: the classifier."""

    architecture: str = Field(
        "efficientnet-lite0",
        min_length=1,
        description="A name of astrogalaxy.morphology.ARCHITECTURES, or timm:<name> for any model of timm.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further arguments of the architecture, such as fused_share."
    )
    attention: Literal["none", "cbam", "self"] = Field(
        "none", description="Attention on the last feature map: CBAM, or self-attention over its pixels."
    )
    hidden: int | None = Field(
        None, ge=1, le=65536, description="Units of a dense layer before the classes; null: none."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the classes.")
    pretrained: Literal["auto", "true", "false"] = Field(
        "auto",
        description="Start from published weights: true (an error if they cannot be had), false, or auto: where they "
        "are at hand. What happened is said in the weight card.",
    )
    weights: paths.InputPath | None = Field(
        None, description="File with the weights to start from (safetensors or a state dict); instead of pretrained."
    )
    tuning: Literal["all", "deep", "shallow"] = Field(
        "all",
        description="What learns: all; deep: the later feature layers, from new random numbers, what comes after them, "
        "from its weights, and the head; shallow: the head and dense layers before it alone.",
    )
    frozen: float = Field(
        0.5, ge=0, le=1, description="With tuning deep: share of the feature layers that stay, with all before them."
    )

    @field_validator("pretrained", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return str(value).lower() if isinstance(value, bool) else value


class InputSection(Section):
    """``input``: how pixels become network input."""

    side: int = Field(96, ge=16, le=1024, description="Side in pixels to which the cutout is brought.")
    normalise: Literal["symmetric", "imagenet", "unit"] = Field(
        "symmetric", description="symmetric: x/127.5 - 1; imagenet: by ImageNet's mean and deviation; unit: x/255."
    )


class AugmentationSection(Section):
    """``augmentation``: what is changed of the training images, at random."""

    rotation: float = Field(0.0, ge=0, le=180, description="Largest rotation in degrees; corners become black.")
    flip: bool = Field(False, description="Flip left to right and upside down, each half of the time.")
    zoom: float = Field(0.0, ge=0, lt=1, description="Largest change of the scale, as a share.")
    shear: float = Field(0.0, ge=0, lt=1, description="Largest shear, as a share.")
    shift: float = Field(0.0, ge=0, lt=1, description="Largest shift, in sides: what a random crop does.")
    noise: float = Field(0.0, ge=0, le=1, description="Deviation of Gaussian noise, of pixels from 0 to 1.")
    rand_augment: int = Field(0, ge=0, le=10, description="Operations of RandAugment on each image.")
    rand_magnitude: int = Field(5, ge=0, le=30, description="Their strength.")
    mix_up: float = Field(0.0, ge=0, le=10, description="Parameter of mix-up's beta distribution; 0: none.")
    cut_mix: float = Field(0.0, ge=0, le=10, description="The same of CutMix; with both, each half of the time.")


class DistillationSection(Section):
    """``training.distillation``: learning from a teacher."""

    teacher: paths.ModelName = Field(
        description="Recipe with the same output folder, or weight file, that teaches.", examples=["my-teacher"]
    )
    temperature: float = Field(4.0, gt=0, le=100, description="By which both networks' logits are divided.")
    predictions: float = Field(0.7, ge=0, le=1, description="Weight of the teacher's predictions against the labels.")
    features: float = Field(1.0, ge=0, le=1000, description="Weight of the teacher's features.")


class SelfSupervisedSection(Section):
    """``training.dino``: tuning without labels before the clusters are found."""

    epochs: int = Field(10, ge=0, le=10**6, description="Passes over the training images.")
    rank: int = Field(8, ge=1, le=1024, description="Rank of the student's LoRA matrices.")
    prototypes: int = Field(1024, ge=2, le=10**6, description="Outputs of the projection heads.")
    local_views: int = Field(4, ge=0, le=32, description="Small crops of each image, beside the two large ones.")
    momentum: float = Field(0.996, gt=0, lt=1, description="Momentum of the teacher.")


class LearningSection(Section):
    """``training``: how to learn."""

    objective: Literal["classes", "clusters"] = Field(
        "classes",
        description="classes: from labels; clusters: k-means on features, matched with the classes.",
    )
    distillation: DistillationSection | None = Field(
        None, description="Learning from a teacher. null: from labels alone."
    )
    dino: SelfSupervisedSection | None = Field(None, description="Self-supervised tuning before clusters. null: none.")
    batch: int = Field(64, ge=1, le=65536, description="Images in a step.")
    epochs: int = Field(30, ge=1, le=10**6, description="Passes over the training images.")
    optimiser: Literal["adamw", "adam", "sgd"] = Field("adamw", description="Optimiser.")
    learning_rate: float = Field(5e-4, gt=0, le=10, description="Highest learning rate.")
    weight_decay: float = Field(0.01, ge=0, le=10, description="Weight decay; with adam an L2 term of the gradient.")
    l2: float = Field(0.0, ge=0, le=10, description="L2 penalty on the hidden dense layer.")
    schedule: Literal["constant", "cosine", "exponential", "inverse"] = Field(
        "cosine",
        description="Learning rate by step s: cosine down to lowest_rate at the end; exponential: times "
        "decay^(s/decay_steps); inverse: over 1 + decay s.",
    )
    lowest_rate: float = Field(1e-6, ge=0, le=10, description="Learning rate at the end of cosine.")
    decay: float = Field(0.01, gt=0, le=1, description="Of exponential and inverse.")
    decay_steps: int = Field(10_000, ge=1, le=10**9, description="Of exponential.")
    warmup: int = Field(0, ge=0, le=10**9, description="Steps over which the learning rate rises.")
    smoothing: float = Field(0.0, ge=0, lt=1, description="Label smoothing.")
    balance: Literal["none", "sampling", "loss"] = Field(
        "none", description="Against rare classes: draw their images more often, or weigh their loss more."
    )
    clip: float | None = Field(None, gt=0, le=10**6, description="Largest norm of the gradient; null: any.")
    monitor: Literal["loss", "accuracy"] = Field("loss", description="By which validations are compared.")
    patience: int | None = Field(None, ge=1, le=10**6, description="Epochs without a better one; null: all are done.")
    patience_from: int = Field(0, ge=0, le=10**6, description="Epoch from which patience counts.")
    restore_best: bool = Field(True, description="Keep the weights of the best epoch; false: of the last.")
    precision: values.TrainingPrecision = Field("32", description="Number format of the forward pass.")
    workers: int = Field(0, ge=0, le=1024, description="Processes that prepare images; 0: none.")


class TestSection(Section):
    """``evaluation``: how the classifier is measured."""

    __test__ = False  # for pytest: no test
    views: Literal[1, 8] = Field(
        1, description="8: the mean over turns by right angles and flips (test-time augmentation)."
    )
    bootstrap: int = Field(1000, ge=0, le=10**6, description="Resamplings for the intervals.")
    timing: bool = Field(True, description="Measure milliseconds per image.")


class ClassifierOutputSection(Section):
    """``output``: where checkpoints and logs go."""

    directory: paths.OutputPath = Field("runs", description="Folder of the runs, relative to this file.")
    graph: bool = Field(
        True, description="Put the ONNX graph into the weight file, so that it can serve in a survey.yml."
    )
    half: bool = Field(
        False,
        description="Keep the weights of layers in half precision: half the file, the same answers to 0.001 or so.",
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
        None, description="Row of a paper's table that 'astrogalaxy evaluate' prints beside this recipe's numbers."
    )
    task: Literal["morphology"] = Field("morphology", description="What is learned.")
    model: NetworkSection = Field(default_factory=dict, description="The classifier.")
    data: tuple[CutoutsSection, ...] = Field(
        strict=False,
        min_length=1,
        description="Labelled sets; the first one that is there is used.",
        examples=[[{"format": "galaxyzoo", "path": "gz2"}]],
    )
    input: InputSection = Field(default_factory=dict, description="From pixels to network input.")
    augmentation: AugmentationSection = Field(default_factory=dict, description="Changes of the training images.")
    training: LearningSection = Field(default_factory=dict, description="How to learn.")
    evaluation: TestSection = Field(default_factory=dict, description="How it is measured.")
    seed: int = Field(1, ge=0, lt=2**31, description="Seed of every random choice.")
    seeds: int = Field(1, ge=1, le=1000, description="Trainings, each with the next seed; the first one serves.")
    output: ClassifierOutputSection = Field(default_factory=dict, description="The results.")

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        training = self.training
        problems: list[tuple[tuple[str | int, ...], str]] = []
        if training.dino and training.objective != "clusters":
            problems.append((("training", "dino"), "needs training.objective: clusters"))
        if training.distillation and training.objective == "clusters":
            problems.append((("training", "distillation"), "cannot be used with training.objective: clusters"))
        problems += [
            (("data", number, "survey"), "required with format: catalog")
            for number, data in enumerate(self.data)
            if data.format == "catalog" and data.survey is None
        ]
        problems += [
            (("data", number, "classes"), f"{data.classes} needs format: galaxyzoo; {data.format} has its own classes")
            for number, data in enumerate(self.data)
            if data.format != "galaxyzoo" and data.classes != "labels"
        ]
        fail("recipe", problems)
        return self

    def folder(self, seed: int) -> str:
        """Folder below the output directory in which a training with a seed lies."""
        return self.name if seed == self.seed else f"{self.name}/seed-{seed}"
