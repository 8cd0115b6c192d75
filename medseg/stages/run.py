"""``run``: every stage in order; each skips what is current."""

from __future__ import annotations

from typing import Any

from medseg import build
from medseg.planning.plan import Plan
from medseg.stages import (
    commands,
    count_hits,
    evaluate,
    find,
    fit,
    plan_file,
    predict,
)
from medseg.stages.job import Job
from medseg.stages.run_folder import digest, files_state
from medseg.tracking import log_artifacts


def run(job: Job, *, by: int | float | None = None, leads_on: bool = True) -> dict[str, Any]:
    """Train, predict what was held out, and return ``metrics.json``.

    Args:
        job: the recipe at work.
        by: extend the training by so many steps, or seconds.
        leads_on: say how to go on from here; not where something else follows by itself.
    """
    build.check_device(job.recipe)
    build.build_postprocessing(job.recipe, job.dataset.labels, job.folder.path)
    checkpoint = fit.run(job, by=by)
    if job.recipe.task == "detection":
        metrics = count_hits.run(job, find.run(job, checkpoint))
    else:
        metrics = evaluate.run(job, predict.run(job, checkpoint))
    log_metrics(job)
    if leads_on:
        job.report.say(commands.lead_on(job.folder.path, task=job.recipe.task))
    return metrics


def log_metrics(job: Job) -> None:
    """Send the scores, also where an earlier session trained and was stopped before it scored."""
    metrics = job.folder / "metrics.json"
    stage, inputs = f"log {job.folder.fold.name}", digest(files_state([metrics]))
    if not job.recipe.logger or job.folder.is_current(stage, inputs):
        return
    if not job.loggers:
        plan = Plan.from_dict(plan_file.read(job.folder / "plan.yaml").values)
        job.loggers = build.build_loggers(
            job.recipe,
            plan,
            job.folder.fold,
            resume=True,
            say=job.report.say,
            trust=job.trust,
        )
    log_artifacts(job.loggers, metrics=metrics)
    job.folder.record(stage, inputs)
