"""A look at a data folder that has no recipe yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from medseg import build
from medseg.data import formats
from medseg.data.case import Dataset
from medseg.data.prepare.fingerprint import fingerprint
from medseg.data.prepare.object_checks import check_frames
from medseg.errors import InputError, did_you_mean
from medseg.machine import usable_cores
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe, load_text
from medseg.stages.inspect import oddities
from medseg.stages.reporter import Reporter


def at_folder(
    folder: Path, overrides: Sequence[str] = (), *, report: Reporter
) -> tuple[Recipe, Dataset, Fingerprint]:
    """Recognise the layout, read every case and say what is odd.

    A folder that lists objects is taken for a detection, any other for a segmentation, unless
    ``task`` is stated.

    Args:
        folder: a data folder, or the file of a datalist.
        overrides: ``data.key=value`` where the layout needs describing.
        report: how to speak.

    Raises:
        InputError: there is no such folder, no layout fits, or cases cannot be read.
    """
    _require(folder)
    text = f"data: {{root: {json.dumps(str(folder.resolve()))}}}"
    recipe = load_text(text, source=folder, overrides=overrides)
    if not recipe.states("task") and formats.lists_objects(folder, format=recipe.data.format):
        recipe = load_text(f"{text}\ntask: detection", source=folder, overrides=overrides)
    # Frames of videos are cut out for a look; a data folder is nothing to write into.
    with TemporaryDirectory(prefix="medseg-") as scratch:
        with report.progress("frames") as advance:
            dataset = build.build_dataset(recipe, Path(scratch), progress=advance)
        check_frames(dataset)
        with report.progress("inspect") as advance:
            found = fingerprint(dataset, workers=usable_cores(), progress=advance)
    report.stage("inspect", f"cases: {len(found.cases)}, layout: {dataset.format}, in {folder}")
    for note in oddities(recipe, dataset, found):
        report.say(f"  note: {note}")
    return recipe, dataset, found


def _require(folder: Path) -> None:
    """Refuse a folder that is not there, which was typed and stands in no recipe."""
    if folder.expanduser().exists():
        return
    parent = folder.expanduser().absolute().parent
    there = sorted(p.name for p in parent.iterdir()) if parent.is_dir() else []
    raise InputError(
        "does not exist",
        file=folder,
        expected="the folder of a data set, or the file of a datalist",
        remedy=did_you_mean(folder.name, there) or "correct the path",
    )
