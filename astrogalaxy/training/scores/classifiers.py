"""Measure what recipes of ``task: morphology`` have trained, on their test parts."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.config.file import sha256
from astrogalaxy.errors import RunError
from astrogalaxy.evaluation.classification import Classification, score_classes
from astrogalaxy.models import ClassifierCard, Weights, load_classifier
from astrogalaxy.morphology.classifier import probabilities
from astrogalaxy.morphology.export import network_of, spec_of
from astrogalaxy.morphology.network import GalaxyNetwork, make_backbone
from astrogalaxy.training.classifier.finish import logits_of
from astrogalaxy.training.classifier.pictures import PictureBank, choose_data, inputs_of, open_bank
from astrogalaxy.training.scores.published import check_published
from astrogalaxy.training.scores.scoretables import check_trained, milliseconds_of

__all__ = ["ClassifierScore", "Curve", "evaluate_classifier", "floating_point_operations", "seed_path"]

logger = logging.getLogger(__name__)

_TIMED = {1: 10, 64: 2}
# Column of the log for each curve.
_CURVES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")

#: Values by epoch.
Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class ClassifierScore:
    """What was measured of one recipe.

    Attributes
    ----------
    name : str
        The recipe's.
    published : str or None
        Key of `~astrogalaxy.training.scores.published.PUBLISHED`.
    architecture : str
        Of the network.
    data : str
        Test set.
    start : str
        Where the training started from.
    weights : str
        SHA-256 of the tensors, of the first seed.
    parameters : int
        Trainable parameters.
    flops : int
        Floating-point operations for one image, multiplications and additions counted one by one; 0: not known.
    side : int
        Of the input in pixels.
    seed, seeds : int
        The first seed, and how many were trained.
    epochs : int
        That were done.
    seconds : float
        Of training.
    test : Classification
        Over the test galaxies whose class is clear, of the first seed.
    everything : Classification
        The same over all test galaxies, the class with most votes being right.
    galaxies : str
        SHA-256 of the names and classes of the clear test galaxies: scores that have the same one are of the same test.
    right : tuple of str
        For each seed a ``1`` for each clear test galaxy whose class was told, or a ``0``.
    milliseconds : dict of int to float
        Per image, by the batch; empty if not measured.
    device : str
        Where that was.
    curves : dict of str to Curve
        Loss and accuracy by epoch.
    probability, truth : tuple
        Of the clear test galaxies, for the curves; not part of the record.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.classification import score_classes
    >>> from astrogalaxy.training.scores.classifiers import ClassifierScore
    >>> said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> test = score_classes(said, np.array([0, 1, 1]), ["smooth", "disk"], resamplings=0)
    >>> score = ClassifierScore(
    ...     name="mine", published=None, architecture="lite0", data="3 cutouts", start="random", weights="abc",
    ...     parameters=1000, flops=0, side=64, seed=1, seeds=1, epochs=5, seconds=60.0, test=test,
    ...     everything=test, galaxies="def", right=("110",), milliseconds={1: 4.5}, device="cpu",
    ... )
    >>> f"{score.name}: {score.test.accuracy.value:.1%}"
    'mine: 66.7%'
    >>> [round(accuracy, 3) for accuracy in score.accuracies]
    [0.667]
    """

    name: str
    published: str | None
    architecture: str
    data: str
    start: str
    weights: str
    parameters: int
    flops: int
    side: int
    seed: int
    seeds: int
    epochs: int
    seconds: float
    test: Classification
    everything: Classification
    galaxies: str
    right: tuple[str, ...]
    milliseconds: dict[int, float]
    device: str
    curves: dict[str, Curve] = field(default_factory=dict)
    probability: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    truth: NDArray[np.intp] | None = field(default=None, repr=False, compare=False)

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Share of the test galaxies whose class is clear that were told, of each seed."""
        return tuple(bits.count("1") / len(bits) for bits in self.right)


