"""What is wrong with a configuration: problems, and the words in which they are put."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

__all__ = ["Loc", "Problem", "did_you_mean", "fail", "show"]

Loc = tuple[Any, ...]  # path of a key: names, and positions in lists


class Problem(NamedTuple):
    """What is wrong with one key: its path, a sentence, and the line if it is not that of the key."""

    loc: Loc
    sentence: str
    line: int | None = None


def fail(problems: Sequence[tuple[str | Loc, str]]) -> None:
    """Raise, from a model's validator, one problem for each ``(key or path, sentence)``; return if there is none."""
    if problems:
        raise ValidationError.from_exception_data(
            "configuration",
            [
                InitErrorDetails(
                    type=PydanticCustomError("config", "{sentence}", {"sentence": sentence}),
                    loc=(key,) if isinstance(key, str) else key,
                    input=None,
                )
                for key, sentence in problems
            ],
        )


def show(value: Any) -> str:
    """Short one-line form of a value for an error message."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of hundreds of digits"
    if isinstance(value, (str, int, float, bool)) or value is None:
        text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    elif isinstance(value, (list, tuple, dict)):
        text = _show_many(value)
    else:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _show_many(value: Sequence[Any] | Mapping[Any, Any]) -> str:
    """A list of a few plain values as in YAML; of anything else, whether it is a list or a mapping."""
    kind = "mapping" if isinstance(value, dict) else "list"
    if not value:
        return f"an empty {kind}"
    plain = all(isinstance(item, (str, int, float, bool)) or item is None for item in value)
    text = f"[{', '.join(show(item) for item in value)}]" if kind == "list" and plain else ""
    return text if 0 < len(text) <= 60 else f"a {kind}"


def did_you_mean(word: str, choices: Sequence[str]) -> str:
    """End of a message: the known word that is nearest to an unknown one, if any is near.

    Parameters
    ----------
    word : str
        What was written.
    choices : sequence of str
        What is known.

    Returns
    -------
    str
        Such as ``; did you mean 'bands'?``; empty where nothing is near.

    Examples
    --------
    >>> did_you_mean("band", ["bands", "mask"])
    "; did you mean 'bands'?"
    """
    near = difflib.get_close_matches(word.lower(), [c.lower() for c in choices], n=1, cutoff=0.6)
    return next((f"; did you mean {c!r}?" for c in choices if near and c.lower() == near[0]), "")
