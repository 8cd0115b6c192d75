"""``find``: checkpoint + files -> the boxes of objects, in voxels of the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats.files import count
from medseg.errors import InputErrors
from medseg.inference.detection.detector import Detector
from medseg.stages.each_case import each_case
from medseg.stages.job import Job, files_of
from medseg.stages.predict import prediction_device
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import digest, files_state
from medseg.stages.splits import cases_of_fold


def run(job: Job, checkpoint: Path) -> dict[str, Path]:
    """Find the objects in the validation cases of the recipe's fold, into ``predictions/``.

    All boxes are written: which are kept is chosen by them.

    Returns:
        Case id -> file of boxes, of every case that a fold of this run looked at.
    """
    _, val = cases_of_fold(job.recipe, job.dataset, job.folder.path)
    target = job.folder / "predictions"
    target.mkdir(parents=True, exist_ok=True)
    if not val:
        return {}
    job.require_unchanged(val)
    # Which boxes are kept is chosen by these, and how they are counted is another matter.
    settings = [
        job.recipe.inference.model_dump(mode="json", exclude={"postprocessing"}),
        job.recipe.detection.model_dump(exclude={"hit"}),
    ]
    files = [path for case in val for path in files_of(case)]
    inputs = digest(files_state([checkpoint, *files]), settings)
    stage = f"predict {job.folder.fold.name}"
    found = existing(target, job.dataset.cases)
    if job.folder.is_current(stage, inputs) and all(case.id in found for case in val):
        job.report.stage("predict", f"{count(len(val), 'case')}, unchanged")
        return found
    inference = job.recipe.inference
    detector = Detector.load(
        checkpoint,
        device=prediction_device(job.recipe),
        trust=job.trust,
        overlap=inference.overlap,
        mirror=inference.mirror,
        batch_size=inference.batch_size,
        keep="none",
    )
    find_cases(detector, val, target, report=job.report)
    job.require_unchanged(val)
    job.folder.record(stage, inputs)
    job.report.stage("predict", f"{count(len(val), 'case')} into {target}")
    return existing(target, job.dataset.cases)


def find_cases(
    detector: Detector, cases: Sequence[Case], folder: Path, *, report: Reporter
) -> None:
    """Write one file of boxes per case, in place of those that are there.

    A case that fails does not stop the others; all failures are reported at the end.

    Raises:
        InputErrors: naming the cases that failed.
    """
    _, problems = each_case(
        cases,
        lambda case: detector.find_case(case).save(boxes_path(folder, case)),
        report=report,
    )
    if problems:
        raise InputErrors(problems)


def boxes_path(folder: Path, case: Case) -> Path:
    """Return the file that the boxes of a case are written to."""
    return folder / f"{case.id}.json"


def existing(folder: Path, cases: Sequence[Case]) -> dict[str, Path]:
    """Find the boxes of cases in a folder, by case id."""
    paths = {case.id: boxes_path(folder, case) for case in cases}
    return {case: path for case, path in paths.items() if path.is_file()}
