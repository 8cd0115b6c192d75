"""The LightningModule that learns to find objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medseg.build.dataset import plain
from medseg.build.device import training_device
from medseg.build.training_parts import description, training_parts
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from medseg.tasks.detection import DetectionTask


def build_detection_task(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> DetectionTask:
    """Wire network, anchors, loss, optimiser, schedule and windows into a task.

    Raises:
        InputError: one of them refuses its arguments, or they do not fit together.
    """
    from medseg.build.task import build_network
    from medseg.inference.detection.finders import finder_of
    from medseg.inference.detection.looks import BoxWindow, stretching
    from medseg.inference.device import windows_at_once
    from medseg.tasks.detection import DetectionTask

    network, record = build_network(recipe, plan, dataset, trust=trust)
    _require_strides(network, recipe)
    inference = plain(recipe.inference)
    found = {**plain(recipe.detection), "overlap": plan.overlap}
    return DetectionTask(
        network,
        dataset.labels,
        loss=_loss(recipe, plan, dataset, network),
        finder=finder_of(network, plan.anchors, found),
        window=BoxWindow(
            plan.patch_size,
            overlap=inference["overlap"],
            batch_size=windows_at_once(
                inference["batch_size"], plan.batch_size, training_device(recipe)
            ),
            threshold=found["overlap"],
            least=found["min_visible"],
            **stretching(network, plan.patch_size, plan.batch_size),
        ),
        spacing=plan.preprocessing.spacing,
        **training_parts(recipe, trust=trust),
        description={
            **description(recipe, plan, dataset, record, trust=trust),
            "detection": found,
        },
    )


def painted_masks(recipe: Recipe, dataset: Dataset) -> str | None:
    """Say where a network that segments as well has boxes alone to learn from, else ``None``."""
    boxes_alone = dataset.objects is not None and dataset.objects.source == "boxes"
    if not boxes_alone or recipe.network.name != "retina_unet":
        return None
    return (
        "The data set has boxes and no masks: what retina_unet learns to segment are the "
        "ellipsoids inside the boxes. For boxes alone: network=retina_net"
    )


def _loss(recipe: Recipe, plan: Plan, dataset: Dataset, network: Any) -> Any:
    from medseg.detection.anchors import AnchorGenerator
    from medseg.losses import CentrePointLoss, DetectionLoss, DiceCELoss, RegionLoss

    loss, anchored = recipe.loss, _has_anchors(network)
    fitting = "retina" if anchored else "centre_point"
    if loss.name != fitting:
        raise InputError(
            f"the loss {loss.name} does not fit the network {recipe.network.name}",
            file=recipe.at("loss"),
            expected=fitting,
            remedy=f"loss={fitting}, or leave it out",
        )
    if anchored:
        anchors = AnchorGenerator(plan.anchors, network.strides)
        masks = RegionLoss() if dataset.labels.regions else DiceCELoss()
        return DetectionLoss(anchors, segmentation=masks, **loss.arguments)
    return CentrePointLoss(network.strides[0], **loss.arguments)


def _require_strides(network: Any, recipe: Recipe) -> None:
    """Refuse a network of the user's own that does not say where its places are."""
    if getattr(network, "strides", None) is None:
        raise InputError(
            f"the network {recipe.network.name} finds no boxes",
            file=recipe.at("network"),
            expected="the attribute strides (voxels from place to place, per level and axis), and "
            "a medseg.detection.output.DetectionOutput for an image",
            found=type(network).__name__,
            remedy="network=retina_unet, retina_net or centre_net; or task=segmentation",
        )


def _has_anchors(network: Any) -> bool:
    from medseg.networks.detection import CentreNet

    return not isinstance(network, CentreNet)
