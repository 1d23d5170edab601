"""Training, validation and test parts of labelled sets, fixed once."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from astrogalaxy.errors import ConfigError
from astrogalaxy.files import atomic_path

__all__ = ["PARTS", "Part", "part_of", "read_split", "stratified", "write_split"]

#: Part of a split.
Part = Literal["train", "val", "test"]
#: All of them, in the order in which they are used.
PARTS: tuple[Part, ...] = ("train", "val", "test")
# Shares of training, validation and test.
_SHARES = (0.6, 0.2, 0.2)


def part_of(identifier: str) -> Part:
    """Part that a galaxy belongs to, from its id alone.

    Three fifths train, one fifth validates, one fifth tests; the same galaxy is in the
    same part in every sample and release that keeps its id.

    Parameters
    ----------
    identifier : str
        Id of the galaxy.

    Returns
    -------
    {'train', 'val', 'test'}
        The part.

    Examples
    --------
    >>> part_of("587739505552785605")
    'val'
    """
    fifth = hashlib.sha256(identifier.encode()).digest()[0] % 5
    return ("test", "val", "train", "train", "train")[fifth]


def stratified(
    labels: Mapping[str, str],
    *,
    groups: Mapping[str, str] | None = None,
    fixed: Mapping[str, Part] | None = None,
    shares: Sequence[float] = _SHARES,
    seed: int = 1,
) -> dict[str, Part]:
    """Assign names to parts so that each class has its share in each part, and no group is parted.

    Parameters
    ----------
    labels : mapping of str to str
        Class of each name.
    groups : mapping of str to str, optional
        Galaxy of each name, where several names are of one; the class of a group is that of its first name.
    fixed : mapping of str to str, optional
        Parts of names that are settled already, and so of their groups.
    shares : sequence of float
        Of train, val and test.
    seed : int
        Another seed gives another split.

    Returns
    -------
    dict of str to str
        Part of each name, in the order given.

    Examples
    --------
    >>> parts = stratified({str(n): "ab"[n % 2] for n in range(20)})
    >>> [sum(p == part for p in parts.values()) for part in ("train", "val", "test")]
    [12, 4, 4]
    """
    group_of = {name: (groups or {}).get(name, name) for name in labels}
    settled = {group_of[name]: part for name, part in (fixed or {}).items() if name in group_of}
    strata: dict[str, list[str]] = defaultdict(list)
    for group, name in {group: name for name, group in reversed(group_of.items())}.items():
        strata[labels[name]].append(group)
    parts: dict[str, Part] = {}
    for members in strata.values():
        # by a hash, so that the order of the names does not matter
        ranked = sorted(members, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
        parts |= _fill(ranked, settled, shares)
    return {name: parts[group] for name, group in group_of.items()}


def _fill(ranked: Sequence[str], settled: Mapping[str, Part], shares: Sequence[float]) -> dict[str, Part]:
    """Give each group the part that lacks most of its share."""
    counts = dict.fromkeys(PARTS, 0)
    parts: dict[str, Part] = {}
    for group in ranked:
        if group in settled:
            parts[group] = settled[group]
            counts[settled[group]] += 1
    for group in ranked:
        if group not in parts:
            part = max(PARTS, key=lambda p: shares[PARTS.index(p)] * len(ranked) - counts[p])
            parts[group] = part
            counts[part] += 1
    return parts


def read_split(path: str | Path) -> dict[str, Part]:
    r"""Read a table of names and their parts (CSV: name, part; lines that begin with # are comments).

    Parameters
    ----------
    path : path
        The table.

    Returns
    -------
    dict of str to {'train', 'val', 'test'}
        Parts by names.

    Raises
    ------
    ConfigError
        If it is missing or no such table, lacks a column, has another part than train, val and test, or one name in two
        parts.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.datasets.splits import read_split
    >>> _ = Path("split.csv").write_text("# by hand\nname,part\nm31,train\nm33,test\n", encoding="utf-8")
    >>> read_split("split.csv")
    {'m31': 'train', 'm33': 'test'}
    """
    try:
        # spreadsheets put a byte order mark before the first column's name
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{path}: cannot be read as a table (CSV in UTF-8): {reason}"
        raise ConfigError(msg) from error
    parts: dict[str, Part] = {}
    for row in rows:
        name, part = row.get("name"), row.get("part")
        if name is None or part not in PARTS:
            msg = f"{path}: expected the columns name and part, each part one of {', '.join(PARTS)}, not {part!r}"
            raise ConfigError(msg)
        if parts.setdefault(name, part) != part:
            msg = f"{path}: {name!r} is in the parts {parts[name]} and {part}; what trains cannot measure"
            raise ConfigError(msg)
    return parts


def write_split(path: str | Path, parts: Mapping[str, Part], *, comment: str = "") -> None:
    """Write a table of names and their parts, for `read_split`.

    Parameters
    ----------
    path : path
        The table; it appears whole or not at all.
    parts : mapping of str to {'train', 'val', 'test'}
        Parts by names.
    comment : str
        Written above the table, after # in each line.

    Raises
    ------
    RunError
        If the folder or the disk does not take the file.

    Examples
    --------
    >>> from astrogalaxy.datasets.splits import read_split, write_split
    >>> write_split("parts.csv", {"m31": "train", "m33": "test"}, comment="by hand")
    >>> read_split("parts.csv")["m33"]
    'test'
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for line in comment.splitlines():
            file.write(f"# {line}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "part"])
        writer.writerows(parts.items())
