"""What a recipe does to masks."""

from __future__ import annotations

from pathlib import Path

from medseg.build.dataset import plain
from medseg.errors import InputError
from medseg.inference.postprocess import MaskStep
from medseg.inference.postprocess.file import steps_for
from medseg.labels import LabelScheme
from medseg.recipe import Recipe


def build_postprocessing(
    recipe: Recipe, labels: LabelScheme, run_dir: Path | None = None
) -> tuple[MaskStep, ...]:
    """Give the steps that masks go through.

    Args:
        recipe: names them, or leaves them to the run (``auto``).
        labels: of the masks.
        run_dir: the run, which may hold what cross-validation chose; ``None``: no run yet.

    Raises:
        InputError: a step is not one for these labels, or the run's file is not.
    """
    asked = plain(recipe.inference)["postprocessing"]
    if asked == "auto" and run_dir is None:
        return ()
    try:
        return steps_for(asked, run_dir or Path(), labels)
    except InputError as error:
        if error.file is None:
            error.file = recipe.at("inference", "postprocessing")
            error.message = f"inference.postprocessing: {error.message}"
        raise
