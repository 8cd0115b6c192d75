"""What a recipe says about the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from medseg.build import anchors
from medseg.build.clocked import by_clock
from medseg.build.needs import needs_of
from medseg.build.transfer import plan_values
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.networks.needs import NetworkNeeds, needs
from medseg.networks.topology import published_blocks
from medseg.networks.wiring import ignored
from medseg.planning import presets
from medseg.planning.cost import Speed
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.plan import Plan
from medseg.planning.planner import GIVEN, Planned, plan
from medseg.planning.preset import Name
from medseg.recipe import Recipe

# Trainings up to this long get the small network that is useful after minutes.
SHORT_SECONDS = 3600.0
SHORT_STEPS = 5000

# They decide what is planned; the other keys of `plan` replace what was.
CHOICES = ("configuration", "preset")


def build_plan(
    recipe: Recipe,
    fingerprint: Fingerprint,
    *,
    edits: Mapping[str, Any] | None = None,
    file: Path | None = None,
    speed: Speed | None = None,
    inherited: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Planned:
    """Plan for a data set; the recipe's values win over ``edits``, edits over what is planned.

    Args:
        recipe: the recipe.
        fingerprint: what the data are.
        edits: values that a person changed in ``file``.
        file: the ``plan.yaml`` that they stand in.
        speed: of the device, for `sized_by_clock`; ``None``: the fast preset as it stands.
        inherited: what the weights of a transfer decide, see `medseg.build.transfer.inheritance`;
            edits win over it.
        shapes: see `medseg.planning.planner.plan`.

    Raises:
        InputError: a value that was set does not fit the data or the network.
    """
    network = recipe.network
    theirs = plan_values(
        recipe,
        inherited or {},
        spatial_dims=fingerprint.spatial_dims,
        channels=len(fingerprint.channels),
    )
    fixed = {**theirs, **(edits or {}), **plan_overrides(recipe)}
    finds = recipe.task == "detection"
    overrides = {k: v for k, v in fixed.items() if not finds or k not in anchors.KEYS}
    make = partial(
        _with_room,
        recipe,
        fingerprint,
        modalities=modalities(recipe, fingerprint),
        configuration=recipe.plan.configuration,
        shapes=shapes,
    )
    coarser = None
    try:
        if finds and preset(recipe) == "fast" and "spacing" not in overrides:
            coarser = anchors.coarser(make(preset="fast", overrides=overrides), fingerprint)
        if coarser:
            overrides["spacing"] = coarser[0]
        make = partial(make, overrides=overrides)
        if finds:
            make = partial(anchors.plan_boxes, make, recipe, fingerprint, fixed)
        if speed is not None and sized_by_clock(recipe, {**theirs, **(edits or {})}):
            planned = by_clock(recipe, make, speed, LabelScheme.from_dict(fingerprint.labels))
        else:
            planned = make(preset=preset(recipe))
    except InputError as error:
        error.file = error.file or (file if edits else recipe.at("plan"))
        raise
    wanted = needs_of(recipe, planned.plan)
    _refuse_patch(recipe, planned.plan, wanted)
    reasons = dict(planned.reasons)
    if coarser:
        reasons["spacing"] = coarser[1]
    for key in theirs.keys() - (edits or {}).keys() - plan_overrides(recipe).keys():
        reasons[key] = reasons[key].replace(GIVEN, "as where the weights were trained")
    if any(wanted.context):
        around = " x ".join(map(str, wanted.context))
        reasons["patch_size"] += f"; {network.name} reads {around} voxels more on each side"
    for key, name in _unused(recipe).items():
        reasons[key] += f"; {name} takes no notice of it"
    if network.name == "centre_net" and len(planned.plan.levels) > 1:
        reasons["levels"] += f"; {network.name} looks at the first alone"
    return replace(planned, reasons=reasons)


def modalities(recipe: Recipe, fingerprint: Fingerprint) -> tuple[str, ...]:
    """Say per channel what it shows, which decides how it is scaled.

    ``data.channels`` may map each; else ``data.modality`` speaks for all whose names ask for
    nothing else, and where it is ``auto`` the names do.
    """
    channels, stated = recipe.data.channels, recipe.data.modality
    if isinstance(channels, Mapping):
        return tuple(channels.values())
    named = fingerprint.modalities
    if stated == "auto":
        return named
    return tuple(stated if name in ("ct", "other") else name for name in named)


def _with_room(recipe: Recipe, fingerprint: Fingerprint, **options: Any) -> Planned:
    """Plan with room for what the network reads around its patch.

    How much that is may follow from the plan's strides; then the first plan allows for too much.
    """
    network = recipe.network
    most = needs(network.name, dict(network.arguments), spatial_dims=fingerprint.spatial_dims)
    planned = plan(fingerprint, needs=most, **options)
    context = needs_of(recipe, planned.plan).context
    if context == most.context:
        return planned
    return plan(fingerprint, needs=replace(most, context=context), **options)


def _refuse_patch(recipe: Recipe, plan: Plan, wanted: NetworkNeeds) -> None:
    problem = wanted.problem(plan.patch_size)
    if problem:
        raise InputError(
            f"{recipe.network.name} cannot take this patch: {problem}",
            file=recipe.at("plan"),
            found=f"patch_size {list(plan.patch_size)}",
            remedy=f"for instance plan.patch_size={list(wanted.enlarged(plan.patch_size))}",
        )


def _unused(recipe: Recipe) -> dict[str, str]:
    """Map keys of the plan to the component of the recipe that does not follow them."""
    network, loss = recipe.network, recipe.loss
    unused = dict.fromkeys(ignored(network.name), network.name)
    if network.name == "centre_net":
        unused["anchors"] = network.name
    if loss.arguments.get("batch") is not None:
        unused["batch_dice"] = f"loss.batch: {str(loss.arguments['batch']).lower()}"
    elif loss.home != "medseg" or "batch" not in loss.defaults:
        unused["batch_dice"] = f"the loss {loss.name}"
    return unused


def plan_overrides(recipe: Recipe) -> dict[str, Any]:
    """Return the values of the plan that the recipe fixes."""
    return {key: value for key, value in recipe.plan.given().items() if key not in CHOICES}


def preset(recipe: Recipe) -> Name:
    """Choose the planner's preset: ``fast`` for an hour or 5,000 steps at most."""
    if recipe.plan.preset != "auto":
        return recipe.plan.preset
    trainer = recipe.trainer
    short = (trainer.budget is not None and float(trainer.budget) <= SHORT_SECONDS) or (
        trainer.steps is not None and trainer.steps <= SHORT_STEPS
    )
    return "fast" if short else "standard"


