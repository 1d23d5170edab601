"""Pages: one HTML file each, which needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from astrogalaxy.files import write_text
from astrogalaxy.survey.report import text

__all__ = ["MOST_FAILURES", "MOST_FIELDS", "write_page"]

#: Most rows of the long tables.
MOST_FIELDS, MOST_FAILURES = 200, 200


def write_page(path: str | os.PathLike[str], template: str, context: Mapping[str, Any]) -> None:
    """Fill a template of this room, escape what it shows, and write it atomically."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("astrogalaxy.survey.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=text.count,
        number=text.number,
        duration=text.duration,
        size=text.size,
    )
    page = environment.get_template(template).render(context)
    write_text(path, page)
