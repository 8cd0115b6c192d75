"""A look at a data folder that has no recipe yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from medseg import build
from medseg.data.case import Dataset
from medseg.data.prepare.fingerprint import fingerprint
from medseg.data.prepare.problems import problems
from medseg.machine import usable_cores
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe, load_text
from medseg.stages.reporter import Reporter

__all__ = ["at_folder", "problems"]


def at_folder(
    folder: Path, overrides: Sequence[str] = (), *, report: Reporter
) -> tuple[Recipe, Dataset, Fingerprint]:
    """Recognise the layout, read every case and say what is odd.

    Args:
        folder: a data folder, or the file of a datalist.
        overrides: ``data.key=value`` where the layout needs describing.
        report: how to speak.

    Raises:
        InputError: no layout fits, or cases cannot be read.
    """
    text = f"data: {{root: {json.dumps(str(folder.resolve()))}}}"
    recipe = load_text(text, source=folder, overrides=overrides)
    # Frames of videos are cut out for a look; a data folder is nothing to write into.
    with TemporaryDirectory(prefix="medseg-") as scratch:
        with report.progress("frames") as advance:
            dataset = build.build_dataset(recipe, Path(scratch), progress=advance)
        with report.progress("inspect") as advance:
            found = fingerprint(dataset, workers=usable_cores(), progress=advance)
    report.stage("inspect", f"cases: {len(found.cases)}, layout: {dataset.format}, in {folder}")
    for note in [*dataset.notes, *problems(found)]:
        report.say(f"  note: {note}")
    return recipe, dataset, found
