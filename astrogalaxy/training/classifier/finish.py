"""From a trained classifier to a calibrated weight file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from astrogalaxy.errors import brought_by

with brought_by("train"):
    import torch

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.evaluation.reliability import expected_calibration_error, reliability
from astrogalaxy.models import ClassifierCard, Weights, save_weights
from astrogalaxy.morphology.classifier import probabilities
from astrogalaxy.morphology.export import network_graph, network_tensors
from astrogalaxy.morphology.network import GalaxyNetwork, build
from astrogalaxy.morphology.pictures import network_input, views
from astrogalaxy.training.cards import terms_of
from astrogalaxy.training.classifier.pictures import PictureBank, choose_data

__all__ = ["TrainedClassifier", "fit_temperature", "logits_of"]

logger = logging.getLogger(__name__)

_BATCH = 64
_TEMPERATURES = (0.05, 20.0)
# Width of the normal prior of a temperature's logarithm around 0.
_USUAL = 1.0


@dataclass(frozen=True)
class TrainedClassifier:
    """What a training leaves.

    Attributes
    ----------
    weights : Weights
        The weight file; of several seeds the first one's.
    folder : Path
        Checkpoints, logs and the frozen recipe.
    metrics : dict
        Measured on the validation part.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.models import load_classifier
    >>> from astrogalaxy.training.classifier.finish import TrainedClassifier
    >>> trained = TrainedClassifier(load_classifier("galaxyzoo-fine"), Path("runs/mine"), {"accuracy": 0.83})
    >>> len(trained.weights.card.classes)
    7
    """

    weights: Weights[ClassifierCard]
    folder: Path
    metrics: dict[str, float]


def logits_of(
    network: GalaxyNetwork, pictures: NDArray[np.uint8], normalise: str, *, copies: int = 1
) -> NDArray[np.float64]:
    """Logits of pictures, those of turned and flipped copies first.

    Parameters
    ----------
    network : GalaxyNetwork
        The network.
    pictures : ndarray
        ``(n, side, side, 3)`` uint8.
    normalise : str
        How pixels become its input.
    copies : {1, 8}
        Views.

    Returns
    -------
    ndarray
        ``(copies, n, n_classes)``.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.morphology.network import NetworkSpec, build
    >>> from astrogalaxy.training.classifier.finish import logits_of
    >>> network = build(NetworkSpec("average-pool-cnn", classes=2, side=32))
    >>> logits_of(network, np.zeros((3, 32, 32, 3), np.uint8), "unit").shape
    (1, 3, 2)
    """
    network = network.eval()
    device = next(network.parameters()).device
    result = []
    with torch.inference_mode():
        for turned in views(pictures, copies):
            parts = [
                network(torch.from_numpy(network_input(turned[i : i + _BATCH], normalise)).to(device)).float().cpu()
                for i in range(0, len(turned), _BATCH)
            ]
            result.append(torch.cat(parts).numpy().astype(float))
    return np.stack(result)


def fit_temperature(logits: NDArray[np.floating], answers: NDArray[np.floating]) -> float:
    """Temperature by which logits are divided so that probabilities are calibrated (Guo et al. 2017).

    Its logarithm has a normal prior of width 1 around 0: a few answers that are all right would make every answer sure
    without it. With some hundred answers the prior does not matter.

    Parameters
    ----------
    logits : ndarray
        ``(copies, n, n_classes)``; probabilities are the mean over the copies.
    answers : ndarray
        ``(n, n_classes)`` 1 for the right class, or shares.

    Returns
    -------
    float
        From 0.05 to 20; at an end of these a warning is logged.

    Examples
    --------
    >>> logits = np.array([[[4.0, 0.0]] * 400])
    >>> answers = np.array([[1.0, 0.0]] * 300 + [[0.0, 1.0]] * 100)
    >>> round(4 / fit_temperature(logits, answers), 1)  # the odds are 3 to 1
    1.1
    """

    def loss(exponent: float) -> float:
        """Negative logarithm of the posterior."""
        p = probabilities(logits, float(np.exp(exponent))).mean(axis=0)
        return float(-(answers * np.log(np.maximum(p, 1e-12))).sum() + (exponent / _USUAL) ** 2 / 2)

    low, high = np.log(_TEMPERATURES)
    best = float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    if min(best - low, high - best) < 0.01:
        words = "the temperature %.2f is at an end of its range: probabilities are not calibrated by %d answers"
        logger.warning(words, np.exp(best), len(answers))
    return float(np.exp(best))


@dataclass(frozen=True)
class History:
    """How a network was trained: by which command, from where and with which seed, for how many epochs and seconds."""

    command: str
    start: str
    seed: int
    epochs: int
    seconds: float


def finish(
    recipe: ClassifierRecipe, network: GalaxyNetwork, bank: PictureBank, folder: Path, history: History
) -> TrainedClassifier:
    """Calibrate a trained network on the validation part and write its weight file.

    The settings of its training are noted in the card; see `~astrogalaxy.training.classifier.train.train_classifier`.
    """
    # what is calibrated is what the file will hold
    tensors = network_tensors(network, half=recipe.output.half)
    network = build(network.spec, tensors)
    copies = recipe.evaluation.views
    logits = {
        part: logits_of(network, np.array(bank.pictures[bank.rows(part)]), recipe.input.normalise, copies=copies)
        for part in ("val", "test")
    }
    # shares of votes may be learned, but a probability is that of the class that most would name
    answers = np.eye(len(bank.classes))[bank.shares[bank.rows("val")].argmax(1)]
    temperature = fit_temperature(logits["val"], answers)
    probability = {part: probabilities(values, temperature).mean(axis=0) for part, values in logits.items()}
    metrics: dict[str, float] = {}
    for part, p in probability.items():
        metrics |= _metrics(part, p, bank.shares[bank.rows(part)], choose_data(recipe).clear)
    val = probability["val"]
    sure, right = val.max(axis=1), (val.argmax(1) == answers.argmax(1)).astype(float)
    curve = tuple((round(s, 4), round(t, 4), n) for s, t, n in reliability(sure, right))
    measured = {"temperature": temperature, "metrics": metrics, "reliability": {"class": curve}}
    card = _card(recipe, network, bank, history, measured)
    graph = network_graph(network) if recipe.output.graph else b""
    path = folder / f"{recipe.name}.safetensors"
    weights = save_weights(path, card, tensors, graph)
    logger.info("wrote %s", path)
    return TrainedClassifier(weights, folder, dict(card.metrics))


def _card(
    recipe: ClassifierRecipe, network: GalaxyNetwork, bank: PictureBank, history: History, measured: Mapping[str, Any]
) -> ClassifierCard:
    """The card of a network, with what was measured of it."""
    section, command = choose_data(recipe), history.command or f"astrogalaxy train {recipe.name}.yml"
    return ClassifierCard(
        task="morphology",
        name=recipe.name,
        version=version("astrogalaxy").split("+")[0],
        architecture=recipe.model.architecture,
        options=dict(recipe.model.options),
        attention=network.spec.attention,
        hidden=network.spec.hidden,
        clusters=network.spec.clusters,
        classes=bank.classes,
        side=recipe.input.side,
        normalise=recipe.input.normalise,
        normalisation=f"{recipe.input.normalise}, of colour pictures of 8 bits",
        centre=section.centre,
        field_of_view=round(bank.width * section.centre, 3),
        views=recipe.evaluation.views,
        parameters=sum(q.numel() for q in network.parameters()),
        start=history.start,
        seed=history.seed,
        epochs=history.epochs,
        seconds=round(history.seconds, 1),
        data=(
            f"{bank.source}, of which {len(bank.rows('train'))} train and {len(bank.rows('val'))} validate",
            terms_of(recipe),
        ),
        licence=recipe.output.licence,
        command=command,
        metrics_command=f"{command} (what does not train)",
        sha256="",
        **measured,
    )


def _metrics(part: str, p: NDArray[np.floating], shares: NDArray[np.floating], clear: float) -> dict[str, float]:
    """How often the most probable class is the one most named, and how well it knows; of all, and of clear votes."""
    sure, right = p.max(axis=1), (p.argmax(1) == shares.argmax(1)).astype(float)
    result = {}
    for name, chosen in (("", np.ones(len(p), dtype=bool)), ("_clear", shares.max(axis=1) > clear)):
        if chosen.any():
            result[f"{part}_accuracy{name}"] = right[chosen].mean()
            result[f"{part}_ece{name}"] = expected_calibration_error(sure[chosen], right[chosen])
    return {name: round(float(value), 4) for name, value in result.items()}
