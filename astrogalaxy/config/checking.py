"""Documents checked against a schema: everything that is wrong, one plain sentence with its line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from astrogalaxy.config.problems import Loc, Problem, did_you_mean, show
from astrogalaxy.config.schema import example_of, field_at, key_rows, section_at, section_of
from astrogalaxy.config.yaml import YamlDocument, flow
from astrogalaxy.errors import ConfigError

__all__ = ["Origin", "checked"]

M = TypeVar("M", bound=BaseModel)
MAX_PROBLEMS = 40


@dataclass(frozen=True)
class Origin:
    """The document that a model was made from; all compare equal, since it is no part of the model's values."""

    document: YamlDocument = field(default_factory=lambda: YamlDocument({}), compare=False)

    def error(self, loc: Loc, sentence: str) -> ConfigError:
        """The error that says what is wrong with a key, as `checked` says it."""
        return ConfigError(_listing([Problem(loc, sentence)], self.document))


def checked(document: YamlDocument, cls: type[M], validate: Callable[[], M]) -> M:
    """Give the model of a document, or say what is wrong with it.

    Parameters
    ----------
    document : YamlDocument
        What was read, with what was already wrong with it.
    cls : type
        The pydantic model, its sections subclasses of `Section`.
    validate : callable
        Makes the model, or raises pydantic's error.

    Returns
    -------
    model
        What `validate` made.

    Raises
    ------
    ConfigError
        Anything is wrong: one line ``file:line: key: what is wrong`` for each problem.
    """
    problems = list(document.problems)
    unread = {problem.loc for problem in problems}  # these were replaced by null: no second error about them
    model: M | None = None
    try:
        model = validate()
    except ValidationError as error:
        details = error.errors(include_url=False)
        for detail in details:
            loc = tuple(detail["loc"])
            if loc not in unread and not _is_said_elsewhere(detail, details):
                problems.append(Problem(loc, _sentence(detail, cls)))
    if model is None or problems:
        raise ConfigError(_listing(problems, document))
    return model


def _is_said_elsewhere(detail: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether another error says it better: that a key's name is misspelt, or that items of a list are wrong."""
    loc = tuple(detail["loc"])
    if detail["type"] == "missing":
        return _is_misspelt(loc, details)
    # wrong items are not counted, so that their list seems too short
    return detail["type"] == "too_short" and any(tuple(other["loc"])[:-1][: len(loc)] == loc for other in details)


def _is_misspelt(loc: Loc, details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a missing key is there under a misspelt name, about which there is another error."""
    unknown = [tuple(other["loc"]) for other in details if other["type"] == "extra_forbidden"]
    return any(other[:-1] == loc[:-1] and did_you_mean(str(other[-1]), [str(loc[-1])]) for other in unknown)


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
        # an item: the list is too short
        return "is missing from the list" if isinstance(loc[-1], int) else f"required{_wanted(field_at(cls, loc))}"
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
        "literal_error": str(ctx.get("expected")).replace("'", ""),
        "too_short": f"a list of {ctx.get('min_length')} or more",
        "too_long": f"a list of {ctx.get('max_length')} or fewer",
        "string_too_short": f"text of {ctx.get('min_length')} or more letters",
        "string_too_long": f"text of {ctx.get('max_length')} letters or fewer",
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
    section, _ = section_of(info.annotation)
    if section is None:
        return f", for example {flow(example_of(info))}"
    needs = [name for name, inner in section.model_fields.items() if inner.is_required()]
    return f": a section with {', '.join(needs or list(section.model_fields)[:3])}"


def _unknown_key(loc: Loc, cls: type[BaseModel]) -> str:
    section = section_at(cls, loc[:-1])
    word = str(loc[-1])
    known = list(section.model_fields)
    hint = did_you_mean(word, known)
    if not hint:  # the right key in the wrong section
        elsewhere = [row.key for row in key_rows(cls) if row.key.split(".")[-1] == word]
        hint = f"; did you mean {elsewhere[0]!r}?" if elsewhere else f"; the keys here are {', '.join(known)}"
    return f"unknown key{hint}"
