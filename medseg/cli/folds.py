"""Every fold of a recipe, in this process, on several GPUs side by side, or on a Ray cluster."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from medseg.cli import one_fold
from medseg.cli.job import open_fold
from medseg.cli.on_ray import cluster
from medseg.recipe import Recipe
from medseg.stages import each_fold, side_by_side


def train(arguments: Namespace, recipe: Recipe, *, leads_on: bool = True) -> dict[str, Any]:
    """Train and predict the folds where the arguments say, and return ``metrics.json``.

    Args:
        arguments: of ``medseg run``.
        recipe: theirs.
        leads_on: say how to go on from here.

    Raises:
        InputError: see `medseg.stages.each_fold.each` and `medseg.cli.on_ray.cluster`.
    """
    logs = Path(recipe.run_dir) / "logs"

    def log(fold: int) -> Path:
        return logs / f"fold_{fold}.log"

    with cluster(arguments, recipe, apart=recipe.data.folds) as ray:
        if ray is None:
            return each_fold.each(
                partial(open_fold, arguments),
                start=lambda fold, place: one_fold.start(arguments, fold, place, log(fold)),
                places=_places(arguments, recipe),
                leads_on=leads_on,
            )
        words = partial(one_fold.words, arguments, place=())
        return each_fold.each(
            partial(open_fold, arguments),
            start=lambda fold, _: ray.start(*words(fold, predict=True), log(fold)),
            places=[()] * ray.capacity,
            look=lambda: ray.start(*words(0, device_only=True), logs / "device.log"),
            leads_on=leads_on,
        )


def _places(arguments: Namespace, recipe: Recipe) -> list[side_by_side.Place]:
    """List the GPUs to spread folds over; torchrun and srun have given theirs to one training."""
    return side_by_side.places(recipe) if arguments.crew is None else []
