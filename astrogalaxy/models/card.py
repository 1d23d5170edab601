"""The weight card: what a weight file is, was trained on, and can be trusted with."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from astrogalaxy.errors import WeightsError
from astrogalaxy.models.architecture import SIZES, ZOOMS, Architecture

__all__ = ["BY_EXTENT", "BY_SPREAD", "HEADS", "IN_FIELD", "JOINED", "Calibration", "Card", "WeightCard"]

#: The heads whose logits a card calibrates.
HEADS = ("source", "galaxy", "disk")
#: Calibration of the galaxy head's probability together with the measured extent, if a card has it.
BY_EXTENT = "galaxy_by_extent"
#: The same together with the spread, likewise.
BY_SPREAD = "galaxy_by_spread"
#: The same together with both and the field's mix of stars and galaxies, likewise.
IN_FIELD = "galaxy_in_field"
#: What a card may calibrate besides its heads.
JOINED = (BY_EXTENT, BY_SPREAD, IN_FIELD)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Calibration(_Strict):
    """Platt scaling of one logit together with what has been measured of the source.

    ``p = 1 / (1 + exp(-z))`` with ``z = slope * logit + weight * log(max(s, 1)) + extent * e +
    spread * w * log(max(s, 1)) + mix * m + offset``, where ``s`` is the signal to noise of the source, ``e`` the
    logarithm of its half-light radius over that of the field's stars, ``w`` what its spread says
    (`~astrogalaxy.measurement.spread.spread_evidence`), and ``m`` the logarithm of how many galaxies its field has for
    each star (`~astrogalaxy.measurement.stargalaxy.field_mix`); the last three only of what has been measured.

    Examples
    --------
    >>> from astrogalaxy.models import Calibration
    >>> Calibration(slope=2.0, offset=-2.0).probability([0.0, 1.0, 2.0], [10.0, 10.0, 10.0]).round(2).tolist()
    [0.12, 0.5, 0.88]
    """

    slope: float = Field(1.0, gt=0)
    weight: float = 0.0
    extent: float = 0.0
    spread: float = 0.0
    mix: float = 0.0
    offset: float = 0.0

    def probability(
        self,
        logit: ArrayLike,
        significance: ArrayLike,
        extent: ArrayLike = 0.0,
        spread: ArrayLike = 0.0,
        mix: ArrayLike = 0.0,
    ) -> NDArray[np.float64]:
        """Calibrated probabilities of logits at sources of given signal to noise, with what else is known of them."""
        light = np.log(np.maximum(np.asarray(significance, dtype=float), 1.0))
        z = self.slope * np.asarray(logit, dtype=float) + self.weight * light + self.offset
        z = z + self.extent * np.asarray(extent, dtype=float) + self.spread * np.asarray(spread, dtype=float) * light
        z = z + self.mix * np.asarray(mix, dtype=float)
        return np.asarray(1 / (1 + np.exp(-np.clip(z, -60, 60))))


class Card(_Strict):
    """Metadata of any weight file, whatever its network does.

    Examples
    --------
    >>> from astrogalaxy.models import open_weights
    >>> card = open_weights("default").card
    >>> card.task, card.licence, dict(card.rows())["name"]
    ('detection', 'BSD-3-Clause', 'astroyolo-nano')
    """

    #: Fields that only describe the weights; all others decide what is computed with them.
    words: ClassVar[frozenset[str]] = frozenset(
        {
            "name", "version", "normalisation", "data", "licence", "command", "metrics", "metrics_command",
            "reliability", "sha256",
        }
    )  # fmt: skip

    name: str = Field(description="name by which a configuration asks for the weights")
    version: str = Field(description="version of these weights")
    task: str = Field(description="what the network does")
    normalisation: str = Field(description="how pixels become network input")
    data: tuple[str, ...] = Field(description="training data and its terms")
    licence: str = Field(description="licence of the weights")
    command: str = Field(description="command that trained them")
    metrics: dict[str, float] = Field(description="metrics measured on held-out data")
    metrics_command: str = Field(description="command that gives the metrics")
    reliability: dict[str, tuple[tuple[float, float, int], ...]] = Field(
        default_factory=dict,
        description="for each head and bin of held-out data: mean predicted probability, observed share, number of "
        "sources",
    )
    sha256: str = Field(description="hash of everything that determines results: tensors, graph and settings")

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Self:
        """Parse the card of a weight file.

        Raises
        ------
        WeightsError
            Naming the file and the field that is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            msg = f"{source}: the weight card is not valid at {where or 'top'}: {first['msg']}"
            raise WeightsError(msg) from None

    def settings(self) -> str:
        """The fields that decide what is computed with the weights, as JSON; fields at their defaults are left out."""
        return json.dumps(self.model_dump(mode="json", exclude=set(self.words), exclude_defaults=True), sort_keys=True)

    def rows(self) -> list[tuple[str, Any]]:
        """Name and value of every field, for printing."""
        return [(name, getattr(self, name)) for name in type(self).model_fields]