def seed_path(recipe: ClassifierRecipe, seed: int) -> Path:
    """Weight file of a recipe's training with a seed.

    Parameters
    ----------
    recipe : ClassifierRecipe
        What was trained.
    seed : int
        One of its seeds.

    Returns
    -------
    pathlib.Path
        Whether it is there or not.

    Examples
    --------
    >>> from astrogalaxy.config import ClassifierRecipe
    >>> from astrogalaxy.training.scores.classifiers import seed_path
    >>> recipe = ClassifierRecipe.from_dict(
    ...     {"name": "mine", "task": "morphology", "data": [{"format": "galaxyzoo", "path": "gz2"}]}
    ... )
    >>> seed_path(recipe, 2).as_posix().endswith("mine/seed-2/mine.safetensors")
    True
    """
    return Path(recipe.output.directory) / recipe.folder(seed) / f"{recipe.name}.safetensors"


def evaluate_classifier(
    recipe: ClassifierRecipe, *, progress: Callable[[int, int], None] | None = None
) -> ClassifierScore:
    """Measure the trained weights of a recipe on its test part.

    Parameters
    ----------
    recipe : ClassifierRecipe
        What was trained.
    progress : callable, optional
        Called with (done, all) while pictures are made.

    Returns
    -------
    ClassifierScore
        Of all its seeds that are trained.

    Raises
    ------
    ConfigError
        If its data are missing, or it names a row that no table has.
    RunError
        If it is not trained yet, or was trained on other classes, or on pictures that were made in another way.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.config import ClassifierRecipe
    >>> from astrogalaxy.training.scores.classifiers import evaluate_classifier
    >>> from astrogalaxy.training.classifier.train import train_classifier
    >>> for colour in ("red", "blue"):
    ...     Path("galaxies", colour).mkdir(parents=True)
    ...     for number in range(8):
    ...         Picture.new("RGB", (32, 32), colour).save(f"galaxies/{colour}/{colour}{number}.png")
    >>> recipe = ClassifierRecipe.from_dict({
    ...     "name": "mine", "task": "morphology", "model": {"architecture": "average-pool-cnn"},
    ...     "data": [{"format": "folders", "path": "galaxies"}], "input": {"side": 32},
    ...     "training": {"epochs": 1, "batch": 8, "workers": 0}, "evaluation": {"bootstrap": 10, "timing": False},
    ... })
    >>> _ = train_classifier(recipe)
    >>> score = evaluate_classifier(recipe)
    >>> score.test.n > 0, 0 <= score.test.accuracy.value <= 1
    (True, True)
    """
    check_published(recipe)
    trained = _trained(recipe)
    bank = open_bank(recipe, progress=progress)
    rows = bank.rows("test")
    shares, pictures = bank.shares[rows].astype(float), np.array(bank.pictures[rows])
    clear = shares.max(axis=1) > choose_data(recipe).clear
    clear = clear if clear.any() else np.ones(len(rows), dtype=bool)
    truth = shares.argmax(axis=1)
    said = [_answers(weights, bank, pictures) for weights in trained]
    card, network = trained[0].card, network_of(trained[0])
    resamplings = recipe.evaluation.bootstrap
    test = score_classes(said[0][clear], truth[clear], bank.classes, resamplings=resamplings)
    everything = score_classes(said[0], truth, bank.classes, resamplings=resamplings)
    asked = [[str(bank.names[row]), bank.classes[label]] for row, label in zip(rows[clear], truth[clear], strict=True)]
    return ClassifierScore(
        name=recipe.name,
        published=recipe.published,
        architecture=card.architecture,
        data=bank.source,
        start=card.start,
        weights=card.sha256,
        parameters=card.parameters,
        flops=floating_point_operations(card),
        side=card.side,
        seed=recipe.seed,
        seeds=len(said),
        epochs=card.epochs,
        seconds=card.seconds,
        test=test,
        everything=everything,
        galaxies=sha256(asked),
        right=tuple("".join("01"[told] for told in (p[clear].argmax(1) == truth[clear]).tolist()) for p in said),
        milliseconds=_milliseconds(network) if recipe.evaluation.timing else {},
        device="cpu",
        curves=_curves(trained[0].path.parent),
        probability=said[0][clear],
        truth=truth[clear],
    )


