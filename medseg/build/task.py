"""The network and the LightningModule around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medseg.build import cascade
from medseg.build.dataset import plain
from medseg.build.detector import build_detection_task
from medseg.build.device import training_device
from medseg.build.network import network_arguments, plan_numbers
from medseg.build.postprocessing import build_postprocessing
from medseg.build.training_parts import description, training_parts
from medseg.build.transfer import prepare
from medseg.data.case import Dataset
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from medseg.tasks.training_task import TrainingTask


def build_task(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> TrainingTask:
    """Wire network, loss, optimiser, schedule and sliding window into a task.

    Raises:
        InputError: one of them refuses its arguments, or they do not fit together.
    """
    if recipe.task == "detection":
        return build_detection_task(recipe, plan, dataset, trust=trust)
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
        window=SlidingWindow(
            plan.patch_size,
            overlap=inference["overlap"],
            batch_size=windows_at_once(
                inference["batch_size"], plan.batch_size, training_device(recipe)
            ),
        ),
        **training_parts(recipe, trust=trust),
        description=description(recipe, plan, dataset, record, trust=trust),
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
    arguments = registry.plan_arguments(
        component.name,
        cls,
        **vars(plan_numbers(recipe, plan, dataset.labels)),
        arguments=network_arguments(recipe, dataset.labels),
    )
    record = registry.record(component.name, arguments)
    if plan.neighbours and plan.slice_axis is not None:
        record = registry.with_neighbours(record, axis=plan.slice_axis, neighbours=plan.neighbours)
    network = registry.create(**record, trust=trust)
    if component.home != "medseg" and recipe.task != "detection":
        probe(
            network,
            in_channels=cascade.input_channels(recipe, plan, dataset.labels),
            num_classes=dataset.labels.num_outputs,
            size=plan.patch_size,
        )
    prepare(network, recipe)
    return network, record
