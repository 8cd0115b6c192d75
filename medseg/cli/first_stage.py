"""The first stage of a cascade, trained before the second where a recipe asks for both."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from medseg import build
from medseg.cli import one_fold
from medseg.cli.job import open_fold, open_job
from medseg.errors import InputError
from medseg.planning.configurations import NoLowResolution
from medseg.recipe import Recipe
from medseg.stages import each_fold, run, side_by_side


def train(arguments: Namespace) -> None:
    """Train and predict the first stage that a recipe trains itself; what is done is skipped.

    All of its folds, for the second stage to learn from predictions of cases that the first has
    not seen; with ``cascade.out_of_fold=false`` only the fold of the second.

    Args:
        arguments: of ``medseg run``. With ``overwrite`` the first stage is trained anew only if it
            is of another recipe.

    Raises:
        InputError: the data have no low-resolution stage, or see `medseg.stages.fit.run`.
    """
    # What is wrong with the second stage is said before the first is trained, not hours later.
    with open_job(arguments) as job:
        recipe, report = job.recipe, job.report
    if not build.trains_first(recipe):
        return
    if arguments.each_fold and not recipe.cascade.out_of_fold:
        raise InputError(
            "--each-fold trains every fold of the first stage, so that none need predict what it "
            "was trained on",
            found="cascade.out_of_fold: false",
            remedy="leave one of the two out",
        )
    changed = {
        "overrides": [*arguments.overrides, *build.first_overrides(recipe)],
        "extend": None,
        "overwrite": False,
    }
    first = Namespace(**{**vars(arguments), **changed})
    if arguments.overwrite:
        with open_job(Namespace(**{**vars(first), "overwrite": True})) as job:
            first.overwrite = job.folder.other
    report.stage("cascade", f"first stage, {recipe.cascade.first}: {build.first_folder(recipe)}")
    try:
        _train(first, recipe)
    except NoLowResolution as error:
        raise nothing_to_gain(error, recipe) from error
    report.stage("cascade", f"second stage: {recipe.run_dir}")


def _train(first: Namespace, recipe: Recipe) -> None:
    if not recipe.cascade.out_of_fold:
        with open_job(first) as job:
            run.run(job)
        return
    logs = Path(build.first_folder(recipe)) / "logs"

    def start(fold: int, place: side_by_side.Place) -> Any:
        return one_fold.start(first, fold, place, logs / f"fold_{fold}.log")

    each_fold.each(partial(open_fold, first), start=start, places=side_by_side.places(recipe))


def nothing_to_gain(error: NoLowResolution, recipe: Recipe) -> InputError:
    """Say why a cascade of these data would say nothing new."""
    return InputError(
        "cascade.first: lowres has nothing to gain here: these data have no low-resolution stage",
        file=recipe.at("cascade", "first"),
        expected=error.expected,
        found=error.found,
        remedy="leave cascade out, or take cascade.first: coarse, to crop to what it finds",
    )
