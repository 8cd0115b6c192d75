"""``evaluate`` of a detection run: boxes and references -> ``metrics.json`` and ``froc.png``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from medseg.atomic import write_text
from medseg.inference.detection.crossing import crossed_rules, parts_of
from medseg.inference.detection.keep_file import NAME, KeepFile, read, read_for
from medseg.inference.detection.kept_scores import score_kept
from medseg.inference.postprocess import stale
from medseg.metrics.evaluate_detections import evaluate_detections
from medseg.metrics.hits import CentreHit, HitRule, IouHit
from medseg.stages import box_pictures, detection_tables, found_cases
from medseg.stages.found_cases import Cases
from medseg.stages.job import Job
from medseg.stages.run_folder import digest, files_state
from medseg.stages.scored import has_cases
from medseg.stages.splits import held_out
from medseg.tracking.froc_curve import draw_froc

PICTURE = "froc.png"

# From which IoU a box counts as found, where centres do not decide; as nnDetection's tables.
_HIT_IOU = 0.1


def run(
    job: Job, found: Mapping[str, Path], *, cases: Callable[[], Cases] | None = None
) -> dict[str, Any]:
    """Score what a run found in held-out cases, and write ``metrics.json``.

    Args:
        job: the recipe at work.
        found: case id -> file of boxes.
        cases: gives them beside their references; ``None``: they are read.
    """
    target, curves = job.folder / "metrics.json", job.folder / PICTURE
    if job.recipe.data.fold == "all" and has_cases(target):
        job.report.stage("evaluate", f"nothing was held out; {target} keeps what folds gave")
        return json.loads(target.read_text(encoding="utf-8"))
    if not found:
        return _nothing_held_out(job, target)
    folds, rule = held_out(job.folder.path), job.recipe.detection.hit
    kept = _kept(job)
    said = None if kept is None else [kept.rule.to_dict(), kept.edited]
    inputs = digest(files_state(list(found.values())), job.data_state, folds, rule, said)
    cases = cases or found_cases.reader(job, found)
    current = target.is_file() and job.folder.is_current("evaluate", inputs)
    if current:
        metrics = json.loads(target.read_text(encoding="utf-8"))
    else:
        metrics = _score(job, cases(), kept, hit=hit_of(rule), folds=folds)
        write_text(target, json.dumps(metrics, indent=1))
        job.folder.record("evaluate", inputs)
    if not current or not curves.is_file():
        draw_froc(metrics, curves)
    job.report.stage("evaluate", f"{target}, {curves.name}")
    detection_tables.show(job.report, metrics)
    box_pictures.run(job, found, metrics)
    return metrics


def hit_of(name: Literal["centre", "iou"]) -> HitRule:
    """Return the rule by which an object counts as found, as a recipe names it."""
    return CentreHit() if name == "centre" else IouHit(_HIT_IOU)


def _score(
    job: Job,
    cases: Cases,
    kept: KeepFile | None,
    *,
    hit: HitRule,
    folds: Mapping[str, list[str]],
) -> dict[str, Any]:
    classes = job.dataset.labels.foreground
    there = {fold: [case for case in ids if case in cases] for fold, ids in folds.items()}
    there = {fold: ids for fold, ids in there.items() if ids}
    with job.report.progress("evaluate") as advance:
        advance(0, 2)
        metrics = evaluate_detections(cases, classes, hit=hit, folds=there)
        advance(1, 2)
        if kept is not None:
            groups = {case.id: case.group or case.id for case in job.dataset.cases}
            metrics["kept"] = _kept_scores(
                cases, classes, kept, hit=hit, folds=there, groups=groups
            )
        advance(2, 2)
    return metrics


def _kept_scores(
    cases: Cases,
    classes: tuple[str, ...],
    kept: KeepFile,
    *,
    hit: HitRule,
    folds: Mapping[str, list[str]],
    groups: Mapping[str, str],
) -> dict[str, Any]:
    """Score what is kept; a rule that cases chose is judged by cases that had no part in it."""
    head = {"rule": kept.rule.to_dict()}
    if kept.edited:
        rules = dict.fromkeys(cases, kept.rule)
        return {**head, "by": "hand", **score_kept(cases, classes, rules, hit=hit)}
    parts = parts_of(cases, folds, groups=groups)
    crossed = crossed_rules(cases, classes, parts, hit=hit)
    if crossed is None:
        return {**head, "by": None, "note": "too few cases to judge the choice by others"}
    by = "other folds" if len(folds) > 1 else "other cases"
    return {**head, "by": by, **score_kept(cases, classes, crossed, hit=hit)}


def _kept(job: Job) -> KeepFile | None:
    """Read which boxes of this run are kept; warn if other weights chose it."""
    file = job.folder / NAME
    if job.recipe.inference.postprocessing != "auto" or not file.is_file():
        return None
    read_for(file, job.dataset.labels.foreground)
    content, run = read(file), job.folder.path
    now = [] if content.edited else stale.of_folds(run, held_out(run))
    if other := stale.other_weights(content.networks, now):
        job.report.warn(
            f"{file} was chosen by boxes of other weights than {', '.join(other)} has; choose "
            "anew: medseg run RECIPE --each-fold, or medseg postprocess RUN"
        )
    return content


def _nothing_held_out(job: Job, target: Path) -> dict[str, Any]:
    note = (
        "trained on every case (data.fold=all): nothing was held out, so nothing is measured; "
        "best.ckpt holds the averaged weights of the last step"
    )
    metrics: dict[str, Any] = {"schema": 1, "task": "detection", "n_cases": 0, "note": note}
    write_text(target, json.dumps(metrics, indent=1))
    job.report.stage("evaluate", note)
    return metrics