class WeightCard(Card):
    """Metadata of a detector's weight file; the file's own header holds it as JSON.

    The descriptions of the fields are those of the documentation.

    Examples
    --------
    >>> from astrogalaxy.models import load_weights
    >>> card = load_weights("default").card
    >>> card.levels, sorted(card.calibration)[0], 0 < card.threshold < 1
    ((4, 8, 16), 'disk', True)
    """

    words: ClassVar[frozenset[str]] = Card.words | {"bands"}

    task: Literal["detection"] = Field("detection", description="what the network does")
    size: str = Field(description="member of the YOLOX family")
    levels: tuple[int, ...] = Field(
        description="strides of the pyramid levels in pixels of the network input, finest first"
    )
    zoom: float = Field(1.0, description="factor by which the network magnifies its input")
    inputs: int = Field(description="input channels onto which the bands are mapped")
    seeing_input: bool = Field(False, description="whether an additional input channel holds the seeing of the image")
    one_cell: bool = Field(False, description="whether only one cell detects each source, so that close pairs are kept")
    bands: str = Field(description="bands wanted, and how they are mapped onto the input channels")
    min_bands: int = Field(1, description="smallest number of bands that the network accepts")
    max_bands: int = Field(description="largest number of bands that the network accepts")
    pixel_scale: tuple[float, float] = Field(description="range of the pixel scale in training, in arcsec per pixel")
    seeing: tuple[float, float] = Field(description="range of the FWHM of stars in training, in pixels")
    calibration: dict[str, Calibration] = Field(description="coefficients that turn logits into probabilities")
    threshold: float = Field(description="default det_score below which a source is dropped")

    @model_validator(mode="after")
    def _can_be_served(self) -> Self:
        problems = {
            f"size {self.size!r} is none of {', '.join(SIZES)}": self.size not in SIZES,
            f"zoom {self.zoom:g} is none of {', '.join(f'{z:g}' for z in ZOOMS)}": self.zoom not in ZOOMS,
            "three levels are needed": len(self.levels) != 3,
            f"calibration must have {', '.join(HEADS)}": set(self.calibration) - set(JOINED) != set(HEADS),
        }
        for problem, present in problems.items():
            if present:
                raise ValueError(problem)
        return self

    @property
    def architecture(self) -> Architecture:
        """Shape of the network."""
        return Architecture(self.size, self.levels, self.inputs, self.seeing_input, self.one_cell, self.zoom)

    @property
    def provenance(self) -> dict[str, str]:
        """Keywords by which a catalogue names the weights that have found its sources."""
        return {"WTSHASH": self.sha256, "WEIGHTS": f"{self.name} {self.version}"}

    def is_outside(self, pixel_scale: float, fwhm: float = float("nan")) -> bool:
        """Whether an image is known to be unlike those of the training.

        Parameters
        ----------
        pixel_scale : float
            Arcsec per pixel; NaN if it is not known.
        fwhm : float, optional
            Of stars, pixels; NaN if it is not known.

        Returns
        -------
        bool
            True where one of them is out of its range.

        Examples
        --------
        >>> from astrogalaxy.models import load_weights
        >>> card = load_weights("default").card
        >>> card.is_outside(0.4, 3.0), card.is_outside(0.03)
        (False, True)
        """
        ranges = ((pixel_scale, self.pixel_scale), (fwhm, self.seeing))
        return any(value < low or value > high for value, (low, high) in ranges)
