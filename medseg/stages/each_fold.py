"""``run --each-fold``: every fold in turn, then postprocessing and scores by all they held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from medseg import build
from medseg.errors import InputError
from medseg.stages import (
    commands,
    count_hits,
    device,
    evaluate,
    find,
    fit,
    found_cases,
    inspect,
    keep_choice,
    postprocess_choice,
    predict,
    preprocess,
    run,
    side_by_side,
)
from medseg.stages.foreground import Counted, objects_in, require_in_each_fold
from medseg.stages.job import Job
from medseg.stages.splits import folds_of


class OpenFold(Protocol):
    """What opens the job of one fold."""

    def __call__(self, fold: int, *, overwrite: bool | None = None) -> Job:
        """Open it; ``overwrite`` replaces what the user asked for."""
        ...


def each(
    open_fold: OpenFold,
    *,
    start: side_by_side.Start | None = None,
    places: Sequence[side_by_side.Place] = (),
    look: Callable[[], tuple[side_by_side.Process, Path]] | None = None,
    leads_on: bool = True,
) -> dict[str, Any]:
    """Train and predict every fold, skipping finished ones, and return ``metrics.json``.

    Args:
        open_fold: makes a fold's job; all of them share a run folder.
        start: starts the training of a fold as a process of its own.
        places: where such processes run, one at a time each; folds are trained one after the other
            in this process where there are fewer than two.
        look: does what `prepare` does on a device where the folds will be trained, which is not
            here; ``start`` predicts there, too.
        leads_on: say how to go on from here; not where something else follows by itself.

    Raises:
        InputError: the folds are not what the recipe says, or one of them cannot be trained:
            before the first is trained, where the labels of its cases tell.
    """
    with open_fold(0) as job:
        if look is None:
            build.check_device(job.recipe)
        count = _count(job)
        _require_learnable(job)
        build.build_postprocessing(job.recipe, job.dataset.labels, job.folder.path)
        apart = start is not None and (len(places) > 1 or look is not None)
        if start is not None and apart:
            if look is not None:
                # It prepares all, there: a plan may follow from the speed of a device.
                side_by_side.one(look, "the preparation", report=job.report)
            prepare(job, device_too=look is None)
            side_by_side.train(range(count), places, start, report=job.report)
    # What was trained apart was overwritten there.
    overwrite = False if apart else None
    metrics: dict[str, Any] = {}
    for fold in range(count):
        with open_fold(fold, overwrite=overwrite) as job:
            job.report.say(f"fold {fold}, {fold + 1} of {count}")
            # What was trained elsewhere need not fit the device that is here.
            best = fit.run(job) if look is None else job.folder.fold / "checkpoints" / "best.ckpt"
            if job.recipe.task == "detection":
                boxes = find.run(job, best)
                metrics = _choose_boxes(job, boxes) if fold == count - 1 else {}
                continue
            masks = predict.run(job, best)
            if fold == count - 1:
                postprocess_choice.run(job, masks)
                metrics = evaluate.run(job, masks)
    for fold in range(count):
        with open_fold(fold, overwrite=False) as job:
            run.log_metrics(job)
    if leads_on:
        job.report.say(commands.lead_on(job.folder.path, task=job.recipe.task))
    return metrics


def _choose_boxes(job: Job, boxes: Mapping[str, Path]) -> dict[str, Any]:
    """Choose by all that the folds held out which boxes are kept, and score them."""
    cases = found_cases.reader(job, boxes)
    keep_choice.run(job, boxes, cases)
    return count_hits.run(job, boxes, cases=cases)


def _count(job: Job) -> int:
    """Count the folds of a run."""
    recipe = job.recipe
    count = len(folds_of(recipe, job.dataset, job.folder.path))
    if count > recipe.data.folds:
        raise InputError(
            f"the data set's own splits have {count} folds",
            file=recipe.data.splits or recipe.source,
            expected=f"data.folds={count}",
            found=f"data.folds={recipe.data.folds}",
            remedy="let data.folds be the number of folds in the file",
        )
    return count


def _require_learnable(job: Job) -> None:
    """Look at every fold's labels before hours go into the first."""
    found = inspect.run(job)
    fit.dealt(job)
    voxels = {case.id: case.label_voxels for case in found.cases}
    counted = objects_in(found) if job.dataset.objects else Counted(voxels, job.dataset.labels)
    folds = folds_of(job.recipe, job.dataset, job.folder.path)
    require_in_each_fold(counted, folds, splits=job.folder / "splits.json")


def prepare(job: Job, *, device_too: bool = True) -> None:
    """Do once what folds share, so that processes that train them side by side find it done."""
    plan, index = preprocess.run(job)
    fit.dealt(job)
    if device_too:
        device.run(job, plan, reserve=fit.cases_in_memory(job, index))
