"""What ``astrogalaxy check`` says that a run will need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from astrogalaxy.config import SurveyConfig, pipelines_folder
from astrogalaxy.models import load_weights
from astrogalaxy.survey.estimate import estimate
from astrogalaxy.survey.plan import make_plan


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
