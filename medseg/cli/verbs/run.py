"""``medseg run``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.job import open_job
from medseg.cli.output import print_json
from medseg.stages import run


def act(arguments: Namespace) -> None:
    """Run every stage of a recipe."""
    print_json(arguments, run.run(open_job(arguments)))
