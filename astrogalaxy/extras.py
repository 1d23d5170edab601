"""Modules that do not come with the package itself, and the extras that bring them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

__all__ = ["not_installed"]


def not_installed(what: str, modules: Iterable[str], extra: str) -> str | None:
    """Say what must be installed for something, with the command that does it; None where everything is there."""
    absent = [module for module in modules if find_spec(module) is None]
    if not absent:
        return None
    return f"{what} needs {' and '.join(absent)}, which is not installed: pip install 'astrogalaxy[{extra}]'"
