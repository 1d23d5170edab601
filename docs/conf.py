"""Configuration of Sphinx, on top of what Astropy's packages share."""

from __future__ import annotations

import os
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

extensions += ["myst_parser", "sphinx_design", "sphinx_gallery.gen_gallery", "registries"]
# Links to other projects' pages need the network, and the pages must build without it.
intersphinx_mapping: dict[str, tuple[str, None]] = {}
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns += ["api/astrogalaxy.rst", "reference/generated"]
# The scripts of the tutorials are pages only once they ran.
exclude_patterns += ["tutorials"]
# sphinx-gallery keeps configured functions, which cannot be pickled.
suppress_warnings = ["app.add_directive", "config.cache"]

os.environ.setdefault("ASTROPY_LOG_LEVEL", "WARNING")
sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_tutorials",
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "show_signature": False,
    "plot_gallery": True,
    "backreferences_dir": None,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib\.",
    "thumbnail_size": (320, 240),
}

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
