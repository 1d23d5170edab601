"""Tests of astrogalaxy.training.sets, and of what is made of them for a step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.config import RecipeConfig
from astrogalaxy.datasets.splits import part_of
from astrogalaxy.errors import ConfigError
from astrogalaxy.training import sets as module
from astrogalaxy.training.examples import Example
from astrogalaxy.training.galaxies import GalaxyBank
from astrogalaxy.training.loaders import TrainingData
from astrogalaxy.training.schedule import Phase, Schedule
from astrogalaxy.training.sets import LabelledSets, prepare_sets

Make = Callable[..., RecipeConfig]


def test_recipes_share_their_sets(
    make_recipe: Make, paper_sets: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_sets(make_recipe(data=paper_sets), "train")
    assert [path.name for path in first.fields] == ["field-00000.npy", "field-00001.npy"]
    bank = GalaxyBank.load(first.galaxies)
    assert bank.names.tolist() == [f"J{n}" for n in range(24) if part_of(f"J{n}") == "train"]
    monkeypatch.setattr(module, "simulated_field", None)  # nothing is made again
    monkeypatch.setattr(GalaxyBank, "make", None)
    other = make_recipe(data=paper_sets, seed=7, name="other", steps=20)
    assert prepare_sets(other, "train") == first
    assert not (tmp_path / "runs" / "other").exists()


def test_parts_have_no_field_in_common(make_recipe: Make, paper_sets: dict[str, Any]) -> None:
    recipe = make_recipe(data=paper_sets)
    done: list[tuple[int, int]] = []
    parts = {part: prepare_sets(recipe, part, progress=lambda *n: done.append(n)) for part in ("train", "val", "test")}
    assert [len(sets.fields) for sets in parts.values()] == [2, 1, 2]
    assert done == [(1, 2), (2, 2), (1, 1), (1, 2), (2, 2)]
    contents = {Example.load(path).snr.tobytes() for sets in parts.values() for path in sets.fields}
    assert len(contents) == 5
    banks = [GalaxyBank.load(sets.galaxies) for sets in parts.values()]
    assert sorted(name for bank in banks for name in bank.names) == sorted(f"J{n}" for n in range(24))


def test_other_settings_are_another_set(make_recipe: Make, paper_sets: dict[str, Any]) -> None:
    paper_sets["phosim"]["train"] = 1
    first = prepare_sets(make_recipe(data=paper_sets), "train")
    paper_sets["phosim"] |= {"isophote": 2.0}
    paper_sets["galaxies"] |= {"side": 24}
    second = prepare_sets(make_recipe(data=paper_sets), "train")
    assert first.fields[0].parent != second.fields[0].parent
    assert GalaxyBank.load(second.galaxies).planes.shape[-1] == 24
    # a vote table that was written anew is read anew
    os.utime(Path(paper_sets["galaxies"]["folder"]) / "labels.csv", ns=(1, 1))
    assert prepare_sets(make_recipe(data=paper_sets), "train").galaxies != second.galaxies


def test_a_folder_of_sets(make_recipe: Make, tmp_path: Path) -> None:
    rows, columns = np.indices((64, 64))
    star = (400 * np.exp(-((columns - 20) ** 2 + (rows - 30) ** 2) / 8)).astype(np.float32)
    for name in ("train/set_0", "train/set_1", "test/set_0"):
        folder = tmp_path / "phosim" / name
        folder.mkdir(parents=True)
        sky = np.random.default_rng(0).normal(100, 5, (64, 64))
        fits.writeto(folder / "img_r.fits", (sky + star).astype(np.float32))
        fits.writeto(folder / "mask_star0.fits", star)
    recipe = make_recipe(data={"phosim": {"folder": str(tmp_path / "phosim"), "train": 1}})
    sets = prepare_sets(recipe, "train")
    assert len(sets.fields) == 2, "all there are"
    (source,) = Example.load(sets.fields[1]).sources
    assert (source["x"], source["y"], source["galaxy"]) == pytest.approx((20, 30, 0), abs=0.2)
    with pytest.raises(ConfigError, match=r"data\.phosim\.folder: .*: no set of the part 'val'"):
        prepare_sets(recipe, "val")
    nothing = make_recipe(data={"phosim": {"folder": str(tmp_path / "nowhere")}})
    with pytest.raises(ConfigError, match=r"data\.phosim\.folder: .*nowhere: no set of images"):
        prepare_sets(nothing, "train")


def test_galaxies_that_are_not_there(make_recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.galaxies\.folder: .*labels\.csv"):
        prepare_sets(make_recipe(data={"galaxies": {"folder": str(tmp_path / "gz")}}), "train")


def test_batches_of_each_set(make_recipe: Make, paper_sets: dict[str, Any]) -> None:
    recipe = make_recipe(data=paper_sets, batch=3)
    sets = prepare_sets(recipe, "train")
    data = TrainingData(recipe, [], Path(), sets, LabelledSets())
    batches = iter(data.loader(Schedule([Phase("fields"), Phase("galaxies")]), seed=1))
    fields, galaxies = next(batches).targets, next(batches).targets
    assert set(fields.galaxy.tolist()) == {0.0, 1.0}
    assert fields.disk.isnan().all()
    assert set(galaxies.galaxy.tolist()) == {1.0}
    assert galaxies.disk.tolist() == pytest.approx([0.9 if d > 0.5 else 0.1 for d in galaxies.disk.tolist()])
    assert next(batches).image.shape == (3, 3, 64, 64)
