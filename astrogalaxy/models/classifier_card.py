"""The card of a weight file whose network classifies cutouts of galaxies."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from astrogalaxy.models.card import Card

__all__ = ["ClassifierCard"]


class ClassifierCard(Card):
    """Metadata of a classifier's weight file; the file's own header holds it as JSON.

    The descriptions of the fields are those of the documentation.

    Examples
    --------
    >>> from astrogalaxy.models import load_classifier
    >>> card = load_classifier("galaxyzoo-fine").card
    >>> len(card.classes), card.classes[0]
    (7, 'smooth-round')
    """

    words: ClassVar[frozenset[str]] = Card.words | {"parameters", "start", "seed", "epochs", "seconds"}

    task: Literal["morphology"] = Field("morphology", description="what the network does")
    architecture: str = Field(description="name of the network in astrogalaxy.morphology.ARCHITECTURES")
    options: dict[str, Any] = Field(description="additional arguments of the architecture")
    attention: Literal["none", "cbam", "self"] = Field(description="attention on the last feature map")
    hidden: int | None = Field(description="number of units of the dense layer before the output layer")
    clusters: int | None = Field(
        None, description="number of principal components, if the classes are clusters of features"
    )
    classes: tuple[str, ...] = Field(min_length=2, description="classes, in the order of the outputs")
    side: int = Field(gt=0, description="side of the network input in pixels")
    normalise: Literal["symmetric", "imagenet", "unit"] = Field(description="how pixels become network input")
    centre: float = Field(description="side of the central square that is used, as a fraction of the cutout side")
    field_of_view: float = Field(description="side of the network input, in half-light radii of the galaxy")
    views: int = Field(1, description="number of rotated and flipped copies over which the predictions are averaged")
    temperature: float = Field(gt=0, description="divisor of the logits that calibrates the probabilities")
    parameters: int = Field(description="number of trainable parameters")
    start: str = Field(description="start of the training: published weights or random numbers")
    seed: int = Field(description="seed of the training")
    epochs: int = Field(description="number of passes over the training images")
    seconds: float = Field(description="wall time of the training")
