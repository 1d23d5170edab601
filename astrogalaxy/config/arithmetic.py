"""Sums of header keywords, such as a zero point for counts per second and the time that was exposed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["ZEROPOINTS", "evaluate", "is_sum"]

ZEROPOINTS = -90.0, 90.0
"""Between these lie the zero points of all units: 1 W/m2/Hz is of -56.1 mag, 1 nJy of 31.4. What is beyond stands in
headers for "not known" (-99, 99, -999), and its fluxes would be of no use or infinite."""

_OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_PARTS = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Constant, ast.Name, ast.Load, *_OPERATORS)


def is_sum(text: str) -> bool:
    """Whether a text is numbers and keywords that are added, multiplied and the like, rather than one keyword.

    Examples
    --------
    >>> [is_sum(text) for text in ("MAGZPT + 2.5*log10(EXPTIME) + 0.9", "GAIN*NCOMBINE", "MAG-ZERO", "ESO DET GAIN")]
    [True, True, False, False]
    """
    if not any(sign in text for sign in "+*/("):
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, RecursionError, MemoryError):
        return False
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return all(isinstance(node, _PARTS) for node in ast.walk(tree)) and set(calls) <= {"log10"}


def evaluate(text: str, keywords: Mapping[str, Any]) -> float:
    """Value of a sum of keywords.

    Raises
    ------
    KeyError
        If a keyword is not there.
    ValueError
        If the text is something else, or a keyword is no number.
    ArithmeticError
        If it cannot be calculated, such as a division by 0.

    Examples
    --------
    >>> evaluate("MAGZPT + 2.5*log10(EXPTIME) + 0.9", {"MAGZPT": 23.0, "EXPTIME": 100.0})
    28.9
    """
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(text) from None
    return _value(tree.body, keywords)


def _value(node: ast.AST, keywords: Mapping[str, Any]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name):
            if name not in keywords:
                raise KeyError(name)
            return float(keywords[name])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, keywords), _value(right, keywords))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, keywords))
        case ast.Call(func=ast.Name(id="log10"), args=[argument], keywords=[]):
            return math.log10(_value(argument, keywords))
    raise ValueError(ast.unparse(node))
