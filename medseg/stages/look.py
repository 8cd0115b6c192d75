"""A look at a data folder that has no recipe yet."""

from __future__ import annotations

from pathlib import Path

from medseg.data import formats
from medseg.data.case import Dataset
from medseg.data.prepare.fingerprint import fingerprint
from medseg.data.prepare.problems import problems
from medseg.machine import usable_cores
from medseg.planning.fingerprint import Fingerprint
from medseg.stages.reporter import Reporter

__all__ = ["at_folder", "problems"]


def at_folder(folder: Path, *, report: Reporter) -> tuple[Dataset, Fingerprint]:
    """Recognise the layout, read every case and say what is odd.

    Raises:
        InputError: no layout fits, or cases cannot be read.
    """
    dataset = formats.read(folder)
    with report.progress("inspect") as advance:
        found = fingerprint(dataset, workers=usable_cores(), progress=advance)
    report.stage("inspect", f"{len(found.cases)} cases of {dataset.format} layout in {folder}")
    for note in [*dataset.notes, *problems(found)]:
        report.say(f"  note: {note}")
    return dataset, found
