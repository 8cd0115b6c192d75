"""A training of a fold that `fit` has prepared: by this process alone, or by several together."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg import build, ranks
from medseg.build.device import training_device
from medseg.data.formats.files import count
from medseg.data.splits import evenly
from medseg.errors import InputError, Interrupted
from medseg.stages import device, device_file, preprocess, transfer
from medseg.stages.device import OnDevice
from medseg.stages.job import Job
from medseg.stages.numbers import short
from medseg.stages.orders import Orders
from medseg.tracking import log_artifacts

if TYPE_CHECKING:
    import pytorch_lightning as pl
    import torch

    from medseg.data.feed.datamodule import SegmentationDataModule
    from medseg.data.prepare.index import CacheIndex
    from medseg.planning.plan import Plan


def carry_out(job: Job, orders: Orders, on: OnDevice, index: CacheIndex) -> None:
    """Train here, or wherever the crew is."""
    here = partial(_here, job, orders, on, index)
    if job.crew is None:
        here()
        return
    kind = training_device(job.recipe).type
    job.report.say(f"  {job.processes} processes train together on {kind}")
    job.crew.train(orders, here, cuda=kind == "cuda", logs=job.folder / "logs")


def _here(job: Job, orders: Orders, on: OnDevice, index: CacheIndex) -> None:
    _train(
        job,
        on,
        index.load_all(orders.train),
        index.load_all(evenly(orders.val, job.recipe.trainer.validation_cases)),
        None if orders.resume_from is None else Path(orders.resume_from),
        limit=orders.limit,
    )


def obey(job: Job, orders: Orders) -> None:
    """Do this process's part of a training that another process prepared.

    Raises:
        InputError: what was prepared does not lie in the run folder, as seen from here.
    """
    with job.report.hushed():
        plan, index = preprocess.run(job)
    on = device.known(job, plan)
    if on is None:
        raise InputError(
            "what the first process prepared is not there",
            file=job.folder / "device.yaml",
            expected="one run folder and one data folder for all processes",
            remedy="put run_dir on a disk that all machines share",
        )
    _here(job, orders, on, index)


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

    plan, leads = on.plan, ranks.number() == 0
    with quiet_libraries():
        build.seed_everything(job.recipe)
        task = build.build_task(job.recipe, plan, job.dataset, trust=job.trust)
        data = build.build_data(on.recipe, plan, job.dataset, train, val, trust=job.trust)
        trainer = build.build_trainer(
            on.recipe,
            job.folder.fold,
            steps_per_epoch=data.steps_per_epoch or 1,
            open_loggers=partial(_open_loggers, job, plan, resume=resume_from is not None),
            quiet=job.report.quiet,
            limit=limit,
        )
        size = short(sum(p.numel() for p in task.network.parameters())).strip()
        job.report.stage(
            "fit",
            f"{type(task.network).__name__} of {size} parameters on "
            f"{trainer.strategy.root_device}, {count(len(train), 'case')} to train on, "
            f"{len(val)} held out",
        )
        if resume_from is not None:
            job.report.say(f"  resuming from {resume_from}")
        elif job.recipe.transfer is not None and leads:
            transfer.run(job, task, plan)
        elif job.recipe.transfer is not None:
            build.start_transfer(task, job.recipe, plan, job.dataset)
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
        if not leads:
            return
        _note_switches(job, trainer)
        best = job.folder.fold / "checkpoints" / "best.ckpt"
        job.report.stage("fit", f"{trainer.global_step} steps; {best}")
        log_artifacts(job.loggers, checkpoint=best)


def _open_loggers(job: Job, plan: Plan, *, resume: bool) -> list[Any]:
    if ranks.number() == 0:
        job.loggers = build.build_loggers(
            job.recipe, plan, job.folder.fold, resume=resume, say=job.report.say, trust=job.trust
        )
        if job.recipe.transfer is not None and not resume:
            log_artifacts(job.loggers, transfer=job.folder.fold / transfer.NAME)
    return job.loggers


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
    if ranks.number():
        return
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
