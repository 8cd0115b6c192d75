"""From the arguments that recipe verbs share to a `Job`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from medseg import build
from medseg.cli.output import reporter
from medseg.cli.trusted import trusted
from medseg.recipe import Recipe, check_trusted, load
from medseg.stages import inherited
from medseg.stages.job import Job
from medseg.stages.replaced import recover
from medseg.stages.run_folder import RunFolder


def open_job(arguments: Namespace) -> Job:
    """Read and check the recipe, and open its run folder.

    Raises:
        InputError: the recipe has mistakes, or the run folder holds another recipe's run.
    """
    trust = trusted(arguments)
    recipe = load(arguments.recipe, arguments.overrides, trust=trust)
    if trust:
        check_trusted(recipe, trust=trust)
    recover(run := Path(recipe.run_dir))
    theirs = inherited.of(recipe, run, afresh=arguments.overwrite)
    recipe = build.with_inherited(recipe, theirs)
    return Job(
        recipe=recipe,
        folder=RunFolder(recipe, overwrite=arguments.overwrite),
        report=reporter(arguments),
        trust=trust,
        overwrite=arguments.overwrite,
        crew=_crew(arguments, recipe),
    )


def _crew(arguments: Namespace, recipe: Recipe) -> Any:
    """Give the processes that train: those that were started with this one, or as many as asked."""
    gathered = getattr(arguments, "crew", None)
    if gathered is not None:
        from medseg.build.device import check_launched

        check_launched(recipe, gathered.local_size)
        return gathered
    devices = recipe.trainer.devices
    count = len(devices) if isinstance(devices, tuple) else devices
    if count == 1:
        return None
    from medseg.cli import one_rank
    from medseg.stages.crew import Started

    return Started(count, partial(one_rank.start, arguments))


def open_fold(
    arguments: Namespace,
    fold: int | str,
    *,
    overwrite: bool | None = None,
    place: Sequence[str] = (),
) -> Job:
    """Open the job of one fold, whatever fold the recipe trains.

    Args:
        arguments: of the verb.
        fold: its number.
        overwrite: instead of what the arguments say.
        place: more overrides, such as those that name a device.

    Raises:
        InputError: see `open_job`.
    """
    changed = {**vars(arguments), "overrides": [*arguments.overrides, *place, f"data.fold={fold}"]}
    if overwrite is not None:
        changed["overwrite"] = overwrite
    return open_job(Namespace(**changed))
