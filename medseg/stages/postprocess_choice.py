"""``postprocess``: held-out masks and their references -> ``postprocessing.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.inference.postprocess import choosing, stale
from medseg.inference.postprocess.choosing import Trial
from medseg.inference.postprocess.file import NAME, read
from medseg.inference.postprocess.text import reason, to_text
from medseg.metrics.evaluate import json_safe
from medseg.metrics.overlap import Empty
from medseg.recipe import load
from medseg.stages import evaluate, keep_choice, plan_masks, predict
from medseg.stages.job import Job
from medseg.stages.names import some
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import RunFolder, digest, files_state
from medseg.stages.splits import held_out

_STAGE = "choose postprocessing"


def of_run(
    path: Path, *, report: Reporter, trust: tuple[str, ...] = (), overwrite: bool = False
) -> dict[str, Any]:
    """Choose the postprocessing of a run, of one fold or of all, and score its masks again.

    Of a detection it is chosen which boxes are kept, see `medseg.stages.keep_choice.of_run`.

    Args:
        path: the run's folder.
        report: told what was tried and kept.
        trust: packages whose code may run.
        overwrite: replace steps that a person wrote or changed.

    Returns:
        ``file``, ``steps`` and ``dice``: the mean ``before`` and ``after``, on the same cases; of a
        detection what `medseg.stages.keep_choice.of_run` does.

    Raises:
        InputError: this is no run; its recipe says what is done to masks; nothing was held out; or
            a person has edited the file, and ``overwrite`` is not set.
    """
    if not (path / "recipe.yaml").is_file():
        raise InputError(
            "this is no run" if path.exists() else "there is no such run",
            file=path,
            expected="a folder that medseg run has made",
        )
    recipe = load(str(path / "recipe.yaml"), trust=trust).model_copy(update={"run_dir": str(path)})
    if recipe.inference.postprocessing != "auto":
        raise InputError(
            "the recipe of this run says what is done to predictions: nothing is left to choose",
            file=path / "recipe.yaml",
            expected="inference.postprocessing: auto",
            remedy="medseg run RECIPE inference.postprocessing=auto",
        )
    folder = RunFolder(recipe)
    with Job(recipe, folder, report, trust=trust, overwrite=overwrite) as job:
        if recipe.task == "detection":
            return keep_choice.of_run(job)
        masks = _held_out_masks(job)
        if not overwrite and _edited(path / NAME):
            raise InputError(
                "these steps were written or changed by hand",
                file=path / NAME,
                remedy="keep them, or choose anew with --overwrite",
            )
        _warn_of_older(job, masks)
        trials = _choose(job, masks)
        evaluate.run(job, masks)
    return {"file": str(path / NAME), **summary(trials)}


def summary(trials: Sequence[Trial]) -> dict[str, Any]:
    """Say in plain containers what was kept, and mean Dice before and after it."""
    kept = [trial for trial in trials if trial.kept]
    last = kept[-1].after if kept else trials[0].before
    dice = {"before": choosing.mean(trials[0].before), "after": choosing.mean(last)}
    return json_safe({"steps": [trial.step.to_dict() for trial in kept], "dice": dice})


def run(job: Job, masks: Mapping[str, Path]) -> None:
    """Choose at the end of a cross-validation, unless the recipe or a person has chosen."""
    if job.recipe.inference.postprocessing != "auto" or not masks:
        return
    target = job.folder / NAME
    if _edited(target):
        if not job.overwrite:
            job.report.stage("postprocess", f"{target}: your edits are kept")
            return
        job.report.say(f"  what was edited in {target} is replaced")
    if target.is_file() and job.folder.is_current(_STAGE, _inputs(job, masks)):
        job.report.stage("postprocess", f"{target}, unchanged")
        return
    _choose(job, masks)


def choose_into(
    target: Path,
    masks: Mapping[str, Path],
    dataset: Dataset,
    *,
    empty: Empty,
    folds: int,
    report: Reporter,
    networks: Mapping[str, str] | None = None,
) -> list[Trial]:
    """Choose by masks of cases that their networks have not seen, and write the file.

    Args:
        target: the file.
        masks: case id -> mask, as decoded.
        dataset: has the references.
        empty: what a class counts that neither mask has.
        folds: whose held-out cases these are.
        report: told what was tried and kept.
        networks: of a run that keeps the file, see `to_text`.
    """
    pairs = [(c.id, masks[c.id], c.label) for c in dataset.cases if c.id in masks and c.label]
    scheme = dataset.labels
    with report.progress("postprocess") as advance:
        cases = evaluate.read_pairs(pairs, scheme, dataset.value_map)
        trials = choosing.choose(
            ((pred, ref, spacing) for _, pred, ref, spacing in cases),
            scheme,
            empty=empty,
            advance=advance,
        )
    of = f"{len(pairs)} held-out cases of " + ("one fold" if folds == 1 else f"{folds} folds")
    write_text(target, to_text(trials, scheme, cases=of, networks=networks))
    _show(report, target, trials, of)
    return trials


def _choose(job: Job, masks: Mapping[str, Path]) -> list[Trial]:
    job.require_unchanged(case for case in job.dataset.cases if case.id in masks)
    run = job.folder.path
    folds = [fold for fold, ids in held_out(run).items() if any(i in masks for i in ids)]
    trials = choose_into(
        job.folder / NAME,
        masks,
        job.dataset,
        empty=job.recipe.evaluation.empty,
        folds=len(folds),
        report=job.report,
        networks=stale.networks(stale.of_folds(run, folds)),
    )
    if len(folds) == 1:
        job.report.say("  one fold alone; all of them choose more surely: medseg run --each-fold")
    job.folder.record(_STAGE, _inputs(job, masks))
    plan_masks.refresh(job.recipe, job.folder.path)
    return trials


def _inputs(job: Job, masks: Mapping[str, Path]) -> str:
    dataset = job.dataset
    references = [c.label for c in dataset.cases if c.id in masks and c.label]
    return digest(
        files_state([*masks.values(), *references]),
        dataset.labels.to_dict(),
        sorted(dataset.value_map.items()),
        job.recipe.evaluation.empty,
    )


def _held_out_masks(job: Job) -> dict[str, Path]:
    """Find the masks of cases that trained folds held out."""
    ids = {case for cases in held_out(job.folder.path).values() for case in cases}
    found = predict.existing(job.folder / "predictions", job.dataset.cases)
    masks = {case: path for case, path in found.items() if case in ids}
    if masks and (lost := sorted(ids - masks.keys())):
        job.report.warn(
            f"no masks of {some(lost)}, which trained folds held out: left out of what follows; "
            "medseg run RECIPE --each-fold predicts them"
        )
    if not masks:
        raise InputError(
            "this run holds no predictions of held-out cases",
            file=job.folder / "predictions",
            expected="masks of cases that a fold was not trained on",
            remedy="make them: medseg run RECIPE --each-fold, or medseg run RECIPE for one fold",
        )
    return masks


def _warn_of_older(job: Job, masks: Mapping[str, Path]) -> None:
    """Warn of folds trained after their masks were made; dates of copied files may deceive."""
    run = job.folder.path
    for fold, ids in held_out(run).items():
        dates = [masks[case].stat().st_mtime for case in ids if case in masks]
        trained = [one.path.stat().st_mtime for one in stale.of_folds(run, [fold])]
        if dates and trained and min(dates) < max(trained):
            job.report.warn(
                f"masks of {fold} are older than its network: medseg run RECIPE data.fold="
                f"{fold.removeprefix('fold_')} predicts them anew"
            )


def _edited(target: Path) -> bool:
    """Say whether a person's hand is in the file; what broke it was one, too."""
    try:
        return target.is_file() and read(target).edited
    except InputError:
        return True


def _show(report: Reporter, target: Path, trials: Sequence[Trial], of: str) -> None:
    kept = [trial for trial in trials if trial.kept]
    report.stage("postprocess", f"{len(kept)} of {len(trials)} steps kept, by {of}; {target}")
    for trial in kept:
        report.say(f"  {trial.step}: {reason(trial)}")
