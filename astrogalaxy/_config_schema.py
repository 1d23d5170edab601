"""Strict pydantic models of YAML files: what is wrong is explained, and the schema documents itself."""

from __future__ import annotations

import hashlib
import json
import os
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticUndefined

from astrogalaxy._yaml import (
    Commented,
    Loc,
    Problem,
    YamlDocument,
    did_you_mean,
    dump_yaml,
    flow,
    parse_yaml,
    read_text,
    show,
)
from astrogalaxy.errors import ConfigError

__all__ = [
    "File",
    "KeyRow",
    "Kind",
    "Section",
    "fail",
    "key_rows",
    "locate",
    "pipelines_folder",
    "read_yaml_model",
    "render_commented",
    "sha256",
    "validate_model",
]

M = TypeVar("M", bound=BaseModel)
MAX_PROBLEMS = 40


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


@dataclass(frozen=True)
class Kind:
    """How the documentation names a type, put beside it: ``Annotated[Any, ..., Kind("angle or auto")]``."""

    text: str


# -- validating ------------------------------------------------------------------------------------


def _is_shipped(path: Path) -> bool:
    """Whether a file came with astrogalaxy: from the installed package, or a checkout with the same in it."""
    folder = pipelines_folder()
    if folder in path.resolve().parents:
        return True
    twins = (folder / "/".join(path.resolve().parts[-depth:]) for depth in (1, 2))
    return any(twin.is_file() and twin.read_bytes() == path.read_bytes() for twin in twins)


def read_yaml_model(path: str | Path, cls: type[M]) -> M:
    """Read a YAML file as a model whose relative paths are relative to the file.

    Parameters
    ----------
    path : str or `~pathlib.Path`
        The file; ``pipelines/...`` also finds the files that come with astrogalaxy.
    cls : type
        The pydantic model, its sections subclasses of `Section`.

    Returns
    -------
    model
        With absolute paths.

    Raises
    ------
    ConfigError
        Anything is wrong: one line ``file:line: key: what is wrong`` for each problem.
    """
    found = locate(Path(path))
    document = parse_yaml(read_text(found), source=str(path))
    shipped = _is_shipped(found)
    return validate_model(document, cls, context=_folders(found.parent, Path() if shipped else found.parent))


def validate_model(document: YamlDocument, cls: type[M], *, context: Mapping[str, Any] | None = None) -> M:
    """Validate a parsed document; raises as `read_yaml_model` does."""
    problems = list(document.problems)
    unread = {problem.loc for problem in problems}  # these were replaced by null: no second complaint
    model: M | None = None
    try:
        model = cls.model_validate(document.data, context=dict(context or {}))
    except ValidationError as error:
        details = error.errors(include_url=False)
        for detail in details:
            loc = tuple(detail["loc"])
            if loc not in unread and not (detail["type"] == "missing" and _is_misspelt(loc, details)):
                problems.append(Problem(loc, _sentence(detail, cls)))
    if model is None or problems:
        raise ConfigError(_listing(problems, document))
    return model


