"""What the sizes of objects add to the plan of a detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning import presets
from medseg.planning.axes import as_oriented
from medseg.planning.detection import detection_plan
from medseg.planning.detection_overlap import plan_overlap
from medseg.planning.detection_spacing import coarser_spacing
from medseg.planning.fast import halved
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.learnable import visible_parts
from medseg.planning.network import GIVEN
from medseg.planning.plan import Plan
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
        InputError: there are no objects; the patch is too small to learn any of a class; or levels
            or anchors do not fit the network.
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
    _require_learnable(recipe, plan, sizes, classes, fingerprint, found.holding_patch)
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


def too_large(recipe: Recipe, plan: Plan, fingerprint: Fingerprint) -> str | None:
    """Say how many objects are too large for any patch to show enough of them, else ``None``."""
    if recipe.task != "detection":
        return None
    sizes, _ = _oriented(fingerprint, plan.preprocessing.orientation)
    parts = visible_parts(sizes / np.asarray(plan.preprocessing.spacing), plan.patch_size)
    share = float((parts < recipe.detection.min_visible).mean()) if len(parts) else 0.0
    if not share:
        return None
    return (
        f"{share:.1%} of the objects are too large to be learnt: no patch shows "
        f"{recipe.detection.min_visible:.0%} of them (detection.min_visible). A larger "
        "plan.patch_size, or a coarser plan.spacing, would"
    )


def _require_learnable(
    recipe: Recipe,
    plan: Plan,
    sizes: np.ndarray,
    classes: np.ndarray,
    fingerprint: Fingerprint,
    holding: Sequence[int],
) -> None:
    """Refuse a patch that shows too little of every object of a class: none would be learnt."""
    parts = visible_parts(sizes / np.asarray(plan.preprocessing.spacing), plan.patch_size)
    least = recipe.detection.min_visible
    names = LabelScheme.from_dict(fingerprint.labels).foreground
    for number in np.unique(classes).tolist():
        best = float(parts[classes == number].max())
        if best < least:
            raise InputError(
                f"the patch is too small to learn any object of class {names[number]!r}",
                file=recipe.at("plan", "patch_size"),
                expected=f"a patch that shows {least:.0%} of one (detection.min_visible)",
                found=f"{best:.2%} at most, in {' x '.join(map(str, plan.patch_size))} voxels",
                remedy=f"plan.patch_size={list(np.maximum(holding, plan.patch_size).tolist())}, a "
                "coarser plan.spacing, or a smaller detection.min_visible",
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
