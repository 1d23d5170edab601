"""Tests of astrogalaxy.training.schedule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astrogalaxy.config import RecipeConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.training.schedule import HEADS, Phase, Schedule

Make = Callable[..., RecipeConfig]
FIELDS = {"data": "fields", "heads": ["detection", "stargalaxy"]}
GALAXIES = {"data": "galaxies", "heads": ["morphology"]}


def _both(folder: Path) -> dict[str, Any]:
    return {"phosim": {"size": 64}, "galaxies": {"folder": str(folder)}}


def test_a_recipe_without_a_schedule_learns_all_from_all(make_recipe: Make, tmp_path: Path) -> None:
    schedule = Schedule.of(make_recipe())
    assert schedule.at(0) == schedule.at(10**6) == Phase("fields", HEADS)
    assert Schedule.of(make_recipe(data={"galaxies": {"folder": "gz2"}})).at(5).data == "galaxies"


def test_phases_last_as_many_steps_as_their_samples_need(make_recipe: Make, tmp_path: Path) -> None:
    phases = [FIELDS | {"samples": 5}, GALAXIES | {"samples": 2, "freeze": True, "rate": 0.5}]
    recipe = make_recipe(data=_both(tmp_path), batch=2, schedule={"phases": phases})
    schedule = Schedule.of(recipe)
    assert [schedule.at(step).data for step in range(9)] == 2 * (3 * ["fields"] + ["galaxies"]) + ["fields"]
    assert schedule.at(3) == Phase("galaxies", ("morphology",), 1, frozen=True, rate=0.5)
    assert schedule.lasting == schedule.phases
    once = Schedule(schedule.phases, repeat=False)
    assert [once.at(step).data for step in (0, 2, 3, 4, 10**6)] == 2 * ["fields"] + 3 * ["galaxies"]
    assert [phase.data for phase in once.lasting] == ["galaxies"]


def test_all_sets_are_validated_on(make_recipe: Make, tmp_path: Path) -> None:
    both = Schedule.in_turn(make_recipe(data=_both(tmp_path)))
    assert {both.at(step).data for step in range(4)} == {"fields", "galaxies"}


def test_what_learns() -> None:
    phase = Phase("galaxies", ("morphology",), frozen=True)
    assert [phase.trains(part) for part in ("neck", "detection", "stargalaxy", "morphology")] == 3 * [False] + [True]
    assert Phase("fields").trains("neck")


def test_a_phase_without_data_is_refused(make_recipe: Make) -> None:
    with pytest.raises(ConfigError, match=r"training\.schedule\.phases\[0\]\.data: the recipe has no galaxies"):
        make_recipe(schedule={"phases": [GALAXIES]})


def test_sets_that_do_not_go_together(make_recipe: Make) -> None:
    with pytest.raises(ConfigError, match=r"data\.phosim: cannot be used together with simulation"):
        make_recipe(data={"phosim": {}, "simulation": {"scenes": 2}})
    with pytest.raises(ConfigError, match="needs simulation, labels, phosim or galaxies"):
        make_recipe(data={})