def _is_misspelt(loc: Loc, details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a missing key is there under a name so near that the complaint about that name says it all."""
    unknown = [tuple(other["loc"]) for other in details if other["type"] == "extra_forbidden"]
    return any(other[:-1] == loc[:-1] and did_you_mean(str(other[-1]), [str(loc[-1])]) for other in unknown)


def fail(title: str, problems: Sequence[tuple[str | Loc, str]]) -> None:
    """Raise, from a model's validator, one problem for each ``(key or way, sentence)``; none: return."""
    if problems:
        raise ValidationError.from_exception_data(
            title,
            [
                InitErrorDetails(
                    type=PydanticCustomError("config", "{sentence}", {"sentence": sentence}),
                    loc=(key,) if isinstance(key, str) else key,
                    input=None,
                )
                for key, sentence in problems
            ],
        )


def _listing(problems: Sequence[Problem], document: YamlDocument) -> str:
    rows = []
    for problem in problems:
        line = problem.line or document.line(problem.loc)
        place = document.source if line is None else f"{document.source}:{line}"
        rows.append((line or 0, ": ".join(part for part in (place, _key(problem.loc), problem.sentence) if part)))
    texts = [text for _, text in sorted(rows, key=lambda row: row[0])]
    if len(texts) > MAX_PROBLEMS:
        texts[MAX_PROBLEMS:] = [f"{document.source}: and {len(texts) - MAX_PROBLEMS} more problems"]
    return "\n".join(texts)


def _key(loc: Loc) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return "".join(c if c.isprintable() else "?" for c in text)[:120]


def _sentence(detail: Mapping[str, Any], cls: type[BaseModel]) -> str:
    """One plain sentence for a pydantic error."""
    kind, ctx, value = detail["type"], detail.get("ctx", {}), detail.get("input")
    loc = tuple(detail["loc"])
    if kind == "config":
        return str(ctx["sentence"])
    if kind == "value_error":
        return str(ctx["error"])
    if kind in {"extra_forbidden", "invalid_key"}:
        return _unknown_key(loc, cls)
    if kind == "missing":
        return f"required{_wanted(_field(cls, loc))}"
    if kind == "literal_error":
        choices = [str(c) for c in get_args(_bare(_field(cls, loc).annotation))]
        return f"must be {_or(choices)}, not {show(value)}"
    wanted = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "text",
        "string_unicode": "text",
        "finite_number": "a finite number",
        "model_type": "a section of 'key: value' lines",
        "model_attributes_type": "a section of 'key: value' lines",
        "tuple_type": "a list",
        "greater_than": f"greater than {ctx.get('gt')}",
        "greater_than_equal": f"{ctx.get('ge')} or more",
        "less_than": f"less than {ctx.get('lt')}",
        "less_than_equal": f"{ctx.get('le')} or less",
    }
    if kind in wanted:
        quotes = "; put it in quotes" if kind == "string_type" and isinstance(value, (int, float)) else ""
        return f"must be {wanted[kind]}, not {show(value)}{quotes}"
    return " ".join(str(detail["msg"]).split())


def _wanted(info: FieldInfo) -> str:
    """What to write for a required key."""
    section, _ = _section_of(info.annotation)
    if section is None:
        return f", for example {flow(_example(info))}"
    needs = [name for name, inner in section.model_fields.items() if inner.is_required()]
    return f": a section with {', '.join(needs or list(section.model_fields)[:3])}"


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _unknown_key(loc: Loc, cls: type[BaseModel]) -> str:
    section = _section_at(cls, loc[:-1])
    word = str(loc[-1])
    known = list(section.model_fields)
    hint = did_you_mean(word, known)
    if not hint:  # the right key in the wrong section
        elsewhere = [row.key for row in key_rows(cls) if row.key.split(".")[-1] == word]
        hint = f"; did you mean {elsewhere[0]!r}?" if elsewhere else f"; the keys here are {', '.join(known)}"
    return f"unknown key{hint}"


# -- the schema as documentation -------------------------------------------------------------------


class KeyRow(NamedTuple):
    """One key of a configuration file: its dotted name, type, default and description."""

    key: str
    type: str
    default: str
    description: str


def _bare(annotation: Any) -> Any:
    """`annotation` without ``Annotated`` and without ``| None``."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        rest = [a for a in get_args(annotation) if a is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _metadata(annotation: Any) -> tuple[Any, ...]:
    """What ``Annotated`` adds to an annotation, or to the members of a union."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[1:]
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(item for member in get_args(annotation) for item in _metadata(member))
    return ()


