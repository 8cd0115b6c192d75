"""What is left of every case where images are cut to what a first stage found: ``crops.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from medseg.atomic import write_text
from medseg.data.case import Case, Dataset
from medseg.data.prepare.guides import GuidedCrop, measure
from medseg.data.prepare.pool import map_cases
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.stages import guides
from medseg.stages.job import Job, files_of
from medseg.stages.names import some
from medseg.stages.run_folder import digest, files_state

NAME = "crops.json"

# Case id -> voxels per axis, in the order of `CaseFingerprint.shape`
Shapes = Mapping[str, tuple[int, ...]]


def run(job: Job) -> Shapes | None:
    """Measure the crops that are not known yet, and say what they lose.

    Where each fold of the second stage has masks of its own (``cascade.out_of_fold: false``), so
    has it crops, which lie beside its masks.

    Returns:
        What is left of each case; ``None`` where nothing is cropped.

    Raises:
        InputError: a mask cannot be read, or none has any foreground.
    """
    seen = job.guides
    if seen is None or not seen.guidance.crops:
        return None
    margin, target = seen.guidance.margin, _file(job)
    cases = {case.id: case for case in job.guided.cases}
    states = {name: _state(case, margin) for name, case in cases.items()}
    done = {n: crop for n, (state, crop) in _read(target).items() if states.get(n) == state}
    missing = [name for name in cases if name not in done]
    if missing:
        labels, value_map = job.dataset.labels, dict(job.dataset.value_map)
        jobs = [(name, (cases[name], labels, value_map, margin)) for name in missing]
        with job.report.progress("crops") as advance:
            made = map_cases(measure, jobs, workers=job.workers, progress=advance)
        done |= dict(zip(missing, made, strict=True))
        lines = {name: {"state": states[name], **asdict(done[name])} for name in cases}
        write_text(target, json.dumps(lines, indent=1))
        _say(job, done)
    if all(crop.empty for crop in done.values()):
        raise InputError(
            "the first stage found nothing in any case, so there is nothing to crop to",
            file=seen.first,
            expected="foreground in its predictions",
            found=f"none in {len(done)} masks",
            remedy="look at its scores in metrics.json, and train it longer or at a finer spacing; "
            "or leave cascade out",
        )
    return {name: done[name].shape for name in cases}


def to_plan_for(job: Job) -> Shapes | None:
    """Return what is left of each case in the crops that the run's plan is made for.

    Folds whose networks shall be averaged have one plan. So where each has crops of its own it is
    made for those of the first that is trained, and stays.

    Raises:
        InputError: see `run`.
    """
    own = run(job)
    target = job.folder / NAME
    if own is None or _file(job) == target:
        return own
    planned = known(job.folder.path, job.dataset)
    # What a fold has trained by is there before its first checkpoint.
    others = [p for p in job.folder.path.glob("fold_*/checkpoints") if p.parent != job.folder.fold]
    if planned is not None and others:
        return planned
    if planned != own:
        write_text(target, _file(job).read_text(encoding="utf-8"))
    return own


def known(folder: Path, dataset: Dataset) -> Shapes | None:
    """Read what the plan of a run was made for; ``None``: it is not known of every case."""
    crops = _read(folder / NAME)
    if crops.keys() != {case.id for case in dataset.cases}:
        return None
    return {name: crop.shape for name, (_, crop) in crops.items()}


def as_cropped(job: Job, found: Fingerprint) -> Fingerprint:
    """Return a fingerprint whose cases have the shapes that crops leave, to reckon their size."""
    return cut(found, run(job))


def cut(found: Fingerprint, shapes: Shapes | None) -> Fingerprint:
    """Return a fingerprint whose cases have other shapes, where these are known."""
    if shapes is None:
        return found
    cases = tuple(
        replace(case, shape=shapes[case.id], cropped_shape=shapes[case.id]) for case in found.cases
    )
    return replace(found, cases=cases)


def _file(job: Job) -> Path:
    """Say where the crops of a job's own masks are kept."""
    if job.recipe.cascade.out_of_fold:
        return job.folder / NAME
    return guides.folder_of(job) / NAME


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
        job.report.warn(
            f"the first stage found nothing in {some(empty)}: there the whole image is used"
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
