"""What the sizes of objects add to the plan of a detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.planning import presets
from medseg.planning.axes import as_oriented
from medseg.planning.detection import detection_plan
from medseg.planning.detection_overlap import plan_overlap
from medseg.planning.detection_spacing import coarser_spacing
from medseg.planning.fast import halved
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.network import GIVEN
from medseg.planning.planner import Planned
from medseg.planning.preset import Name, Preset
from medseg.recipe import Recipe

# The keys of plan.yaml that only a detection has.
KEYS = ("levels", "anchors", "overlap")


_WHY_HALF = (
    "half as many where objects are looked for at full resolution, which costs as much again"
)


def plan_boxes(
    make: Callable[..., Planned],
    recipe: Recipe,
    fingerprint: Fingerprint,
    edits: Mapping[str, Any],
    *,
    preset: Name | Preset,
) -> Planned:
    """Plan with levels and anchors, which the cost of a step depends on.

    Args:
        make: makes the plan of a ``preset`` without them.
        recipe: see `with_anchors`.
        fingerprint: likewise.
        edits: likewise.
        preset: the fast one gets smaller patches where full resolution is a level: its steps take
            as long, and there are as many.

    Raises:
        InputError: as `with_anchors` does.
    """
    preset = presets.find(preset)
    planned = with_anchors(recipe, make(preset=preset), fingerprint, edits)
    if preset.name != "fast" or planned.plan.levels[0] > 0:
        return planned
    return with_anchors(recipe, make(preset=halved(preset, _WHY_HALF)), fingerprint, edits)


def with_anchors(
    recipe: Recipe, planned: Planned, fingerprint: Fingerprint, edits: Mapping[str, Any]
) -> Planned:
    """Add to a plan the levels at which objects are looked for, and the boxes tried there.

    Args:
        recipe: of a detection.
        planned: spacing, patch and strides as for any network.
        fingerprint: with the sizes of the objects.
        edits: of plan.yaml: ``levels`` and ``anchors`` of a person's own.

    Raises:
        InputError: there are no objects; or levels or anchors do not fit the network.
    """
    plan, orientation = planned.plan, planned.plan.preprocessing.orientation
    sizes, classes = _oriented(fingerprint, orientation)
    found = detection_plan(
        sizes,
        classes=classes,
        spacing=plan.preprocessing.spacing,
        patch_size=plan.patch_size,
        strides=plan.strides,
        levels=recipe.plan.levels or edits.get("levels"),
        num_anchors=recipe.detection.anchors,
    )
    overlap, why = _overlap(recipe, fingerprint, edits)
    reasons = {
        **planned.reasons,
        **{key: found.reasons[key] for key in ("levels", "anchors")},
        "overlap": why,
    }
    reasons["patch_size"] += f"; {found.reasons['holding_patch']}"
    anchors = found.anchors
    if edits.get("anchors") is not None:
        anchors, reasons["anchors"] = _given(edits["anchors"], len(found.levels), plan), GIVEN
    made = replace(plan, levels=found.levels, anchors=anchors, overlap=overlap)
    return replace(planned, plan=made, reasons=reasons)


def coarser(planned: Planned, fingerprint: Fingerprint) -> tuple[tuple[float, ...], str] | None:
    """Return a coarser spacing that is enough to find the objects, and why; see `coarser_spacing`.

    Args:
        planned: for these data, without it.
        fingerprint: with the sizes of the objects.
    """
    made = planned.plan.preprocessing
    sizes, classes = _oriented(fingerprint, made.orientation)
    return coarser_spacing(sizes, classes, spacing=made.spacing)


def _oriented(fingerprint: Fingerprint, orientation: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the sizes in mm ``(N, n)`` along the axes of the plan, and the classes ``(N,)``."""
    found = [one for case in fingerprint.cases for one in case.objects or ()]
    sizes = [one[1:] if orientation is None else as_oriented(one[1:], orientation) for one in found]
    return (
        np.array(sizes, dtype=np.float64).reshape(-1, fingerprint.spatial_dims),
        np.array([int(one[0]) for one in found], dtype=np.int64),
    )


def _overlap(
    recipe: Recipe, fingerprint: Fingerprint, edits: Mapping[str, Any]
) -> tuple[float, str]:
    given = edits.get("overlap") if recipe.detection.overlap is None else recipe.detection.overlap
    if given is None:
        return plan_overlap([iou for case in fingerprint.cases for iou in case.overlaps])
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise InputError("plan.overlap: not an IoU", expected="0 to 1", found=str(given))
    return float(given), GIVEN


def _given(value: Any, levels: int, plan: Any) -> tuple[tuple[tuple[float, ...], ...], ...]:
    try:
        sizes = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        sizes = np.zeros(0)
    sound = sizes.ndim == 3 and sizes.shape[::2] == (levels, plan.spatial_dims) and sizes.size
    if not sound or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise InputError(
            "plan.anchors: not the sizes of boxes",
            expected=f"for each of {levels} levels as many boxes of {plan.spatial_dims} voxels",
            found=str(value),
        )
    return tuple(tuple(tuple(size) for size in level) for level in sizes.tolist())
