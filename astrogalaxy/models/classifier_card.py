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
    options: dict[str, Any] = Field(description="its further arguments")
    attention: Literal["none", "cbam", "self"] = Field(description="attention on its last map")
    hidden: int | None = Field(description="units of the dense layer before the classes")
    clusters: int | None = Field(None, description="principal components, if the classes are clusters of features")
    classes: tuple[str, ...] = Field(min_length=2, description="what it tells apart, in the order of its outputs")
    side: int = Field(gt=0, description="side of its input in pixels")
    normalise: Literal["symmetric", "imagenet", "unit"] = Field(description="how pixels become network input")
    centre: float = Field(description="side of the middle of a cutout that it sees, in sides of the cutout")
    field_of_view: float = Field(description="side of what it sees, in half-light radii of the galaxy")
    views: int = Field(1, description="turned and flipped copies whose mean is its answer")
    temperature: float = Field(gt=0, description="by which logits are divided, so that probabilities are calibrated")
    parameters: int = Field(description="trainable parameters")
    start: str = Field(description="where its training started from: published weights or random numbers")
    seed: int = Field(description="seed of its training")
    epochs: int = Field(description="passes over the training images")
    seconds: float = Field(description="wall time of the training")
