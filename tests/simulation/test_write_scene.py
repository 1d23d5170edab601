"""Tests of astrogalaxy.simulation.write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.evaluation.truth import read_truth
from astrogalaxy.images.fields import find_fields, open_field
from astrogalaxy.simulation import Scene, SurveyProfile, simulate_scene
from astrogalaxy.simulation.write import write_scene


@pytest.fixture(scope="module")
def scene(sdss: SurveyProfile) -> Scene:
    return simulate_scene(sdss, size=(160, 192), seed=4)


@pytest.mark.parametrize("compress", [False, True])
def test_a_written_scene_is_a_survey(scene: Scene, tmp_path: Path, compress: bool) -> None:
    files = write_scene(scene, tmp_path / "new", name="made-up", compress=compress)
    assert sorted(path.name for path in files) == sorted(path.name for path in (tmp_path / "new").iterdir())
    survey = SurveyConfig.read(tmp_path / "new" / "made-up.yml")
    (field,) = find_fields(survey.images)
    image = open_field(field, survey.images)
    assert list(image.bands) == list(scene.images)
    assert image.reference == scene.reference
    for name, band in image.bands.items():
        assert band.zeropoint == scene.profile.zeropoint
        at = band.wcs.world_to_pixel_values(scene.truth["ra"], scene.truth["dec"])
        np.testing.assert_allclose(at, scene.wcs[name].world_to_pixel_values(scene.truth["ra"], scene.truth["dec"]))
        with fits.open(field.paths[name]) as hdus:
            pixels = hdus[1 if compress else 0].data
        atol = scene.conditions.noise[name] / 16 if compress else 0
        np.testing.assert_allclose(pixels, scene.images[name], rtol=0, atol=atol)


def test_the_truth_can_be_evaluated_against(scene: Scene, tmp_path: Path) -> None:
    write_scene(scene, tmp_path, name="made-up")
    truth = read_truth(tmp_path / "made-up-truth.ecsv")
    assert len(truth) == len(scene.truth) > 0
    np.testing.assert_allclose(truth["ra"], scene.truth["ra"])
    np.testing.assert_array_equal(truth["visible"], scene.truth["visible"])
    assert list(truth["class"]) == list(scene.truth["class"])


def test_the_same_scene_is_the_same_file(scene: Scene, tmp_path: Path) -> None:
    first, again = (write_scene(scene, tmp_path / folder, name="s") for folder in ("a", "b"))
    for one, two in zip(first, again, strict=True):
        assert one.name == two.name
        if one.suffix != ".fits":
            assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("name", ["null", "true", "1e5", "0x1F"])
def test_any_name_makes_a_survey_that_can_be_read(scene: Scene, tmp_path: Path, name: str) -> None:
    *_, survey = write_scene(scene, tmp_path, name=name)
    config = SurveyConfig.read(survey)
    assert config.name == name
    assert len(find_fields(config.images)) == 1


@pytest.mark.parametrize("name", ["../out", "a/b", "a{b}", "a*", ".", "a\nb", "-a"])
def test_a_name_that_a_survey_cannot_have_is_refused(scene: Scene, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name: must be ") as error:
        write_scene(scene, tmp_path / "new", name=name)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_band_that_a_survey_cannot_have_is_refused(scene: Scene, tmp_path: Path) -> None:
    images = dict(zip(("g", "r/i", "z"), scene.images.values(), strict=True))
    with pytest.raises(ConfigError, match="bands"):
        write_scene(replace(scene, images=images), tmp_path / "new", name="s")
    assert not list(tmp_path.iterdir())
