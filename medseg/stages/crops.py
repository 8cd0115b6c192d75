"""What is left of every case where images are cut to what a first stage found: ``crops.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from medseg.atomic import write_text
from medseg.data.case import Case
from medseg.data.prepare.guides import GuidedCrop, measure
from medseg.data.prepare.pool import map_cases
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.stages.job import Job, files_of
from medseg.stages.run_folder import digest, files_state

_MOST_NAMES = 3


def run(job: Job) -> dict[str, tuple[int, ...]] | None:
    """Measure the crops that are not known yet, and say what they lose.

    Returns:
        Case id -> voxels per axis, in the order of `CaseFingerprint.shape`; ``None`` where nothing
        is cropped.

    Raises:
        InputError: a mask cannot be read, or none has any foreground.
    """
    guides = job.guides
    if guides is None or not guides.guidance.crops:
        return None
    margin, target = guides.guidance.margin, job.folder / "crops.json"
    cases = {case.id: case for case in job.guided.cases}
    states = {name: _state(case, margin) for name, case in cases.items()}
    known = {n: crop for n, (state, crop) in _read(target).items() if states.get(n) == state}
    missing = [name for name in cases if name not in known]
    if missing:
        labels, value_map = job.dataset.labels, dict(job.dataset.value_map)
        jobs = [(name, (cases[name], labels, value_map, margin)) for name in missing]
        with job.report.progress("crops") as advance:
            made = map_cases(measure, jobs, workers=job.workers, progress=advance)
        known |= dict(zip(missing, made, strict=True))
        lines = {name: {"state": states[name], **asdict(known[name])} for name in cases}
        write_text(target, json.dumps(lines, indent=1))
        _say(job, known)
    if all(crop.empty for crop in known.values()):
        raise InputError(
            "the first stage found nothing in any case, so there is nothing to crop to",
            file=guides.first,
            expected="foreground in its predictions",
            found=f"none in {len(known)} masks",
            remedy="look at its scores in metrics.json, and train it longer or at a finer spacing; "
            "or leave cascade out",
        )
    return {name: known[name].shape for name in cases}


def as_cropped(job: Job, found: Fingerprint) -> Fingerprint:
    """Return a fingerprint whose cases have the shapes that crops leave, to reckon their size."""
    shapes = run(job)
    if shapes is None:
        return found
    cases = tuple(
        replace(case, shape=shapes[case.id], cropped_shape=shapes[case.id]) for case in found.cases
    )
    return replace(found, cases=cases)


def _say(job: Job, crops: Mapping[str, GuidedCrop]) -> None:
    """Tell what a first stage missed, which no second can find."""
    empty = [name for name, crop in crops.items() if crop.empty]
    mean = sum(crop.kept for crop in crops.values()) / len(crops)
    worst = min(crops, key=lambda name: crops[name].kept)
    text = f"the boxes hold {mean:.1%} of a case's foreground"
    if crops[worst].kept < 1:
        text += f", the least {crops[worst].kept:.1%} ({worst})"
    job.report.stage("cascade", text)
    if empty:
        more = f" and {len(empty) - _MOST_NAMES} more" if len(empty) > _MOST_NAMES else ""
        job.report.warn(
            f"the first stage found nothing in {', '.join(empty[:_MOST_NAMES])}{more}: "
            "there the whole image is used"
        )


def _state(case: Case, margin: float) -> str:
    return digest(files_state(files_of(case)), margin)


def _read(path: Path) -> dict[str, tuple[str, GuidedCrop]]:
    """Read what an earlier run measured; what is damaged is measured anew."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: (
                str(one["state"]),
                GuidedCrop(tuple(map(int, one["shape"])), bool(one["empty"]), float(one["kept"])),
            )
            for name, one in held.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
