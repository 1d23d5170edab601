"""The kinds of value in a configuration that name files: paths, patterns, models, tables of positions.

Relative paths are relative to the configuration's folder (the validation's context), and absolute afterwards.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator, ValidationInfo

from astrogalaxy.config.problems import show
from astrogalaxy.config.values import Kind, checked_name, checked_text

__all__ = [
    "TABLES",
    "InputPath",
    "ModelName",
    "OptionalInputPath",
    "OptionalModelName",
    "OptionalPatterns",
    "OptionalReference",
    "OutputPath",
    "Patterns",
    "Positions",
]

TABLES = (".csv", ".ecsv", ".fits", ".fit", ".vot", ".xml", ".txt", ".dat", ".tsv")
WEIGHT_FILES = (".safetensors", ".onnx", ".pt", ".ckpt")


# -- paths -----------------------------------------------------------------------------------------


def _expanded(value: Any) -> str:
    """A local path with ``~`` and ``$VAR`` replaced."""
    text = checked_text(value, "a path")
    # an empty one would make of $DATA/field.fits a path from the root
    unset = next((name for name in re.findall(r"\$\{?(\w+)", text) if not os.environ.get(name)), None)
    if unset:
        raise ValueError(f"the environment variable {unset} is not set")
    text = os.path.expandvars(os.path.expanduser(text))
    if "://" in text:
        raise ValueError(f"must be a local path, not {show(text)}; fetch the files first")
    return text


def _absolute(text: str, info: ValidationInfo, *, folder: str = "folder", pattern: bool = False) -> str:
    base = os.path.abspath((info.context or {}).get(folder, "."))
    return os.path.normpath(os.path.join(glob.escape(base) if pattern else base, text))


def _input_path(value: Any, info: ValidationInfo) -> str:
    return _absolute(_expanded(value), info)


def _optional_path(value: Any, info: ValidationInfo) -> str | None:
    return None if value is None else _input_path(value, info)


def _output_path(value: Any, info: ValidationInfo) -> str:
    return _absolute(_expanded(value), info, folder="output_folder")


# -- patterns --------------------------------------------------------------------------------------


def _pattern(value: Any, info: ValidationInfo) -> str:
    text = _expanded(value)
    for name in re.findall(r"\{([^{}]*)\}", text):
        if name not in {"band", "field"}:
            raise ValueError(f"unknown placeholder {show('{' + name + '}')}; there are {{band}} and {{field}}")
    if re.search(r"[{}]", re.sub(r"\{(band|field)\}", "", text)):
        raise ValueError(f"has an unpaired brace: {show(text)}; the placeholders are {{band}} and {{field}}")
    return _absolute(text, info, pattern=True)


def _pattern_list(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    items = (value,) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(items, (list, tuple)):
        raise ValueError(f"must be a list of patterns, not {show(value)}")
    return tuple(_pattern(item, info) for item in items)


def _patterns(value: Any, info: ValidationInfo) -> str | tuple[str, ...] | dict[str, str | tuple[str, ...]]:
    if isinstance(value, Mapping) and value:
        return {checked_text(band, "a band's name"): _one_or_more(item, info) for band, item in value.items()}
    return _one_or_more(value, info)


def _one_or_more(value: Any, info: ValidationInfo) -> str | tuple[str, ...]:
    if isinstance(value, (list, tuple)) and value:
        return _pattern_list(value, info)
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"must be a pattern in quotes, a list of them, or {{band: pattern}}, not {show(value)}")
    return _pattern(value, info)


def _optional_patterns(value: Any, info: ValidationInfo) -> Any:
    return None if value is None else _patterns(value, info)


# -- paths or something else -----------------------------------------------------------------------


def _model_name(value: Any, info: ValidationInfo) -> str:
    text = checked_text(value, "a model's name or path")
    is_path = "/" in text or os.sep in text or text.startswith("~") or text.endswith(WEIGHT_FILES)
    return _input_path(text, info) if is_path else checked_name(text)


def _optional_model_name(value: Any, info: ValidationInfo) -> str | None:
    return None if value is None else _model_name(value, info)


def _optional_reference(value: Any, info: ValidationInfo) -> str | None:
    """``gaia``, or a table's path."""
    return value if value is None or value == "gaia" else _input_path(value, info)


def _positions(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    """One position or several; tables of them are files."""
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not items:
        raise ValueError(f"must be a position in quotes, such as '179.68 -0.45', or a list of them, not {show(value)}")
    texts = [checked_text(item, "a position") for item in items]
    return tuple(_input_path(text, info) if text.lower().endswith(TABLES) else text for text in texts)


# -- the types -------------------------------------------------------------------------------------


InputPath = Annotated[str, BeforeValidator(_input_path), Kind("path")]
OptionalInputPath = Annotated[str | None, BeforeValidator(_optional_path), Kind("path | null")]
OptionalReference = Annotated[str | None, BeforeValidator(_optional_reference), Kind("gaia | path | null")]
OutputPath = Annotated[str, BeforeValidator(_output_path), Kind("path")]
Positions = Annotated[tuple[str, ...], BeforeValidator(_positions), Kind("position | list of positions")]
Patterns = Annotated[Any, PlainValidator(_patterns), Kind("pattern | list of patterns | {band: pattern}")]
OptionalPatterns = Annotated[
    Any, PlainValidator(_optional_patterns), Kind("pattern | list of patterns | {band: pattern} | null")
]
ModelName = Annotated[str, BeforeValidator(_model_name), Kind("default | name | path")]
OptionalModelName = Annotated[Any, PlainValidator(_optional_model_name), Kind("name | path | null")]
