"""Tests of astrogalaxy.training.loaders: what trains, and what is kept apart from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrogalaxy.config import RecipeConfig
from astrogalaxy.training.examples import Example, sources_array
from astrogalaxy.training.loaders import TrainingData
from astrogalaxy.training.prepare import Prepared
from astrogalaxy.training.schedule import Phase, Schedule
from astrogalaxy.training.sets import LabelledSets

Make = Callable[..., RecipeConfig]
FIELDS = Schedule([Phase("fields")])
# The side of the one box in an example tells its kind.
SIDES = {"train": 5.0, "sky": 6.0, "labels": 7.0, "val": 8.0, "held": 9.0}


def _example(folder: Path, name: str, side: float, **known: float) -> Path:
    source = sources_array(x=[31.0], y=[31.0], width=side, height=side)
    return Example(np.zeros((3, 64, 64), np.float16), source, name, **known).save(folder)


@pytest.fixture
def make_data(make_recipe: Make, tmp_path: Path) -> Callable[..., TrainingData]:
    def make(*kinds: str, weights: dict[str, float] | None = None, **sets: LabelledSets) -> TrainingData:
        for kind in kinds:
            _example(tmp_path, kind, SIDES[kind], seeing=4.0)
        plan = [Prepared(kind, 0, (weights or {}).get(kind, 1.0), kind) for kind in kinds]
        return TrainingData(make_recipe(), plan, tmp_path, **sets)

    return make


def _drawn(data: TrainingData, *, validation: bool, batches: int = 40) -> Counter[float]:
    loader = data.loader(FIELDS, seed=1, validation=validation)
    return Counter(side for batch in islice(loader, batches) for side in batch.targets.boxes[:, 2].tolist())


def _with_seeing(data: TrainingData) -> TrainingData:
    """For a network that has a channel for it."""
    model = data.recipe.model.model_copy(update={"seeing": True})
    return replace(data, recipe=data.recipe.model_copy(update={"model": model}))


def test_what_validates_does_not_train(make_data: Callable[..., TrainingData]) -> None:
    data = make_data(*SIDES)
    assert set(_drawn(data, validation=False)) == {5.0, 6.0, 7.0}, "scenes, injections and labels"
    assert set(_drawn(data, validation=True)) == {8.0, 9.0}
    assert [example.name for example in data.unseen_fields()] == ["val"]
    assert set(_drawn(make_data("train", "labels"), validation=True)) == {5.0, 7.0}, "there is nothing else"


def test_examples_are_drawn_as_often_as_they_weigh(make_data: Callable[..., TrainingData]) -> None:
    drawn = _drawn(make_data("train", "labels", weights={"labels": 4.0}), validation=False, batches=300)
    assert drawn[7.0] / drawn.total() == pytest.approx(0.8, abs=0.05)


def test_parts_of_the_paper_s_sets(make_data: Callable[..., TrainingData], tmp_path: Path) -> None:
    train, val = (
        LabelledSets(tuple(_example(tmp_path, f"field-{side}", side, seeing=9.0) for side in sides))
        for sides in ((11.0, 12.0, 13.0), (14.0,))
    )
    data = _with_seeing(make_data(train=train, val=val))
    assert set(_drawn(data, validation=False)) == {11.0, 12.0, 13.0}
    assert set(_drawn(data, validation=True)) == {14.0}
    assert [example.name for example in data.unseen_fields()] == ["field-14.0"]
    (batch,) = islice(data.loader(FIELDS, seed=1), 1)
    assert batch.image[:, -1].numpy() == pytest.approx(2 * np.log(9.0 / 4.5)), "their seeing is known"


def test_galaxies_that_calibrate_do_not_train(make_recipe: Make, paper_sets: dict[str, Any], tmp_path: Path) -> None:
    y, x = np.mgrid[:32, :32] - 15.5
    light = np.exp(-(x**2 + y**2) / 18)
    sets = {}
    for part, votes in (("train", 0.25), ("val", 0.75)):
        path = tmp_path / f"{part}.npy"
        np.save(path, np.stack([light, light, light, light > 0.05])[None].astype(np.float16))
        np.save(path.with_suffix(".votes.npy"), np.array([votes]))
        np.save(path.with_suffix(".names.npy"), np.array([part]))
        sets[part] = LabelledSets(galaxies=path)
    paper_sets["galaxies"] |= {"mix_up": 1.0}
    data = TrainingData(make_recipe(data=paper_sets), [], tmp_path, **sets)
    galaxies = Schedule([Phase("galaxies")])
    for validation, votes in ((False, 0.25), (True, 0.75)):
        batches = islice(data.loader(galaxies, seed=1, validation=validation), 4)
        assert {vote for batch in batches for vote in batch.targets.disk.tolist()} == {votes}
    (batch,) = islice(data.loader(galaxies, seed=1), 1)
    assert batch.targets.batch.bincount().tolist() == [8, 8], "two mosaics of four over each other"
    assert [example.name for example in data.unseen_galaxies()] == ["val"]


def test_the_seeing_is_shown_as_well_as_it_would_be_known(make_data: Callable[..., TrainingData]) -> None:
    """Of most crops to a few per cent, of some not at all."""
    loader = _with_seeing(make_data("train")).loader(FIELDS, seed=1)
    level = np.concatenate([batch.image[:, -1, 0, 0].numpy() for batch in islice(loader, 300)])
    unknown = level == 0
    assert unknown.mean() == pytest.approx(0.12, abs=0.05)
    seen = 4.5 * np.exp(level[~unknown] / 2)
    assert np.median(seen) == pytest.approx(4.0, rel=0.02)
    assert 1.4826 * np.median(np.abs(seen - np.median(seen))) == pytest.approx(0.16, abs=0.04)
    wide = seen > 1.2 * 4.0
    assert 0 < wide.mean() < 0.05, "and seldom wrongly"
