"""Tests of astrogalaxy.training.prepare."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image as Picture

from astrogalaxy.config import RecipeConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.training import prepare as module
from astrogalaxy.training.examples import Example
from astrogalaxy.training.prepare import plan_examples, prepare, unseen_images

Make = Callable[..., RecipeConfig]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.np[yz]"))}


def _frames(folder: Path, *fields: str, shape: tuple[int, int] = (70, 90)) -> dict[str, Any]:
    """FITS frames of one band on disk, and the section of a recipe that reads them."""
    for number, field in enumerate(fields):
        rng = np.random.default_rng(number)
        rows, columns = np.indices(shape)
        data = rng.normal(100, 1, shape)
        for i in range(20):  # stars on a loose grid, so that each can be measured
            x, y = 10 + 16 * (i % 5) + rng.uniform(-2, 2), 10 + 16 * (i // 5) + rng.uniform(-2, 2)
            data += 400 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)
        header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
        header.update({"CRPIX1": 45.0, "CRPIX2": 35.0, "CDELT1": -1.1e-4, "CDELT2": 1.1e-4})
        fits.writeto(folder / f"{field}-r.fits", data.astype(np.float32), header, overwrite=True)
    return {"path": "{field}-{band}.fits", "bands": ["r"], "zeropoint": 27.0}


def test_examples_are_a_function_of_the_recipe(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe()
    plan = prepare(recipe, tmp_path / "a", workers=0)
    assert [item.name for item in plan] == ["scene-00000", "scene-00001", "val-00000", "val-00001"]
    prepare(recipe, tmp_path / "b", workers=1)
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")
    assert len(_contents(tmp_path / "a")) == 8
    assert len({tuple(data) for name, data in _contents(tmp_path / "a").items() if "sources" not in name}) == 4
    prepare(make_recipe(seed=2), tmp_path / "c", workers=0)
    assert _contents(tmp_path / "c").keys() == _contents(tmp_path / "a").keys()
    assert _contents(tmp_path / "c") != _contents(tmp_path / "a")
    example = Example.load(tmp_path / "a" / "val-00001.npy")
    assert example.snr.shape == (3, 64, 64)


def test_files_are_looked_at_before_scenes_are_simulated(make_recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n5,6\n")
    labels = {"images": _frames(tmp_path, "one"), "truth": "t.csv"}
    simulated = make_recipe().data.simulation
    assert simulated is not None
    recipe = make_recipe(data={"simulation": simulated.model_dump(), "labels": [labels]})
    with pytest.raises(ConfigError, match=r"t\.csv: no column 'class'"):
        prepare(recipe, tmp_path / "a", workers=0)
    assert not _contents(tmp_path / "a")


def test_unseen_images_are_those_of_the_validation_examples(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe()
    plan = prepare(recipe, tmp_path / "a", workers=0, kinds={"val"})
    assert [item.name for item in plan] == ["val-00000", "val-00001"]
    assert len(_contents(tmp_path / "a")) == 4
    for item, (image, sources) in zip(plan, unseen_images(recipe), strict=True):
        example = Example.load(tmp_path / "a" / f"{item.name}.npy")
        np.testing.assert_array_equal(image.aligned().snr.astype(np.float16), example.snr)
        assert sources.tobytes() == example.sources.tobytes()


def test_a_share_of_even_scenes_leaves_the_others_as_they_are(make_recipe: Make, tmp_path: Path) -> None:
    scenes = {"scenes": 8, "validation": 2, "size": 64, "surveys": {"hsc": 1.0}}
    for share in (0.0, 0.5, 1.0):
        prepare(make_recipe(data={"simulation": scenes | {"even": share}}), tmp_path / f"{share}", workers=0)
    usual, some, all_even = (_contents(tmp_path / f"{share}") for share in (0.0, 0.5, 1.0))
    changed = {name for name in usual if usual[name] != some[name]}
    assert 0 < len(changed) < len(usual)
    assert all(some[name] == all_even[name] for name in changed)
    differ = {name.split("-")[0] for name in usual if usual[name] != all_even[name]}
    assert differ == {"scene"}, "what calibrates stays as the sky is"
    assert all(usual[name] != all_even[name] for name in usual if name.startswith("scene"))


def test_processes_change_nothing(make_recipe: Make, tmp_path: Path) -> None:
    prepare(make_recipe(), tmp_path / "a", workers=0)
    done: list[tuple[int, int]] = []
    prepare(make_recipe(), tmp_path / "b", workers=2, progress=lambda *count: done.append(count))
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_interrupted_preparation_goes_on(make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(make_recipe(), tmp_path / "whole", workers=0)
    made: list[str] = []
    plain = module._make

    def interrupted(recipe: RecipeConfig, folder: Path, item: module.Prepared) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(item.name)
        plain(recipe, folder, item)

    monkeypatch.setattr(module, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(make_recipe(), tmp_path / "parts", workers=0)
    monkeypatch.setattr(module, "_make", lambda r, f, item: (made.append(item.name), plain(r, f, item)))
    progress: list[tuple[int, int]] = []
    prepare(make_recipe(), tmp_path / "parts", workers=0, progress=lambda *count: progress.append(count))
    assert made == ["scene-00000", "scene-00001", "val-00000", "val-00001"], "each of them once"
    assert progress == [(3, 4), (4, 4)]
    assert _contents(tmp_path / "parts") == _contents(tmp_path / "whole")


def test_examples_of_other_settings_are_not_taken_for_these(make_recipe: Make, tmp_path: Path) -> None:
    prepare(make_recipe(), tmp_path / "a", workers=0)
    wide = {"simulation": {"scenes": 2, "validation": 2, "size": 80, "surveys": {"hsc": 1.0}}}
    prepare(make_recipe(data=wide), tmp_path / "a", workers=0)
    made = Example.load(tmp_path / "a" / "scene-00000.npy")
    assert made.snr.shape == (3, 80, 80)
    prepare(make_recipe(data=wide, seed=2), tmp_path / "a", workers=0)
    assert not np.array_equal(made.snr, Example.load(tmp_path / "a" / "scene-00000.npy").snr), "another seed"


def test_surveys_are_drawn_by_their_share_and_vary(make_recipe: Make) -> None:
    simulation = make_recipe(data={"simulation": {"surveys": {"sdss": 9.0, "hsc": 1.0}}}).data.simulation
    rng = np.random.default_rng(0)
    drawn = [module._draw_profile(simulation, rng) for _ in range(400)]
    assert np.mean([profile.name == "sdss" for profile in drawn]) == pytest.approx(0.9, abs=0.05)
    assert len({profile.pixel_scale for profile in drawn}) > 2


def test_more_scenes_are_added_to_those_there_are(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(make_recipe(), tmp_path / "a", workers=0)
    before = _contents(tmp_path / "a")
    made: list[str] = []
    plain = module._make
    monkeypatch.setattr(module, "_make", lambda r, f, item: (made.append(item.name), plain(r, f, item)))
    more = {"simulation": {"scenes": 3, "validation": 2, "size": 64, "surveys": {"hsc": 1.0}}}
    prepare(make_recipe(data=more, steps=99), tmp_path / "a", workers=0)
    assert made == ["scene-00002"]
    assert before.items() <= _contents(tmp_path / "a").items()


def test_galaxies_are_pasted_into_a_share_of_the_scenes(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "objid,asset_id,derived_label,t01_smooth_or_features_a01_smooth_weighted_fraction,"
    head += "t01_smooth_or_features_a02_features_or_disk_weighted_fraction"
    (tmp_path / "gz2" / "images").mkdir(parents=True)
    rows = [f"{number},{number},spiral,0.2,0.6" for number in range(40)]
    (tmp_path / "gz2" / "labels.csv").write_text("\n".join([head, *rows]))
    y, x = np.mgrid[:120, :120]
    light = 200 * np.exp(-((x - 60) ** 2 + (y - 60) ** 2) / 2 / 8**2)[..., None] * [0.9, 0.7, 0.5]
    picture = Picture.fromarray((light + np.random.default_rng(0).uniform(4, 8, light.shape)).astype(np.uint8))
    for number in range(40):
        picture.save(tmp_path / "gz2" / "images" / f"{number}.jpg")
    seen: list[str] = []
    plain = module.paste_galaxies

    def watch(example: Example, cutouts: list[Any], **options: Any) -> Example:
        assert len(cutouts) == 3
        seen.extend(f"{example.name[:3]} {module.part_of(c.name)}" for c in cutouts)
        return plain(example, cutouts, **options)

    monkeypatch.setattr(module, "paste_galaxies", watch)
    data = {
        "simulation": {"scenes": 2, "validation": 1, "size": 256, "surveys": {"sdss": 1.0}},
        "stamps": {"folder": "gz2", "share": 1.0, "per_scene": 3},
    }
    plan = prepare(make_recipe(data=data), tmp_path / "a", workers=0)
    assert set(seen) == {"sce train", "val val"}, "no galaxy both trains and validates"
    made = [Example.load(tmp_path / "a" / f"{item.name}.npy") for item in plan]
    with_votes = [np.isclose(example.sources["disk"], 0.75).any() for example in made]
    # the cutouts' three colours are no good for scenes of other bands
    assert with_votes == [len(example.snr) == 3 for example in made]
    assert any(with_votes)


def test_real_frames_and_labels(make_recipe: Make, tmp_path: Path) -> None:
    images = _frames(tmp_path, "one", "two", "three")
    (tmp_path / "truth.csv").write_text("x,y,class\n30,20,star\n50,40,galaxy\n70,30,star\n")
    (tmp_path / "split.csv").write_text("row,part\n0,mine\n1,mine\n2,test\n")
    data = {
        "labels": [{"images": images, "field": "two", "truth": "truth.csv", "split": "split.csv", "part": "mine",
                    "weight": 7, "region": [0, 90, 0, 50]},
                   {"images": images, "field": "two", "truth": "truth.csv", "region": [0, 60, 0, 60], "holdout": 0.25}],
        "sky": [{"images": images, "exclude": ["two"], "profile": "hsc", "injections": 2, "weight": 3},
                {"images": images, "fields": ["one"], "profile": "hsc", "injections": 1}],
    }  # fmt: skip
    plan = prepare(make_recipe(data=data), tmp_path / "a", workers=0)
    assert [(item.name, item.kind, item.weight) for item in plan] == [
        ("sky-0-000", "sky", 3), ("sky-0-001", "sky", 3), ("sky-0-002", "sky", 3), ("sky-0-003", "sky", 3),
        ("sky-1-000", "sky", 1), ("labels-0", "labels", 7), ("labels-1", "labels", 1), ("held-1", "held", 1),
    ]  # fmt: skip
    labelled = Example.load(tmp_path / "a" / "labels-0.npy")
    assert labelled.snr.shape == (1, 50, 90)
    wanted = labelled.sources[~labelled.sources["ignore"]]
    assert wanted["x"].tolist() == [30, 50]
    assert wanted["galaxy"].tolist() == [0, 1]
    held = Example.load(tmp_path / "a" / "held-1.npy")
    assert held.snr.shape == (1, 15, 60)
    skies = [Example.load(tmp_path / "a" / f"sky-0-00{i}.npy") for i in range(4)]
    assert all(sky.snr.shape == (1, 70, 90) for sky in skies)
    assert len({len(sky.sources) for sky in skies}) > 1
    assert not np.array_equal(skies[0].snr, Example.load(tmp_path / "a" / "sky-1-000.npy").snr), "of the same field"
    # what has changed since is made again, and nothing else
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a").glob("*.npy")}
    later = 1 + max(times.values()) / 1e9
    os.utime(tmp_path / "three-r.fits", (later, later))
    prepare(make_recipe(data=data), tmp_path / "a", workers=0)
    anew = {name for name, time in times.items() if (tmp_path / "a" / name).stat().st_mtime_ns != time}
    assert anew == {"sky-0-001.npy", "sky-0-003.npy"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            {"simulation": {"surveys": {"lsst": 1.0}}},
            r"data\.simulation\.surveys: 'lsst' is not known; choose from sdss",
        ),
        ({"stamps": {"folder": "nowhere"}}, r"data\.stamps\.folder: .*nowhere/labels\.csv: no such file"),
        ({"sky": [{"images": {"path": "x-{band}.fits", "bands": ["r"]}}]}, r"data\.sky\[0\]: no image matches"),
        ({"sky": [{"profile": "lsst"}]}, r"data\.sky\[0\]\.profile: 'lsst' is not known"),
        ({"sky": [{"fields": ["one", "six"]}]}, r"data\.sky\[0\]\.fields: no field 'six' under .*-\{band\}\.fits"),
        ({"sky": [{"exclude": ["one", "two"]}]}, r"data\.sky\[0\]: no field left to inject into"),
        ({"labels": [{"truth": "none.csv", "field": "one"}]}, r"data\.labels\[0\]\.truth: .*none\.csv: no such file"),
        ({"labels": [{"truth": "t.csv", "split": "s.csv", "field": "one"}]}, r"labels\[0\]\.split: .*s\.csv: no such"),
        ({"labels": [{"truth": "t.csv", "field": "six"}]}, r"data\.labels\[0\]\.field: no field 'six'"),
        ({"labels": [{"truth": "t.csv"}]}, r"data\.labels\[0\]\.field: .* has 2 fields; name the labelled one"),
    ],
)
def test_what_a_recipe_names_must_be_there(make_recipe: Make, tmp_path: Path, data: dict[str, Any], text: str) -> None:
    images = _frames(tmp_path, "one", "two")
    (tmp_path / "t.csv").write_text("x,y,class\n30,20,star\n")
    for section in ("sky", "labels"):
        for item in data.get(section, []):
            item.setdefault("images", images)
    recipe = make_recipe(data={"simulation": {"scenes": 1}} | data)
    with pytest.raises(ConfigError, match=text):
        plan_examples(recipe)
    with pytest.raises(ConfigError, match=text):
        prepare(recipe, tmp_path / "examples", workers=0)
    assert not (tmp_path / "examples").exists(), "nothing is begun"


def test_a_field_to_leave_out_that_is_not_there_is_warned_of(
    make_recipe: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe(data={"simulation": {"scenes": 1}, "sky": [{"images": _frames(tmp_path, "one", "two"),
                               "exclude": ["one", "tow"]}]})  # fmt: skip
    assert [item.name for item in plan_examples(recipe) if item.kind == "sky"] == ["sky-0-000", "sky-0-001"]
    assert "data.sky[0].exclude: no field 'tow' under" in caplog.text
    assert "'one'" not in caplog.text


def test_pixels_of_labels_that_are_kept_for_another_part_are_warned_of(
    make_recipe: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = _frames(tmp_path, "one", "two")
    (tmp_path / "t.csv").write_text("x,y,class\n30,20,star\n60,40,galaxy\n")
    (tmp_path / "s.csv").write_text("row,part\n0,train\n1,test\n")
    for left_out, split, warned in (([], "s.csv", True), (["one"], "s.csv", False), ([], None, False)):
        labels = {"images": images, "field": "one", "truth": "t.csv", "split": split}
        plan_examples(make_recipe(data={"sky": [{"images": images, "exclude": left_out}], "labels": [labels]}))
        told = "data.sky[0]: all of field 'one' is trained on" in caplog.text
        assert told == warned
        assert "'two'" not in caplog.text
        caplog.clear()


def test_a_closed_folder_beside_others_is_warned_of(
    make_recipe: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    images = _frames(tmp_path / "a", "one")
    (tmp_path / "b").symlink_to(tmp_path / "nowhere")
    images["path"] = str(tmp_path / "*" / "{field}-{band}.fits")
    plan_examples(make_recipe(data={"simulation": {"scenes": 1}, "sky": [{"images": images}]}))
    assert f"data.sky[0].images: {tmp_path / 'b'}: cannot be looked into" in caplog.text


def test_a_failure_in_a_process_is_told_at_once(make_recipe: Make, tmp_path: Path) -> None:
    images = _frames(tmp_path, "one")
    (tmp_path / "one-r.fits").write_bytes((tmp_path / "one-r.fits").read_bytes()[:4000])
    data = {"labels": [{"images": images, "truth": "t.csv"}]}
    (tmp_path / "t.csv").write_text("x,y,class\n30,20,star\n")
    with pytest.raises(Exception, match=r"one-r\.fits"):
        prepare(make_recipe(data=data), tmp_path / "a", workers=2)
