"""The trainer, its callbacks and its loggers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.errors import InputError
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from medseg.training.clock import Every


def build_loggers(
    recipe: Recipe,
    plan: Plan,
    fold_dir: Path,
    *,
    resume: bool,
    say: Callable[[str], None] = print,
    trust: Sequence[str] = (),
) -> list[Any]:
    """Open the loggers; none is told an expanded environment value."""
    from medseg.tracking import build_loggers

    return build_loggers(
        [
            item.resolve(trust=trust)(**item.arguments)
            if item.home == "user"
            else (item.name, dict(item.arguments))
            for item in recipe.logger
        ],
        fold_dir,
        config={"recipe": recipe.to_dict(), "plan": plan.to_dict()},
        # Unexpanded, like all that is logged.
        run_name=f"{recipe.to_dict()['name']} {fold_dir.name}",
        resume=resume,
        say=say,
    )


def build_trainer(
    recipe: Recipe,
    fold_dir: Path,
    *,
    steps_per_epoch: int,
    loggers: Sequence[Any] = (),
    quiet: bool = False,
) -> pl.Trainer:
    """Make the trainer with its clock, its checkpoints and its manners at Ctrl-C."""
    import pytorch_lightning as pl

    from medseg.training.checkpoint_io import AtomicCheckpointIO

    settings = recipe.trainer
    devices = settings.devices
    if (len(devices) if isinstance(devices, tuple) else devices) != 1:
        raise InputError(
            "a training runs on one device",
            file=recipe.at("trainer", "devices"),
            expected="1, or the number of one device: [2]",
            found=str(devices),
            remedy="train folds side by side, one device each: data.fold=0, data.fold=1, …",
        )
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=list(devices) if isinstance(devices, tuple) else devices,
        precision=_precision(recipe),
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=None,
        val_check_interval=1,
        log_every_n_steps=10,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=list(loggers) or False,
        callbacks=_callbacks(recipe, fold_dir, steps_per_epoch=steps_per_epoch, quiet=quiet),
        plugins=[AtomicCheckpointIO()],
    )


def _callbacks(
    recipe: Recipe, fold_dir: Path, *, steps_per_epoch: int, quiet: bool
) -> list[pl.Callback]:
    import pytorch_lightning as pl

    from medseg.tracking import (
        CurvesCallback,
        OverlayCallback,
        ThroughputCallback,
        TrainingProgress,
    )
    from medseg.training.checkpoints import Checkpoints, StopAtSignal
    from medseg.training.clock import TrainingClock

    settings = recipe.trainer
    steps = settings.steps
    if settings.epochs is not None:
        # Lightning also steps at the end of an epoch, whatever has been accumulated.
        steps = settings.epochs * -(-steps_per_epoch // settings.accumulate)
    budget = None if steps is not None else float(settings.budget)  # type: ignore[arg-type]
    clock = TrainingClock(budget=budget, steps=steps, validate=_every(settings.validate_every))
    checkpoints = Checkpoints(
        fold_dir / "checkpoints", clock, every=_every(settings.checkpoint_every)
    )
    callbacks: list[pl.Callback] = [
        clock,
        ThroughputCallback(),
        OverlayCallback(),
        CurvesCallback(fold_dir),
        TrainingProgress(clock.fraction, quiet=quiet),
    ]
    if settings.early_stopping is not None:
        stop = pl.callbacks.EarlyStopping(
            "val/dice",
            mode="max",
            patience=settings.early_stopping.patience,
            min_delta=settings.early_stopping.min_delta,
            check_on_train_epoch_end=False,
        )
        callbacks.append(stop)
    return [*callbacks, StopAtSignal(checkpoints), checkpoints]


def _precision(recipe: Recipe) -> Any:
    """bf16 mixes in where a GPU computes in it; on CPUs it measures slower than float32."""
    import torch

    if recipe.trainer.precision != "auto":
        return recipe.trainer.precision
    wanted = recipe.trainer.accelerator in ("auto", "gpu", "cuda")
    native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if wanted and native else "32"


def _every(interval: Any) -> Every | None:
    from medseg.training.clock import Every

    if interval is None:
        return None
    if isinstance(interval, int):
        return Every(steps=interval)
    return Every(seconds=float(interval))


def seed_everything(recipe: Recipe) -> None:
    """Seed the global generators, which initialise weights and draw dropout."""
    from pytorch_lightning import seed_everything

    seed_everything(recipe.seed, verbose=False)
