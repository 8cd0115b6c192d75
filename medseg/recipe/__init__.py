"""Recipes: read, merge, check; nothing here imports torch.

``load`` gives a frozen, complete `Recipe`, or every mistake at once with file and line.
"""

from __future__ import annotations

from typing import Any

from medseg.recipe.components import Component
from medseg.recipe.loading import load, load_text
from medseg.recipe.recipe import Recipe, key_defaults
from medseg.recipe.shipped import headline, shipped
from medseg.recipe.trusted import check_trusted

__all__ = [
    "Component",
    "Recipe",
    "check_trusted",
    "headline",
    "json_schema",
    "key_defaults",
    "load",
    "load_text",
    "shipped",
]


def json_schema() -> dict[str, Any]:
    """Return the schema of a recipe for editors; see `medseg.recipe.schema_json`."""
    # Imported late: `python -m medseg.recipe.schema_json` would else run that module twice.
    from medseg.recipe import schema_json

    return schema_json.json_schema()
