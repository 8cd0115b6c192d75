"""From the arguments that recipe verbs share to a `Job`."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from medseg.cli.output import reporter
from medseg.recipe import check_trusted, load
from medseg.stages.job import Job
from medseg.stages.run_folder import RunFolder


def open_job(arguments: Namespace) -> Job:
    """Read and check the recipe, and open its run folder.

    Raises:
        InputError: the recipe has mistakes, or the run folder holds another recipe's run.
    """
    trust = tuple(arguments.trust)
    recipe = load(arguments.recipe, arguments.overrides, trust=trust)
    if trust:
        # A trusted package may lie in the working folder, as with `python -m`.
        sys.path.insert(0, str(Path.cwd()))
        check_trusted(recipe, trust=trust)
    return Job(
        recipe=recipe,
        folder=RunFolder(recipe, overwrite=arguments.overwrite),
        report=reporter(arguments),
        trust=trust,
        overwrite=arguments.overwrite,
    )
