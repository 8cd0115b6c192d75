"""Sphinx settings; `make docs` builds with warnings as errors."""

from __future__ import annotations

import re
from pathlib import Path

_source = (Path(__file__).parents[1] / "medseg" / "__init__.py").read_text(encoding="utf-8")

project = "medseg"
author = "The medseg developers"
project_copyright = author
# Read, not imported: the documentation builds without torch.
release = version = re.search(r'__version__ = "(.+)"', _source).group(1)

extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"medseg {release}"
html_theme_options = {"navigation_with_keys": True}
# `$ medseg run …` copies without its prompt and without the output below it.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
