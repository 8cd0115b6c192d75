"""From a recipe and a plan to objects: the only file that knows both worlds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medseg import __version__
from medseg.data import formats, phantoms
from medseg.data.case import Dataset
from medseg.data.feed.cases import FeedCase
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.plan import Plan
from medseg.planning.planner import Planned, plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from medseg.data.feed.datamodule import SegmentationDataModule
    from medseg.tasks import SegmentationTask
    from medseg.training.clock import Every

# A budget up to this long gets the small network that is useful after minutes.
SHORT_BUDGET = 3600.0


def plain(section: Any) -> dict[str, Any]:
    """Return a recipe, or a section of it, as plain containers."""
    return section.model_dump(mode="json")


def build_dataset(recipe: Recipe, run_dir: Path) -> Dataset:
    """Read the data set; phantoms are written into the run folder first.

    Raises:
        InputError: the folder is missing, or is not what the recipe says.
    """
    data = recipe.data
    root, layout = data.root, data.format
    if layout == "phantom":
        root, layout = str(_phantom(recipe, run_dir)), "auto"
    if root is None:
        raise InputError(
            "the recipe does not say where the data are",
            file=recipe.at("data"),
            remedy="add data.root=FOLDER",
        )
    channels = data.channels
    return formats.read(
        root,
        format=layout,
        channels=None if channels is None else tuple(channels),
        labels=data.labels,
        regions=data.regions,
        options=format_options(recipe),
    )


def format_options(recipe: Recipe) -> dict[str, Any]:
    """Return the keys under ``data`` that say how a folder is to be read."""
    keys = (
        "value_map",
        "region_order",
        "group_pattern",
        "images_folder",
        "labels_folder",
        "image_pattern",
        "label_pattern",
        "datalist",
    )
    return {key: value for key in keys if (value := getattr(recipe.data, key))}


def _phantom(recipe: Recipe, run_dir: Path) -> Path:
    phantom = recipe.data.phantom
    if phantom is None:
        raise InputError(
            "data.format is phantom, but data.phantom does not say which",
            file=recipe.at("data"),
            remedy="add data.phantom={kind: mr}",
        )
    folder = run_dir / f"phantom_{phantom.kind}_{phantom.cases}_{phantom.seed}"
    return phantoms.ensure(phantom.kind, folder, cases=phantom.cases, seed=phantom.seed)


def plan_overrides(recipe: Recipe) -> dict[str, Any]:
    """Return the values of the plan that the recipe fixes."""
    values = recipe.plan.given()
    values.pop("preset", None)
    return values


def build_plan(
    recipe: Recipe,
    fingerprint: Fingerprint,
    *,
    edits: Mapping[str, Any] | None = None,
    file: Path | None = None,
) -> Planned:
    """Plan for a data set; the recipe's values win over ``edits``, edits over what is planned.

    Raises:
        InputError: a value that was set does not fit the data or the network.
    """
    from medseg.networks.needs import needs

    network = recipe.network
    channels = recipe.data.channels
    try:
        return plan(
            fingerprint,
            modalities=tuple(channels.values()) if isinstance(channels, Mapping) else None,
            needs=needs(
                network.name, dict(network.arguments), spatial_dims=fingerprint.spatial_dims
            ),
            overrides={**(edits or {}), **plan_overrides(recipe)},
            preset=preset(recipe),
        )
    except InputError as error:
        error.file = error.file or (file if edits else recipe.at("plan"))
        raise


def preset(recipe: Recipe) -> Literal["standard", "fast"]:
    """Choose the planner's preset: ``fast`` for budgets of up to an hour."""
    if recipe.plan.preset != "auto":
        return recipe.plan.preset
    budget = recipe.trainer.budget
    return "fast" if budget is not None and float(budget) <= SHORT_BUDGET else "standard"


