"""The network and the LightningModule around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medseg import __version__
from medseg.build import cascade
from medseg.build.augmentation import build_augmentation, mirrored_axes
from medseg.build.dataset import plain, portable_options
from medseg.build.device import training_device
from medseg.build.optimisation import build_optimizer, build_schedule
from medseg.build.postprocessing import build_postprocessing
from medseg.build.transfer import prepare
from medseg.data.case import Dataset
from medseg.planning.mirroring import mirrored_in_prediction
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from medseg.tasks import SegmentationTask


def build_task(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> SegmentationTask:
    """Wire network, loss, optimiser, schedule and sliding window into a task.

    Raises:
        InputError: one of them refuses its arguments, or they do not fit together.
    """
    from medseg.inference.device import windows_at_once
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
    if losses.leaves_batch_open(name, arguments):
        arguments["batch"] = plan.batch_dice
    inference = plain(recipe.inference)
    transforms = build_augmentation(recipe, plan, dataset.labels, trust=trust)
    mirrored = mirrored_axes(transforms, plan.patch_size)
    # Refuses what cannot be before a training; within it the clock runs, and one view has to do.
    mirrored_in_prediction(inference["mirror"], plan.preprocessing.orientation, mirrored)
    build_postprocessing(recipe, dataset.labels)
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
            spacing=plan.preprocessing.spacing,
        ),
        optimizer=build_optimizer(recipe, trust=trust),
        schedule=build_schedule(recipe, trust=trust),
        window=SlidingWindow(
            plan.patch_size,
            overlap=inference["overlap"],
            batch_size=windows_at_once(
                inference["batch_size"], plan.batch_size, training_device(recipe)
            ),
        ),
        ema=recipe.trainer.ema,
        lr_decay=1.0 if recipe.transfer is None else recipe.transfer.lr_decay,
        description={
            "network": record,
            "plan": plan.to_dict(),
            "channels": list(dataset.channels),
            "format": {"name": dataset.format, "options": portable_options(recipe)},
            "inference": {**inference, "mirrored": list(mirrored)},
            "cascade": cascade.record(recipe, dataset.labels),
            "recipe": recipe.to_yaml(),
            "version": __version__,
        },
    )


def build_network(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> tuple[Any, dict[str, Any]]:
    """Return the network, frozen as far as the recipe says, and the record that rebuilds it.

    Raises:
        InputError: the network refuses its arguments, its package is not trusted, or it has not the
            parts that are to be frozen.
    """
    from medseg.networks import registry
    from medseg.networks.probe import probe

    component = recipe.network
    cls = registry.resolve(component.name, trust=trust)
    channels = cascade.input_channels(recipe, plan, dataset.labels)
    arguments = registry.plan_arguments(
        component.name,
        cls,
        spatial_dims=plan.spatial_dims,
        in_channels=channels * (2 * plan.neighbours + 1),
        num_classes=dataset.labels.num_outputs,
        patch_size=plan.patch_size,
        strides=plan.strides,
        kernels=plan.kernels,
        features=plan.features,
        arguments=component.arguments,
    )
    record = registry.record(component.name, arguments)
    if plan.neighbours and plan.slice_axis is not None:
        record = registry.with_neighbours(record, axis=plan.slice_axis, neighbours=plan.neighbours)
    network = registry.create(**record, trust=trust)
    if component.home != "medseg":
        probe(
            network,
            in_channels=channels,
            num_classes=dataset.labels.num_outputs,
            size=plan.patch_size,
        )
    prepare(network, recipe)
    return network, record
