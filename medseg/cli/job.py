"""From the arguments that recipe verbs share to a `Job`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from medseg.cli.output import reporter
from medseg.cli.trusted import trusted
from medseg.recipe import check_trusted, load
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
    recover(Path(recipe.run_dir))
    return Job(
        recipe=recipe,
        folder=RunFolder(recipe, overwrite=arguments.overwrite),
        report=reporter(arguments),
        trust=trust,
        overwrite=arguments.overwrite,
    )
