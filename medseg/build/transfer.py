"""What a recipe takes from weights that were trained before, and how it goes on from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medseg.build.cascade import guidance_of, use_of_guide
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from medseg.tasks.training_task import TrainingTask
    from medseg.training.transfer import Report, Source

# Keys of a plan that only make sense together, and those that bring images before the network.
STRUCTURE = ("features", "strides", "kernels")
PREPROCESSING = ("spacing", "orientation", "crop", "normalisation", "patch_size")
# MONAI's transformers have this norm, and do not use it; weights of before MONAI 1.4 have none.
_IDLE = ".norm_cross_attn."


def source_of(recipe: Recipe) -> Source:
    """Read the weights that a recipe starts from; of a run with folds those of the recipe's fold.

    Raises:
        InputError: see `medseg.training.transfer.read`.
    """
    from medseg.training.transfer import read

    assert recipe.transfer is not None
    return read(recipe.transfer.source, fold=recipe.data.fold)


def inheritance(recipe: Recipe) -> dict[str, Any]:
    """Say what the weights decide, as far as the recipe asks for it, in plain containers.

    Returns:
        ``network``: name and arguments, or ``None``; ``plan``: some of its keys; ``notes``; where a
        detector goes on from a segmentation, ``encoder``: arguments of the detector.

    Raises:
        InputError: the weights cannot be read, or know nothing of the masks of a first stage, which
            the recipe's regime would never learn to look at.
    """
    found = source_of(recipe)
    _refuse_unseen_masks(found, recipe)
    wanted = recipe.transfer.inherit if recipe.transfer else "nothing"
    if wanted == "nothing":
        return {"network": None, "plan": {}, "notes": []}
    plan = dict(found.structure)
    if found.plan is not None:
        values = found.plan.to_dict()
        if wanted == "plan":
            plan |= {key: values[key] for key in PREPROCESSING}
        elif found.network and "img_size" in found.network["arguments"]:
            plan["patch_size"] = values["patch_size"]  # learnt positions are those of one patch
    elif wanted == "plan":
        raise InputError(
            "only medseg's own checkpoints say how their images were prepared",
            file=recipe.at("transfer", "inherit"),
            expected="inherit: network, with plan.spacing and plan.normalisation as they were",
            found=f"{found.kind}: {found.path}",
        )
    network = None if found.network is None else dict(found.network)
    inherited = {"network": network, "plan": plan, "notes": list(found.notes)}
    return inherited if found.task == recipe.task else {**inherited, **_encoder(found, recipe)}


def _encoder(found: Source, recipe: Recipe) -> dict[str, Any]:
    """Return what networks of different tasks have in common: the encoder.

    Raises:
        InputError: no detector has the encoder of these weights.
    """
    from medseg.training.transfer.encoders import ENCODERS, of_detector, of_unet

    network = found.network
    if network is None:
        return {}
    if recipe.task == "segmentation":
        return {"network": of_unet(network)}
    if network["name"] not in ENCODERS:
        raise InputError(
            f"the weights are of {network['name']}, whose encoder no detector has",
            file=recipe.at("transfer", "from"),
            expected=f"weights of {', '.join(ENCODERS)}, or of a detector",
            found=f"{found.kind}: {found.path}",
            remedy="take others, or train from scratch: transfer=null",
        )
    return {"network": None, "encoder": of_detector(network)}


def with_inherited(recipe: Recipe, inherited: Mapping[str, Any]) -> Recipe:
    """Return the recipe with the network of its weights, unless it names one itself.

    A network that only a parent of the recipe names gives way. A detector has the encoder of a
    segmentation, unless the recipe says another.
    """
    network, encoder = inherited.get("network"), inherited.get("encoder")
    if encoder:
        mine = recipe.network
        return recipe.with_network(mine.name, {**encoder, **mine.arguments})
    if network is None or recipe.states("network"):
        return recipe
    return recipe.with_network(network["name"], network["arguments"])


def plan_values(
    recipe: Recipe, inherited: Mapping[str, Any], *, spatial_dims: int, channels: int
) -> dict[str, Any]:
    """Return the keys of the plan that follow from the weights.

    Features, strides and kernels belong together: a recipe that sets one of them inherits none.
    Normalisation is per channel, and inherited where there are as many.

    Raises:
        InputError: the weights are of another number of dimensions.
    """
    values = dict(inherited.get("plan") or {})
    given = recipe.plan.given()
    if set(STRUCTURE) & set(given):
        values = {key: value for key, value in values.items() if key not in STRUCTURE}
    per_axis = (*(values.get("strides") or ())[:1], values.get("patch_size"))
    dims = next((len(numbers) for numbers in per_axis if numbers), spatial_dims)
    if dims != spatial_dims:
        raise InputError(
            f"the weights are of a network in {dims}D, and the data are {spatial_dims}D",
            file=recipe.at("transfer", "from"),
            found=recipe.transfer.source if recipe.transfer else None,
            remedy="weights are not inflated from 2D to 3D, nor flattened: take others, or train "
            "from scratch",
        )
    if len(values.get("normalisation") or ()) != channels:
        values.pop("normalisation", None)
    return values


def prepare(network: nn.Module, recipe: Recipe) -> None:
    """Freeze what the recipe's regime does not train, weights loaded or not.

    Raises:
        InputError: the network's head or stages are not known, or there are fewer stages.
    """
    from medseg.training.transfer import freeze, parameter_groups

    transfer = recipe.transfer
    if transfer is None:
        return
    key = "regime"
    try:
        freeze(network, transfer.regime, last=transfer.stages)
        if transfer.lr_decay != 1.0:  # found out now, and not when the training begins
            key = "lr_decay"
            parameter_groups(network, lr=1.0, lr_decay=transfer.lr_decay)
    except InputError as error:
        error.file = error.file or recipe.at("transfer", key)
        raise


def fill(network: nn.Module, recipe: Recipe, plan: Plan, dataset: Dataset) -> Report:
    """Load the weights into a network that `prepare` has seen, and report.

    Raises:
        InputError: see `medseg.training.transfer.load_pretrained`; or a layer that stays frozen is
            not in the file.
    """
    from medseg.training.transfer import load_pretrained
    from medseg.training.transfer.source import class_names

    found = source_of(recipe)
    labels = dataset.labels
    guidance = guidance_of(recipe, labels)
    report = load_pretrained(
        network,
        found,
        channels=dataset.channels,
        guides=() if guidance is None else guidance.masks(labels),
        classes=class_names(labels, recipe.task, anchors=getattr(network, "num_anchors", 1)),
        regions=bool(labels.regions),
    )
    _refuse_frozen_noise(network, report, recipe)
    return replace(report, notes=(*report.notes, *differences(found.plan, plan)))


def start(task: TrainingTask, recipe: Recipe, plan: Plan, dataset: Dataset) -> Report:
    """Load the weights into a task, averaged ones included; see `fill`."""
    report = fill(task.network, recipe, plan, dataset)
    averaged: Any = task.averaged
    if averaged is not None:
        averaged.module.load_state_dict(task.network.state_dict())
    return report


def check(recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()) -> None:
    """Find out whether the weights fit, without their values.

    Raises:
        InputError: as `fill`.
    """
    from medseg.build.fitted import without_values

    try:
        network = without_values(recipe, plan, dataset, trust=trust)
    except InputError as error:
        if not recipe.states("network"):  # it came with the weights
            error.file = error.file or recipe.at("transfer", "from")
            error.remedy = error.remedy or "name another, as network=NAME"
        raise
    fill(network, recipe, plan, dataset)


def differences(theirs: Plan | None, ours: Plan) -> list[str]:
    """Say in sentences how images are prepared differently from what the weights have seen."""
    if theirs is None:
        return []
    before, after = theirs.to_dict(), ours.to_dict()
    return [
        f"{key} is {after[key]}, and was {before[key]} where the weights were trained"
        for key in PREPROCESSING
        if before[key] != after[key]
    ]


def _refuse_frozen_noise(network: nn.Module, report: Report, recipe: Recipe) -> None:
    """Refuse to freeze what the file has nothing for: layers at random values, masks at zero."""
    names = {name for name, p in network.named_parameters() if not p.requires_grad}
    frozen = [e for e in report.entries if e.name in names or f"network.{e.name}" in names]
    new = [entry.name for entry in frozen if entry.fate == "new" and _IDLE not in entry.name]
    if new:
        raise InputError(
            "layers that would stay as they are initialised are not in the file",
            file=report.source,
            found=", ".join([*new[:3], *(["…"] if len(new) > 3 else [])]),
            remedy="train them: transfer.regime=large, or more transfer.stages of regime medium",
        )
    unseen = next((entry for entry in frozen if entry.zero), None)
    if unseen is not None:
        raise _never_seen(recipe, f"{', '.join(unseen.zero)} in {unseen.name}, which stay zero")


def _refuse_unseen_masks(found: Source, recipe: Recipe) -> None:
    """Refuse early what `_refuse_frozen_noise` would refuse after a first stage is trained."""
    transfer = recipe.transfer
    if transfer is None or recipe.cascade.first is None or use_of_guide(recipe) == "crop":
        return
    frozen = transfer.regime == "small" or (transfer.regime == "medium" and not transfer.stages)
    if frozen and not found.guides:
        raise _never_seen(recipe, f"{found.path} has no such channels")


def _never_seen(recipe: Recipe, found: str) -> InputError:
    return InputError(
        "the network would never learn to look at the masks of its first stage: the layer that "
        "reads them stays as it is in the weights",
        file=recipe.at("transfer", "regime"),
        expected="weights of a cascade with masks of the same classes, or a first layer that is "
        "trained",
        found=found,
        remedy="transfer.regime=large, with transfer.lr_decay to change the first layers little; "
        "or cascade.use=crop, which adds no channels",
    )
