"""What ``astrogalaxy check`` says that a run will need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from astrogalaxy.config import SurveyConfig, pipelines_folder
from astrogalaxy.models import load_weights
from astrogalaxy.survey import plan
from astrogalaxy.survey.estimate import estimate
from astrogalaxy.survey.plan import make_plan, tile_memory, tiles_of


def test_many_small_fields_take_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a field needs whatever its size is most of what a cutout needs."""
    monkeypatch.chdir(tmp_path)
    config = SurveyConfig.read(pipelines_folder() / "quickstart.yml")
    one = make_plan(config, load_weights("default"), memory=4e9)
    many = replace(one, fields=one.fields * 1000)
    assert estimate(one, config).seconds == pytest.approx(5.5, abs=0.6)
    pixels = estimate(many, config).pixels / 1e6
    workers = estimate(many, config).workers
    assert estimate(many, config).seconds * workers > 0.7 * pixels + 300


def test_weights_are_not_looked_up_for_every_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = SurveyConfig.read(pipelines_folder() / "quickstart.yml")
    one = make_plan(config, load_weights("default"), memory=4e9)
    looked_up = Mock(side_effect=plan.file_of)
    monkeypatch.setattr(plan, "file_of", looked_up)
    estimate(replace(one, fields=one.fields * 50), config)
    assert looked_up.call_count == 2, "those of the survey and the default ones"


@pytest.mark.parametrize("bands", [["r"], ["g", "r", "i"], ["u", "g", "r", "i", "z"]])
@pytest.mark.parametrize("memory", [1.0e9, 2.0e9, 3.3e9, 16e9])
def test_tiles_fill_the_memory_that_they_may_have_and_no_more(bands: list[str], memory: float) -> None:
    config = SurveyConfig.from_dict({"name": "m", "images": {"path": "{band}.fits", "bands": bands}})
    most = 0.0
    for shape in ((1489, 2048), (4096, 4096), (9000, 7000), (5100, 10300), (20000, 20000)):
        tiles = tiles_of(shape, 0.4, config, memory=memory)
        needed = max(tile_memory(tile.outer.shape, len(bands), config) for tile in tiles)
        assert needed <= memory
        most = max(most, needed)
    assert most > 0.6 * min(memory, 2.0e9)


def test_what_a_tile_needs_is_what_was_measured() -> None:
    """Peaks in bytes of processes that did tiles of SDSS frames, crowded or not, and of larger images, one or several.

    ``python tests/benchmarks/bench_scaling.py --only memory`` measures such peaks beside the estimate.
    """
    small, whole, large, fine = (1248, 1280), (1489, 2048), (2900, 2900), "astroyolo-fine"
    largest, of_four, at_once = (4096, 4096), (4224, 4224), (2560, 2560)
    measured = [
        (whole, ["r"], "default", None, 550e6),
        (whole, ["g", "r", "i"], "default", None, 693e6),
        (whole, ["u", "g", "r", "i", "z"], "default", None, 755e6),
        (small, ["g", "r", "i"], "default", None, 490e6),
        (large, ["g", "r", "i"], "default", None, 1019e6),
        (at_once, ["g", "r", "i"], "default", None, 1105e6),
        (at_once, ["g", "r", "i"], fine, None, 1641e6),
        (large, ["g", "r", "i"], fine, None, 1281e6),
        ((2048, 2048), list("ugrizyjhk"), "default", None, 1206e6),
        (largest, ["r"], "default", None, 1236e6),
        (largest, ["g", "r", "i"], "astroyolo-nano", None, 1755e6),
        (of_four, ["r"], "default", None, 1393e6),
        (of_four, ["g", "r", "i"], "default", None, 1896e6),
        (whole, ["g", "r", "i"], fine, None, 894e6),
        (largest, ["g", "r", "i"], fine, None, 2276e6),
        (whole, ["g", "r", "i"], "default", "galaxyzoo-fine", 1352e6),
    ]
    for shape, bands, model, classifier, peak in measured:
        given = {"detection": {"model": model}, "morphology": {"model": classifier}}
        config = SurveyConfig.from_dict({"name": "m", "images": {"path": "{band}.fits", "bands": bands}, **given})
        assert peak < tile_memory(shape, len(bands), config) < 1.3 * peak
