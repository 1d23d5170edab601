"""Every public name has a docstring, those of the API reference have examples, and all examples run.

Public are the names in ``__all__``; the API reference (docs/reference/api.rst) shows those that users call.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import astrogalaxy

# A package that cannot be imported is an error, not one without modules.
FOUND = pkgutil.walk_packages(astrogalaxy.__path__, "astrogalaxy.", onerror=importlib.import_module)
MODULES = sorted(module.name for module in FOUND)
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "api.rst"
SHOWN = re.findall(r"^\.\. automodapi:: (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
#: Whose examples do not run, and why.
SKIPPED = {
    "astrogalaxy.images.archives.fetch.fetch": "asks an archive through the network",
    "astrogalaxy.survey.injection.inject_survey": "searches a field again and again: half a minute",
    "astrogalaxy.training.finish.finish": "exports a network: ten seconds",
    "astrogalaxy.training.train.train": "trains a network",
}


def _public(name: str) -> dict[str, Any]:
    """Names in ``__all__`` of a module, with what they are."""
    module = importlib.import_module(name)
    return {key: getattr(module, key) for key in getattr(module, "__all__", ())}


def _is_code(thing: object) -> bool:
    return inspect.isclass(thing) or inspect.isroutine(thing) or hasattr(thing, "__wrapped__")


def _docstring(thing: Any) -> str:
    """Its own docstring: not that of a parent, nor the signature that a dataclass without one gets."""
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    text = inspect.cleandoc(text or "")
    return "" if text.startswith(f"{thing.__name__}(") else text


def _reference() -> dict[str, Any]:
    """Functions and classes of the API reference, by their full names."""
    found = [thing for module in SHOWN for thing in _public(module).values() if _is_code(thing)]
    return {f"{thing.__module__}.{thing.__qualname__}": thing for thing in found}


@cache
def _described(module: str) -> set[str]:
    """Values of a module that a comment ``#:`` before them or a string after them describes."""
    source = inspect.getsource(importlib.import_module(module))
    told, body = set(re.findall(r"^#:.*\n(?:#.*\n)*(\w+)\b", source, re.MULTILINE)), ast.parse(source).body
    for value, after in pairwise(body):
        if isinstance(value, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
            targets = value.targets if isinstance(value, ast.Assign) else [value.target]
            told |= {ast.unparse(target) for target in targets}
    return told


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples fail; see the output above"


def test_public_names_have_docstrings() -> None:
    everything = [(f"{name}.{key}", thing) for name in MODULES for key, thing in _public(name).items()]
    assert [name for name in MODULES if not importlib.import_module(name).__doc__] == []
    ours = [
        (name, thing) for name, thing in everything if _is_code(thing) and thing.__module__.startswith("astrogalaxy")
    ]
    assert [name for name, thing in ours if not _docstring(thing)] == []


def test_the_reference_has_examples_that_run() -> None:
    without, skipped = [], set()
    for name, thing in _reference().items():
        text = _docstring(thing)
        examples = doctest.DocTestParser().get_examples(text)
        if not examples or "Examples\n--------\n" not in text:
            without.append(name)
        if any(example.options.get(doctest.SKIP) for example in examples):
            skipped.add(name)
    assert without == []
    assert skipped == set(SKIPPED)


def test_functions_of_the_reference_say_what_they_take_and_give() -> None:
    wrong = []
    for name, thing in _reference().items():
        if not inspect.isclass(thing):
            signature = inspect.signature(thing)
            sections = set(re.findall(r"^(\w[\w ]*)\n-+$", _docstring(thing), re.MULTILINE))
            wrong += [name] if signature.parameters and "Parameters" not in sections else []
            wrong += [name] if signature.return_annotation != "None" and not sections & {"Returns", "Yields"} else []
    assert wrong == []


def test_values_of_the_reference_are_described() -> None:
    without = []
    for name in SHOWN:
        told = set().union(*(_described(module) for module in MODULES if module.startswith(name)))
        without += [f"{name}.{key}" for key, thing in _public(name).items() if not _is_code(thing) and key not in told]
    assert without == []


def test_the_reference_is_what_is_looked_at() -> None:
    assert len(SHOWN) > 30
    assert len(_reference()) > 200
