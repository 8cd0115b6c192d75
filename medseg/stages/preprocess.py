"""``preprocess``: ``plan.yaml`` -> ``cache/``."""

from __future__ import annotations

from medseg.data.prepare.cache import CacheIndex, prepare_dataset
from medseg.planning.plan import Plan
from medseg.stages import plan as planning
from medseg.stages.job import Job


def run(job: Job) -> tuple[Plan, CacheIndex]:
    """Bring the cache up to date and return where each case lies in it."""
    plan = planning.run(job)
    with job.report.progress("preprocess") as advance:
        index = prepare_dataset(
            job.dataset,
            plan.preprocessing,
            job.folder.cache,
            workers=job.workers,
            progress=advance,
        )
    job.report.stage("preprocess", f"{len(job.dataset.cases)} cases in {job.folder.cache}")
    return plan, index
