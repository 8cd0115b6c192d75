"""``preprocess``: ``plan.yaml`` -> ``cache/``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from medseg.data.formats.files import count
from medseg.data.prepare.cache import CacheIndex, prepare_dataset
from medseg.data.prepare.space import expected_bytes, require_space
from medseg.planning.plan import Plan
from medseg.stages import crops, inspect
from medseg.stages import plan as planning
from medseg.stages.job import Job
from medseg.stages.memory import require_memory


def run(job: Job) -> tuple[Plan, CacheIndex]:
    """Bring the cache up to date and return where each case lies in it.

    Raises:
        InputError: a case cannot be read or changed while this job ran, or the disk is full.
    """
    plan = planning.run(job)
    guidance = job.guides.guidance if job.guides else None
    guided = bool(guidance and guidance.channels)

    def before(missing: Sequence[str]) -> None:
        found = inspect.read(job.folder / "fingerprint.json")
        if found is not None:
            foretold = partial(
                expected_bytes, crops.as_cropped(job, found), plan.preprocessing, guided=guided
            )
            require_space(job.folder.cache, foretold(missing))
            require_memory(job.recipe, job.processes_here * foretold())

    with job.report.progress("preprocess") as advance:
        index = prepare_dataset(
            job.guided,
            plan.preprocessing,
            job.folder.cache,
            workers=job.workers,
            progress=advance,
            say=lambda text: job.report.stage("preprocess", text),
            before=before,
            guidance=guidance,
        )
    # Fingerprint and cache shall be of the same files.
    job.require_unchanged()
    job.report.stage("preprocess", f"{count(len(job.dataset.cases), 'case')} in {job.folder.cache}")
    return plan, index
