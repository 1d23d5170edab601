"""YAML files read with the line of every key and their comments, and written back.

The dialect is YAML 1.2's core: ``1e-3`` is a number; ``yes``, ``on``, ``12:30`` and ``2024-01-01`` are
text, and so are digits after a leading zero (``003918``, a field's name).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from astrogalaxy.config.problems import Loc, Problem, did_you_mean, show
from astrogalaxy.errors import ConfigError

__all__ = ["Commented", "YamlDocument", "dump_yaml", "flow", "parse_yaml", "read_commented", "read_text"]

MAX_BYTES = 256 * 1024  # a larger file is data that was named by mistake
MAX_VALUES = 20_000  # after aliases are expanded
MAX_DEPTH = 30
TAG = "tag:yaml.org,2002:"


@dataclass
class YamlDocument:
    """A YAML mapping, the line of each of its keys, and what was already wrong with the text.

    Attributes
    ----------
    data : dict
        The mapping, of plain Python values.
    lines : dict
        Line number (from 1) of each key and list item, by its path.
    problems : list of Problem
        What could not be read.
    source : str
        How errors name the document; no line numbers are shown where `lines` is empty.
    """

    data: dict[str, Any]
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    source: str = "configuration"

    def line(self, loc: Loc) -> int | None:
        """Line of the key at a path; that of its section if it is absent, None if no line is known."""
        return next((self.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.lines), None)


# -- reading ---------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """A safe loader with the scalar types of YAML 1.2; only its `get_single_node` is used."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads: text that would read as another type is quoted."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_DIGITS = list("-+0123456789")
for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(TAG + "bool", re.compile("^(?:[tT]rue|TRUE|[fF]alse|FALSE)$"), list("tTfF"))
    _class.add_implicit_resolver(TAG + "null", re.compile("^(?:~|[nN]ull|NULL|)$"), ["~", "n", "N", ""])
    _class.add_implicit_resolver(TAG + "int", re.compile("^[-+]?(?:0|[1-9][0-9]*)$"), _DIGITS)
    _class.add_implicit_resolver(
        TAG + "float",
        re.compile(r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
        [*_DIGITS, "."],
    )


def read_text(path: str | Path) -> str:
    """Text of a configuration file; `ConfigError` says why where it cannot be one."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_neighbour(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the .yml file in it") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES // 1024} KiB: not a configuration file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text file in UTF-8: not a configuration file") from None


def _neighbour(path: Path) -> str:
    try:
        near = [p.name for p in path.parent.iterdir() if p.suffix in {".yml", ".yaml"}]
    except OSError:
        return f"; nor is there a folder {path.parent}"
    return did_you_mean(path.name, near)


def parse_yaml(text: str, *, source: str) -> YamlDocument:
    """Parse a YAML mapping, keeping the line of each key.

    Parameters
    ----------
    text : str
        The YAML document.
    source : str
        Name for error messages.

    Returns
    -------
    YamlDocument
        Its values, and where they stand.

    Raises
    ------
    ConfigError
        The text is not YAML, is empty, or is not a mapping. Smaller faults (a key given twice, an unknown
        tag) are collected in ``problems``.
    """
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_error(error, text, source)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{source}:{line}: has a character that YAML does not allow") from None
    except (RecursionError, ValueError, OverflowError):  # the last two: an escape such as "\UFFFFFFFF"
        raise ConfigError(f"{source}: is not valid YAML, or nested too deeply") from None
    document = YamlDocument({}, {(): 1}, source=source)
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == TAG + "null"):
        raise ConfigError(f"{source}: is empty; 'astrogalaxy init' writes one to start from")
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{source}:{root.start_mark.line + 1}: must be a mapping of 'key: value' lines")
    document.data = _Builder(document).build(root, ())
    return document


def _syntax_error(error: yaml.MarkedYAMLError, text: str, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    row = mark.line if mark else 0
    wording = " ".join((error.problem or error.context or "cannot be parsed").split())
    rows = text.splitlines()
    near = " ".join(rows[max(row - 1, 0) : row + 1])
    if "\\t" in wording:
        hint = "; indent with spaces, not tabs"
    elif re.search(r"(?:[:\-]\s|^)\s*[{*&!%@`]", near):
        hint = '; put text that begins with a special character in quotes, as in path: "{band}.fits"'
    else:
        hint = ""
    return f"{source}:{row + 1}: is not valid YAML: {wording}{hint}"


class _Builder:
    """Plain values out of YAML nodes, with bounds on depth and size (an alias can repeat, or hold itself)."""

    def __init__(self, document: YamlDocument) -> None:
        self.document = document
        self.count = 0

    def build(self, node: yaml.Node, loc: Loc) -> Any:
        """Make the value of a node, which is at the path ``loc``."""
        self.count += 1
        if self.count > MAX_VALUES or len(loc) > MAX_DEPTH:
            what = "is nested too deeply" if len(loc) > MAX_DEPTH else f"holds more than {MAX_VALUES} values"
            raise ConfigError(f"{self.document.source}:{node.start_mark.line + 1}: {what}")
        if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
            return [self._item(item, (*loc, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        return self._problem(loc, f"the tag {show(node.tag)} is not allowed; write a plain value")

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(loc, f"a key in line {line} is a list or a mapping; keys are plain words")
                continue
            key = key_node.value
            if key in values:
                first = self.document.lines[(*loc, key)]
                self._problem((*loc, key), f"given twice (first in line {first})", line)
                continue
            self.document.lines[(*loc, key)] = line
            values[key] = self.build(value_node, (*loc, key))
        return values

    def _item(self, node: yaml.Node, loc: Loc) -> Any:
        self.document.lines[loc] = node.start_mark.line + 1
        return self.build(node, loc)

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        readers: dict[str, Callable[[str], Any]] = {
            "str": str,
            "null": lambda _: None,
            "bool": lambda text: text.lower() == "true",
            "int": int,
            "float": float,
        }
        reader = readers.get(node.tag.removeprefix(TAG)) if node.tag.startswith(TAG) else None
        if reader is None:
            return self._problem(loc, f"the tag {show(node.tag)} is not allowed; write a plain value")
        try:
            return reader(node.value)
        except ValueError:
            return self._problem(loc, f"{show(node.value)} is not a number")

    def _problem(self, loc: Loc, sentence: str, line: int | None = None) -> None:
        self.document.problems.append(Problem(loc, sentence, line))


# -- writing ---------------------------------------------------------------------------------------


def dump_yaml(data: Mapping[str, Any], *, block: bool = False) -> str:
    """YAML text of plain values in their order; innermost lists and mappings on one line, unless `block`."""
    return _dump(data, flow_style=False if block else None)


def flow(value: Any) -> str:
    """One line of YAML for a value."""
    return _dump(value, flow_style=True).removesuffix("...\n").strip()


def _dump(value: Any, *, flow_style: bool | None) -> str:
    plain = json.loads(json.dumps(value, default=str))  # no tuples, and nothing shared (no anchors)
    return yaml.dump(
        plain,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow_style,
        width=10_000,
    )


# -- comments --------------------------------------------------------------------------------------


class Commented(NamedTuple):
    """A YAML file's values with its comments: those at its top, and those right above each key."""

    data: dict[str, Any]
    header: list[str]
    notes: dict[Loc, list[str]]


def read_commented(path: str | Path) -> Commented:
    """Read a YAML file together with its comments (lines without the ``#``)."""
    text = read_text(path)
    document = parse_yaml(text, source=str(path))
    rows = [row.strip() for row in text.splitlines()]
    start = next((n for n, row in enumerate(rows) if not row.startswith("#")), len(rows))
    header = rows[:start] if start < len(rows) and not rows[start] else []
    notes = {}
    for loc, line in document.lines.items():
        first = line - 1
        while first > len(header) and rows[first - 1].startswith("#"):
            first -= 1
        if loc and first < line - 1:
            notes[loc] = [row.removeprefix("#").strip() for row in rows[first : line - 1]]
    return Commented(document.data, [row.removeprefix("#").strip() for row in header], notes)
