"""``postprocess`` of a detection: held-out boxes and their references -> ``detection.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medseg.atomic import write_text
from medseg.errors import InputError
from medseg.inference.detection import choosing
from medseg.inference.detection.keep_file import NAME, read
from medseg.inference.detection.keep_text import summary, to_text
from medseg.inference.postprocess import stale
from medseg.stages import count_hits, find, found_cases, plan_boxes
from medseg.stages.found_cases import Cases
from medseg.stages.job import Job
from medseg.stages.names import some
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import digest, files_state
from medseg.stages.splits import held_out

_STAGE = "choose boxes"


def of_run(job: Job) -> dict[str, Any]:
    """Choose which boxes of a run are kept, by one fold or by all, and score it again.

    Returns:
        ``file``, ``rule``, and ``map``, ``cpm`` and ``f1``: means over classes ``before`` and
        ``after``; after is that of cases which had no part in choosing for themselves, and ``None``
        where there are too few to do without.

    Raises:
        InputError: nothing was held out, no held-out case has an object, or a person has edited the
            file, and ``job.overwrite`` is not set.
    """
    found = _held_out_boxes(job)
    target = job.folder / NAME
    if not job.overwrite and _edited(target):
        raise InputError(
            "what is kept was written or changed by hand",
            file=target,
            remedy="keep it, or choose anew with --overwrite",
        )
    cases = found_cases.reader(job, found)
    _choose(job, found, cases())
    metrics = count_hits.run(job, found, cases=cases)
    return {"file": str(target), "rule": read(target).rule.to_dict(), **gains(metrics)}


def gains(metrics: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Say what a choice brings on cases that had no part in it.

    Args:
        metrics: metrics.json, with ``kept``.
    """
    kept = metrics["kept"]
    after = kept.get("mean", {})
    found: dict[str, dict[str, float | None]] = {
        key: {"before": metrics["mean"][key], "after": after.get(key)} for key in ("map", "cpm")
    }
    found["f1"] = {
        "before": _mean_f1(kept.get("working_before", {})),
        "after": _mean_f1(kept.get("working", {})),
    }
    return found


def run(job: Job, found: Mapping[str, Path], cases: Callable[[], Cases]) -> None:
    """Choose at the end of a cross-validation, unless the recipe or a person has chosen.

    Where no held-out case has an object, nothing can be chosen: this is said, and what was chosen
    by other boxes is removed.

    Args:
        job: the recipe at work.
        found: case id -> file of boxes.
        cases: gives them beside their references.
    """
    if job.recipe.inference.postprocessing != "auto" or not found:
        return
    target = job.folder / NAME
    if _edited(target):
        if not job.overwrite:
            job.report.stage("postprocess", f"{target}: your edits are kept")
            return
        job.report.say(f"  what was edited in {target} is replaced")
    if target.is_file() and job.folder.is_current(_STAGE, _inputs(job, found)):
        job.report.stage("postprocess", f"{target}, unchanged")
        return
    try:
        _choose(job, found, cases())
    except choosing.NothingToChooseBy as error:
        job.report.warn(str(error))


def _choose(job: Job, found: Mapping[str, Path], cases: Cases) -> None:
    run, classes = job.folder.path, job.dataset.labels.foreground
    folds = [fold for fold, ids in held_out(run).items() if any(i in cases for i in ids)]
    hit = count_hits.hit_of(job.recipe.detection.hit)
    target = job.folder / NAME
    with job.report.progress("postprocess"):
        try:
            choice = choosing.choose(list(cases.values()), classes, hit=hit)
        except choosing.NothingToChooseBy:
            _remove_older(job, target)
            raise
    of = f"{len(cases)} held-out cases of " + (
        "one fold" if len(folds) == 1 else f"{len(folds)} folds"
    )
    networks = stale.networks(stale.of_folds(run, folds))
    write_text(target, to_text(choice, classes, cases=of, networks=networks))
    job.folder.record(_STAGE, _inputs(job, found))
    plan_boxes.refresh(run)
    _show(job.report, target, of)
    if len(folds) == 1:
        job.report.say("  one fold alone; all of them choose more surely: medseg run --each-fold")


def _remove_older(job: Job, target: Path) -> None:
    """Remove what other boxes chose, or predictions would follow it; a person's own stays."""
    if target.is_file() and not _edited(target):
        target.unlink()
        plan_boxes.refresh(job.folder.path)
        job.report.warn(f"{target} was chosen by other boxes and is removed: all are kept")


def _inputs(job: Job, found: Mapping[str, Path]) -> str:
    return digest(files_state(list(found.values())), job.data_state, job.recipe.detection.hit)


def _held_out_boxes(job: Job) -> dict[str, Path]:
    """Find the boxes of cases that trained folds held out."""
    ids = {case for cases in held_out(job.folder.path).values() for case in cases}
    found = find.existing(job.folder / "predictions", job.dataset.cases)
    boxes = {case: path for case, path in found.items() if case in ids}
    if boxes and (lost := sorted(ids - boxes.keys())):
        job.report.warn(
            f"no boxes of {some(lost)}, which trained folds held out: left out of what follows; "
            "medseg run RECIPE --each-fold finds them"
        )
    if not boxes:
        raise InputError(
            "this run holds no predictions of held-out cases",
            file=job.folder / "predictions",
            expected="boxes of cases that a fold was not trained on",
            remedy="make them: medseg run RECIPE --each-fold, or medseg run RECIPE for one fold",
        )
    return boxes


def _edited(target: Path) -> bool:
    """Say whether a person's hand is in the file; what broke it was one, too."""
    try:
        return target.is_file() and read(target).edited
    except InputError:
        return True


def _mean_f1(points: Mapping[str, Mapping[str, float | None]]) -> float | None:
    known = [f1 for point in points.values() if (f1 := point["f1"]) is not None]
    return sum(known) / len(known) if known else None


def _show(report: Reporter, target: Path, of: str) -> None:
    report.stage("postprocess", f"which boxes are kept, by {of}; {target}")
    for line in summary(read(target)):
        report.say(f"  {line}")
