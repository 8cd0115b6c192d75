"""``medseg run``."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from medseg.cli import first_stage, one_fold
from medseg.cli.job import open_fold, open_job
from medseg.cli.output import print_json
from medseg.cli.trusted import trusted
from medseg.errors import InputError
from medseg.recipe import load
from medseg.stages import each_fold, run, side_by_side


def act(arguments: Namespace) -> None:
    """Run every stage of a recipe, for one fold or for each."""
    if arguments.each_fold:
        _check_each_fold(arguments)
    first_stage.train(arguments)
    if arguments.each_fold:
        print_json(arguments, _each_fold(arguments))
        return
    with open_job(arguments) as job:
        metrics = run.run(job, by=arguments.extend)
    print_json(arguments, metrics)


def _check_each_fold(arguments: Namespace) -> None:
    recipe = load(arguments.recipe, arguments.overrides, trust=trusted(arguments))
    named = [word for word in arguments.overrides if word.startswith("data.fold=")]
    if named or recipe.data.fold == "all":
        raise InputError(
            "--each-fold trains every fold, and data.fold names what to train",
            found=" ".join(named) or "data.fold: all",
            remedy="leave one of the two out",
        )
    if arguments.extend is not None:
        raise InputError(
            "--extend takes one fold at a time",
            found="--each-fold",
            remedy="extend each: data.fold=0, data.fold=1, …",
        )


def _each_fold(arguments: Namespace) -> dict[str, Any]:
    recipe = load(arguments.recipe, arguments.overrides, trust=trusted(arguments))
    logs = Path(recipe.run_dir) / "logs"

    def start(fold: int, place: side_by_side.Place) -> Any:
        return one_fold.start(arguments, fold, place, logs / f"fold_{fold}.log")

    return each_fold.each(
        partial(open_fold, arguments), start=start, places=side_by_side.places(recipe)
    )
