"""Configuration of Sphinx, on top of what Astropy's packages share."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx_astropy.conf.v2 import *  # noqa: F403
from sphinx_astropy.conf.v2 import exclude_patterns, extensions, html_theme_options

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "astrogalaxy"
author = "The astrogalaxy developers"
copyright = f"2026, {author}"  # noqa: A001
release = installed_version("astrogalaxy")
version = release.split("+", maxsplit=1)[0]

extensions += ["myst_parser", "sphinx_design", "registries"]
# Links to other projects' pages need the network, and the pages must build without it.
intersphinx_mapping: dict[str, tuple[str, None]] = {}
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns += ["api/astrogalaxy.rst", "reference/generated"]
suppress_warnings = ["app.add_directive"]

html_theme = "pydata_sphinx_theme"
html_title = "astrogalaxy"
html_static_path = ["_static"]
html_theme_options |= {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}
# Pages without neighbours need no list of them.
html_sidebars = {page: [] for page in ("index", "install", "quickstart", "changes")}
html_show_sourcelink = False
# The clock has no place in pages that are built again and compared.
html_last_updated_fmt = None

autosummary_generate = True
automodsumm_inherited_members = False
autodoc_typehints = "none"
autoclass_content = "class"
numpydoc_show_class_members = False
myst_heading_anchors = 3
