"""How coarse images may be where objects are to be found, not outlined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg.planning.box_percentiles import SMALL, small_boxes

# Voxels across a small box: to be off by one at every edge still leaves an IoU of a half in 3D,
# and of two thirds in 2D.
ENOUGH_VOXELS = 16.0
# By which factor images must become coarser at least: a little saves little.
WORTH = 1.5


def coarser_spacing(
    box_sizes: np.ndarray, classes: np.ndarray, *, spacing: Sequence[float]
) -> tuple[tuple[float, ...], str] | None:
    """Return a coarser spacing at which small objects are still large enough, and why.

    Half the resolution is an eighth of the voxels, and a patch shows eight times as much: in a
    short training that is worth more than sharp edges. Axes that are coarser already stay.

    Args:
        box_sizes: of all boxes, mm along the axes of the plan ``(N, n)``.
        classes: of each box ``(N,)``; the smallest class decides.
        spacing: planned, mm per axis.

    Returns:
        ``None`` where objects are too small for it to be worth while.
    """
    if not len(box_sizes):
        return None
    smallest = float(small_boxes(box_sizes, classes).min())
    target = float(f"{smallest / ENOUGH_VOXELS:.3g}")
    coarser = tuple(max(float(mm), target) for mm in spacing)
    if max(new / old for new, old in zip(coarser, spacing, strict=True)) < WORTH:
        return None
    planned = " x ".join(f"{mm:.3g}" for mm in spacing)
    return coarser, (
        f"small boxes ({SMALL}th percentile of the smallest class) are {smallest:.3g} across, and "
        f"{ENOUGH_VOXELS:g} voxels of that are enough to find them (fast preset); "
        f"the data have {planned}"
    )
