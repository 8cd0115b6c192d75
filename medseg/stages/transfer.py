"""``transfer.json``: which of a training's weights came from where, said and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from medseg import build
from medseg.atomic import write_text
from medseg.planning.plan import Plan
from medseg.stages.job import Job

NAME = "transfer.json"

if TYPE_CHECKING:
    from medseg.tasks.training_task import TrainingTask


def run(job: Job, task: TrainingTask, plan: Plan) -> Path:
    """Load the recipe's weights into a task that starts, and report what became of each.

    Raises:
        InputError: the weights cannot be read, or do not fit the network.
    """
    recipe = job.recipe
    assert recipe.transfer is not None
    report = build.start_transfer(task, recipe, plan, job.dataset)
    sizes = [(p.numel(), p.requires_grad) for p in task.network.parameters()]
    trained, size = sum(n for n, learns in sizes if learns), sum(n for n, _ in sizes)
    content = {
        **recipe.model_dump(mode="json")["transfer"],
        "from": recipe.to_dict()["transfer"]["from"],
        "trained_parameters": trained,
        **report.to_dict(),
    }
    path = job.folder.fold / NAME
    write_text(path, json.dumps(content, indent=1))
    job.report.stage(
        "transfer",
        f"{report.share:.1%} of the network from {report.source} ({report.kind}); regime "
        f"{recipe.transfer.regime} trains {trained:,} of {size:,} parameters",
    )
    if report.share < 0.5:
        job.report.warn("most of the network is not in the file, and starts from scratch")
    job.report.table("", ("fate", "weights", "how"), report.rows())
    for note in report.notes:
        job.report.say(f"  {note}")
    return path
