"""The first stage of a cascade: before the second where a recipe asks for both, or alone."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from medseg import build
from medseg.cli import folds
from medseg.cli.job import open_job
from medseg.cli.output import reporter
from medseg.cli.trusted import trusted
from medseg.errors import InputError, InputErrors
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
            remedy="train the first stage by --first-stage, with them or without, then go on from "
            f"it: {shlex.join(build.first_is_trained(recipe))}",
        )
    # What is wrong with the second stage is said before the first is trained, not hours later.
    if arguments.ray is None:
        build.check_device(recipe)
    with open_job(arguments) as job:
        report = job.report
    first = _of(arguments, recipe)
    first.overwrite, first.extend = False, None
    if arguments.overwrite:
        with open_job(Namespace(**{**vars(first), "overwrite": True})) as job:
            first.overwrite = job.folder.other
    with _in_its_words(arguments, recipe):
        _train(first, recipe)
    report.stage("cascade", f"second stage: {recipe.run_dir}")


@contextmanager
def alone(arguments: Namespace) -> Iterator[Namespace]:
    """Give the arguments that train the first stage of their recipe, and nothing after it.

    Raises:
        InputError: the recipe trains no first stage; or, from the training, as `train`.
    """
    recipe = load(arguments.recipe, arguments.overrides, trust=trusted(arguments))
    if not build.trains_first(recipe):
        named = recipe.cascade.first
        raise InputError(
            "--first-stage is for a recipe that trains a first stage",
            file=recipe.source if named is None else recipe.at("cascade", "first"),
            expected="cascade.first: lowres, or coarse",
            found="no cascade" if named is None else f"cascade.first: {named}, which is a run",
            remedy="leave --first-stage out",
        )
    if arguments.extend is not None:
        raise InputError(
            "--extend takes one fold at a time",
            found="--first-stage",
            remedy="extend each by its run's own recipe: "
            f"medseg run {shlex.quote(f'{build.first_folder(recipe)}/recipe.yaml')} data.fold=0 "
            "--extend AMOUNT",
        )
    first = _of(arguments, recipe)
    first.each_fold = recipe.cascade.out_of_fold
    with _in_its_words(arguments, recipe):
        yield first


def _of(arguments: Namespace, recipe: Recipe) -> Namespace:
    """Return the arguments of a run of the first stage."""
    overrides = [*arguments.overrides, *build.first_overrides(recipe)]
    return Namespace(**{**vars(arguments), "overrides": overrides})


def _train(first: Namespace, recipe: Recipe) -> None:
    where = f"first stage, {recipe.cascade.first}: {build.first_folder(recipe)}"
    reporter(first).stage("cascade", where)
    if recipe.cascade.out_of_fold:
        recipe_of_first = load(first.recipe, first.overrides, trust=trusted(first))
        folds.train(first, recipe_of_first, leads_on=False)
        return
    with open_job(first) as job:
        run.run(job, leads_on=False)


@contextmanager
def _in_its_words(arguments: Namespace, recipe: Recipe) -> Iterator[None]:
    """Let mistakes of a first stage's training be told by the cascade's recipe and commands."""
    try:
        yield
    except NoLowResolution as error:
        raise nothing_to_gain(error, recipe) from error
    except InputErrors as error:
        raise InputErrors([_afresh(one, arguments) for one in error.problems]) from error
    except InputError as error:
        _afresh(error, arguments)
        raise


def _afresh(error: InputError, arguments: Namespace) -> InputError:
    """Name the command that starts over: ``--overwrite`` alone starts the second stage over."""
    trust = [word for package in arguments.trust for word in ("--trust", package)]
    words = [str(arguments.recipe), *arguments.overrides, *trust, "--first-stage", "--overwrite"]
    command = f"`{shlex.join(['medseg', 'run', *words])}`"
    for part in ("found", "remedy"):  # what a process of its own said is found
        text = getattr(error, part)
        if text is not None:
            setattr(error, part, text.replace("--overwrite", command))
    return error


def nothing_to_gain(error: NoLowResolution, recipe: Recipe) -> InputError:
    """Say why a cascade of these data would say nothing new."""
    return InputError(
        "cascade.first: lowres has nothing to gain here: these data have no low-resolution stage",
        file=recipe.at("cascade", "first"),
        expected=error.expected,
        found=error.found,
        remedy="leave cascade out, or take cascade.first: coarse, to crop to what it finds",
    )
