"""The network and the LightningModule around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medseg import __version__
from medseg.build.dataset import plain, portable_options
from medseg.data.case import Dataset
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from medseg.tasks import SegmentationTask


def build_task(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> SegmentationTask:
    """Wire network, loss, optimiser, schedule and sliding window into a task."""
    from medseg.inference.window import SlidingWindow
    from medseg.losses import registry as losses
    from medseg.tasks import SegmentationTask
    from medseg.training.fused import optimizer_factory

    network, record = build_network(recipe, plan, dataset, trust=trust)
    regions = bool(dataset.labels.regions)
    loss = recipe.loss
    if regions and loss.name == "dice_ce" and not loss.arguments:
        name, arguments = losses.default(regions=True), {}
    else:
        name, arguments = loss.name, dict(loss.arguments)
    if losses.leaves_batch_open(name, arguments):
        arguments["batch"] = plan.batch_dice
    optimizer = recipe.optimizer
    inference = plain(recipe.inference)
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
        optimizer=optimizer_factory(optimizer.resolve(trust=trust), optimizer.arguments),
        schedule=recipe.schedule.resolve(trust=trust)(**recipe.schedule.arguments),
        window=SlidingWindow(
            plan.patch_size,
            overlap=inference["overlap"],
            batch_size=inference["batch_size"] or 1,
            mirror_axes=range(plan.spatial_dims) if inference["mirror"] else None,
        ),
        ema=recipe.trainer.ema,
        description={
            "network": record,
            "plan": plan.to_dict(),
            "channels": list(dataset.channels),
            "format": {"name": dataset.format, "options": portable_options(recipe)},
            "inference": inference,
            "recipe": recipe.to_yaml(),
            "version": __version__,
        },
    )


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
