"""Small configurations, and their files, for the tests of configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError

__all__ = ["HEAD", "MINIMAL", "QUICK", "error", "read", "survey", "template_keys", "variant"]

HEAD = """\
name: m31
images:
  path: "m31-{band}.fits"
  bands: [g, r, i]
"""

MINIMAL: dict[str, Any] = {"name": "m31", "images": {"path": "m31-{band}.fits", "bands": ["g", "r", "i"]}}

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survey(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "survey.yml"
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path: Path, text: str) -> SurveyConfig:
    return SurveyConfig.read(survey(tmp_path, text))


def error(tmp_path: Path, text: str, cls: type = SurveyConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        cls.read(survey(tmp_path, text))
    return str(caught.value)


def variant(**changes: Any) -> SurveyConfig:
    """The minimal configuration with other sections, or with other keys in a section."""
    data = {key: value.copy() if isinstance(value, dict) else value for key, value in MINIMAL.items()}
    for key, value in changes.items():
        data[key] = {**data.get(key, {}), **value} if isinstance(value, dict) else value
    return SurveyConfig.from_dict(data)


def template_keys(text: str) -> dict[str, tuple[bool, str]]:
    """Dotted keys of a template, each with whether the line above it is a comment, and what stands behind it."""
    found: dict[str, tuple[bool, str]] = {}
    way: list[str] = []
    rows = text.splitlines()
    for number, row in enumerate(rows):
        name, colon, value = row.strip().partition(":")
        if colon and not name.startswith(("#", "-")):
            way[(len(row) - len(row.lstrip())) // 2 :] = [name]
            found[".".join(way)] = rows[number - 1].strip().startswith("#"), value.strip()
    return found
