"""What a network starts from: the weights that its recipe names, widened if need be, or a YOLOX of photographs."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import islice

import torch

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.export import network_from_tensors
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.errors import ConfigError
from astrogalaxy.models import Weights
from astrogalaxy.training.cards import start_weights
from astrogalaxy.training.loaders import TrainingData
from astrogalaxy.training.photographs import start_from_photographs
from astrogalaxy.training.schedule import Schedule
from astrogalaxy.training.widen import widen

__all__ = ["NORMALISATION_SEED", "begin", "check_start", "chooses_from_start", "mix_in_start"]

logger = logging.getLogger(__name__)

#: Seed offset of the crops on which batch normalisation is measured.
NORMALISATION_SEED = 2**21


def chooses_from_start(recipe: RecipeConfig) -> bool:
    """Whether the best weights are chosen (``training.patience``) among those of the start, too."""
    return bool(recipe.training.patience and recipe.model.start and not recipe.model.from_photographs)


def check_start(recipe: RecipeConfig) -> Weights | None:
    """Weights that a recipe goes on from; None if it starts anew, or from photographs.

    Raises
    ------
    ConfigError
        If they are of another kind of network than the recipe's, which may only differ in size, zoom and ``one_cell``.
    WeightsError
        If there are no weights of that name or path.
    """
    weights = start_weights(recipe)
    if weights is None:
        return None
    wanted, given = recipe.model.shape, weights.card.architecture
    if replace(given, one_cell=wanted.one_cell, size=wanted.size, zoom=wanted.zoom) != wanted:
        texts = (f"levels {list(a.levels)}, inputs {a.inputs}, seeing {str(a.seeing).lower()}" for a in (given, wanted))
        msg = "model.start: {} has {}; the recipe has {}; make them equal".format(weights.card.name, *texts)
        raise ConfigError(msg)
    return weights


def begin(network: AstroYolo, recipe: RecipeConfig, data: TrainingData) -> None:
    """Give a network the weights that the recipe starts from, if it names some."""
    weights = check_start(recipe)
    if weights is not None:
        _go_on_from(network, weights, seed=recipe.seed)
    if recipe.model.from_photographs:
        sample = data.loader(Schedule.in_turn(recipe), seed=recipe.seed + NORMALISATION_SEED)
        images = torch.cat([batch.image for batch in islice(sample, len(recipe.data.sets))])
        taken = start_from_photographs(network, str(recipe.model.start), images)
        logger.info("%s: %d convolutions taken over", recipe.model.start, taken)


def mix_in_start(network: AstroYolo, recipe: RecipeConfig, data: TrainingData) -> None:
    """Go part of the way back to the weights that training started from (Wortsman et al. 2022, WiSE-FT)."""
    start = AstroYolo(recipe.model.shape)
    begin(start, recipe, data)
    before = start.state_dict()
    for name, learned in network.state_dict().items():
        if learned.is_floating_point():
            learned.lerp_(before[name].to(learned.device), recipe.training.start_share)


def _go_on_from(network: AstroYolo, weights: Weights, *, seed: int) -> None:
    """Give a network the weights of a file, widened where the network is larger."""
    given = weights.card.architecture
    if given.size == network.architecture.size:
        network_from_tensors(network, weights.tensors)
    else:
        widen(network, network_from_tensors(AstroYolo(given), weights.tensors), seed=seed)
    network.train()
