"""The fast plan for a clock and a device: as large a network as still takes enough steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from medseg.build.needs import needs_of
from medseg.networks.topology import counts_per_stage, published_blocks
from medseg.planning.cost import Speed, convolutions, step_flops
from medseg.planning.fast import Rung, at, climb
from medseg.planning.memory import plain_activations, residual_activations
from medseg.planning.plan import Plan
from medseg.planning.planner import Planned
from medseg.recipe import Recipe


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
    """Foretell the seconds of a step from arithmetic; networks of others count as a plain U-Net.

    What a network reads around its patch counts as part of the patch.
    """
    # Neighbouring slices are channels of the first convolution, and nothing after it.
    read = needs_of(recipe, replace(plan, neighbours=0)).input_size(plan.patch_size)
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
        in_channels=(len(plan.preprocessing.normalisation) + guide) * (2 * plan.neighbours + 1),
        num_classes=num_classes,
        blocks=blocks,
    )
    flops = step_flops(network, batch_size=plan.batch_size)
    shape = (read, plan.strides, plan.features)
    values = (
        plain_activations(*shape, num_classes=num_classes)
        if blocks is None
        else residual_activations(*shape, blocks=blocks, num_classes=num_classes)
    )
    return speed.seconds(flops, plan.batch_size * values)


def _rounded(steps: int) -> int:
    """Keep two digits: more would promise too much."""
    unit = 10 ** max(0, len(str(steps)) - 2)
    return round(steps / unit) * unit


def _words(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
