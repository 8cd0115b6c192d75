"""``medseg preprocess``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.job import open_job
from medseg.cli.output import print_json
from medseg.stages import preprocess


def act(arguments: Namespace) -> None:
    """Fill the cache."""
    with open_job(arguments) as job:
        preprocess.run(job)
    print_json(arguments, {"cache": str(job.folder.cache), "cases": len(job.dataset.cases)})
