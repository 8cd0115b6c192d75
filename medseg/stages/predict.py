"""``predict``: checkpoint + files -> masks on the files' own grid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from medseg.atomic import write_text
from medseg.build.device import training_device
from medseg.data.case import Case
from medseg.data.formats.files import count
from medseg.errors import InputError, InputErrors
from medseg.inference.predictor import Predictor
from medseg.inference.segmenter import Segmenter
from medseg.recipe import Recipe
from medseg.stages.each_case import each_case
from medseg.stages.job import Job, files_of
from medseg.stages.masks import existing, mask_path
from medseg.stages.names import some
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import digest, files_state
from medseg.stages.splits import cases_of_fold


def run(job: Job, checkpoint: Path) -> dict[str, Path]:
    """Predict the validation cases of the recipe's fold into ``predictions/``.

    The masks are as decoded: postprocessing is chosen by them, and done in a stage of its own.

    Returns:
        Case id -> mask, of every case that a fold of this run predicted.
    """
    _, val = cases_of_fold(job.recipe, job.guided, job.folder.path)
    target = job.folder / "predictions"
    if not val:
        target.mkdir(parents=True, exist_ok=True)
        return {}
    job.require_unchanged(val)
    settings = job.recipe.inference.model_dump(exclude={"postprocessing"})
    files = [path for case in val for path in files_of(case)]
    inputs = digest(files_state([checkpoint, *files]), settings)
    stage = f"predict {job.folder.fold.name}"
    masks = existing(target, job.dataset.cases)
    if job.folder.is_current(stage, inputs) and all(case.id in masks for case in val):
        job.report.stage("predict", f"{count(len(val), 'case')}, unchanged")
        return masks
    predictor = Predictor.load(
        checkpoint,
        device=prediction_device(job.recipe),
        trust=job.trust,
        overlap=job.recipe.inference.overlap,
        mirror=job.recipe.inference.mirror,
        affine=job.recipe.inference.affine,
        postprocessing="none",
        batch_size=job.recipe.inference.batch_size,
    )
    predict_cases(predictor, val, target, report=job.report, overwrite=True)
    job.require_unchanged(val)
    job.folder.record(stage, inputs)
    job.report.stage("predict", f"{count(len(val), 'case')} into {target}")
    return existing(target, job.dataset.cases)


def predict_cases(
    predictor: Segmenter,
    cases: Sequence[Case],
    out_dir: Path,
    *,
    report: Reporter,
    overwrite: bool = False,
) -> list[Path]:
    """Write one mask per case, and ``labels.json`` with what their values mean.

    A case that fails does not stop the others; all failures are reported at the end.

    Raises:
        InputError: ``out_dir`` is a file, or holds masks of these cases or of other labels already;
            `InputErrors`: naming the cases that failed.
    """
    labels = json.dumps(predictor.labels.to_dict(), indent=1)
    require_folder(out_dir)
    if not overwrite:
        _refuse_existing(cases, out_dir, labels)
    written, problems = each_case(
        cases, lambda case: predictor.predict_to(case, out_dir, overwrite=overwrite), report=report
    )
    if written:
        write_text(out_dir / "labels.json", labels)
    if problems:
        raise InputErrors(problems)
    return written


def require_folder(out_dir: Path) -> None:
    """Refuse an output that is a file.

    Raises:
        InputError: naming it.
    """
    if out_dir.exists() and not out_dir.is_dir():
        raise InputError(
            "the output is a file", file=out_dir, expected="a folder", remedy="choose another name"
        )


def prediction_device(recipe: Recipe) -> str:
    """Predict where the recipe trains; on an Apple GPU whole volumes were never tried."""
    device = training_device(recipe)
    return "cpu" if device.type == "mps" else str(device)


def _refuse_existing(cases: Sequence[Case], out_dir: Path, labels: str) -> None:
    beside = out_dir / "labels.json"
    if beside.is_file() and beside.read_text(encoding="utf-8") != labels:
        raise InputError(
            "the output folder holds masks of other labels",
            file=beside,
            remedy="choose another folder with -o, or replace them with --overwrite",
        )
    paths = [mask_path(out_dir, case) for case in cases]
    there = [path.name for path in paths if path.exists()]
    if there:
        raise InputError(
            "the output folder holds predictions of these cases already",
            file=out_dir,
            found=some(there),
            remedy="choose another folder with -o, or replace them with --overwrite",
        )
