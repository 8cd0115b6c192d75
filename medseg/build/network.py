"""What data, plan and recipe say about the network, before it is built."""

from __future__ import annotations

from typing import Any

from medseg.build.cascade import input_channels
from medseg.labels import LabelScheme
from medseg.networks.wiring import PlanNumbers
from medseg.planning.plan import Plan
from medseg.recipe import Recipe


def plan_numbers(recipe: Recipe, plan: Plan, labels: LabelScheme) -> PlanNumbers:
    """Return the numbers that the recipe's network is wired from; see `registry.plan_arguments`.

    Neighbouring slices are channels of it.
    """
    return PlanNumbers(
        spatial_dims=plan.spatial_dims,
        in_channels=input_channels(recipe, plan, labels) * (2 * plan.neighbours + 1),
        num_classes=network_classes(recipe, labels),
        patch_size=plan.patch_size,
        strides=plan.strides,
        kernels=plan.kernels,
        features=plan.features,
        levels=plan.levels,
        num_anchors=len(plan.anchors[0]) if plan.anchors else 0,
    )


def network_classes(recipe: Recipe, labels: LabelScheme) -> int:
    """Count the classes that a network tells apart: of objects there is no background."""
    return len(labels.foreground) if recipe.task == "detection" else labels.num_outputs


def network_arguments(recipe: Recipe, labels: LabelScheme) -> dict[str, Any]:
    """Return what the recipe gives its network, and what of it follows from the labels."""
    given = dict(recipe.network.arguments)
    if recipe.network.name == "retina_unet":
        given["segmentation_classes"] = labels.num_outputs
    return given
