"""What any task is trained with, and what its checkpoints say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medseg import __version__
from medseg.build import cascade
from medseg.build.augmentation import build_augmentation, mirrored_axes
from medseg.build.dataset import plain, portable_options
from medseg.build.optimisation import build_optimizer, build_schedule
from medseg.data.case import Dataset
from medseg.planning.mirroring import mirrored_in_prediction
from medseg.planning.plan import Plan
from medseg.recipe import Recipe


def training_parts(recipe: Recipe, *, trust: Sequence[str] = ()) -> dict[str, Any]:
    """Make optimiser, schedule and averaging, by the names of a task's arguments.

    Raises:
        InputError: optimiser or schedule refuse their arguments.
    """
    return {
        "optimizer": build_optimizer(recipe, trust=trust),
        "schedule": build_schedule(recipe, trust=trust),
        "ema": recipe.trainer.ema,
        "lr_decay": 1.0 if recipe.transfer is None else recipe.transfer.lr_decay,
    }


def description(
    recipe: Recipe,
    plan: Plan,
    dataset: Dataset,
    network: Mapping[str, Any],
    *,
    trust: Sequence[str] = (),
) -> dict[str, Any]:
    """Say what rebuilds a network and its preprocessing, in plain containers.

    Raises:
        InputError: prediction is to mirror what the training does not.
    """
    inference = plain(recipe.inference)
    transforms = build_augmentation(recipe, plan, dataset.labels, trust=trust)
    mirrored = mirrored_axes(transforms, plan.patch_size)
    # Refuses what cannot be before a training; within it the clock runs, and one view has to do.
    mirrored_in_prediction(inference["mirror"], plan.preprocessing.orientation, mirrored)
    return {
        "network": dict(network),
        "plan": plan.to_dict(),
        "channels": list(dataset.channels),
        "format": {"name": dataset.format, "options": portable_options(recipe)},
        "inference": {**inference, "mirrored": list(mirrored)},
        "cascade": cascade.record(recipe, dataset.labels),
        "recipe": recipe.to_yaml(),
        "version": __version__,
    }