def build_network(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> tuple[Any, dict[str, Any]]:
    """Return the network, and the record from which a checkpoint rebuilds it.

    Raises:
        InputError: the network refuses its arguments, or its package is not trusted.
    """
    from medseg.networks import registry
    from medseg.networks.probe import probe

    component = recipe.network
    cls = registry.resolve(component.name, trust=trust)
    arguments = registry.plan_arguments(
        component.name,
        cls,
        spatial_dims=plan.spatial_dims,
        in_channels=len(plan.preprocessing.normalisation),
        num_classes=dataset.labels.num_outputs,
        patch_size=plan.patch_size,
        strides=plan.strides,
        kernels=plan.kernels,
        features=plan.features,
        arguments=component.arguments,
    )
    record = registry.record(component.name, arguments)
    network = registry.create(**record, trust=trust)
    if component.home != "medseg":
        probe(
            network,
            in_channels=len(plan.preprocessing.normalisation),
            num_classes=dataset.labels.num_outputs,
            size=plan.patch_size,
        )
    return network, record


def build_task(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> SegmentationTask:
    """Wire network, loss, optimiser, schedule and sliding window into a task."""
    from medseg.inference.window import SlidingWindow
    from medseg.losses import registry as losses
    from medseg.tasks import SegmentationTask

    network, record = build_network(recipe, plan, dataset, trust=trust)
    regions = bool(dataset.labels.regions)
    loss = recipe.loss
    if regions and loss.name == "dice_ce" and not loss.arguments:
        name, arguments = losses.default(regions=True), {}
    else:
        name, arguments = loss.name, dict(loss.arguments)
    optimizer = recipe.optimizer
    inference = plain(recipe.inference)
    if recipe.trainer.compile:
        network.compile()
    return SegmentationTask(
        network,
        dataset.labels,
        loss=losses.create(
            name,
            arguments,
            regions=regions,
            trust=trust,
            num_classes=dataset.labels.num_outputs,
            spatial_dims=plan.spatial_dims,
        ),
        optimizer=partial(optimizer.resolve(trust=trust), **optimizer.arguments),
        schedule=recipe.schedule.resolve(trust=trust)(**recipe.schedule.arguments),
        window=SlidingWindow(
            plan.patch_size,
            overlap=inference["overlap"],
            mirror_axes=range(plan.spatial_dims) if inference["mirror"] else None,
        ),
        ema=recipe.trainer.ema,
        description={
            "network": record,
            "plan": plan.to_dict(),
            "channels": list(dataset.channels),
            "format": dataset.format,
            "inference": {key: inference[key] for key in ("overlap", "mirror")},
            "recipe": recipe.to_yaml(),
            "version": __version__,
        },
    )


def build_data(
    recipe: Recipe,
    plan: Plan,
    train: Sequence[FeedCase],
    val: Sequence[FeedCase],
    *,
    trust: Sequence[str] = (),
) -> SegmentationDataModule:
    """Make the feed: sampling, augmentation and loaders."""
    from medseg.data.feed.augment import registry
    from medseg.data.feed.augment.defaults import default, light
    from medseg.data.feed.augment.transform import split
    from medseg.data.feed.datamodule import SegmentationDataModule

    spacing = plan.preprocessing.spacing
    if isinstance(recipe.augmentation, str):
        mild = recipe.augmentation == "light" or preset(recipe) == "fast"
        choose = light if mild and recipe.augmentation != "strong" else default
        transforms: list[Any] = list(choose(plan.patch_size, spacing=spacing))
    else:
        transforms = [
            registry.create(item.name, item.arguments, spacing=spacing, trust=trust)
            for item in recipe.augmentation
        ]
    on_samples, _ = split(transforms)
    # The batched transforms run on the training device; only per-sample ones are worth processes.
    workers = recipe.data.workers
    return SegmentationDataModule(
        train,
        val,
        patch_size=plan.patch_size,
        batch_size=plan.batch_size,
        steps_per_epoch=recipe.trainer.steps_per_epoch or -(-len(train) // plan.batch_size),
        seed=recipe.seed,
        augmentation=transforms,
        num_workers=workers if workers is not None else (usable_cores() - 1 if on_samples else 0),
        spacing=spacing,
    )


def build_loggers(
    recipe: Recipe, plan: Plan, fold_dir: Path, *, resume: bool, say: Callable[[str], None] = print
) -> list[Any]:
    """Open the loggers; none is told an expanded environment value."""
    from medseg.tracking import build_loggers

    return build_loggers(
        [(item.name, dict(item.arguments)) for item in recipe.logger],
        fold_dir,
        config={"recipe": recipe.to_dict(), "plan": plan.to_dict()},
        run_name=f"{recipe.name} {fold_dir.name}",
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
        steps = settings.epochs * steps_per_epoch
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
    """On CUDA bf16 mixes in; on CPUs it measures slower than float32."""
    import torch

    if recipe.trainer.precision != "auto":
        return recipe.trainer.precision
    cuda = torch.cuda.is_available() and recipe.trainer.accelerator in ("auto", "gpu", "cuda")
    return "bf16-mixed" if cuda else "32"


def seed_everything(recipe: Recipe) -> None:
    """Seed the global generators, which initialise weights and draw dropout."""
    from pytorch_lightning import seed_everything

    seed_everything(recipe.seed, verbose=False)


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _every(interval: Any) -> Every | None:
    from medseg.training.clock import Every

    if interval is None:
        return None
    if isinstance(interval, int):
        return Every(steps=interval)
    return Every(seconds=float(interval))
