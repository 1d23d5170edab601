"""What configurations say of themselves: rows of every key, and the commented files of ``astrogalaxy init``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from astrogalaxy.config.file import File, pipelines_folder
from astrogalaxy.config.problems import Loc, did_you_mean, show
from astrogalaxy.config.schema import KeyRow, default_of, example_of, key_rows, section_of
from astrogalaxy.config.survey import SurveyConfig
from astrogalaxy.config.yaml import Commented, dump_yaml, flow, read_commented
from astrogalaxy.errors import ConfigError

__all__ = ["commented_yaml", "config_rows", "presets"]


def presets() -> dict[str, Path]:
    """The survey files to start from that come with astrogalaxy, one for each survey.

    Returns
    -------
    dict of str to pathlib.Path
        Files by the names that ``astrogalaxy init`` takes.

    Examples
    --------
    >>> from astrogalaxy.config import presets
    >>> sorted(presets())
    ['des', 'euclid', 'hsc', 'hst', 'jwst', 'kids', 'legacy', 'panstarrs', 'rubin', 'sdss', 'ztf']
    """
    # not quickstart.yml, whose images lie beside it: a copy elsewhere would find none
    return {path.stem: path for path in sorted(pipelines_folder().glob("surveys/*.yml"))}


def config_rows(model: type[File] = SurveyConfig) -> list[KeyRow]:
    """Every key of a file as rows (key, type, default, description), for the documentation.

    Parameters
    ----------
    model : type
        `SurveyConfig`, `RecipeConfig` or `ClassifierRecipe`.

    Returns
    -------
    list of KeyRow
        In the order of the file; keys of sections have dots.

    Examples
    --------
    >>> [row for row in config_rows() if row.key == "compute.device"]  # doctest: +ELLIPSIS
    [KeyRow(key='compute.device', type='auto | cpu | openvino | cuda', default='auto', description='...')]
    """
    return key_rows(model)


def commented_yaml(preset: str | None = None, *, model: type[File] = SurveyConfig) -> str:
    """Text of a configuration file with every key, each under a comment that explains it.

    Parameters
    ----------
    preset : str, optional
        One of `presets`: its values and its own comments; otherwise defaults and examples.
    model : type, optional
        `SurveyConfig`, or `RecipeConfig` (which has no presets).

    Returns
    -------
    str
        YAML that `SurveyConfig.read` and its like take.

    Raises
    ------
    ConfigError
        There is no such preset.

    Examples
    --------
    >>> print(commented_yaml("sdss"))  # doctest: +ELLIPSIS
    # ...
    """
    if preset is None:
        return _render_commented(model, Commented({}, [], {}))
    known = presets()
    if preset not in known:
        hint = did_you_mean(preset, list(known)) or f"; there are {', '.join(known)}"
        raise ConfigError(f"there is no pipeline {show(preset)}{hint}")
    return _render_commented(model, read_commented(known[preset]))


def _render_commented(cls: type[BaseModel], commented: Commented) -> str:
    """YAML text with every key of a model, each under its description and the notes given for it.

    Keys without a value in `commented` have their default, or their example where they are required.
    """
    rows = [f"# {row}".rstrip() for row in commented.header]
    rows += [""] if rows else []
    rows += _render(cls, commented.data, commented.notes, ())
    return "\n".join(rows).lstrip("\n") + "\n"


def _render(cls: type[BaseModel], values: Mapping[str, Any], notes: Mapping[Loc, list[str]], loc: Loc) -> Iterator[str]:
    margin = "  " * len(loc)
    comment = textwrap.TextWrapper(
        98, break_on_hyphens=False, initial_indent=margin + "# ", subsequent_indent=margin + "# "
    )
    after_section = False
    for name, info in cls.model_fields.items():
        here = (*loc, name)
        default = example_of(info) if info.is_required() else default_of(info)
        given = values.get(name, default)
        section, many = section_of(info.annotation)
        absent = given is None and default is None and not info.is_required()
        is_section = section is not None and not many and not absent
        if not loc and (is_section or after_section):
            yield ""
        after_section = is_section
        for paragraph in (info.description or "", " ".join(notes.get(here, ()))):
            yield from comment.wrap(paragraph)
        if section and is_section:
            yield f"{margin}{name}:"
            yield from _render(section, given if isinstance(given, Mapping) else {}, notes, here)
        else:
            text = dump_yaml({name: given}) if isinstance(given, (list, tuple)) else f"{name}: {flow(given)}"
            if len(text) > 98:
                text = dump_yaml({name: given}, block=True)
            yield from textwrap.indent(text.rstrip("\n"), margin).split("\n")
