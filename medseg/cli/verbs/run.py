"""``medseg run``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli import first_stage, folds
from medseg.cli.job import open_job
from medseg.cli.output import print_json
from medseg.cli.together import together
from medseg.cli.trusted import trusted
from medseg.errors import InputError
from medseg.recipe import load
from medseg.stages import run


def act(arguments: Namespace) -> None:
    """Run every stage of a recipe, for one fold or for each; or a cascade's first stage alone."""
    if arguments.each_fold:
        _refuse_a_fold(arguments)
    if arguments.first_stage:
        with first_stage.alone(arguments) as first:
            _run(first)
    else:
        _run(arguments)


def _run(arguments: Namespace) -> None:
    if arguments.each_fold:
        _refuse_extension(arguments)
    else:
        _refuse_alone(arguments)
    with together(arguments) as leads:
        if not leads:
            return
        first_stage.train(arguments)
        if arguments.each_fold:
            recipe = load(arguments.recipe, arguments.overrides, trust=trusted(arguments))
            print_json(arguments, folds.train(arguments, recipe))
            return
        with open_job(arguments) as job:
            metrics = run.run(job, by=arguments.extend)
        print_json(arguments, metrics)


def _refuse_a_fold(arguments: Namespace) -> None:
    recipe = load(arguments.recipe, arguments.overrides, trust=trusted(arguments))
    named = [word for word in arguments.overrides if word.startswith("data.fold=")]
    if named or recipe.data.fold == "all":
        raise InputError(
            "--each-fold trains every fold, and data.fold names what to train",
            found=" ".join(named) or "data.fold: all",
            remedy="leave one of the two out",
        )
    if recipe.cascade.first is not None and not recipe.cascade.out_of_fold:
        raise InputError(
            "--each-fold needs every fold of the first stage, so that none need predict what it "
            "was trained on",
            file=recipe.at("cascade", "out_of_fold"),
            found="cascade.out_of_fold: false",
            remedy="leave one of the two out",
        )


def _refuse_extension(arguments: Namespace) -> None:
    if arguments.extend is not None:
        raise InputError(
            "--extend takes one fold at a time",
            found="--each-fold",
            remedy="extend each: data.fold=0, data.fold=1, …",
        )


def _refuse_alone(arguments: Namespace) -> None:
    given = [name for name in ("ray", "cpus", "gpus") if getattr(arguments, name) is not None]
    if given:
        raise InputError(
            f"--{given[0]} is for trainings that run side by side",
            expected="--each-fold beside it",
            remedy="a single training over several GPUs: trainer.devices=2",
        )
