"""``medseg sweep``."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.atomic import locked
from medseg.build import build_dataset, first_is_trained, trains_first
from medseg.build.device import check_device
from medseg.cli import one_fold
from medseg.cli.on_ray import cluster
from medseg.cli.output import print_json, reporter
from medseg.cli.trusted import trusted
from medseg.errors import InputError
from medseg.recipe import Recipe, check_trusted, load
from medseg.recipe.space import override, read_space
from medseg.stages import side_by_side, sweep
from medseg.stages.sweep_folder import Subject, SweepFolder


def act(arguments: Namespace) -> None:
    """Train a recipe with many values, and write the best ones as a recipe."""
    sweep.require_optuna()
    trust = trusted(arguments)
    space = read_space(arguments.space, arguments.recipe, arguments.overrides, trust=trust)
    each = _limit(arguments.each)
    _refuse_two_limits([one.key for one in space], each)
    common = [*arguments.overrides, *each]
    recipe = load(arguments.recipe, common, trust=trust)
    if trust:
        check_trusted(recipe, trust=trust)
    _check(recipe, elsewhere=arguments.ray is not None)
    output = arguments.output or Path(f"{recipe.run_dir}_sweep")
    subject = Subject(str(arguments.recipe), recipe.to_yaml(), space, tuple(each))
    say = reporter(arguments)
    try:
        with locked(output, ".sweep.lock", patience=0):
            folder = SweepFolder(output, subject, recipe, overwrite=arguments.overwrite)
            folder.begin()
            if not any(one.key.startswith("data.") for one in space):
                _write_data(arguments, folder, recipe)
            found = _run(arguments, folder, recipe, each)
    except TimeoutError as error:
        raise InputError(
            "another process is at work on this sweep",
            file=output,
            remedy="wait for it to end, or choose another folder with -o",
        ) from error
    best = sweep.best_of(found)
    overrides = [override(key, value) for key, value in best["values"].items()]
    file = folder.write_best(
        best["values"],
        load(arguments.recipe, [*arguments.overrides, *overrides], trust=trust),
        arguments.overrides,
        why=f"The best of {len(found)} trials: number {best['trial']}, "
        f"{folder.score_title} {best[folder.score_key]:.4f}.",
    )
    sweep.show(say, found, folder)
    say.say(f"the best values: {file}")
    print_json(arguments, {"best": best, "recipe": str(file), "trials": found})


def _write_data(arguments: Namespace, folder: SweepFolder, recipe: Recipe) -> None:
    """Write phantoms, or frames of videos, once for all trials.

    Raises:
        InputError: the data are not there, which spends no trial.
    """
    with reporter(arguments).progress("data") as advance:
        build_dataset(recipe, folder.data, progress=advance)


def _run(
    arguments: Namespace, folder: SweepFolder, recipe: Recipe, each: list[str]
) -> list[dict[str, Any]]:
    with cluster(arguments, recipe, apart=arguments.trials) as ray:

        def start(number: int, values: Mapping[str, Any], place: tuple[str, ...]) -> Any:
            overrides = [
                *each,
                *(override(key, value) for key, value in values.items()),
                override("run_dir", str(folder.trial(number))),
                override("name", f"{recipe.name}_{number:03d}"),
                *_grouped(recipe, folder.path.absolute().name),
                *place,
            ]
            # A trial of an earlier session goes on; its own folder is never another one's.
            calm = Namespace(**{**vars(arguments), "overwrite": False})
            words = one_fold.words(
                calm, recipe.data.fold, overrides, settled=False, links=folder.shared()
            )
            launch = one_fold.launch if ray is None else ray.start
            return launch(*words, folder.log(number))

        here = side_by_side.places(recipe) or [()]
        return sweep.run(
            folder,
            start,
            trials=arguments.trials,
            places=here if ray is None else [()] * ray.capacity,
            seed=recipe.seed,
            report=reporter(arguments),
        )


def _limit(each: int | float | None) -> list[str]:
    """Turn ``--each`` into the override that limits every trial."""
    if each is None:
        return []
    return [override("trainer.steps" if isinstance(each, int) else "trainer.budget", each)]


def _refuse_two_limits(keys: list[str], each: list[str]) -> None:
    limits = ("trainer.budget", "trainer.steps", "trainer.epochs")
    if each and (both := [key for key in keys if key in limits]):
        raise InputError(
            "--each limits every trial, and the space has a limit of its own",
            found=f"{each[0]} and {both[0]}",
            remedy="leave one of them out",
        )


def _check(recipe: Recipe, *, elsewhere: bool) -> None:
    if recipe.data.fold == "all":
        raise InputError(
            "a trial is scored on the cases that its training holds out, and data.fold=all holds "
            "out none",
            file=recipe.at("data", "fold"),
            remedy="data.fold=0",
        )
    if trains_first(recipe):
        raise InputError(
            "trials train one network each, and this recipe's first stage comes before it",
            file=recipe.at("cascade", "first"),
            found=f"cascade.first: {recipe.cascade.first}",
            remedy="train it with `medseg run --first-stage`, then sweep the second: "
            f"{shlex.join(first_is_trained(recipe))}",
        )
    if not elsewhere:
        check_device(recipe)


def _grouped(recipe: Recipe, group: str) -> list[str]:
    """Bundle the trials' W&B runs, unless the recipe names a group."""
    loggers = recipe.to_dict()["logger"]
    if loggers == "none":
        return []
    for one in loggers:
        if one["name"] == "wandb" and one.get("group") is None:
            one["group"] = group
    return [override("logger", loggers)]
