"""``overlays/``: pictures of held-out cases with what was found in them, and what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.data.prepare.reading import read_image
from medseg.data.prepare.reference_boxes import reference_boxes
from medseg.inference.detection.found_file import read_boxes
from medseg.inference.detection.keeping import KeepRule
from medseg.stages.job import Job
from medseg.stages.run_folder import digest, files_state
from medseg.tracking.box_files import draw_telling

FOLDER = "overlays"
AT_MOST = 8
_STAGE = "draw boxes"


def run(job: Job, found: Mapping[str, Path], metrics: Mapping[str, Any]) -> None:
    """Draw a few cases: those with the most mistakes, and some of the others.

    Args:
        job: the recipe at work.
        found: case id -> file of boxes.
        metrics: of these cases.
    """
    folder, kept = job.folder / FOLDER, metrics.get("kept") or {}
    cases = telling_cases(kept.get("cases") or metrics["cases"])
    targets = {case: folder / f"{case}.png" for case in cases}
    rule = KeepRule.from_dict(kept.get("rule", {}))
    inputs = digest(files_state([found[case] for case in cases]), job.data_state, rule.to_dict())
    if job.folder.is_current(_STAGE, inputs) and all(p.is_file() for p in targets.values()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.png"):
        if path not in targets.values():
            path.unlink()
    dataset = job.dataset
    by_id = {case.id: case for case in dataset.cases}
    with job.report.progress("overlays") as advance:
        for done, (case, path) in enumerate(targets.items()):
            advance(done, len(targets))
            boxes = read_boxes(found[case], classes=dataset.labels.foreground)
            clean = rule.clean(boxes.boxes, boxes.classes, boxes.grid.spacing)
            draw_telling(
                read_image(by_id[case], channels=len(dataset.channels)),
                rule.sure(clean, boxes.classes),
                path,
                reference=reference_boxes(by_id[case], dataset, boxes.grid),
                classes=boxes.classes,
            )
        advance(len(targets), len(targets))
    job.folder.record(_STAGE, inputs)
    job.report.stage("overlays", f"{len(targets)} cases in {folder}")


def telling_cases(
    rows: Mapping[str, Mapping[str, Mapping[str, int]]], *, at_most: int = AT_MOST
) -> list[str]:
    """Choose the cases with most misses and false alarms, and as many of the others, evenly.

    Args:
        rows: case -> class -> ``missed`` and ``false``.
        at_most: cases.
    """

    def mistakes(case: str) -> tuple[int, int, str]:
        counts = rows[case].values()
        return (
            -sum(row["missed"] for row in counts),
            -sum(row["false"] for row in counts),
            case,
        )

    ordered = sorted(rows, key=mistakes)
    worst, others = ordered[: (at_most + 1) // 2], ordered[(at_most + 1) // 2 :]
    some = min(at_most - len(worst), len(others))
    # The last of each part, so that the best case is among them.
    return worst + [others[(k + 1) * len(others) // some - 1] for k in range(some)]
