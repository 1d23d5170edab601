"""Tests of astrogalaxy.training.examples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from astrogalaxy.errors import RunError
from astrogalaxy.simulation import PROFILES, simulate_scene
from astrogalaxy.training.examples import Example, example_from_scene, sources_array, truth_sources


@pytest.mark.parametrize("name", ["scene-00001", "a field.with.dots"])
def test_an_example_survives_the_disk(tmp_path: Path, make_example: Callable[..., Example], name: str) -> None:
    plain = make_example([30.0, 80.5], [40.0, 20.25], disk=[1.0, np.nan])
    path = Example(plain.snr, plain.sources, name, 3.5).save(tmp_path)
    assert path == tmp_path / f"{name}.npy"
    again = Example.load(path)
    assert (again.name, again.seeing) == (name, 3.5)
    assert isinstance(again.snr, np.memmap), "pixels stay on the disk until they are used"
    np.testing.assert_array_equal(again.snr, plain.snr)
    assert again.sources.tobytes() == plain.sources.tobytes()


def test_the_pixels_are_written_last(
    tmp_path: Path, make_example: Callable[..., Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has its pixels is complete: an interrupted preparation counts on it."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_example([3.0], [4.0]).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["made-up.sources.npz"]


@pytest.mark.parametrize("end", [".npy", ".sources.npz"])
@pytest.mark.parametrize("kept", [None, 0, 8, 60, -40])
def test_a_damaged_example_is_said_with_what_to_do(
    tmp_path: Path, make_example: Callable[..., Example], end: str, kept: int | None
) -> None:
    path = make_example([3.0], [4.0]).save(tmp_path)
    damaged = tmp_path / f"made-up{end}"
    if kept is None:
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[:kept])
    with pytest.raises(RunError, match=rf"{damaged.name}: the prepared example is .* delete {path}, and it is made"):
        Example.load(path)


def test_what_is_not_named_is_unknown() -> None:
    sources = sources_array(x=[1.0, 2.0], y=3.0, width=[6, 7], height=6, ignore=[True, False])
    assert sources["y"].tolist() == [3, 3]
    assert sources["ignore"].tolist() == [True, False]
    assert np.isnan(sources["galaxy"]).all()
    assert np.isnan(sources["snr"]).all()
    assert len(sources_array(x=[])) == 0


def test_a_truth_table_becomes_sources() -> None:
    truth = Table(
        {
            "x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": [5.0, 4.0, 3.0, 2.0, 1.0],
            "x_min": [0.0] * 5, "x_max": [8.0] * 5, "y_min": [0.0] * 5, "y_max": [6.0] * 5,
            "class": ["star", "galaxy", "galaxy", "galaxy", "star"], "disk": [np.nan, 1.0, 0.0, 1.0, np.nan],
            "half_light_radius": [0.0, 1.0, 1.0, 0.3, 0.0], "snr": [50.0, 30.0, 10.0, 90.0, 2.0],
            "visible": [True, True, False, True, False],
        }
    )  # fmt: skip
    sources = truth_sources(truth, 1.0)
    assert sources["x"].tolist() == [1, 2, 3, 4], "the hopeless one is forgotten"
    assert (sources["width"][0], sources["height"][0]) == (8, 6)
    assert sources["galaxy"].tolist() == [0, 1, 1, 1]
    assert sources["ignore"].tolist() == [False, False, True, False]
    # smooth or disk is asked only of what is bright and wide
    np.testing.assert_array_equal(sources["disk"], np.float32([np.nan, 1, np.nan, np.nan]))
    assert np.isnan(truth_sources(truth, 2.5)["disk"]).all(), "than the seeing"


def test_what_a_scene_s_example_says_of_its_stars() -> None:
    scene = simulate_scene(PROFILES["sdss"], size=64, seed=3, artefacts=False)
    scene.images["r"][5, 5] = 1e12
    example = example_from_scene(scene)
    # half of the light is within the FWHM of a Gaussian, and stars have wings
    fwhm = scene.conditions.seeing[scene.reference] / scene.profile.pixel_scale
    assert 1.0 < example.seeing / fwhm < 1.5, "pixels"
    assert np.isfinite(example.snr).all(), "half precision ends at 65504"


def test_a_scene_becomes_an_example() -> None:
    scene = simulate_scene(PROFILES["hsc"], size=128, seed=9, artefacts=False)
    example = example_from_scene(scene, name="s")
    assert example.snr.shape == (3, 128, 128)
    assert example.snr.dtype == np.float16
    assert np.isfinite(example.snr).all()
    for band in example.snr.astype(np.float32):
        assert 1.4826 * np.median(np.abs(band - np.median(band))) == pytest.approx(1, abs=0.25)
    wanted = example.sources[~example.sources["ignore"] & (example.sources["snr"] > 20)]
    assert len(wanted) >= 3
    total = example.snr.astype(np.float32).sum(0)
    for x, y in zip(wanted["x"], wanted["y"], strict=True):
        if 4 < x < 123 and 4 < y < 123:
            assert total[round(float(y)), round(float(x))] > 3, "light where the source is, in all bands"
