"""Show what a classifier looks at in files that hold one galaxy each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from astrogalaxy.datasets.pictures import PICTURES, read_cutout
from astrogalaxy.errors import ConfigError
from astrogalaxy.models import ClassifierCard
from astrogalaxy.morphology.explain import MAPS, Map, explain, figure_of, probabilities_of
from astrogalaxy.morphology.network import GalaxyNetwork
from astrogalaxy.morphology.pictures import resized

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["explain_file"]


def explain_file(
    path: str | Path,
    network: GalaxyNetwork,
    card: ClassifierCard,
    *,
    target: str | None = None,
    maps: Map | Sequence[Map] = MAPS,
) -> Figure:
    """Lay maps of what a classifier looks at over a cutout with one galaxy in the middle.

    Parameters
    ----------
    path : path
        JPEG, PNG or FITS; see `~astrogalaxy.datasets.pictures.read_picture`.
    network : GalaxyNetwork
        The classifier; see `~astrogalaxy.morphology.export.network_of`.
    card : ClassifierCard
        Of its weights.
    target : str, optional
        Class that is asked about; default the likeliest.
    maps : str or sequence of str
        See `~astrogalaxy.morphology.explain.explain`.

    Returns
    -------
    matplotlib.figure.Figure
        The cutout as the classifier sees it, with the class and its probability, and beside it a part for each map.

    Raises
    ------
    ConfigError
        If the classifier has no such class.
    ImageError
        If the file cannot be read.
    WeightsError
        If there is no such map, or the network has none of the maps.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.models import load_classifier
    >>> from astrogalaxy.morphology.export import network_of
    >>> from astrogalaxy.survey.explain import explain_file
    >>> away = np.hypot(*(np.mgrid[:128, :128] - 63.5))
    >>> light = (200 * np.exp(-away / 12)).astype(np.uint8)
    >>> Picture.fromarray(np.dstack([light] * 3)).save("round.png")
    >>> weights = load_classifier("galaxyzoo-fine")
    >>> figure = explain_file("round.png", network_of(weights), weights.card, maps="saliency")
    >>> figure.axes[0].get_title().startswith("round.png: smooth")
    True
    """
    if target is not None and target not in card.classes:
        msg = f"target {target!r}: {card.name} has the classes {', '.join(card.classes)}"
        raise ConfigError(msg)
    path = Path(path)
    picture = resized(read_cutout(path), card.side, centre=card.centre)
    probability = probabilities_of(
        network, picture, normalise=card.normalise, copies=card.views, temperature=card.temperature
    )
    number = int(probability.argmax()) if target is None else card.classes.index(target)
    made = explain(network, picture, normalise=card.normalise, target=number, maps=maps)
    title = f"{path.name}: {card.classes[number]}\nprobability {probability[number]:.2f}"
    is_photograph = path.suffix.lower() in PICTURES
    return figure_of(picture, made, title=title, origin="upper" if is_photograph else "lower")
