"""How fast the device at hand is, where a plan depends on it; measured once for a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medseg import build
from medseg.planning.cost import Speed
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe


def device_speed(
    recipe: Recipe,
    found: Fingerprint,
    *,
    known: Mapping[str, Any],
    planned: bool = False,
    inherited: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the speed of the device as ``plan.yaml`` holds it; empty where no plan asks for it.

    Args:
        recipe: the recipe.
        found: what the data are.
        known: what ``plan.yaml`` holds already; it stays, else a plan would change under a run.
        planned: there is a ``plan.yaml``: one without a speed was made without.
        inherited: what the weights of a transfer decide, such as the network's width.
    """
    theirs = build.plan_values(
        recipe, inherited or {}, spatial_dims=found.spatial_dims, channels=len(found.channels)
    )
    if not build.sized_by_clock(recipe, theirs):
        return {}
    if planned:
        return dict(known) if as_speed(known) else {}
    from medseg.build.device import device_name, training_device, training_precision
    from medseg.training.benchmark import measure_speed

    device = training_device(recipe)
    speed = measure_speed(
        device, spatial_dims=found.spatial_dims, precision=training_precision(recipe)
    )
    return {
        "device": device_name(device),
        "gflops": _rounded(speed.flops / 1e9),
        "million_values": _rounded(min(speed.values / 1e6, 1e6)),
        "overhead": round(speed.overhead, 4),
    }


def as_speed(held: Mapping[str, Any]) -> Speed | None:
    """Read what `device_speed` returned; ``None`` if it is empty, or damaged."""
    try:
        return Speed(
            float(held["gflops"]) * 1e9,
            float(held["million_values"]) * 1e6,
            float(held["overhead"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")
