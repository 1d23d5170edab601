"""Strict pydantic models as a schema: sections of a file, what their keys are, and rows that document them."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from astrogalaxy.config.problems import Loc
from astrogalaxy.config.values import Kind
from astrogalaxy.config.yaml import flow

__all__ = [
    "KeyRow",
    "Section",
    "bare_type",
    "default_of",
    "example_of",
    "field_at",
    "key_rows",
    "section_at",
    "section_of",
]


class Section(BaseModel):
    """Base of every section of a configuration: unknown keys are errors, types are strict, values frozen.

    A section that is written but left empty (``tiles:``) has its defaults.
    """

    model_config = ConfigDict(
        extra="forbid", defer_build=True, frozen=True, strict=True, validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:
        return {} if value is None else value


# -- what a key holds ------------------------------------------------------------------------------


def bare_type(annotation: Any) -> Any:
    """`annotation` without ``Annotated`` and without ``| None``."""
    if get_origin(annotation) is Annotated:
        return bare_type(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        rest = [a for a in get_args(annotation) if a is not type(None)]
        return bare_type(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _metadata(annotation: Any) -> tuple[Any, ...]:
    """What ``Annotated`` adds to an annotation, or to the members of a union."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[1:]
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(item for member in get_args(annotation) for item in _metadata(member))
    return ()


def section_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that an annotation holds, and whether as a list of them."""
    bare = bare_type(annotation)
    if get_origin(bare) is tuple:
        return section_of(get_args(bare)[0])[0], True
    return (bare, False) if isinstance(bare, type) and issubclass(bare, BaseModel) else (None, False)


def section_at(cls: type[BaseModel], loc: Loc) -> type[BaseModel]:
    """The section at a path; if there is none, the last section on the path."""
    for name in loc:
        if not isinstance(name, int):
            info = cls.model_fields.get(name)
            cls = (info and section_of(info.annotation)[0]) or cls
    return cls


def field_at(cls: type[BaseModel], loc: Loc) -> FieldInfo:
    """The key at a path, which must end with a name."""
    return section_at(cls, loc[:-1]).model_fields[loc[-1]]


def example_of(info: FieldInfo) -> Any:
    """The first example of a key; None where it has none."""
    return info.examples[0] if info.examples else None


def default_of(info: FieldInfo) -> Any:
    """The default of a key; None where it is required."""
    value = info.get_default(call_default_factory=True, validated_data={})
    return None if value is PydanticUndefined else value


# -- keys as rows ----------------------------------------------------------------------------------


class KeyRow(NamedTuple):
    """One key of a configuration file: its dotted name, type, default and description."""

    key: str
    type: str
    default: str
    description: str


def _type_text(info: FieldInfo) -> str:
    kind = next((m.text for m in [*info.metadata, *_metadata(info.annotation)] if isinstance(m, Kind)), None)
    bare = bare_type(info.annotation)
    if kind is None and get_origin(bare) is Literal:
        kind = " | ".join(str(choice) for choice in get_args(bare))
    if kind is None and section_of(info.annotation)[0] is not None:
        kind = "list of sections" if section_of(info.annotation)[1] else "section"
    names = {str: "text", int: "whole number", float: "number", bool: "true | false"}
    kind = kind or names.get(bare, str(bare))
    nullable = bare is not info.annotation and type(None) in get_args(info.annotation)
    return f"{kind} | null" if nullable else kind


def key_rows(cls: type[BaseModel], *, prefix: str = "") -> list[KeyRow]:
    """Every key that a model reads, sections' keys after the section, in the order of the file.

    Parameters
    ----------
    cls : type
        The model.
    prefix : str, optional
        Put before each key, dot included.

    Returns
    -------
    list of KeyRow
        ``default`` is YAML, or ``required``; keys inside a list of sections are named ``labels[].truth``.
    """
    rows = []
    for name, info in cls.model_fields.items():
        section, many = section_of(info.annotation)
        if info.is_required():
            default = "required"
        else:
            value = default_of(info)
            default = "" if section and value == {} else flow(value)
        rows.append(KeyRow(prefix + name, _type_text(info), default, info.description or ""))
        if section:
            rows += key_rows(section, prefix=f"{prefix}{name}{'[]' if many else ''}.")
    return rows