def sized_by_clock(recipe: Recipe, edits: Mapping[str, Any] | None = None) -> bool:
    """Say whether network, patch and batch follow from the budget and the device's speed.

    Those of a fast plan do, unless someone fixed the network's width.
    """
    fixed = {**(edits or {}), **plan_overrides(recipe)}
    timed = recipe.trainer.budget is not None and recipe.trainer.steps is None
    return preset(recipe) == "fast" and timed and "features" not in fixed


def _plain_detector(recipe: Recipe, preset: str) -> str | None:
    network = recipe.network
    if network.arguments.get("encoder") == "residual":
        return None
    return (
        f"plan.preset {preset} is sized for an encoder of residual blocks, and that of "
        f"{network.name} is plain: that is trained. For the preset's: network.encoder=residual"
    )


def other_network(recipe: Recipe) -> str | None:
    """Say where the recipe trains another network than its preset has sized, else ``None``."""
    chosen, network = presets.find(preset(recipe)), recipe.network
    if not chosen.residual:
        return None
    if recipe.task == "detection":
        return _plain_detector(recipe, chosen.name)
    if network.name != chosen.network:
        return (
            f"plan.preset {chosen.name} is sized for {chosen.network}, and the recipe names "
            f"{network.name}: that is trained. For the preset's: network={chosen.network}"
        )
    blocks = network.arguments.get("blocks_per_stage")
    if blocks is not None:
        published = ", ".join(map(str, published_blocks(5)))
        return (
            f"plan.preset {chosen.name} is sized for {published} … blocks a stage, and the recipe "
            f"sets {blocks}: that is trained. For the preset's: network.blocks_per_stage=null"
        )
    return None
