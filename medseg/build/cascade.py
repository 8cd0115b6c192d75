"""What a recipe says about the stages of a cascade."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from medseg.labels import LabelScheme
from medseg.planning.guidance import Guidance, Use
from medseg.planning.plan import Plan
from medseg.recipe import Recipe
from medseg.recipe.cascade_section import OWN

# Folder of a first stage within its run.
FIRST = "first"
_COARSE = 6.0
# Keys of the plan that depend on the spacing: the first stage's are planned anew.
_OF_A_SPACING = ("patch_size", "batch_size", "strides", "kernels", "features", "neighbours")


def guidance_of(recipe: Recipe, labels: LabelScheme) -> Guidance | None:
    """Say how the recipe's network is guided; ``None``: there is no first stage."""
    cascade = recipe.cascade
    if cascade.first is None:
        return None
    return Guidance(use_of_guide(recipe), len(labels.values) - 1, cascade.margin)


def use_of_guide(recipe: Recipe) -> Use:
    """Say what becomes of a first stage's prediction, where the recipe leaves it to us, too."""
    cascade = recipe.cascade
    if cascade.use != "auto":
        return cascade.use
    return "crop" if cascade.first == "coarse" else "channels"


def input_channels(recipe: Recipe, plan: Plan, labels: LabelScheme) -> int:
    """Count the channels of the network's input: the image's, and those of its guide."""
    guidance = guidance_of(recipe, labels)
    return len(plan.preprocessing.normalisation) + (guidance.channels if guidance else 0)


def trains_first(recipe: Recipe) -> bool:
    """Say whether the first stage is trained along with the second."""
    return recipe.cascade.first in OWN


def first_folder(recipe: Recipe) -> Path:
    """Return the run folder of the first stage."""
    assert recipe.cascade.first is not None
    own = trains_first(recipe)
    return Path(recipe.run_dir) / FIRST if own else Path(recipe.cascade.first)


def first_overrides(recipe: Recipe) -> list[str]:
    """Return what makes a recipe that of its first stage, as words of the command line.

    It is the same training on coarser images: what the recipe fixed of patch and network for its
    own spacing does not hold there, nor do weights that were trained at that spacing.
    """
    cascade = recipe.cascade
    lowres = cascade.first == "lowres"
    spacing = cascade.spacing if lowres or cascade.spacing is not None else _COARSE
    values: dict[str, Any] = {
        "cascade": None,
        "transfer": None,
        "name": f"{recipe.name}_{FIRST}",
        "run_dir": str(first_folder(recipe)),
        "plan.configuration": "3d_lowres" if lowres else "auto",
        "plan.spacing": spacing,
        **{f"plan.{key}": None for key in _OF_A_SPACING},
    }
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def first_is_trained(recipe: Recipe) -> list[str]:
    """Return what makes a recipe the same cascade with a first stage that is trained already.

    Words of the command line. What ``auto`` comes to depends on who trains the first stage, and a
    spacing is refused where nobody does.
    """
    values = {"cascade.first": first_folder(recipe), "cascade.use": use_of_guide(recipe)}
    words = [f"{key}={value}" for key, value in values.items()]
    return words if recipe.cascade.spacing is None else [*words, "cascade.spacing=null"]


def record(recipe: Recipe, labels: LabelScheme) -> dict[str, Any]:
    """Return what a checkpoint says about its first stage; empty where there is none."""
    guidance = guidance_of(recipe, labels)
    if guidance is None:
        return {}
    first = os.path.relpath(first_folder(recipe), recipe.run_dir)
    return {
        "use": guidance.use,
        "classes": guidance.classes,
        "margin": guidance.margin,
        "first": Path(first).as_posix(),
    }
