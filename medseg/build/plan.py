"""What a recipe says about the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.planner import Planned, plan
from medseg.recipe import Recipe

# Trainings up to this long get the small network that is useful after minutes.
SHORT_SECONDS = 3600.0
SHORT_STEPS = 5000


def build_plan(
    recipe: Recipe,
    fingerprint: Fingerprint,
    *,
    edits: Mapping[str, Any] | None = None,
    file: Path | None = None,
) -> Planned:
    """Plan for a data set; the recipe's values win over ``edits``, edits over what is planned.

    Raises:
        InputError: a value that was set does not fit the data or the network.
    """
    from medseg.networks.needs import needs

    network = recipe.network
    channels = recipe.data.channels
    try:
        return plan(
            fingerprint,
            modalities=tuple(channels.values()) if isinstance(channels, Mapping) else None,
            needs=needs(
                network.name, dict(network.arguments), spatial_dims=fingerprint.spatial_dims
            ),
            overrides={**(edits or {}), **plan_overrides(recipe)},
            preset=preset(recipe),
        )
    except InputError as error:
        error.file = error.file or (file if edits else recipe.at("plan"))
        raise


def plan_overrides(recipe: Recipe) -> dict[str, Any]:
    """Return the values of the plan that the recipe fixes."""
    values = recipe.plan.given()
    values.pop("preset", None)
    return values


def preset(recipe: Recipe) -> Literal["standard", "fast"]:
    """Choose the planner's preset: ``fast`` for an hour or 5,000 steps at most."""
    if recipe.plan.preset != "auto":
        return recipe.plan.preset
    trainer = recipe.trainer
    short = (trainer.budget is not None and float(trainer.budget) <= SHORT_SECONDS) or (
        trainer.steps is not None and trainer.steps <= SHORT_STEPS
    )
    return "fast" if short else "standard"