def _section_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that an annotation holds, and whether as a list of them."""
    bare = _bare(annotation)
    if get_origin(bare) is tuple:
        return _section_of(get_args(bare)[0])[0], True
    return (bare, False) if isinstance(bare, type) and issubclass(bare, BaseModel) else (None, False)


def _section_at(cls: type[BaseModel], loc: Loc) -> type[BaseModel]:
    for name in loc:
        if not isinstance(name, int):
            info = cls.model_fields.get(name)
            cls = (info and _section_of(info.annotation)[0]) or cls
    return cls


def _field(cls: type[BaseModel], loc: Loc) -> FieldInfo:
    return _section_at(cls, loc[:-1]).model_fields[loc[-1]]


def _example(info: FieldInfo) -> Any:
    return info.examples[0] if info.examples else None


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True, validated_data={})
    return None if value is PydanticUndefined else value


def _type_text(info: FieldInfo) -> str:
    kind = next((m.text for m in [*info.metadata, *_metadata(info.annotation)] if isinstance(m, Kind)), None)
    bare = _bare(info.annotation)
    if kind is None and get_origin(bare) is Literal:
        kind = " | ".join(str(choice) for choice in get_args(bare))
    if kind is None and _section_of(info.annotation)[0] is not None:
        kind = "list of sections" if _section_of(info.annotation)[1] else "section"
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
        section, many = _section_of(info.annotation)
        if info.is_required():
            default = "required"
        else:
            value = _default(info)
            default = "" if section and value == {} else flow(value)
        rows.append(KeyRow(prefix + name, _type_text(info), default, info.description or ""))
        if section:
            rows += key_rows(section, prefix=f"{prefix}{name}{'[]' if many else ''}.")
    return rows


def render_commented(cls: type[BaseModel], commented: Commented) -> str:
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
        default = _example(info) if info.is_required() else _default(info)
        given = values.get(name, default)
        section, many = _section_of(info.annotation)
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


# -- files -----------------------------------------------------------------------------------------


def pipelines_folder() -> Path:
    """Folder of the pipelines that come with astrogalaxy: in the installed package, or in its checkout.

    Returns
    -------
    pathlib.Path
        It holds ``quickstart.yml`` with its images, ``surveys`` and ``recipes``.

    Examples
    --------
    >>> from astrogalaxy.config import pipelines_folder
    >>> (pipelines_folder() / "quickstart.yml").is_file()
    True
    """
    package = Path(__file__).resolve().parent
    installed = package / "_pipelines"
    return installed if installed.is_dir() else package.parent / "pipelines"


class File(Section):
    """A whole configuration file: read, written and hashed in one way."""

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read and check a file.

        Parameters
        ----------
        path : str or `~pathlib.Path`
            The file; ``pipelines/...`` also finds the files that come with astrogalaxy.

        Returns
        -------
        model
            Checked, and with absolute paths.

        Raises
        ------
        ConfigError
            Anything is wrong: one line ``file:line: key: what is wrong`` for each problem.

        Notes
        -----
        Input paths are relative to the file's folder. So is the output folder, except for the files that come
        with astrogalaxy: their folder may be read-only, and they write into the working directory.
        """
        return read_yaml_model(path, cls)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], *, source: str = "configuration", folder: str | Path = ".") -> Self:
        """Check a mapping with the keys and values of a file.

        Parameters
        ----------
        mapping : mapping
            Nested mappings, as YAML would give them; lengths may be `~astropy.units.Quantity`.
        source : str, optional
            What errors call it.
        folder : str or `~pathlib.Path`, optional
            Relative paths are relative to it; the working directory by default.

        Returns
        -------
        model
            Checked, and with absolute paths.

        Raises
        ------
        ConfigError
            As `read`, without line numbers.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError(f"{source}: must be a mapping of keys to values, not {show(mapping)}")
        document = YamlDocument(dict(mapping), source=source)
        return validate_model(document, cls, context=_folders(folder, folder))

    def to_yaml(self) -> str:
        """YAML text of every key, with absolute paths: it reads back equal to this, from any folder."""
        return dump_yaml(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 (hex) of the whole configuration."""
        return sha256(self.model_dump(mode="json"))


def locate(path: Path) -> Path:
    """`path`, or the file that comes with astrogalaxy where `path` is ``pipelines/...`` and not there."""
    if path.parts[:1] != ("pipelines",) or path.exists():
        return path
    shipped = pipelines_folder().joinpath(*path.parts[1:])
    return shipped if shipped.is_file() else path


def _folders(inputs: str | Path, outputs: str | Path) -> dict[str, str]:
    return {"folder": os.path.abspath(inputs), "output_folder": os.path.abspath(outputs)}


def sha256(data: Any) -> str:
    """SHA-256 (hex) of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
