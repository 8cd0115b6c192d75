"""What ``plan.yaml`` says of masks: the steps that are done to them, and what each one brought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from medseg.errors import InputError
from medseg.inference.postprocess.file import NAME, read
from medseg.inference.postprocess.text import summary
from medseg.recipe import Recipe
from medseg.stages import plan_file


def lines(recipe: Recipe, run: Path) -> list[str]:
    """Say it in a line a step; the steps themselves stand in the recipe, or in the run's file.

    Args:
        recipe: says which are done.
        run: the run's folder, which may hold a ``postprocessing.yaml``.
    """
    return [" ".join(line.split()) for line in _lines(recipe, run / NAME)]


def refresh(recipe: Recipe, run: Path) -> None:
    """Bring an existing ``plan.yaml`` up to date; its values stay as they are."""
    if (run / "plan.yaml").is_file():
        plan_file.rewrite_masks(run / "plan.yaml", lines(recipe, run))


def _lines(recipe: Recipe, file: Path) -> Iterator[str]:
    asked = recipe.inference.postprocessing
    if asked == "none":
        return
    if asked != "auto":
        for step in asked:
            yield f"{step.name} of {step.of}, set in the recipe (inference.postprocessing)"
    elif file.is_file():
        try:
            yield from (f"{line} ({NAME})" for line in summary(read(file)))
        except InputError:  # its own stage says what is wrong with it
            yield f"{NAME} cannot be read"
