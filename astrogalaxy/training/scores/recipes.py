"""Measure what recipes have trained, on their test sets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection import Runtime
from astrogalaxy.detection.aligned import card_input
from astrogalaxy.detection.decode import cells, decode
from astrogalaxy.detection.single import the_galaxy
from astrogalaxy.devices import Device
from astrogalaxy.errors import ConfigError
from astrogalaxy.evaluation.boxes import FoundBoxes, MeanPrecision, TrueBoxes, mean_average_precision
from astrogalaxy.evaluation.intervals import Interval, share
from astrogalaxy.models import load_weights
from astrogalaxy.training.examples import Example
from astrogalaxy.training.galaxies import GalaxyBank
from astrogalaxy.training.scores.published import check_published
from astrogalaxy.training.scores.scoretables import check_trained, milliseconds_of
from astrogalaxy.training.sets import prepare_sets

__all__ = ["RecipeScore", "evaluate_recipe"]

logger = logging.getLogger(__name__)

# Cells below this logit are no boxes; overlap above which the worse of two boxes goes, as in YOLOX.
_LOWEST_LOGIT, _OVERLAP = -5.0, 0.65
_TIMED, _TIMED_SIDE = 30, 512

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RecipeScore:
    """What was measured of one recipe; None where its data has no such test.

    Attributes
    ----------
    name : str
        The recipe's.
    published : str or None
        Key of `~astrogalaxy.training.scores.published.PUBLISHED`.
    size : str
        Of the network.
    weights : str
        SHA-256 of its tensors.
    precision : MeanPrecision or None
        Of the fields' boxes.
    accuracy : Interval or None
        Smooth or disk, over the galaxies with a clear majority of the votes.
    accuracy_all : Interval or None
        The same over all galaxies, the majority of the votes being right.
    n_fields, n_clear, n_galaxies : int
        How many fields, galaxies with a clear majority, and galaxies were tested.
    milliseconds : float
        Median time for an image of 512 x 512 pixels by itself: network and boxes.
    device : str
        Where that was.

    Examples
    --------
    >>> from astrogalaxy.evaluation.intervals import Interval
    >>> from astrogalaxy.training.scores.recipes import RecipeScore
    >>> right = Interval(0.83, 0.80, 0.86)
    >>> score = RecipeScore("mine", None, "nano", "abc", None, right, right, 0, 70, 122, 12.3, "cpu")
    >>> f"{score.name}: {score.accuracy.value:.0%} of {score.n_clear} galaxies"
    'mine: 83% of 70 galaxies'
    """

    name: str
    published: str | None
    size: str
    weights: str
    precision: MeanPrecision | None
    accuracy: Interval | None
    accuracy_all: Interval | None
    n_fields: int
    n_clear: int
    n_galaxies: int
    milliseconds: float
    device: str


def evaluate_recipe(
    recipe: RecipeConfig, *, device: Device = "auto", workers: int = 0, progress: Progress | None = None
) -> RecipeScore:
    """Measure the trained weights of a recipe on its test set.

    Parameters
    ----------
    recipe : RecipeConfig
        With ``data.phosim``, ``data.galaxies`` or both.
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        Where the network runs.
    workers : int
        Processes that make the test fields, if they are not there yet.
    progress : callable, optional
        Called with (done, all) meanwhile.

    Returns
    -------
    RecipeScore
        None in it stands for what the recipe has no test of.

    Raises
    ------
    ConfigError
        If the recipe has no test set, or names a row that no table has.
    RunError
        If it is not trained yet.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.config import RecipeConfig
    >>> from astrogalaxy.training.scores.recipes import evaluate_recipe
    >>> from astrogalaxy.models import load_weights, save_weights
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"phosim": {"size": 64, "test": 1}}})
    >>> folder = Path(recipe.output.directory, "mine")
    >>> folder.mkdir(parents=True)
    >>> made = load_weights("default")  # in place of a training
    >>> _ = save_weights(folder / "mine.safetensors", made.card, made.tensors, made.graph)
    >>> score = evaluate_recipe(recipe, device="cpu")
    >>> score.n_fields, score.weights == made.card.sha256
    (1, True)
    """
    check_published(recipe)
    if not (recipe.data.phosim or recipe.data.galaxies):
        msg = f"{recipe.name}: the recipe has no test set (data.phosim or data.galaxies); evaluate a catalogue instead"
        raise ConfigError(msg)
    path = Path(recipe.output.directory) / recipe.name / f"{recipe.name}.safetensors"
    check_trained(recipe, path)
    weights = load_weights(path)
    runtime = Runtime(weights, device=device)
    sets = prepare_sets(recipe, "test", workers=workers, progress=progress)
    logger.info("%s: %d test fields", recipe.name, len(sets.fields))
    fields = [_field(runtime, Example.load(path)) for path in sets.fields]
    right, votes = _galaxies(runtime, GalaxyBank.load(sets.galaxies)) if sets.galaxies else (None, None)
    clear = None
    if right is not None and votes is not None and recipe.data.galaxies:
        clear = right[np.maximum(votes, 1 - votes) >= recipe.data.galaxies.majority]
    return RecipeScore(
        name=recipe.name,
        published=recipe.published,
        size=weights.card.size,
        weights=weights.card.sha256,
        precision=mean_average_precision([f for f, _ in fields], [t for _, t in fields]) if fields else None,
        accuracy=None if clear is None else share(clear.sum(), len(clear)),
        accuracy_all=None if right is None else share(right.sum(), len(right)),
        n_fields=len(fields),
        n_clear=0 if clear is None else len(clear),
        n_galaxies=0 if right is None else len(right),
        milliseconds=_milliseconds(runtime),
        device=runtime.placement.device,
    )


def _maps(runtime: Runtime, example: Example) -> list[NDArray[np.float32]]:
    return runtime(card_input(runtime.weights.card, np.asarray(example.snr, np.float32), example.seeing))


def _field(runtime: Runtime, example: Example) -> tuple[FoundBoxes, TrueBoxes]:
    """Boxes of a field, each with the class that is the more probable one, and the true ones."""
    strides = runtime.weights.card.architecture.strides
    boxes = decode(_maps(runtime, example), strides, threshold=_LOWEST_LOGIT, iou=_OVERLAP)
    sure = expit(boxes.source.astype(float)) * expit(np.abs(boxes.galaxy.astype(float)))
    sources = example.sources
    return (
        FoundBoxes(np.column_stack([boxes.x, boxes.y, boxes.width, boxes.height]), boxes.galaxy > 0, sure),
        TrueBoxes(
            np.column_stack([sources[name] for name in ("x", "y", "width", "height")]),
            sources["galaxy"] > 0.5,
            sources["ignore"],
        ),
    )


def _galaxies(runtime: Runtime, bank: GalaxyBank) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each galaxy's class is that of most votes, and the share of its votes for disk."""
    strides = runtime.weights.card.architecture.strides
    right = np.zeros(len(bank), dtype=bool)
    for index in range(len(bank)):
        example = bank.example(index)
        boxes = cells(_maps(runtime, example), strides)
        galaxy = the_galaxy(boxes, example.snr.shape[1:])
        right[index] = galaxy is not None and (boxes.disk[galaxy] > 0) == (bank.p_disk[index] > 0.5)
    return right, bank.p_disk


def _milliseconds(runtime: Runtime) -> float:
    """Median time from the network's input to boxes, once it is warm."""
    card = runtime.weights.card
    cube = np.random.default_rng(0).standard_normal((card.architecture.channels, _TIMED_SIDE, _TIMED_SIDE))
    cube = np.arcsinh(cube / 3).astype(np.float32)
    strides = card.architecture.strides
    return milliseconds_of(lambda: decode(runtime(cube), strides, threshold=0.0), _TIMED, warm=3)
