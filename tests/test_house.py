"""The rooms of the package are those of docs/development/house.rst, and imports only run down that list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import astrogalaxy

PACKAGE = Path(astrogalaxy.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "development" / "house.rst"
ROWS = re.findall(r"^   \* - (``.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
#: Place of each room in the list, the top one first.
PLACE = {name: place for place, row in enumerate(ROWS) for name in re.findall(r"``(\w+)(?:/|\.py)``", row)}
#: The part of the page that tells of one room's modules.
LARGEST = PAGE.read_text(encoding="utf-8").split("The largest room")[1].split("One source for each fact")[0]


def _imports() -> Iterator[tuple[Path, str, list[str]]]:
    """Every module, with each module or package of ours that it imports from, wherever it does, and what."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("astrogalaxy."):
                yield path.relative_to(PACKAGE), str(node.module), [name.name for name in node.names]


def test_every_room_is_in_the_list() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert packages | modules == PLACE.keys()


def test_every_module_of_the_largest_room_is_told_of() -> None:
    told = re.findall(r"``(\w+)/?``", LARGEST.partition("* - Purpose")[2])
    there = {path.stem for path in (PACKAGE / "survey").iterdir() if path.suffix == ".py" or path.name == "report"}
    assert sorted(told) == sorted(there - {"__init__"})


def test_imports_only_run_down_the_list() -> None:
    rooms = [(path, path.parts[0].removesuffix(".py"), source.split(".")[1]) for path, source, _ in _imports()]
    wrong = [
        f"{path} imports from {room}"
        for path, mine, room in rooms
        if mine in PLACE and mine != room and PLACE[mine] >= PLACE[room]
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    """Nor does it where only type checkers see it, or within a function: what both need belongs into a third module."""
    imports: dict[str, set[str]] = {}
    for path, source, names in _imports():
        module = ".".join(("astrogalaxy", *path.with_suffix("").parts)).removesuffix(".__init__")
        for name in names:
            there = PACKAGE.joinpath(*source.split(".")[1:], f"{name}.py").is_file()
            other = f"{source}.{name}" if there else source
            imports.setdefault(module, set()).add(other)
    TopologicalSorter(imports).prepare()


def test_type_checkers_see_what_is_loaded_on_first_use() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {name.name: node.module for node in imports for name in node.names if "astrogalaxy." in str(node.module)}
    assert seen == astrogalaxy._EXPORTS
