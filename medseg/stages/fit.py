"""``fit``: cache + plan + splits -> ``fold_*/checkpoints``."""

from __future__ import annotations

import glob
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medseg import build
from medseg.atomic import cannot_write
from medseg.data.prepare.cache import CacheIndex
from medseg.errors import InputError, Interrupted
from medseg.machine import memory_limit
from medseg.planning.plan import Plan
from medseg.stages import preprocess
from medseg.stages.job import Job
from medseg.stages.run_folder import digest
from medseg.stages.splits import cases_of_fold
from medseg.tracking import log_artifacts


def run(job: Job, *, resume: bool = True) -> Path:
    """Train the recipe's fold and return ``best.ckpt``.

    Args:
        job: the recipe at work.
        resume: go on from ``last.ckpt`` where there is one; else one is an error.

    Raises:
        InputError: a checkpoint is there, and neither ``resume`` nor ``job.overwrite`` is set.
        Interrupted: Ctrl-C; ``last.ckpt`` is whole.
    """
    # Splits first: a fold that cannot be is known before anything is read.
    train, val = cases_of_fold(job.recipe, job.dataset, job.folder.path)
    plan, index = preprocess.run(job)
    inputs = training_state(job, plan, [case.id for case in train], [case.id for case in val])
    checkpoints = job.folder.fold / "checkpoints"
    last, best = checkpoints / "last.ckpt", checkpoints / "best.ckpt"
    stage = f"fit {job.folder.fold.name}"
    if best.is_file() and job.folder.is_current(stage, inputs) and not job.overwrite:
        job.report.stage("fit", f"{job.folder.fold.name} is trained, unchanged")
        return best
    found = last if last.is_file() else None
    if job.overwrite:
        _clear(job, [case.id for case in val])
        found = None
    if found and not resume:
        raise InputError(
            "this fold holds a training already",
            file=last,
            remedy="go on with --resume, or start over with --overwrite",
        )
    if found and not job.folder.is_current(f"{stage} began", inputs):
        raise InputError(
            "the data or the plan changed since this training began",
            file=last,
            remedy="start over with --overwrite, or use another run_dir",
        )
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(checkpoints, error) from error
    job.folder.record(f"{stage} began", inputs)
    mmap = not _in_memory(job, index)
    _train(
        job,
        plan,
        [index.load(case.id, mmap=mmap) for case in train],
        [index.load(case.id, mmap=mmap) for case in val],
        found,
    )
    job.folder.record(stage, inputs)
    return best


def training_state(job: Job, plan: Plan, train: list[str], val: list[str]) -> str:
    """Hash of everything that decides what a training makes of a fold."""
    recipe = build.plain(job.recipe)
    for key in ("name", "run_dir", "logger", "inference", "evaluation", "data"):
        recipe.pop(key, None)
    recipe["trainer"].pop("devices")
    return digest(job.data_state, plan.to_dict(), recipe, train, val)


def _train(job: Job, plan: Plan, train: list, val: list, resume_from: Path | None) -> None:
    with quiet_libraries():
        build.seed_everything(job.recipe)
        task = build.build_task(job.recipe, plan, job.dataset, trust=job.trust)
        data = build.build_data(job.recipe, plan, train, val, trust=job.trust)
        job.loggers = build.build_loggers(
            job.recipe,
            plan,
            job.folder.fold,
            resume=resume_from is not None,
            say=job.report.say,
            trust=job.trust,
        )
        trainer = build.build_trainer(
            job.recipe,
            job.folder.fold,
            steps_per_epoch=data.steps_per_epoch or 1,
            loggers=job.loggers,
            quiet=job.report.quiet,
        )
        size = sum(p.numel() for p in task.network.parameters()) / 1e6
        job.report.stage(
            "fit",
            f"{type(task.network).__name__} of {size:.2f} M parameters on "
            f"{trainer.strategy.root_device}, {len(train)} cases to train on, {len(val)} held out",
        )
        if resume_from is not None:
            job.report.say(f"  resuming from {resume_from}")
        try:
            trainer.fit(task, datamodule=data, ckpt_path=resume_from)
        except SystemExit as stop:
            # Lightning answers a Ctrl-C that comes outside of training with sys.exit(1).
            raise Interrupted("stopped; the last checkpoint on disk is whole") from stop
        best = job.folder.fold / "checkpoints" / "best.ckpt"
        job.report.stage("fit", f"{trainer.global_step} steps; {best}")
        log_artifacts(job.loggers, checkpoint=best)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence what Lightning tells every user at every start; its warnings about us are tested."""
    import pytorch_lightning  # noqa: F401  (sets its loggers' levels when it is imported)

    loggers = [logging.getLogger(n) for n in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
        warnings.filterwarnings("ignore", category=FutureWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _in_memory(job: Job, index: CacheIndex) -> bool:
    """Choose where the preprocessed cases live while a training reads them."""
    if job.recipe.data.cache != "auto":
        return job.recipe.data.cache == "ram"
    size = sum(f.stat().st_size for entry in index.entries.values() for f in entry.glob("*.npy"))
    limit = memory_limit()
    return limit is not None and size < limit / 4


def _clear(job: Job, held_out: list[str]) -> None:
    """Remove a fold's training, and the masks that came from it."""
    if job.folder.fold.is_dir():
        shutil.rmtree(job.folder.fold)
    for case in held_out:
        for mask in (job.folder / "predictions").glob(f"{glob.escape(case)}.*"):
            mask.unlink()
