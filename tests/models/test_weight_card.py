"""Tests of astrogalaxy.models.card."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from astrogalaxy.errors import WeightsError
from astrogalaxy.models import Architecture, WeightCard


def test_a_card_survives_its_json(make_card: Callable[..., WeightCard]) -> None:
    card = make_card()
    assert WeightCard.from_json(card.model_dump_json(), source="w") == card
    assert card.architecture == Architecture("nano", (4, 8, 16), 3)
    assert card.architecture.multiple == 16
    assert card.min_bands == 1


def test_every_field_is_printed_and_described(make_card: Callable[..., WeightCard]) -> None:
    rows = dict(make_card().rows())
    assert rows["threshold"] == 0.25
    assert rows.keys() == WeightCard.model_fields.keys()
    assert all(field.description for field in WeightCard.model_fields.values())


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"licence": None}, "at licence: Field required"),
        ({"surprise": 1}, "at surprise: Extra inputs"),
        ({"threshold": "high"}, "at threshold"),
        ({"size": "huge"}, "at top: Value error, size 'huge' is none of nano, micro, tiny, s"),
        ({"levels": [4, 8]}, "at top: Value error, three levels"),
        ({"calibration": {"source": {}}}, "calibration must have source, galaxy, disk"),
        ({"calibration": {h: {"slope": 0.0} for h in ("source", "galaxy", "disk")}}, "at calibration.source.slope"),
        ({"task": "segmentation"}, "at task: Input should be 'detection'"),
    ],
)
def test_a_wrong_card_names_the_file_and_the_field(
    make_card: Callable[..., WeightCard], change: dict[str, Any], where: str
) -> None:
    data = json.loads(make_card().model_dump_json()) | change
    text = json.dumps({key: value for key, value in data.items() if value is not None})
    with pytest.raises(WeightsError, match="^my file: the weight card is not valid") as caught:
        WeightCard.from_json(text, source="my file")
    assert where in str(caught.value)


@pytest.mark.parametrize("text", ["", "not json", "[]", "3"])
def test_what_is_no_card(text: str) -> None:
    with pytest.raises(WeightsError, match="^w: the weight card is not valid at top"):
        WeightCard.from_json(text, source="w")


def test_a_card_cannot_be_changed(make_card: Callable[..., WeightCard]) -> None:
    card = make_card()
    with pytest.raises(ValidationError, match="frozen"):
        card.threshold = 0.9  # type: ignore[misc]
