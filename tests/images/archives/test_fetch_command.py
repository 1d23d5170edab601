"""``astrogalaxy fetch``: from a position to a survey.yml that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from astrogalaxy.cli import app
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError
from astrogalaxy.images.fields import find_fields


def run(*args: object):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_init_writes_a_survey_that_finds_what_came(server, tmp_path: Path) -> None:
    made = run("fetch", "sdss", "180.0 1.0", "--size", "1arcmin", "--bands", "gri", "-o", "images", "--init", "my.yml")
    assert made.exit_code == 0, made.output
    assert "6 images in images" in made.output
    assert "next: astrogalaxy run my.yml" in made.output
    config = SurveyConfig.read("my.yml")
    assert config.images.zeropoint == 22.5
    assert config.images.archive.position == ("180.0 1.0",)
    assert len(find_fields(config.images)) == 2
    asked = len(server.asked)
    again = run("fetch", "my.yml")
    assert again.exit_code == 0, again.output
    assert "6 of them already there" in again.output
    assert len(server.asked) == asked
    assert run("fetch", "sdss", "180 1", "--init", "my.yml").exception.args[0].startswith("my.yml exists")


def test_without_init_the_survey_is_printed(server) -> None:
    made = run("fetch", "hips2fits", "180.0 1.0", "--bands", "r", "--size", "1'", "-o", "cut")
    assert made.exit_code == 0
    text = made.output.partition("\n\n")[2]
    Path("survey.yml").write_text(text)
    images = SurveyConfig.read("survey.yml").images
    assert images.zeropoint is None
    assert len(find_fields(images)) == 1


def test_losses_are_on_standard_error_and_in_the_exit_code(server) -> None:
    server.fail("frame-g", lambda _: (404, b""), lambda _: (404, b""))
    made = run("fetch", "sdss", "180.0 1.0", "--bands", "gr", "--quiet", "--log-file", "fetch.log")
    assert made.exit_code == 3
    assert made.stderr.count("failed: frame-g") == 2
    assert made.stdout == ""
    assert "404" in Path("fetch.log").read_text()
    server.frames = []
    assert run("fetch", "sdss", "10.0 1.0").exit_code == 1


@pytest.mark.parametrize("size", ["2", "2 parsec", "wide"])
def test_a_size_that_is_no_angle(size: str) -> None:
    with pytest.raises(ConfigError, match=f"--size {size}: must be an angle such as 10arcmin"):
        app(["fetch", "sdss", "180.0 1.0", "--size", size], standalone_mode=False)
