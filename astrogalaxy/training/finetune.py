"""Recipes that go on from ready weights on a user's own labelled field."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from astrogalaxy.config import RecipeConfig, SurveyConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.images.fields import Field, find_fields, open_field
from astrogalaxy.models import WeightCard, load_weights
from astrogalaxy.simulation.profiles import BAND_WAVELENGTHS, PROFILES
from astrogalaxy.training.labels import count_labels

__all__ = ["fine_tune_recipe"]

logger = logging.getLogger(__name__)

# A quarter of the labelled rows validates and calibrates.
_HOLDOUT = 0.25
# Shares of the training, in units of one simulated scene.
_LABELS_WEIGHT, _SKY_WEIGHT = 40.0, 10.0
_SCENES, _VALIDATION, _INJECTIONS = 40, 12, 2
# One field's statistics are worse than those of the many that the weights have seen.
_TRAINING = {"batch": 16, "learning_rate": 3e-4, "patience": 5, "workers": 1, "normalisation": "keep"}
# In steps, and as parts of a training that is short.
_WARMUP, _VALIDATE_EVERY = (50, 4), (100, 5)


def fine_tune_recipe(
    survey: SurveyConfig,
    truth: str | Path,
    *,
    name: str | None = None,
    field: str | None = None,
    steps: int = 1500,
    seed: int = 1,
    directory: str | Path = "runs",
    tell: Callable[[str], object] = logger.info,
) -> RecipeConfig:
    """Make the recipe that goes on from a survey's weights on a labelled field of it.

    It learns from the labels (a quarter of their rows is kept to validate and calibrate), from sources injected into
    the field's own images where their bands are known, and from simulated scenes of the survey most like it, so that
    what the few labels do not show is not forgotten. It stops when the validation no longer gets better; where that was
    never better than at the start, the weights stay those of the start.

    Parameters
    ----------
    survey : SurveyConfig
        Its images, and in ``detection.model`` the weights to start from.
    truth : path-like
        Labels: ``x`` and ``y`` (0-based pixels of the reference band), or ``ra`` and ``dec``, and ``class`` (star,
        galaxy).
    name : str, optional
        Of the weights; by default the survey's with ``-tuned``.
    field : str, optional
        The labelled field; by default the only one.
    steps : int
        Longest training.
    seed : int
        Of every random choice.
    directory : path-like
        Where the run's folder is made.
    tell : callable
        Called with a sentence that says what the labels are; by default it goes to the log.

    Returns
    -------
    RecipeConfig
        For `~astrogalaxy.training.train.train`. Its ``to_yaml`` can be kept, changed and given to
        ``astrogalaxy train``.

    Raises
    ------
    ConfigError
        If there is no such field, more than one and none is named, or the labels cannot be read, are not of it, or
        none is a star or a galaxy.
    ImageError
        If the field's images cannot be read.

    Examples
    --------
    >>> from astrogalaxy.config import SurveyConfig
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> from astrogalaxy.simulation.write import write_scene
    >>> from astrogalaxy.training.finetune import fine_tune_recipe
    >>> *_, truth, survey = write_scene(simulate_scene(PROFILES["sdss"], size=256, seed=2), "scene", name="mine")
    >>> recipe = fine_tune_recipe(SurveyConfig.read(survey), truth, steps=100)
    >>> recipe.name, recipe.model.start, recipe.training.steps
    ('mine-tuned', 'default', 100)
    """
    found = _field(survey, field)
    image = open_field(found, survey.images)
    counts = count_labels(str(truth), image, holdout=_HOLDOUT)  # wrong labels are refused now
    tell(str(counts))
    for doubt in counts.doubts:
        logger.warning("%s: %s", truth, doubt)
    card = load_weights(survey.detection.model).card
    images = survey.images.model_dump(mode="json")
    profile = _most_like(image.pixel_scale)
    data: dict[str, Any] = {
        "labels": [
            {"images": images, "field": found.name or None, "truth": str(Path(truth).resolve()), "holdout": _HOLDOUT,
             "weight": _LABELS_WEIGHT}
        ],
        "simulation": {"scenes": _SCENES, "validation": _VALIDATION, "size": 256, "surveys": {profile: 1.0}},
    }  # fmt: skip
    # what is injected needs colours, and the seeing of some band
    seen = np.isfinite(image.pixel_scale) and any(np.isfinite(band.seeing) for band in image.bands.values())
    if set(image.bands) <= set(BAND_WAVELENGTHS) and seen:
        # the others of a large survey would take too long
        fields = [found.name] if found.name else []
        data["sky"] = [
            {"images": images, "fields": fields, "profile": profile, "injections": _INJECTIONS, "weight": _SKY_WEIGHT}
        ]
    return RecipeConfig.from_dict(
        {
            "name": name or f"{survey.name}-tuned",
            "model": {"size": card.size, "levels": list(card.levels), "zoom": card.zoom, "inputs": card.inputs,
                      "seeing": card.seeing_input, "one_cell": card.one_cell, "start": survey.detection.model},
            "data": data,
            "training": {**_TRAINING, "steps": steps, "warmup": _at_most(_WARMUP, steps),
                         "validate_every": _at_most(_VALIDATE_EVERY, steps), "crop": _crop(card, image.shape)},
            "seed": seed,
            "output": {"directory": str(Path(directory).resolve())},
        },
        source=f"fine-tuning on {truth}",
    )  # fmt: skip


def _field(survey: SurveyConfig, name: str | None) -> Field:
    fields = {field.name: field for field in find_fields(survey.images)}
    if name is None and len(fields) > 1:
        msg = f"{survey.images.path} has {len(fields)} fields ({_some(fields)}); name the labelled one (--field NAME)"
        raise ConfigError(msg)
    name = next(iter(fields)) if name is None else name
    if name not in fields:
        msg = f"no field {name!r} under {survey.images.path}; there are {_some(fields)}"
        raise ConfigError(msg)
    return fields[name]


def _some(names: Iterable[str]) -> str:
    """The first few names."""
    first = list(names)
    return ", ".join(first[:5]) + (", ..." if len(first) > 5 else "")


def _at_most(limit: tuple[int, int], steps: int) -> int:
    """So many steps, or the part of a shorter training."""
    most, parts = limit
    return max(1, min(most, steps // parts))


def _most_like(pixel_scale: float) -> str:
    """Profile whose pixel scale is nearest; the first where the scale is not known."""
    if not np.isfinite(pixel_scale):
        return next(iter(PROFILES))
    return min(PROFILES, key=lambda name: abs(np.log(PROFILES[name].pixel_scale / pixel_scale)))


def _crop(card: WeightCard, shape: tuple[int, int]) -> int:
    """Side of the crops: 256, or what a small image holds."""
    network = card.architecture
    step = network.multiple
    # at least four of the coarsest cells
    least = math.ceil(4 * network.strides[-1] / step) * step
    return int(np.clip(min(shape) // step * step, least, 256))
