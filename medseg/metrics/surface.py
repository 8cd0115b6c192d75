"""Distances between the surfaces of two masks, in mm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from medseg.metrics.confusion import as_masks
from medseg.metrics.overlap import Empty


def hausdorff95(
    pred: np.ndarray,
    target: np.ndarray,
    spacing: Sequence[float] | float,
    *,
    empty: Empty = "skip",
    missing: float = math.inf,
) -> float:
    """Return the 95th percentile Hausdorff distance in mm.

    The larger of the two directed 95th percentiles (linear interpolation), as MONAI computes it.
    The surface is the set of mask voxels with a face neighbour outside the mask; beyond the edge of
    the array counts as outside.

    Args:
        pred: mask ``(I, J, K)`` or ``(I, J)``; non-zero is inside.
        target: mask of the same shape.
        spacing: mm per axis.
        empty: what two empty masks give: ``skip`` NaN, ``one`` 0 (the distance of a right answer).
        missing: what one empty mask gives: no finite distance is true. BraTS 2021 used the
            diagonal of its images, 374 mm.

    Raises:
        InputError: the shapes differ.
    """
    pred, target = as_masks(pred, target)
    if not pred.any() and not target.any():
        return 0.0 if empty == "one" else math.nan
    if not pred.any() or not target.any():
        return missing
    there, back = surface_distances(pred, target, spacing)
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def surface_distances(
    pred: np.ndarray, target: np.ndarray, spacing: Sequence[float] | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each surface voxel of one mask to the other's surface.

    Args:
        pred: mask that is not empty.
        target: mask of the same shape that is not empty.
        spacing: mm per axis.

    Returns:
        mm, from ``pred`` to ``target`` and back; ``(N,)`` and ``(M,)``.
    """
    a, b = surface_points(pred, spacing), surface_points(target, spacing)
    return cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]


def surface_points(mask: np.ndarray, spacing: Sequence[float] | float) -> np.ndarray:
    """Return the positions of the surface voxels of a mask that is not empty, mm, ``(N, ndim)``."""
    box = ndimage.find_objects(np.asarray(mask, dtype=bool).view(np.uint8))[0]
    inside = np.asarray(mask[box], dtype=bool)
    surface = inside & ~ndimage.binary_erosion(inside)
    corner = np.array([axis.start for axis in box])
    return (np.argwhere(surface) + corner) * np.broadcast_to(spacing, mask.ndim)
