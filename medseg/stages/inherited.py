"""``inherited.json``: what the weights that a run starts from decide about its network and plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medseg import build
from medseg.atomic import write_text
from medseg.recipe import Recipe

NAME = "inherited.json"


def of(recipe: Recipe, run: Path, *, afresh: bool = False) -> dict[str, Any]:
    """Return what a recipe inherits: as its run has begun with it, or else by reading the weights.

    What a run has begun with stays: the weights may be trained on, or be gone, by the time that it
    is resumed.

    Args:
        recipe: the recipe.
        run: the run's folder.
        afresh: read the weights in any case, as for a run that starts over.

    Raises:
        InputError: the weights cannot be read.
    """
    if recipe.transfer is None:
        return {}
    if has_begun(recipe, run) and not afresh:
        return _read(run / NAME)
    return {"of": _key(recipe), **build.inheritance(recipe)}


def has_begun(recipe: Recipe, run: Path) -> bool:
    """Say whether a run holds what this recipe inherits."""
    known = _read(run / NAME)
    return known.get("of") == _key(recipe) and isinstance(known.get("plan"), dict)


def keep(run: Path, inherited: dict[str, Any]) -> None:
    """Write down what a run inherits."""
    if inherited and _read(run / NAME) != inherited:
        write_text(run / NAME, json.dumps(inherited, indent=1))


def _key(recipe: Recipe) -> dict[str, Any]:
    assert recipe.transfer is not None
    return {"from": recipe.to_dict()["transfer"]["from"], "inherit": recipe.transfer.inherit}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
