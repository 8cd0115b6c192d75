"""``predictions/`` -> ``postprocessed/``: the held-out masks as ``predict`` would write them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from medseg import build
from medseg.atomic import write_text
from medseg.data.formats.files import count
from medseg.data.prepare.reading import read_label
from medseg.data.prepare.writing import write_label
from medseg.inference.postprocess import MaskStep, Postprocessor
from medseg.inference.postprocess.file import NAME
from medseg.stages.job import Job
from medseg.stages.run_folder import digest, files_state
from medseg.stages.splits import held_out

FOLDER = "postprocessed"
_STAGE = "postprocess"


def run(job: Job, masks: Mapping[str, Path]) -> tuple[MaskStep, ...]:
    """Postprocess the held-out masks of a run, and return the steps.

    They are those of the recipe, or those that cross-validation chose; a warning says if it chose
    them by other networks. Where there are none, masks of an earlier choice are removed.

    Args:
        job: the recipe at work.
        masks: case id -> mask, as decoded.

    Raises:
        InputError: a step is not for the labels of this run, or a mask cannot be read or written.
    """
    scheme, folder = job.dataset.labels, job.folder / FOLDER
    steps = build.build_postprocessing(job.recipe, scheme, job.folder.path)
    _warn_of_retrained(job)
    if not steps or not masks:
        shutil.rmtree(folder, ignore_errors=True)
        return steps
    done = [step.to_dict() for step in steps]
    inputs = digest(files_state(list(masks.values())), done, scheme.to_dict())
    targets = {case: folder / path.name for case, path in masks.items()}
    if job.folder.is_current(_STAGE, inputs) and all(path.is_file() for path in targets.values()):
        return steps
    clean = Postprocessor(steps, scheme)
    images = {case.id: case.images[0] for case in job.dataset.cases}
    for case, path in masks.items():
        mask = read_label(path, scheme)
        index = clean(mask.data, mask.grid.spacing)
        write_label(targets[case], scheme.to_value(index), images[case], overwrite=True)
    write_text(folder / "labels.json", json.dumps(scheme.to_dict(), indent=1))
    job.folder.record(_STAGE, inputs)
    what = "; ".join(map(str, steps))
    job.report.stage("postprocess", f"{what}: {count(len(masks), 'mask')} into {folder}")
    return steps


def _warn_of_retrained(job: Job) -> None:
    from medseg.inference.postprocess import stale

    run = job.folder.path
    if job.recipe.inference.postprocessing != "auto" or not (run / NAME).is_file():
        return
    if said := stale.notice(run / NAME, stale.of_folds(run, held_out(run))):
        job.report.warn(said)
