"""Arguments of the verbs that take a recipe through its stages."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from medseg.cli.arguments.common import Verb, extend, ray, recipe, trust_and_overwrite
from medseg.cli.arguments.kinds import amount, positive


def add(verb: Verb) -> None:
    """Add ``run``, its stages, and ``sweep``, which runs it many times."""
    run = verb("run", "All stages of a recipe; done ones are skipped.")
    recipe(run)
    extend(run)
    run.add_argument(
        "--each-fold",
        action="store_true",
        help="train every fold, on several GPUs side by side, and score them together",
    )
    run.add_argument(
        "--first-stage",
        action="store_true",
        help="train the first stage of a cascade, with all its folds, and stop there",
    )
    ray(run, "fold")
    _sweep(verb("sweep", "Try values of a recipe's keys in many short trainings."))
    inspect = verb("inspect", "Say what the data are, and what is odd in them.")
    recipe(inspect, what="recipe or data folder")
    recipe(verb("plan", "Write plan.yaml: what follows from the data."))
    recipe(verb("preprocess", "Fill the cache of preprocessed cases."))
    fit = verb("fit", "Train.")
    recipe(fit)
    fit.add_argument("--resume", action="store_true", help="go on from last.ckpt")
    extend(fit)


def _sweep(sweep: ArgumentParser) -> None:
    sweep.add_argument(
        "recipe", metavar="RECIPE", help="a file, or the name of a shipped one: what is swept"
    )
    sweep.add_argument(
        "space", type=Path, metavar="SPACE", help="YAML: which keys to try, with which values"
    )
    sweep.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value in all trials"
    )
    sweep.add_argument(
        "--trials",
        type=positive,
        default=20,
        metavar="N",
        help="how many in all, earlier sessions included; default: 20",
    )
    sweep.add_argument(
        "--each",
        type=amount,
        metavar="AMOUNT",
        help="how long each trains: 10m, or 500 steps; default: as the recipe says",
    )
    sweep.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder; default: RUN_DIR_sweep"
    )
    ray(sweep, "trial")
    trust_and_overwrite(sweep)
