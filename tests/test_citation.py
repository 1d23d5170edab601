"""The citation file is what readers of such files expect."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_citation_is_valid() -> None:
    from cffconvert.citation import Citation

    citation = Citation((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    citation.validate()
    assert citation.cffobj["license"] == "BSD-3-Clause"
    assert citation.as_bibtex().startswith("@")


def test_fragments_of_the_changelog_have_a_known_kind() -> None:
    kinds = set(
        re.findall(r'^directory = "(\w+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for path in (ROOT / "changes").glob("*.rst"):
        assert path.name == "README.rst" or path.name.split(".")[-2] in kinds, path.name
