"""``medseg fit``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.job import open_job
from medseg.cli.output import print_json
from medseg.cli.together import together
from medseg.stages import fit


def act(arguments: Namespace) -> None:
    """Train the recipe's fold."""
    with together(arguments) as leads:
        if not leads:
            return
        with open_job(arguments) as job:
            best = fit.run(job, resume=arguments.resume, by=arguments.extend)
    job.report.say(f"best checkpoint: {best}")
    print_json(arguments, {"checkpoint": str(best)})
