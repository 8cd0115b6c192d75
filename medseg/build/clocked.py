"""The fast plan for a clock and a device: as large a network as still takes enough steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from medseg.build.needs import needs_of
from medseg.errors import InputError
from medseg.networks.topology import counts_per_stage, published_blocks
from medseg.planning.cost import Speed, convolutions, step_flops
from medseg.planning.fast import Rung, at, climb
from medseg.planning.memory import plain_activations, residual_activations
from medseg.planning.plan import Plan
from medseg.planning.planner import Planned
from medseg.recipe import Recipe

_BY_ARITHMETIC = ("unet", "residual_unet")


def by_clock(
    recipe: Recipe, make: Callable[..., Planned], speed: Speed, *, num_classes: int, guide: int = 0
) -> Planned:
    """Plan with the rung of the fast preset that suits ``trainer.budget``.

    Args:
        recipe: network and budget.
        make: makes the plan of a ``preset``.
        speed: of the device.
        num_classes: outputs of the network.
        guide: channels that an earlier stage adds to the image's.
    """
    budget = float(recipe.trainer.budget or 0)

    @cache
    def planned(rung: Rung) -> Planned:
        return make(preset=at(rung))

    @cache
    def seconds(rung: Rung) -> float:
        plan = planned(rung).plan
        return step_seconds(recipe, plan, speed, num_classes=num_classes, guide=guide)

    rung, steps = climb(seconds, budget)
    found = planned(rung)
    why = f"about {_rounded(steps)} steps in {_words(budget)} at {speed.flops / 1e9:.3g} GFLOP/s"
    reasons = {**found.reasons, "features": f"{found.reasons['features']}; {why}"}
    return replace(found, reasons=reasons)


def step_seconds(
    recipe: Recipe, plan: Plan, speed: Speed, *, num_classes: int, guide: int = 0
) -> float:
    """Foretell the seconds of a step from what the recipe's network computes.

    What a network reads around its patch counts as part of the patch. Of the plain and the residual
    U-Net arithmetic says it; of other networks of ours and of MONAI's it is counted on one without
    weights; those that need trust count as a plain U-Net.
    """
    name = recipe.network.name
    # Neighbouring slices are channels of the first convolution, and nothing after it.
    read = needs_of(recipe, replace(plan, neighbours=0)).input_size(plan.patch_size)
    channels = (len(plan.preprocessing.normalisation) + guide) * (2 * plan.neighbours + 1)
    options = {"in_channels": channels, "num_classes": num_classes}
    if name not in _BY_ARITHMETIC and ":" not in name:
        flops, values = _counted(recipe, plan, read, **options)
    else:
        flops, values = _by_arithmetic(recipe, plan, read, **options)
    return speed.seconds(plan.batch_size * flops, plan.batch_size * values)


def _by_arithmetic(
    recipe: Recipe, plan: Plan, read: Sequence[int], *, in_channels: int, num_classes: int
) -> tuple[int, int]:
    """Return the operations and the values of a patch in a U-Net, plain or residual."""
    stages = len(plan.features)
    blocks = None
    if recipe.network.name == "residual_unet":
        given = recipe.network.arguments.get("blocks_per_stage")
        blocks = (
            published_blocks(stages)
            if given is None
            else counts_per_stage("blocks_per_stage", given, stages)
        )
    network = convolutions(
        read,
        plan.strides,
        plan.kernels,
        plan.features,
        in_channels=in_channels,
        num_classes=num_classes,
        blocks=blocks,
    )
    shape = (read, plan.strides, plan.features)
    values = (
        plain_activations(*shape, num_classes=num_classes)
        if blocks is None
        else residual_activations(*shape, blocks=blocks, num_classes=num_classes)
    )
    return step_flops(network, batch_size=1), values


def _counted(
    recipe: Recipe, plan: Plan, read: Sequence[int], *, in_channels: int, num_classes: int
) -> tuple[int, int]:
    """Return the same of any network of ours or of MONAI's."""
    from medseg.networks import registry
    from medseg.networks.workload import workload

    name = recipe.network.name
    options: dict[str, Any] = {"in_channels": in_channels, "num_classes": num_classes}
    try:
        arguments = registry.plan_arguments(
            name,
            registry.resolve(name),
            spatial_dims=plan.spatial_dims,
            patch_size=plan.patch_size,
            strides=plan.strides,
            kernels=plan.kernels,
            features=plan.features,
            arguments=recipe.network.arguments,
            **options,
        )
        return workload(name, arguments, in_channels=in_channels, size=read)
    except (InputError, NotImplementedError, RuntimeError):
        # One of MONAI's looks at values, of which there are none here. What is wrong with a network
        # is said, with its place, by who builds it.
        return _by_arithmetic(recipe, plan, read, **options)


def _rounded(steps: int) -> int:
    """Keep two digits: more would promise too much."""
    unit = 10 ** max(0, len(str(steps)) - 2)
    return round(steps / unit) * unit


def _words(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
