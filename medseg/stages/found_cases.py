"""What a detector found beside what is there: files of boxes and a data set -> cases to score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from medseg.data.case import Case, Dataset
from medseg.data.prepare.reference_boxes import reference_boxes
from medseg.inference.detection.found_file import read_boxes
from medseg.metrics.detection_case import DetectionCase
from medseg.stages.job import Job
from medseg.stages.reporter import Advance

Cases = dict[str, DetectionCase]


def read_case(path: Path, case: Case, dataset: Dataset) -> DetectionCase:
    """Hold the boxes in a file against those of a case, on the image's own grid.

    Raises:
        InputError: either cannot be read, or they do not go together.
    """
    classes = dataset.labels.foreground
    found = read_boxes(path, classes=classes)
    reference = reference_boxes(case, dataset, found.grid)
    return DetectionCase.against(
        found.boxes, reference, classes=len(classes), spacing=found.grid.spacing
    )


def read_cases(
    found: Mapping[str, Path], dataset: Dataset, *, advance: Advance = lambda done, total: None
) -> Cases:
    """Read many; see `read_case`.

    Args:
        found: case id -> file of boxes.
        dataset: has the references.
        advance: told how many are read.
    """
    by_id = {case.id: case for case in dataset.cases}
    cases = {}
    for done, (name, path) in enumerate(sorted(found.items())):
        advance(done, len(found))
        cases[name] = read_case(path, by_id[name], dataset)
    advance(len(found), len(found))
    return cases


def reader(job: Job, found: Mapping[str, Path]) -> Callable[[], Cases]:
    """Give what reads the held-out cases of a run when it is first asked, and keeps them."""

    @cache
    def cases() -> Cases:
        job.require_unchanged(case for case in job.dataset.cases if case.id in found)
        with job.report.progress("read boxes") as advance:
            return read_cases(found, job.dataset, advance=advance)

    return cases