def _trained(recipe: ClassifierRecipe) -> list[Weights[ClassifierCard]]:
    """What the trainings of a recipe left, of all seeds that are done."""
    paths = [seed_path(recipe, recipe.seed + number) for number in range(recipe.seeds)]
    check_trained(recipe, paths[0])
    return [_weights_of(recipe, path) for path in paths if path.is_file()]


def _answers(weights: Weights[ClassifierCard], bank: PictureBank, pictures: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Probabilities of each picture's classes, if they are those of the data."""
    card = weights.card
    if card.classes != bank.classes:
        known = ", ".join(card.classes)
        msg = f"{weights.path}: tells {known} apart, which are not the classes of the recipe's data; train anew"
        raise RunError(msg)
    logits = logits_of(network_of(weights), pictures, card.normalise, copies=card.views)
    return probabilities(logits, card.temperature).mean(axis=0)


def _weights_of(recipe: ClassifierRecipe, path: Path) -> Weights[ClassifierCard]:
    """What a training left, if it learned from pictures, and was calibrated, as the recipe says now."""
    weights = load_classifier(path)
    for key, wanted in (inputs_of(recipe) | {"evaluation.views": recipe.evaluation.views}).items():
        had = getattr(weights.card, key.rpartition(".")[2])
        if had != wanted:
            # copies are of the calibration, which every training does again
            how = "" if key == "evaluation.views" else " with --no-resume"
            msg = f"{path}: was trained with {key}: {had}, and the recipe has {wanted}; train anew{how}"
            raise RunError(msg)
    return weights


def floating_point_operations(card: ClassifierCard) -> int:
    """Operations of the backbone for one image.

    Parameters
    ----------
    card : ClassifierCard
        Of the classifier.

    Returns
    -------
    int
        Multiplications and additions, counted one by one; 0 where they cannot be counted.

    Examples
    --------
    >>> from astrogalaxy.training.scores.classifiers import floating_point_operations
    >>> from astrogalaxy.models import load_classifier
    >>> floating_point_operations(load_classifier("galaxyzoo-fine").card) > 10**6
    True
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    spec = spec_of(card)
    try:
        with torch.device("meta"):
            backbone = make_backbone(spec.architecture, side=spec.side, options=spec.options).eval()
            image = torch.empty(1, 3, spec.side, spec.side)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone.forward_head(backbone.forward_features(image), pre_logits=True)  # type: ignore[operator]
    except (RuntimeError, NotImplementedError) as error:
        logger.info("%s: its operations cannot be counted: %s", card.name, error)
        return 0
    return int(counter.get_total_flops())


def _milliseconds(network: GalaxyNetwork) -> dict[int, float]:
    """Median time per image, by the batch, once it is warm."""
    import torch

    result = {}
    for batch, repeats in _TIMED.items():
        image = torch.rand(batch, 3, network.spec.side, network.spec.side)
        with torch.inference_mode():
            result[batch] = milliseconds_of(partial(network, image), repeats + 1, warm=1) / batch
    return result


def _curves(folder: Path) -> dict[str, Curve]:
    """Loss and accuracy by epoch, of all parts of a training that was interrupted."""
    found: dict[str, dict[int, float]] = {name: {} for name in _CURVES}
    for path in sorted((folder / "log").rglob("metrics.csv"), key=lambda p: _begin(p.parent.name)):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for name in _CURVES:
                    if row.get(name) and row.get("epoch"):
                        # as fine as a figure shows; the record holds many of them
                        found[name][int(row["epoch"])] = float(f"{float(row[name]):.4g}")
    return {name: tuple(sorted(values.items())) for name, values in found.items() if values}


def _begin(name: str) -> int:
    number = name.removeprefix("from-")
    return int(number) if number.isdigit() else -1
