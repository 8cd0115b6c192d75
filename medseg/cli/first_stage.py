"""The first stage of a cascade, trained before the second where a recipe asks for both."""

from __future__ import annotations

from argparse import Namespace

from medseg import build
from medseg.cli import folds
from medseg.cli.job import open_job
from medseg.cli.trusted import trusted
from medseg.errors import InputError
from medseg.planning.configurations import NoLowResolution
from medseg.recipe import Recipe, load
from medseg.stages import run


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
    recipe = load(arguments.recipe, arguments.overrides, trust=trusted(arguments))
    if not build.trains_first(recipe):
        return
    if arguments.crew is not None:
        raise InputError(
            "torchrun and srun train one stage, and this recipe is of two",
            file=recipe.at("cascade", "first"),
            found=f"cascade.first: {recipe.cascade.first}",
            remedy="train the first stage without them, and give its folder: "
            f"cascade.first={build.first_folder(recipe)} cascade.use={build.use_of_guide(recipe)}",
        )
    if arguments.each_fold and not recipe.cascade.out_of_fold:
        raise InputError(
            "--each-fold trains every fold of the first stage, so that none need predict what it "
            "was trained on",
            found="cascade.out_of_fold: false",
            remedy="leave one of the two out",
        )
    # What is wrong with the second stage is said before the first is trained, not hours later.
    build.check_device(recipe)
    with open_job(arguments) as job:
        recipe, report = job.recipe, job.report
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
    folds.train(first, load(first.recipe, first.overrides, trust=trusted(first)))


def nothing_to_gain(error: NoLowResolution, recipe: Recipe) -> InputError:
    """Say why a cascade of these data would say nothing new."""
    return InputError(
        "cascade.first: lowres has nothing to gain here: these data have no low-resolution stage",
        file=recipe.at("cascade", "first"),
        expected=error.expected,
        found=error.found,
        remedy="leave cascade out, or take cascade.first: coarse, to crop to what it finds",
    )
