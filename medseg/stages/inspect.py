"""``inspect``: data set -> ``fingerprint.json``, and what is odd in it."""

from __future__ import annotations

from pathlib import Path

from medseg import build
from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.data.formats.files import count
from medseg.data.prepare.fingerprint import fingerprint
from medseg.data.prepare.object_checks import check_frames
from medseg.data.prepare.object_problems import check_objects
from medseg.data.prepare.problems import check, problems
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe
from medseg.stages.job import Job


def run(job: Job) -> Fingerprint:
    """Write the fingerprint, unless it is current, and report what is odd."""
    target = job.folder / "fingerprint.json"
    current = job.folder.is_current("inspect", job.data_state)
    found = read(target) if current else None
    if found is not None:
        job.report.stage("inspect", f"{count(len(found.cases), 'case')}, unchanged")
    else:
        check_frames(job.dataset)
        with job.report.progress("inspect") as advance:
            found = fingerprint(job.dataset, workers=job.workers, progress=advance)
        job.require_unchanged()
        if job.dataset.objects is not None:
            check_objects(found, job.dataset)
        else:
            check(found, job.dataset, empty_labels=job.recipe.data.empty_labels)
        write_text(target, found.to_json())
        job.folder.record("inspect", job.data_state)
        job.report.stage("inspect", f"cases: {len(found.cases)}, layout: {job.dataset.format}")
    for note in oddities(job.recipe, job.dataset, found):
        job.report.say(f"  note: {note}")
    return found


def oddities(recipe: Recipe, dataset: Dataset, found: Fingerprint) -> list[str]:
    """Name what is odd about a data set, taken for what the recipe says that it shows."""
    return [*dataset.notes, *problems(found, modalities=build.modalities(recipe, found))]


def read(path: Path) -> Fingerprint | None:
    """Read a ``fingerprint.json``; ``None`` if it is missing or damaged: it is taken anew."""
    try:
        return Fingerprint.from_json(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
