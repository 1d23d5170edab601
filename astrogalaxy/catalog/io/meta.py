"""Provenance as text: flat entries for people to read, and JSON for everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from astrogalaxy.errors import CatalogError

__all__ = ["META_JSON", "PIXEL_BASE", "from_json", "plain_meta", "printable", "to_json"]

META_JSON = "METAJSON"
"""Key of the entry that holds, as JSON, what flat entries cannot hold exactly."""

PIXEL_BASE = "PIXBASE"
"""Key of the entry that says that the first pixel's centre is 0."""


def plain_meta(meta: Mapping[Any, Any]) -> dict[str, Any]:
    """Reduce provenance to what JSON holds: numpy scalars to numbers, tuples to lists.

    Raises
    ------
    CatalogError
        If a key is no string or a value is something else; the message names the key.
    """
    plain = {}
    for key, value in meta.items():
        if not isinstance(key, str):
            msg = f"meta key {key!r} is not a string"
            raise CatalogError(msg)
        try:
            plain[key] = json.loads(json.dumps(value, default=_number))
        except (TypeError, ValueError) as error:
            msg = f"meta[{key!r}] is a {type(value).__name__}, which a file cannot hold; make it a string or a number"
            raise CatalogError(msg) from error
    return plain


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    msg = f"{type(value).__name__} is neither text nor number"
    raise TypeError(msg)


def printable(text: str) -> str:
    """Text on one line, with a blank for each sign that cannot be shown."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def to_json(meta: Mapping[str, Any]) -> str:
    """Write as JSON in plain ASCII, free of the signs that FITS and XML treat in their own way."""
    text = json.dumps(meta, ensure_ascii=True, sort_keys=True)
    for sign in "'&<>":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def from_json(text: str) -> dict[str, Any]:
    """Read what `to_json` wrote; anything else gives an empty mapping."""
    try:
        meta = json.loads(text)
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}
