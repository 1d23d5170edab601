"""What a network begins with: the weights that its recipe names, wider or magnifying if need be, or photographs."""

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

#: Where the stream of crops starts on which batch normalisation is measured.
NORMALISATION_SEED = 2**21


def chooses_from_start(recipe: RecipeConfig) -> bool:
    """Whether the weights that training goes on from are among those that its best are chosen from."""
    return bool(recipe.training.patience and recipe.model.start and not recipe.model.from_photographs)


def check_start(recipe: RecipeConfig) -> Weights | None:
    """Weights that a recipe goes on from, if it does.

    Raises
    ------
    ConfigError
        If they are of another kind of network than the recipe's; it may be wider, magnify, and have other numbers of
        cells that answer.
    WeightsError
        If there are none of the name or path.
    """
    weights = start_weights(recipe)
    if weights is None:
        return None
    wanted, there = recipe.model.shape, weights.card.architecture
    if replace(there, one_cell=wanted.one_cell, size=wanted.size, zoom=wanted.zoom) != wanted:
        texts = (f"levels {list(a.levels)}, inputs {a.inputs}, seeing {str(a.seeing).lower()}" for a in (there, wanted))
        msg = "model.start: {} has {}; the recipe has {}; make them equal".format(weights.card.name, *texts)
        raise ConfigError(msg)
    return weights


def begin(network: AstroYolo, recipe: RecipeConfig, data: TrainingData) -> None:
    """Give a network the weights that the recipe starts from, if it names some."""
    older = check_start(recipe)
    if older is not None:
        _go_on_from(network, older, seed=recipe.seed)
    if recipe.model.from_photographs:
        sample = data.loader(Schedule.in_turn(recipe), seed=recipe.seed + NORMALISATION_SEED)
        images = torch.cat([batch.image for batch in islice(sample, len(recipe.data.sets))])
        taken = start_from_photographs(network, str(recipe.model.start), images)
        logger.info("%s: %d convolutions taken over", recipe.model.start, taken)


def mix_in_start(network: AstroYolo, recipe: RecipeConfig, data: TrainingData) -> None:
    """Go part of the way back to the weights that training started from (Wortsman et al. 2022, WiSE-FT)."""
    start = AstroYolo(recipe.model.shape)
    begin(start, recipe, data)
    theirs = start.state_dict()
    for name, mine in network.state_dict().items():
        if mine.is_floating_point():
            mine.lerp_(theirs[name].to(mine.device), recipe.training.start_share)


def _go_on_from(network: AstroYolo, weights: Weights, *, seed: int) -> None:
    """Give a network the weights of a file, widened if it is wider."""
    wanted, there = network.architecture, weights.card.architecture
    same = network if there.size == wanted.size else AstroYolo(there)
    network_from_tensors(same, weights.tensors)
    if same is not network:
        widen(network, same, seed=seed)
    network.train()
