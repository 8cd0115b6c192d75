"""``medseg run``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.job import open_job
from medseg.cli.output import print_json
from medseg.stages import run


def act(arguments: Namespace) -> None:
    """Run every stage of a recipe."""
    with open_job(arguments) as job:
        metrics = run.run(job, by=arguments.extend)
    print_json(arguments, metrics)
