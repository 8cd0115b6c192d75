"""The levels and anchors of a detector, from the sizes of the boxes that it is to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medseg.errors import InputError
from medseg.networks.pyramid_levels import level_strides, read_levels
from medseg.planning.anchor_sizes import fit_anchors, mean_best_iou
from medseg.planning.box_percentiles import LARGE, SMALL, large_boxes, small_boxes
from medseg.planning.network import GIVEN
from medseg.planning.pooling import PerAxis, pad_to_multiple

# Strides that a small box should be long, so that some place lies near its middle.
SMALL_IN_STRIDES = 1.5
# Strides that a large box may be long before a coarser level is worth it (RetinaNet: 4 to 6.3).
LARGE_IN_STRIDES = 4.0
# Percentile of sizes that stands for the largest boxes.
LARGEST = 99.5
MOST_ANCHORS = 6
# Mean best IoU that another anchor must add.
WORTH = 0.02


@dataclass(frozen=True)
class DetectionPlan:
    """What the boxes decide.

    Attributes:
        levels: stages of the encoder whose resolutions have anchors, finest first.
        strides: voxels from place to place, per level and axis.
        anchors: voxels, per level, anchor and axis ``(L, A, n)``. Those of a level are the finest's
            times its stride over the finest's, so that all levels can share their heads.
        mean_iou: of the boxes with the anchor that fits each best, both about one centre.
        holding_patch: the smallest patch that holds 99.5 % of the boxes along each axis, and that
            the network can take.
        cut: share of the boxes that the planned patch does not hold along some axis.
        reasons: in words, by attribute.
    """

    levels: tuple[int, ...]
    strides: tuple[PerAxis, ...]
    anchors: tuple[tuple[tuple[float, ...], ...], ...]
    mean_iou: float
    holding_patch: PerAxis
    cut: float
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_anchors(self) -> int:
        """Anchors at each place."""
        return len(self.anchors[0])


def detection_plan(
    box_sizes: np.ndarray,
    *,
    spacing: Sequence[float],
    patch_size: Sequence[int],
    strides: Sequence[PerAxis],
    classes: Sequence[int] | np.ndarray | None = None,
    levels: Sequence[int] | None = None,
    num_anchors: int | None = None,
) -> DetectionPlan:
    """Plan levels and anchors, and say whether the patch is large enough.

    Args:
        box_sizes: of all boxes of the training cases, mm along the axes of the plan ``(N, n)``.
        spacing: mm per axis that images are resampled to; of pictures ones.
        patch_size: voxels per axis, as planned.
        strides: per stage of the encoder and axis, the first all ones, as planned.
        classes: of each box; ``None``: all are of one.
        levels: given by the user; ``None``: by the sizes.
        num_anchors: at each place, given by the user; ``None``: as many as help.

    Raises:
        InputError: no boxes, sizes that are none, or levels that the encoder does not have.
    """
    voxels = _checked(box_sizes, spacing) / np.asarray(spacing)
    per_stage = np.array(level_strides(strides, range(len(strides))))
    if levels is None:
        kinds = np.zeros(len(voxels)) if classes is None else np.asarray(classes)
        chosen, why = _levels(voxels, kinds, per_stage)
    else:
        chosen, why = read_levels(levels, len(strides)), GIVEN
    total = per_stage[list(chosen)]
    sizes, why_anchors = _anchors(voxels, total / total[0], num_anchors)
    anchors = total[:, None] / total[0] * sizes
    shared = mean_best_iou(voxels, anchors.reshape(-1, len(spacing)))
    holding = pad_to_multiple(np.percentile(voxels, LARGEST, axis=0), per_stage[-1].tolist())
    cut = float((voxels > np.asarray(patch_size)).any(axis=1).mean())
    return DetectionPlan(
        levels=chosen,
        strides=tuple(tuple(int(n) for n in stride) for stride in total),
        anchors=tuple(
            tuple(tuple(round(float(n), 2) for n in size) for size in level) for level in anchors
        ),
        mean_iou=round(shared, 4),
        holding_patch=holding,
        cut=cut,
        reasons={
            "levels": why,
            "anchors": f"{why_anchors}; boxes and the best of them have mean IoU {shared:.2f}",
            "holding_patch": _why_patch(voxels, patch_size, holding, cut),
        },
    )


def _checked(box_sizes: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    sizes = np.asarray(box_sizes, dtype=np.float64)
    if sizes.ndim != 2 or sizes.shape[1] != len(spacing) or not len(sizes):
        raise InputError(
            "a detector is planned from the sizes of its boxes, and there are none",
            expected=f"(N, {len(spacing)}) sizes in mm, N at least 1",
            found=f"shape {sizes.shape}",
            remedy="annotate a training case, or check which labels are objects",
        )
    if not np.isfinite(sizes).all() or (sizes <= 0).any():
        bad = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)).all(axis=1))
        raise InputError(
            "a box has no size",
            expected="positive mm along every axis",
            found=f"{len(bad)} such, the first {sizes[bad[0]].tolist()}",
        )
    return sizes


def _levels(
    voxels: np.ndarray, classes: np.ndarray, per_stage: np.ndarray
) -> tuple[tuple[int, ...], str]:
    """Choose the stages whose resolutions have anchors, and say why."""
    small, large = small_boxes(voxels, classes), large_boxes(voxels, classes)
    last = len(per_stage) - 1
    fine_enough = [
        stage
        for stage, stride in enumerate(per_stage)
        if (small >= SMALL_IN_STRIDES * stride).all()
    ]
    first = fine_enough[-1] if fine_enough else 0
    mean_stride = np.prod(per_stage, axis=1) ** (1 / voxels.shape[1])
    reaching = [
        stage for stage in range(first, last + 1) if large <= LARGE_IN_STRIDES * mean_stride[stage]
    ]
    end = reaching[0] if reaching else last
    stride = per_stage[first]
    why = (
        f"small boxes ({SMALL}th percentile) of {_sizes(small)} voxels are "
        f"{_sizes(small / stride)} strides of {_sizes(stride)} long"
    )
    if (small < SMALL_IN_STRIDES * stride).any():
        why += f" (less than {SMALL_IN_STRIDES:g}, but there is no finer level)"
    why += f", large ones ({LARGE}th) {large / mean_stride[end]:.1f} of the coarsest level's"
    return tuple(range(first, end + 1)), why


def _anchors(voxels: np.ndarray, scales: np.ndarray, given: int | None) -> tuple[np.ndarray, str]:
    """Return the finest level's anchors ``(A, n)``, and why there are as many."""
    sizes = fit_anchors(voxels, scales, 1 if given is None else given)
    if given is not None:
        return sizes, f"number {GIVEN}"
    reached = _reached(voxels, scales, sizes)
    for count in range(2, MOST_ANCHORS + 1):
        more = fit_anchors(voxels, scales, count)
        gain = _reached(voxels, scales, more) - reached
        if gain < WORTH:
            return sizes, f"{count} at a place would add {max(gain, 0):.3f} of mean IoU"
        sizes, reached = more, reached + gain
    return sizes, f"{MOST_ANCHORS} at a place is the most"


def _reached(voxels: np.ndarray, scales: np.ndarray, sizes: np.ndarray) -> float:
    return mean_best_iou(voxels, (scales[:, None] * sizes).reshape(-1, voxels.shape[1]))


def _why_patch(voxels: np.ndarray, patch_size: Sequence[int], holding: PerAxis, cut: float) -> str:
    largest = _sizes(np.percentile(voxels, LARGEST, axis=0))
    said = f"the largest boxes ({LARGEST:g}th percentile per axis) have {largest} voxels"
    if cut == 0:
        return f"{said}; the patch {_sizes(patch_size)} holds every box"
    return (
        f"{said}; the patch {_sizes(patch_size)} cuts {cut:.1%} of the boxes whatever its place: "
        f"give plan.patch_size {list(np.maximum(holding, patch_size).tolist())}, or a coarser "
        "spacing"
    )


def _sizes(values: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{float(n):.3g}" for n in values)
