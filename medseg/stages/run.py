"""``run``: every stage in order; each skips what is current."""

from __future__ import annotations

from typing import Any

from medseg.stages import evaluate, fit, predict
from medseg.stages.job import Job
from medseg.tracking import log_artifacts


def run(job: Job) -> dict[str, Any]:
    """Train, predict what was held out, and return ``metrics.json``."""
    checkpoint = fit.run(job)
    masks = predict.run(job, checkpoint)
    metrics = evaluate.run(job, masks)
    log_artifacts(job.loggers, metrics=job.folder / "metrics.json")
    return metrics
