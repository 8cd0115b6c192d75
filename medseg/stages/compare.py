"""``compare``: two ``metrics.json`` -> paired statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.errors import InputError
from medseg.metrics.compare import REFERENCES, compare_metrics, comparison_table
from medseg.metrics.compare_detections import compare_detections, detection_comparison_table
from medseg.stages.reporter import Reporter


def run(a: Path, b: Path, *, metric: str | None = None) -> dict[str, Any]:
    """Compare the scores of two runs over the cases that both have.

    Args:
        a: a run folder, or a ``metrics.json``.
        b: likewise.
        metric: see `compare_metrics`, and `compare_detections` of two detections; ``None``:
            ``dice``, or ``map``.

    Raises:
        InputError: one has no scores, or the two cannot be compared.
    """
    scores = [read(path) for path in (a, b)]
    tasks = [task_of(one) for one in scores]
    if tasks[0] != tasks[1]:
        raise InputError(
            "a segmentation and a detection have no score in common: masks are scored voxel by "
            "voxel, boxes by the objects that they find",
            file=b,
            expected=f"a {tasks[0]}, as {a}",
            found=f"a {tasks[1]}",
            remedy="compare two runs of one task",
        )
    if tasks[0] == "detection":
        found = compare_detections(*scores, metric=metric or "map")
    else:
        found = compare_metrics(*scores, metric=metric or "dice")
    return {**found, "a": str(a), "b": str(b)}


def task_of(metrics: Mapping[str, Any]) -> str:
    """Return what was scored; files of segmentations do not say so."""
    return str(metrics.get("task", "segmentation"))


def read(run: Path) -> Mapping[str, Any]:
    """Read the scores of a run.

    Raises:
        InputError: there are none, or the file is no ``metrics.json``.
    """
    file = run / "metrics.json" if run.is_dir() else run
    if not file.is_file():
        raise InputError(
            "this run has no scores" if run.exists() else "there is no such run",
            file=file,
            expected="a run folder with metrics.json, or such a file",
            remedy="score it first: medseg run RECIPE, or medseg evaluate PRED REF -o metrics.json",
        )
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        cases = metrics.get("cases", {})
        every = [scores for case in cases.values() for scores in case.values()]
        if not all(map(_are_scores, every)):
            raise ValueError("a score that is no number")
        sound = isinstance(metrics["n_cases"], int)
        if cases and task_of(metrics) == "detection":
            sound &= all(metrics[key] for key in ("hit", "iou", "fps"))
            sound &= all("references" in scores for scores in every)
            sound &= all(set(metrics["classes"]) <= set(case) for case in cases.values())
        if cases and not (sound and metrics["classes"] and metrics["schema"] == 1):
            raise ValueError("no schema 1")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "this is no metrics.json",
            file=file,
            expected="the file that medseg run or medseg evaluate writes",
            found=f"{type(error).__name__}: {error}",
        ) from error
    if not cases:
        raise InputError(
            "this run has scored no case",
            file=file,
            found=metrics.get("note"),
            remedy="train folds, which hold cases out: medseg run RECIPE --each-fold",
        )
    return metrics


def _are_scores(scores: Any) -> bool:
    """Tell whether a case's scores of a class are numbers, or ``None`` where there is no value."""
    return isinstance(scores, dict) and all(
        isinstance(value, int | float) or (value is None and not name.startswith(REFERENCES))
        for name, value in scores.items()
    )


def show(report: Reporter, compared: Mapping[str, Any]) -> None:
    """Print the table, and what was left out of it."""
    of_boxes = compared.get("task") == "detection"
    header, *rows = (detection_comparison_table if of_boxes else comparison_table)(compared)
    title = f"{compared['metric']} ({compared['better']} is better) of {compared['n_common']} cases"
    report.table(title, header, rows)
    report.say(f"A: {compared['a']}")
    report.say(f"B: {compared['b']}")
    for run in ("a", "b"):
        for what, names in compared[f"only_{run}"].items():
            if names:
                shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
                report.warn(f"{what} of {run.upper()} alone, left out: {shown}")
