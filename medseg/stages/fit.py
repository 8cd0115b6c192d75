"""``fit``: cache + plan + splits -> ``fold_*/checkpoints``."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from medseg import build
from medseg.atomic import cannot_write
from medseg.data.feed.sampler import part_of
from medseg.errors import InputError
from medseg.stages import device, extend, inspect, preprocess, training
from medseg.stages.crew import Gathered
from medseg.stages.device import OnDevice
from medseg.stages.extend import Amount
from medseg.stages.foreground import Counted, objects_in, require_foreground
from medseg.stages.job import Job
from medseg.stages.memory import bytes_in_memory
from medseg.stages.orders import Orders
from medseg.stages.run_folder import digest
from medseg.stages.splits import Labels, cases_of_fold, folds_of, labels_of

if TYPE_CHECKING:
    from medseg.data.case import Case
    from medseg.data.prepare.index import CacheIndex


def run(job: Job, *, resume: bool = True, by: Amount | None = None) -> Path:
    """Train the recipe's fold and return ``best.ckpt``.

    Args:
        job: the recipe at work.
        resume: go on from ``last.ckpt`` where there is one; else one is an error.
        by: extend what was trained by so many steps, or seconds.

    Raises:
        InputError: a checkpoint is there, and neither ``resume`` nor ``job.overwrite`` is set; or
            there is nothing to extend, or another process is training the fold.
        Interrupted: Ctrl-C; ``last.ckpt`` is whole.
    """
    if not isinstance(job.crew, Gathered):
        build.check_device(job.recipe)
    if by is not None:
        extend.check(job, by)
    dataset, folder = job.dataset, job.folder
    with folder.training(folder.fold.name):
        if job.overwrite:
            folder.replaced.take([folder.fold])
        # A fold that cannot be is known before anything is read.
        folds_of(job.recipe, dataset, folder.path)
        return _fit(job, resume=resume, by=by)


def _fit(job: Job, *, resume: bool, by: Amount | None) -> Path:
    plan, index = preprocess.run(job)
    part_of(plan.batch_size, rank=0, world_size=job.processes)  # or say that it cannot be
    train, val = dealt(job)
    if job.guides is not None:
        job.guides.require_unseen(val)
    ids = [case.id for case in train], [case.id for case in val]
    for warning in require_foreground(
        _counted(job, index),
        *ids,
        splits=job.folder / "splits.json",
        fold=job.recipe.data.fold,
    ):
        job.report.warn(warning)
    inputs = training_state(job, device.known(job, plan) or OnDevice(plan, job.recipe), *ids)
    checkpoints = job.folder.fold / "checkpoints"
    last, best = checkpoints / "last.ckpt", checkpoints / "best.ckpt"
    before = [] if job.overwrite else extend.read(job.folder.fold)
    finished = best.is_file() and job.folder.is_current(_stage(job), _state(inputs, before))
    if finished and not job.overwrite and by is None:
        job.report.stage("fit", f"{job.folder.fold.name} is trained, unchanged")
        return best
    found = _resume_point(job, last, inputs, ids[1], resume=resume or by is not None)
    if found is None and job.recipe.transfer is not None:
        build.check_transfer(job.recipe, plan, job.dataset, trust=job.trust)
    extensions = before
    if by is not None:
        extensions = [*before, extend.next_one(job, last, by, before=before, finished=finished)]
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(checkpoints, error) from error
    on = device.run(job, plan, reserve=cases_in_memory(job, index))
    inputs = training_state(job, on, *ids)
    if found:
        _refuse_changed(job, last, inputs)
    job.folder.record(f"{_stage(job)} began", inputs)
    orders = Orders(
        job.recipe.data.fold,
        *ids,
        resume_from=None if found is None else str(found),
        limit=extensions[-1].limit if extensions else None,
    )
    with extend.recorded(job, before, extensions, last):
        training.carry_out(job, orders, on, index)
    job.folder.record(_stage(job), _state(inputs, extensions))
    extend.note(job, extensions)
    return best


def _counted(job: Job, index: CacheIndex) -> Counted:
    found = inspect.read(job.folder / "fingerprint.json") if job.dataset.objects else None
    return Counted(index.counts, job.dataset.labels) if found is None else objects_in(found)


def cases_in_memory(job: Job, index: CacheIndex) -> int:
    """Foretell the bytes of this machine's memory that cases will fill during a training."""
    here = job.processes_here
    return bytes_in_memory(job.recipe, index.nbytes(), on_gpu=False, processes=here)


def dealt(job: Job) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Write ``splits.json`` for inspected data; return the fold's training and validation cases."""

    def labels() -> Labels:
        found = inspect.read(job.folder / "fingerprint.json")
        return {} if found is None else labels_of(found)

    return cases_of_fold(
        job.recipe, job.dataset, job.folder.path, labels=labels, say=job.report.say
    )


def _stage(job: Job) -> str:
    return f"fit {job.folder.fold.name}"


def _resume_point(
    job: Job, last: Path, inputs: str, held_out: list[str], *, resume: bool
) -> Path | None:
    """Return the checkpoint to go on from, if any; to start over, set old masks aside."""
    from medseg.inference import checkpoint

    if job.overwrite:
        job.folder.replaced.take([*_masks(job, held_out)])
    if not last.is_file():
        return None
    if not resume:
        raise InputError(
            "this fold holds a training already",
            file=last,
            remedy="go on with --resume, or start over with --overwrite",
        )
    _refuse_changed(job, last, inputs)
    checkpoint.read(last, task=job.recipe.task)  # says what is wrong with a damaged one
    return last


def _refuse_changed(job: Job, last: Path, inputs: str) -> None:
    if not job.folder.is_current(f"{_stage(job)} began", inputs):
        raise InputError(
            "the data, plan.yaml or device.yaml changed since this training began",
            file=last,
            remedy="take the change back, start over with --overwrite, or use another run_dir",
        )


def training_state(job: Job, on: OnDevice, train: list[str], val: list[str]) -> str:
    """Hash of everything that decides what a training makes of a fold."""
    recipe = build.plain(on.recipe)
    for key in ("name", "run_dir", "logger", "inference", "evaluation", "data"):
        recipe.pop(key, None)
    recipe["trainer"].pop("devices")
    # What a recipe leaves out is no change to a training that was made before there was such a key.
    if recipe["transfer"] is None:
        del recipe["transfer"]
    if recipe["cascade"]["first"] is None:
        del recipe["cascade"]
    if recipe["plan"]["levels"] is None:
        del recipe["plan"]["levels"]
    if recipe["task"] == "segmentation":
        recipe.pop("detection", None)
    else:
        del recipe["detection"]["hit"]  # how boxes are counted once they are found
    # What auto has come to is the device's matter.
    recipe["trainer"]["precision"] = job.recipe.trainer.precision
    guides = [] if job.guides is None else [job.guides.state()]
    return digest(job.data_state, on.plan.to_dict(), recipe, train, val, *guides)


def _state(inputs: str, extensions: list[extend.Extension]) -> str:
    """Hash of what a finished training is of: its inputs, and how far it was extended."""
    return digest(inputs, [asdict(e) for e in extensions]) if extensions else inputs


def _masks(job: Job, held_out: list[str]) -> Iterator[Path]:
    """Find the masks that came from a fold's training."""
    for case in held_out:
        yield from (job.folder / "predictions").glob(f"{glob.escape(case)}.*")
