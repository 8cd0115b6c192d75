"""The trainer, its callbacks and its loggers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg import ranks
from medseg.build.device import check_device, training_precision
from medseg.planning.plan import Plan
from medseg.recipe import Recipe
from medseg.score_names import SCORE_NAMES

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from medseg.training.clock import TrainingClock
    from medseg.training.every import Every


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
    open_loggers: Callable[[], Sequence[Any]] = list,
    quiet: bool = False,
    limit: float | None = None,
) -> pl.Trainer:
    """Make the trainer with its clock, its checkpoints and its manners at Ctrl-C.

    Args:
        recipe: how to train.
        fold_dir: where checkpoints, curves and times go.
        steps_per_epoch: batches of an epoch.
        open_loggers: called when the training starts, once its budget is accepted.
        quiet: show nothing.
        limit: seconds or steps of the whole training, where it was extended.
    """
    import pytorch_lightning as pl

    from medseg.training.checkpoint_io import AtomicCheckpointIO

    settings = recipe.trainer
    return pl.Trainer(
        **_place(recipe),
        precision=training_precision(recipe),
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
        logger=False,
        callbacks=_callbacks(
            recipe,
            fold_dir,
            clock=_clock(recipe, steps_per_epoch, limit),
            open_loggers=open_loggers,
            quiet=quiet,
        ),
        plugins=[AtomicCheckpointIO(), _environment()],
    )


def _place(recipe: Recipe) -> dict[str, Any]:
    """Say on which devices to train, and how the processes of a `ranks.group` do it together."""
    kind, devices = recipe.trainer.accelerator, recipe.trainer.devices
    chosen = list(devices) if isinstance(devices, tuple) else devices
    here = ranks.present()
    if here is None:
        check_device(recipe)
        return {"accelerator": kind, "devices": chosen}
    from pytorch_lightning.strategies import DDPStrategy

    from medseg.build.device import training_device

    strategy = DDPStrategy(
        # Ours use all their parameters; of others nobody knows, and looking costs little.
        find_unused_parameters=recipe.network.home != "medseg",
        # Nothing in them differs between processes: norms are per patch, or counted together.
        broadcast_buffers=False,
    )
    return {
        "accelerator": kind,
        "devices": chosen if isinstance(chosen, list) else here.local_size,
        "num_nodes": here.world_size // here.local_size,
        "strategy": strategy,
        "sync_batchnorm": training_device(recipe).type == "cuda",
    }


def _environment() -> Any:
    """Tell Lightning who started this process: variables of SLURM alone do not mean srun did."""
    from pytorch_lightning.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    here = ranks.present()
    if here is None:
        return LightningEnvironment()
    if here.launcher == "srun":
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment()


def _clock(recipe: Recipe, steps_per_epoch: int, limit: float | None) -> TrainingClock:
    from medseg.training.clock import TrainingClock

    settings = recipe.trainer
    validate = _every(settings.validate_every)
    steps = settings.steps
    if settings.epochs is not None:
        # Lightning also steps at the end of an epoch, whatever has been accumulated.
        steps = settings.epochs * -(-steps_per_epoch // settings.accumulate)
    if steps is not None:
        return TrainingClock(steps=steps if limit is None else int(limit), validate=validate)
    return TrainingClock(budget=float(limit or settings.budget or 0), validate=validate)


def _callbacks(
    recipe: Recipe,
    fold_dir: Path,
    *,
    clock: TrainingClock,
    open_loggers: Callable[[], Sequence[Any]],
    quiet: bool,
) -> list[pl.Callback]:
    import pytorch_lightning as pl

    from medseg.tracking import (
        BottleneckCallback,
        CurvesCallback,
        OpenLoggers,
        OverlayCallback,
        ThroughputCallback,
        TrainingProgress,
    )
    from medseg.training.checkpoints import Checkpoints, StopAtSignal
    from medseg.training.fast_step import FastStep

    settings = recipe.trainer
    fast = FastStep(
        compile=settings.compile,
        channels_last=settings.channels_last,
        seconds=None if clock.budget is None else lambda: clock.limit - clock.elapsed,
        steps=clock.steps,
        # Standard output may be the JSON of a result.
        say=(lambda _: None) if quiet else partial(print, file=sys.stderr),
    )
    checkpoints = Checkpoints(
        fold_dir / "checkpoints",
        clock,
        every=_every(settings.checkpoint_every),
        monitor=SCORE_NAMES[recipe.task],
    )
    given = (key for key in ("epochs", "steps") if getattr(settings, key) is not None)
    limit = next(given, "budget")
    bottleneck = BottleneckCallback(
        fold_dir, elapsed=lambda: clock.elapsed, limit=f"trainer.{limit}", quiet=quiet
    )
    callbacks: list[pl.Callback] = [
        clock,
        OpenLoggers(open_loggers),
        fast,
        ThroughputCallback(),
        OverlayCallback(),
        CurvesCallback(fold_dir),
        TrainingProgress(
            clock.fraction,
            elapsed=lambda: clock.elapsed,
            quiet=quiet,
            note=bottleneck.line,
        ),
        # Last, so that curves and overlays count as validation, and its table follows the bar.
        bottleneck,
    ]
    if settings.early_stopping is not None:
        stop = pl.callbacks.EarlyStopping(
            SCORE_NAMES[recipe.task],
            mode="max",
            patience=settings.early_stopping.patience,
            min_delta=settings.early_stopping.min_delta,
            check_on_train_epoch_end=False,
        )
        callbacks.append(stop)
    return [*callbacks, StopAtSignal(checkpoints), checkpoints]


def _every(interval: Any) -> Every | None:
    from medseg.training.every import Every

    if interval is None:
        return None
    if isinstance(interval, int):
        return Every(steps=interval)
    return Every(seconds=float(interval))


def seed_everything(recipe: Recipe) -> None:
    """Seed the global generators, which initialise weights and draw dropout."""
    from pytorch_lightning import seed_everything

    seed_everything(recipe.seed, verbose=False)
