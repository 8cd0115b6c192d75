"""``medseg plan``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.job import open_job
from medseg.cli.output import print_json
from medseg.stages import plan


def act(arguments: Namespace) -> None:
    """Write plan.yaml and show it; with ``--overwrite`` its edits are dropped."""
    with open_job(arguments) as job:
        if arguments.overwrite:
            job.folder.replaced.take([job.folder / "plan.yaml"])
        print_json(arguments, plan.run(job).to_dict())
    job.report.say((job.folder / "plan.yaml").read_text(encoding="utf-8").rstrip())
