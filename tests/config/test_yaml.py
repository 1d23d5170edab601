"""YAML: what is not a configuration is refused, and types do not surprise."""

from __future__ import annotations

from pathlib import Path

import pytest
from configurations import HEAD, error, read, survey, variant

from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError

TENFOLD = "{y}: &{y} [*{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}]\n"

BOMB = "a: &a [1]\n" + "".join(TENFOLD.format(x=x, y=y) for x, y in zip("abcde", "bcdef", strict=True))

NOT_A_CONFIGURATION = [
    ("", "is empty"),
    ("# only a comment\n", "is empty"),
    ("- g\n- r\n", ":1: must be a mapping of 'key: value' lines"),
    ("name\n", ":1: must be a mapping"),
    ("name: [m31\n", "is not valid YAML"),
    ("name: m31\nimages:\n\tpath: x\n", ":3: is not valid YAML: found character '\\t'"),
    ("name: m31\npath: *.fits\n", ":2: is not valid YAML"),
    ("name: m31\npath: *.fits\n", "in quotes, as in path"),
    ("name: m31\n---\nname: m32\n", "another document"),
    ("name: m31\nx: \x01\n", ":2: has a character that YAML does not allow"),
    ('name: "\\UFFFFFFFF"\n', "is not valid YAML"),
    ("a: &a [*a]\n", "nested too deeply"),
    ("a: " + "[" * 5000, "nested too deeply"),
    (BOMB, "holds more than 20000 values"),
    ("name: m31 # " + "x" * 300_000, "is larger than 256 KiB"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), NOT_A_CONFIGURATION, ids=[words[:20] for _, words in NOT_A_CONFIGURATION])
def test_what_is_not_a_configuration_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    message = error(tmp_path, text)
    assert words in message
    assert message.startswith(str(tmp_path / "survey.yml"))
    assert len(message.splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    survey(tmp_path, HEAD)
    binary = tmp_path / "image.fits"
    binary.write_bytes(b"SIMPLE  =\xff\x00")
    for path, words in [
        (tmp_path / "survay.yml", "no such file; did you mean 'survey.yml'?"),
        (tmp_path / "absent" / "survey.yml", "no such file; nor is there a folder"),
        (tmp_path, "is a folder"),
        (binary, "is not a text file"),
    ]:
        with pytest.raises(ConfigError) as caught:
            SurveyConfig.read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert words in str(caught.value)


def test_yaml_types_do_not_surprise(tmp_path: Path) -> None:
    text = HEAD.replace("m31\n", "003918\n", 1).replace("[g, r, i]", "[on, no, y]")
    config = read(tmp_path, text + "morphology: {min_snr: 1e1}\n")
    assert config.name == "003918"
    assert config.images.bands == ("on", "no", "y")
    assert config.morphology.min_snr == 10
    assert SurveyConfig.read(survey(tmp_path, config.to_yaml())) == config


@pytest.mark.parametrize("name", ["1e5", "2024", "null", "True", "0.5", "007"])
def test_text_that_looks_like_another_type_is_written_in_quotes(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, variant(name=name).to_yaml()).name == name
