"""``fit``: cache + plan + splits -> ``fold_*/checkpoints``."""

from __future__ import annotations

import glob
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from medseg import build
from medseg.atomic import cannot_write
from medseg.data.splits import evenly
from medseg.errors import InputError, Interrupted
from medseg.stages import device, device_file, extend, inspect, preprocess, transfer
from medseg.stages.device import OnDevice
from medseg.stages.extend import Amount
from medseg.stages.foreground import require_foreground
from medseg.stages.job import Job
from medseg.stages.memory import bytes_in_memory
from medseg.stages.run_folder import digest
from medseg.stages.splits import Labels, cases_of_fold, folds_of, labels_of
from medseg.tracking import log_artifacts

if TYPE_CHECKING:
    import pytorch_lightning as pl
    import torch

    from medseg.data.case import Case
    from medseg.data.feed.datamodule import SegmentationDataModule
    from medseg.planning.plan import Plan


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
    train, val = dealt(job)
    if job.guides is not None:
        job.guides.require_unseen(val)
    ids = [case.id for case in train], [case.id for case in val]
    for warning in require_foreground(
        index.counts,
        *ids,
        job.dataset.labels,
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
    on = device.run(job, plan, reserve=bytes_in_memory(job.recipe, index.nbytes(), on_gpu=False))
    inputs = training_state(job, on, *ids)
    if found:
        _refuse_changed(job, last, inputs)
    job.folder.record(f"{_stage(job)} began", inputs)
    with extend.recorded(job, before, extensions, last):
        _train(
            job,
            on,
            index.load_all(ids[0]),
            index.load_all(evenly(ids[1], job.recipe.trainer.validation_cases)),
            found,
            limit=extensions[-1].limit if extensions else None,
        )
    job.folder.record(_stage(job), _state(inputs, extensions))
    extend.note(job, extensions)
    return best


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
    checkpoint.read(last)  # says what is wrong with a damaged one
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
    if recipe["transfer"] is None:
        del recipe["transfer"]
    # What auto has come to is the device's matter.
    recipe["trainer"]["precision"] = job.recipe.trainer.precision
    guides = [] if job.guides is None else [job.guides.state()]
    return digest(job.data_state, on.plan.to_dict(), recipe, train, val, *guides)


def _state(inputs: str, extensions: list[extend.Extension]) -> str:
    """Hash of what a finished training is of: its inputs, and how far it was extended."""
    return digest(inputs, [asdict(e) for e in extensions]) if extensions else inputs


def _train(
    job: Job,
    on: OnDevice,
    train: list,
    val: list,
    resume_from: Path | None,
    *,
    limit: float | None = None,
) -> None:
    from medseg.inference.memory import is_out_of_memory

    plan = on.plan
    with quiet_libraries():
        build.seed_everything(job.recipe)
        task = build.build_task(job.recipe, plan, job.dataset, trust=job.trust)
        data = build.build_data(on.recipe, plan, job.dataset, train, val, trust=job.trust)
        job.loggers = build.build_loggers(
            job.recipe,
            plan,
            job.folder.fold,
            resume=resume_from is not None,
            say=job.report.say,
            trust=job.trust,
        )
        trainer = build.build_trainer(
            on.recipe,
            job.folder.fold,
            steps_per_epoch=data.steps_per_epoch or 1,
            loggers=job.loggers,
            quiet=job.report.quiet,
            limit=limit,
        )
        size = sum(p.numel() for p in task.network.parameters()) / 1e6
        job.report.stage(
            "fit",
            f"{type(task.network).__name__} of {size:.2f} M parameters on "
            f"{trainer.strategy.root_device}, {len(train)} cases to train on, {len(val)} held out",
        )
        if resume_from is not None:
            job.report.say(f"  resuming from {resume_from}")
        elif job.recipe.transfer is not None:
            transfer.run(job, task, plan)
        _settle(job, data, trainer.strategy.root_device)
        try:
            trainer.fit(task, datamodule=data, ckpt_path=resume_from)
        except SystemExit as stop:
            # Lightning answers a Ctrl-C that comes outside of training with sys.exit(1).
            raise Interrupted("stopped; the last checkpoint on disk is whole") from stop
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise _too_large(plan, trainer.strategy.root_device) from error
        _note_switches(job, trainer)
        best = job.folder.fold / "checkpoints" / "best.ckpt"
        job.report.stage("fit", f"{trainer.global_step} steps; {best}")
        log_artifacts(job.loggers, checkpoint=best)


def _too_large(plan: Plan, device: torch.device) -> InputError:
    half = plan.batch_size // 2
    smaller = f"plan.batch_size={half}" if half else "a smaller plan.patch_size"
    cases = "" if device.type == "cpu" else "; cases off the device: data.cache=ram"
    return InputError(
        f"the memory of {device} was not enough for this training",
        found=f"batches of {plan.batch_size} patches {list(plan.patch_size)}",
        remedy=f"{smaller}{cases}; or close other programs",
    )


def _note_switches(job: Job, trainer: pl.Trainer) -> None:
    """Write into ``device.yaml`` how the network was computed."""
    from medseg.training.fast_step import FastStep

    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, FastStep) and callback.chosen is not None:
            made = callback.chosen
            timed = ", ".join(f"{name} {s:.3g} s" for name, s in made.seconds.items())
            reasons = dict.fromkeys(("compile", "channels_last"), timed) if timed else {}
            device.note(job, reasons, compile=made.compiled, channels_last=made.channels_last)


def _settle(job: Job, data: SegmentationDataModule, root: torch.device) -> None:
    """Bring the cases to where they live during the training, and say so."""
    found = device_file.read(job.folder / "device.yaml")
    measured = found.measured if found else {}
    feed = data.settle(
        root,
        step_seconds=measured.get("seconds_per_step"),
        step_bytes=round(measured.get("step_gib", 0) * 2**30),
    )
    job.report.say(f"  {feed.line()}")
    device.note(job, {"workers": feed.reason}, workers=feed.workers)


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


def _masks(job: Job, held_out: list[str]) -> Iterator[Path]:
    """Find the masks that came from a fold's training."""
    for case in held_out:
        yield from (job.folder / "predictions").glob(f"{glob.escape(case)}.*")
