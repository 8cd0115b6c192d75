"""The ellipsoids inscribed in boxes: what an object is taken for where only its box is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ellipsoid_distance(shape: Sequence[int], corners: np.ndarray) -> np.ndarray:
    """Return how far voxels ``(*S)`` are from a box's centre, in half extents of the box.

    It is 1 on the surface of the ellipsoid inscribed in the box. Half an extent is at least half a
    voxel, so that a thin box holds the voxel in its middle.

    Args:
        shape: of the image.
        corners: of one box ``(2n,)`` in voxel edges.
    """
    n = len(shape)
    half = np.maximum((corners[n:] - corners[:n]) / 2, 0.5)
    total = np.zeros(tuple(shape))
    for axis, (middle, reach) in enumerate(zip((corners[:n] + corners[n:]) / 2, half, strict=True)):
        # The centre of voxel i is at i + 0.5.
        away = (np.arange(shape[axis]) + 0.5 - middle) / reach
        total += (away**2).reshape([-1 if a == axis else 1 for a in range(n)])
    return np.sqrt(total)
