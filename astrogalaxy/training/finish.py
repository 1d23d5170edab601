"""Make a weight file of a trained network, calibrated on data that it was not trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.export import network_graph, network_tensors
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.evaluation.calibration import CalibrationResult, calibrate
from astrogalaxy.models import WeightCard, Weights, save_weights
from astrogalaxy.training.cards import draft_card, start_weights, widened
from astrogalaxy.training.examples import Example
from astrogalaxy.training.loaders import TrainingData
from astrogalaxy.training.prepare import prepare, unseen_images
from astrogalaxy.training.sets import prepare_sets
from astrogalaxy.training.start import chooses_from_start

__all__ = ["Trained", "finish", "recalibrate"]

logger = logging.getLogger(__name__)

# Metrics in which a tuning should not fall behind its start; of several names the first that was measured counts: the
# classes of a catalogue rather than those of the network alone.
_COMPARED = (("average_precision",), ("p_galaxy_accuracy", "galaxy_accuracy"), ("disk_accuracy",))


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes
    ----------
    weights : Weights
        The weight file.
    folder : Path
        Checkpoints, logs and the frozen recipe.
    metrics : dict
        Measured on the validation scenes.
    start : dict
        The same for the weights that training went on from, calibrated anew on the same scenes; empty unless they
        were among those that the best were chosen from (``training.patience``).

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.models import load_weights
    >>> from astrogalaxy.training.finish import Trained
    >>> trained = Trained(load_weights("default"), Path("runs/mine"), {"f1": 0.9})
    >>> trained.weights.card.name
    'astroyolo-nano'
    """

    weights: Weights
    folder: Path
    metrics: dict[str, float]
    start: dict[str, float] = field(default_factory=dict)


def finish(recipe: RecipeConfig, network: AstroYolo, data: TrainingData, folder: Path, *, command: str = "") -> Trained:
    """Calibrate a trained network on the validation scenes and write its weight file.

    Parameters
    ----------
    recipe : RecipeConfig
        What it was trained on.
    network : AstroYolo
        The averaged network.
    data : TrainingData
        What it was trained and is validated on.
    folder : Path
        Where to write.
    command : str
        For the weight card.

    Returns
    -------
    Trained
        With ``<name>.safetensors`` in the folder.

    Raises
    ------
    RunError
        If the folder or the disk does not take the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.config import RecipeConfig
    >>> from astrogalaxy.detection.network import AstroYolo
    >>> from astrogalaxy.models import Architecture
    >>> from astrogalaxy.training.loaders import TrainingData
    >>> from astrogalaxy.training.prepare import prepare
    >>> from astrogalaxy.training.finish import finish
    >>> scenes = {"scenes": 1, "validation": 1, "size": 64, "surveys": {"hsc": 1.0}}
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"simulation": scenes}})
    >>> data = TrainingData(recipe, prepare(recipe, Path("examples"), workers=0), Path("examples"))
    >>> trained = finish(recipe, AstroYolo(Architecture()), data, Path())  # doctest: +SKIP
    """
    network = network.eval().cpu()
    draft = widened(draft_card(recipe, command), chain(data.examples("sky"), data.examples("labels")))
    path = folder / f"{recipe.name}.safetensors"
    # under another name: an interruption must not leave uncalibrated weights under the final one
    draft_path = folder / "checkpoints" / "uncalibrated.safetensors"
    draft_path.parent.mkdir(exist_ok=True)
    weights = save_weights(draft_path, draft, network_tensors(network), network_graph(network))

    trained = _calibrated(weights, draft, data, path)
    draft_path.unlink()
    return _compared(trained, data) if chooses_from_start(recipe) else trained


def recalibrate(weights: Weights, recipe: RecipeConfig, output: Path) -> Trained:
    """Calibrate weights anew, on the validation data of the recipe that trained them; the network stays as it is.

    Parameters
    ----------
    weights : Weights
        The weights.
    recipe : RecipeConfig
        Its examples are taken from ``<output.directory>/<name>/examples``, and made where they are missing there.
    output : Path
        Weight file to write; may be that of the weights.

    Returns
    -------
    Trained
        With the new weight file.

    Raises
    ------
    ConfigError
        If data that the recipe names are missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.config import RecipeConfig
    >>> from astrogalaxy.models import load_weights
    >>> from astrogalaxy.training.finish import recalibrate
    >>> scenes = {"scenes": 1, "validation": 1, "size": 64, "surveys": {"hsc": 1.0}}
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"simulation": scenes}})
    >>> trained = recalibrate(load_weights("default"), recipe, Path("new.safetensors"))
    >>> trained.weights.path.name, 0 < trained.weights.card.threshold < 1
    ('new.safetensors', True)
    """
    folder = Path(recipe.output.directory) / recipe.name / "examples"
    plan = prepare(recipe, folder, workers=0, kinds={"val", "held"})
    data = TrainingData(recipe, plan, folder, val=prepare_sets(recipe, "val"))
    return _calibrated(weights, weights.card, data, output)


def _calibrated(weights: Weights, draft: WeightCard, data: TrainingData, path: Path) -> Trained:
    """Calibrate weights, and write them with the card that results."""
    result = _calibrate(weights, data, start_weights(data.recipe))
    card = draft.model_copy(
        update={
            "calibration": result.calibration,
            "threshold": result.threshold,
            "metrics": result.metrics,
            "reliability": result.reliability,
        }
    )
    weights = save_weights(path, card, weights.tensors, weights.graph)
    logger.info("wrote %s", path)
    return Trained(weights, path.parent, result.metrics)


def _compared(trained: Trained, data: TrainingData) -> Trained:
    """Measure the weights that training went on from on the same validation, and warn where they are better."""
    start = start_weights(data.recipe)
    if start is None or not trained.metrics:
        return trained
    measured = _calibrate(start, data, start).metrics
    name = trained.weights.card.name
    for names in _COMPARED:
        metric = next((key for key in names if key in measured and key in trained.metrics), None)
        if metric is None:
            continue
        before, now, title = measured[metric], trained.metrics[metric], metric.replace("_", " ")
        logger.info("%s: %s on the validation: %.4f -> %.4f", name, title, before, now)
        if now < before:
            words = "%s: on the validation the %s fell from %.4f to %.4f; the start, %s, may serve better"
            logger.warning(words, name, title, before, now, start.card.name)
    return replace(trained, start=measured)


def _calibrate(weights: Weights, data: TrainingData, start: Weights | None) -> CalibrationResult:
    """Calibrate on data that was not trained on."""
    return calibrate(
        weights,
        _labelled(data.unseen_fields()),
        real=_labelled(data.examples("held")),
        galaxies=_labelled(data.unseen_galaxies()),
        images=unseen_images(data.recipe),
        start=start and start.card,
    )


def _labelled(examples: Iterable[Example]) -> list[tuple[NDArray[np.float32], NDArray[np.void], float]]:
    return [(np.asarray(e.snr, np.float32), e.sources, e.seeing) for e in examples]
