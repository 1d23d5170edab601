"""The weight card of a recipe, before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from astrogalaxy.config import ClassifierRecipe, RecipeConfig
from astrogalaxy.detection.inputs import STRETCH
from astrogalaxy.images.seeing import FWHM
from astrogalaxy.models import HEADS, Calibration, WeightCard, Weights, load_weights
from astrogalaxy.simulation.profiles import PROFILES, SCALE_RANGE
from astrogalaxy.training.examples import Example
from astrogalaxy.training.phosim import PIXEL_SCALE, PROFILE

__all__ = ["draft_card", "start_weights", "terms_of", "widened"]

# Factor by which pixels and seeing of a survey's other fields may differ from those of the field seen in training.
_ALIKE = 1.1


def draft_card(recipe: RecipeConfig, command: str) -> WeightCard:
    """Card of a recipe's weights before they are calibrated.

    Parameters
    ----------
    recipe : RecipeConfig
        What they were trained on.
    command : str
        How the training was called; empty for the usual way.

    Returns
    -------
    WeightCard
        Without metrics and hash, and with the network's probabilities as they are.
    """
    command = command or f"astrogalaxy train {recipe.name}.yml"
    neutral = {name: Calibration() for name in HEADS}
    pixel_scale, seeing = _ranges(recipe)
    data = _data(recipe)
    weights = start_weights(recipe)
    if weights is not None:
        start = weights.card
        pixel_scale, seeing = _wider(pixel_scale, start.pixel_scale), _wider(seeing, start.seeing)
        # the data of a chain of trainings are listed once
        share = recipe.training.start_share
        origin = f"went on from {start.name} {start.version}" + (f", of which {share:.0%} stayed" if share else "")
        data = tuple(dict.fromkeys((origin, *start.data, *data)))
    return WeightCard(
        name=recipe.name,
        version=version("astrogalaxy").split("+")[0],
        size=recipe.model.size,
        levels=recipe.model.levels,
        zoom=recipe.model.zoom,
        inputs=recipe.model.inputs,
        seeing_input=recipe.model.seeing,
        one_cell=recipe.model.one_cell,
        bands="1 to N bands by order of wavelength; more than the input channels are summed in groups",
        max_bands=64,
        normalisation=f"asinh((pixel - background) / noise / {STRETCH:g})",
        pixel_scale=pixel_scale,
        seeing=seeing,
        data=data,
        licence=recipe.output.licence,
        command=command,
        metrics={},
        metrics_command=f"{command} (validation scenes)",
        calibration=neutral,
        threshold=0.5,
        sha256="",
    )


def widened(card: WeightCard, examples: Iterable[Example]) -> WeightCard:
    """Card whose ranges hold those of real fields as well, and a tenth more, for other fields of their surveys.

    Parameters
    ----------
    card : WeightCard
        Of the recipe's scenes, and of what it went on from.
    examples : iterable of Example
        Of real fields; values that are not known are left out.

    Returns
    -------
    WeightCard
        The same where no field is beyond its ranges.
    """
    shown = np.array([(e.pixel_scale, FWHM * e.seeing) for e in examples]).reshape(-1, 2)
    ranges = {}
    for name, values in zip(("pixel_scale", "seeing"), shown.T, strict=True):
        known = values[np.isfinite(values)]
        if len(known):
            # three digits and not two decimals, which would leave pixels of 0.05 arcsec outside of their own range
            low, high = (float(f"{value:.3g}") for value in (known.min() / _ALIKE, known.max() * _ALIKE))
            ranges[name] = _wider(getattr(card, name), (low, high))
    return card.model_copy(update=ranges)


def terms_of(recipe: RecipeConfig | ClassifierRecipe) -> str:
    """Terms of the data of a recipe, as a line among the data of a card: weights that go on from others keep theirs.

    Examples
    --------
    >>> from astrogalaxy.config import RecipeConfig
    >>> from astrogalaxy.training.cards import terms_of
    >>> output = {"licence": "MIT", "terms": "made by us"}
    >>> recipe = {"name": "mine", "data": {"simulation": {"scenes": 1}}, "output": output}
    >>> terms_of(RecipeConfig.from_dict(recipe))
    'terms of the data of mine: made by us'
    """
    return f"terms of the data of {recipe.name}: {recipe.output.terms}"


def start_weights(recipe: RecipeConfig) -> Weights | None:
    """Weights that a recipe goes on from, if it does.

    Those of another recipe with the same output folder are found by its name.

    Raises
    ------
    WeightsError
        If there are none of the name or path.
    """
    start = recipe.model.start
    if start is None or recipe.model.from_photographs:
        return None
    trained = Path(recipe.output.directory) / start / f"{start}.safetensors"
    return load_weights(str(trained) if trained.is_file() else start)


def _wider(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return min(first[0], second[0]), max(first[1], second[1])


def _ranges(recipe: RecipeConfig) -> tuple[tuple[float, float], tuple[float, float]]:
    """Pixel scales (arcsec) and seeing (pixels) of the recipe's scenes; of all surveys without scenes."""
    simulation, phosim = recipe.data.simulation, recipe.data.phosim
    names = simulation.surveys if simulation else [PROFILE] if phosim else PROFILES
    profiles = [replace(PROFILES[name], **({"pixel_scale": PIXEL_SCALE} if phosim else {})) for name in names]
    low, high = (1.0, 1.0) if phosim else SCALE_RANGE
    scales = min(p.pixel_scale for p in profiles) * low, max(p.pixel_scale for p in profiles) * high
    sharpest = min(p.seeing[0] / p.pixel_scale / high for p in profiles)
    widest = max(p.seeing[1] / p.pixel_scale / low for p in profiles)
    return (round(scales[0], 2), round(scales[1], 2)), (round(sharpest, 1), round(widest, 1))


def _data(recipe: RecipeConfig) -> tuple[str, ...]:
    """What was trained on, for the card."""
    data = recipe.data
    lines = []
    if recipe.model.from_photographs:
        lines.append(f"went on from {Path(str(recipe.model.start)).name}, a YOLOX trained on photographs")
    if data.simulation:
        even = f", {data.simulation.even:.0%} of them with as many galaxies as stars" if data.simulation.even else ""
        lines.append(f"{data.simulation.scenes} GalSim scenes like {', '.join(data.simulation.surveys)}{even}")
    lines += [f"sources injected into {Path(str(sky.images.path)).name}" for sky in data.sky]
    lines += [f"labels of {Path(str(labels.truth)).name}, part {labels.part}" for labels in data.labels]
    if data.stamps:
        lines.append("Galaxy Zoo 2 votes and SDSS colour cutouts (Willett et al. 2013, Hart et al. 2016)")
    if data.phosim:
        simulated = f"{data.phosim.train} simulated fields like Astro R-CNN's"
        lines.append(f"fields of {Path(data.phosim.folder).name}" if data.phosim.folder else simulated)
    if data.galaxies:
        lines.append(f"votes and cutouts of the Galaxy Zoo sample {Path(data.galaxies.folder).name}")
    return (*lines, terms_of(recipe))
