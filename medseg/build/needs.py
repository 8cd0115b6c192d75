"""What a recipe's network wants of its input, once there is a plan."""

from __future__ import annotations

from dataclasses import replace

from medseg.networks import wiring
from medseg.networks.needs import NetworkNeeds, needs
from medseg.planning.plan import Plan
from medseg.recipe import Recipe


def needs_of(recipe: Recipe, plan: Plan) -> NetworkNeeds:
    """Tell what the recipe's network, built for a plan, wants of its input."""
    network = recipe.network
    arguments = dict(network.arguments)
    if network.home == "medseg":
        # How many channels and classes there are makes no difference to sizes.
        numbers = wiring.PlanNumbers(
            plan.spatial_dims, 1, 1, plan.patch_size, plan.strides, plan.kernels, plan.features
        )
        wire = wiring.OURS.get(network.name, wiring.ours)
        arguments = {**wire(numbers, arguments), **arguments}
    found = needs(network.name, arguments, spatial_dims=plan.spatial_dims)
    if not plan.neighbours:
        return found
    beyond = [plan.neighbours * (axis == plan.slice_axis) for axis in range(plan.spatial_dims)]
    context = tuple(a + b for a, b in zip(found.context, beyond, strict=True))
    return replace(found, context=context)
