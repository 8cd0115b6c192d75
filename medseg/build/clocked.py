"""The fast plan for a clock and a device: as large a network as still takes enough steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from medseg.build.needs import needs_of
from medseg.build.network import network_arguments, plan_numbers
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.networks.topology import counts_per_stage, published_blocks
from medseg.planning.cost import Speed, convolutions, step_flops
from medseg.planning.fast import Rung, at, climb
from medseg.planning.memory import plain_activations, residual_activations
from medseg.planning.plan import Plan
from medseg.planning.planner import Planned
from medseg.recipe import Recipe

_BY_ARITHMETIC = ("unet", "residual_unet")


def by_clock(
    recipe: Recipe, make: Callable[..., Planned], speed: Speed, labels: LabelScheme
) -> Planned:
    """Plan with the rung of the fast preset that suits ``trainer.budget``.

    Args:
        recipe: network and budget.
        make: makes the plan of a ``preset``, with all that the network depends on.
        speed: of the device.
        labels: of the data set.
    """
    budget = float(recipe.trainer.budget or 0)

    @cache
    def planned(rung: Rung) -> Planned:
        return make(preset=at(rung))

    @cache
    def seconds(rung: Rung) -> float:
        return step_seconds(recipe, planned(rung).plan, speed, labels)

    rung, steps = climb(seconds, budget)
    found = planned(rung)
    why = f"about {_rounded(steps)} steps in {_words(budget)} at {speed.flops / 1e9:.3g} GFLOP/s"
    reasons = {**found.reasons, "features": f"{found.reasons['features']}; {why}"}
    return replace(found, reasons=reasons)


def step_seconds(recipe: Recipe, plan: Plan, speed: Speed, labels: LabelScheme) -> float:
    """Foretell the seconds of a step from what the recipe's network computes.

    What a network reads around its patch counts as part of the patch. Of the plain and the residual
    U-Net arithmetic says it; of other networks of ours and of MONAI's it is counted on one without
    weights, of a detector with the levels and anchors of the plan; those that need trust count as a
    plain U-Net.

    Args:
        recipe: names the network.
        plan: as the network will be built from it.
        speed: of the device.
        labels: of the data set.
    """
    name = recipe.network.name
    # Neighbouring slices are channels of the first convolution, and nothing after it.
    read = needs_of(recipe, replace(plan, neighbours=0)).input_size(plan.patch_size)
    if name not in _BY_ARITHMETIC and ":" not in name:
        flops, values = _counted(recipe, plan, read, labels)
    else:
        flops, values = _by_arithmetic(recipe, plan, read, labels)
    return speed.seconds(plan.batch_size * flops, plan.batch_size * values)


def _by_arithmetic(
    recipe: Recipe, plan: Plan, read: Sequence[int], labels: LabelScheme
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
        in_channels=plan_numbers(recipe, plan, labels).in_channels,
        num_classes=labels.num_outputs,
        blocks=blocks,
    )
    shape = (read, plan.strides, plan.features)
    values = (
        plain_activations(*shape, num_classes=labels.num_outputs)
        if blocks is None
        else residual_activations(*shape, blocks=blocks, num_classes=labels.num_outputs)
    )
    return step_flops(network, batch_size=1), values


def _counted(
    recipe: Recipe, plan: Plan, read: Sequence[int], labels: LabelScheme
) -> tuple[int, int]:
    """Return the same of any network of ours or of MONAI's."""
    from medseg.networks import registry
    from medseg.networks.workload import workload

    name = recipe.network.name
    numbers = plan_numbers(recipe, plan, labels)
    try:
        arguments = registry.plan_arguments(
            name,
            registry.resolve(name),
            **vars(numbers),
            arguments=network_arguments(recipe, labels),
        )
        return workload(name, arguments, in_channels=numbers.in_channels, size=read)
    except (InputError, NotImplementedError, RuntimeError):
        # One of MONAI's looks at values, of which there are none here. What is wrong with a network
        # is said, with its place, by who builds it.
        return _by_arithmetic(recipe, plan, read, labels)


def _rounded(steps: int) -> int:
    """Keep two digits: more would promise too much."""
    unit = 10 ** max(0, len(str(steps)) - 2)
    return round(steps / unit) * unit


def _words(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
