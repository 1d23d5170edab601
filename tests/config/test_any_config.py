"""Whatever is given is valid, or a ConfigError; what is valid survives writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configurations import HEAD, QUICK, read
from hypothesis import example, given
from hypothesis import strategies as st

from astrogalaxy.config import RecipeConfig, SurveyConfig, config_rows
from astrogalaxy.errors import ConfigError

KEYS = sorted({part for row in config_rows() for part in row.key.split(".")})

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=3)
    | st.sampled_from(["auto", "default", "g", "{band}", "20 arcsec", "4 GB", "1e400 deg", "$X", "~", "/"])
    | st.just("9" * 400 + " GB")
    | st.builds(lambda n: 10**n, st.integers(0, 5000))
)  # fmt: skip

NESTED = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)  # fmt: skip


@QUICK
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5) | st.integers(), NESTED, max_size=9))
@example({"name": "a", "images": {"path": "\ud800", "bands": ["g"]}})
@example({"name": "a", "images": {"path": "x", "bands": ["g"], "zeropoint": {1: 2, None: 3}}})
@example({"name": "a", "images": {"path": "x", "bands": ["g"], "gain": 10**5000}})
def test_any_mapping_is_valid_or_a_config_error(mapping: dict[Any, Any]) -> None:
    for cls in (SurveyConfig, RecipeConfig):
        try:
            config = cls.from_dict(mapping)
        except ConfigError as caught:
            for row in str(caught).splitlines():
                assert row.startswith("configuration: ")
        else:
            assert cls.from_dict(config.model_dump()) == config


@QUICK
@given(st.sampled_from([row.key for row in config_rows()]), NESTED)
def test_any_value_of_any_key_is_valid_or_a_config_error(key: str, value: Any) -> None:
    data: dict[str, Any] = {"name": "a", "images": {"path": "{band}", "bands": ["g", "r"]}}
    section, _, name = key.partition(".")
    if name:
        data.setdefault(section, {})[name] = value
    else:
        data[section] = value
    try:
        config = SurveyConfig.from_dict(data)
    except ConfigError as caught:
        assert section in str(caught)
    else:
        assert SurveyConfig.from_dict(config.model_dump()) == config


@QUICK
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.integers(0, len(HEAD)))
@example("x: 0x1F\ny: 1:2:3\n<<: *a", 0)
@example("? ", 10)
def test_any_text_is_valid_or_a_config_error(tmp_path: Path, text: str, at: int) -> None:
    path = tmp_path / "survey.yml"
    path.write_bytes((HEAD[:at] + text + HEAD[at:]).encode())
    try:
        SurveyConfig.read(path)
    except ConfigError as caught:
        assert all(row.startswith(str(path)) for row in str(caught).split("\n"))


@QUICK
@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,20}", fullmatch=True),
    path=st.text(st.characters(codec="utf-8", exclude_characters="{}$~\\"), min_size=1, max_size=20),
    bands=st.lists(st.from_regex(r"[A-Za-z0-9_]{1,6}", fullmatch=True), min_size=1, max_size=1),
    overlap=st.integers(1, 9999) | st.floats(1e-3, 1e3).map(lambda x: f"{x!r} arcmin"),
    memory=st.integers(10**8, 10**13).map(lambda n: f"{n} B"),
    zeropoint=st.floats(-59, 59) | st.none(),
)  # fmt: skip
def test_any_valid_configuration_survives_writing(tmp_path: Path, **given_values: Any) -> None:
    data = {
        "name": given_values["name"],
        "images": {key: given_values[key] for key in ("path", "bands", "zeropoint")},
        "tiles": {"overlap": given_values["overlap"]},
        "compute": {"memory": given_values["memory"]},
    }
    try:
        config = SurveyConfig.from_dict(data)
    except ConfigError as caught:  # a path that is blank or remote, or bands that clash
        assert "images." in str(caught)
        return
    assert read(tmp_path, config.to_yaml()) == config
