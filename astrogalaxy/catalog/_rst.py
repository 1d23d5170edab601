"""Tables for the documentation that are made from the registries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["list_table"]


def list_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a reStructuredText ``list-table`` with one header row; empty cells become a dash."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
    for row in (heads, *rows):
        for index, cell in enumerate(row):
            lead = "   * - " if index == 0 else "     - "
            lines.append(lead + (cell or "\N{EN DASH}"))
    return "\n".join(lines) + "\n"
