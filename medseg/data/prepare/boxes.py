"""The box of an image that something fills, with room around it."""

from __future__ import annotations

import math

import numpy as np

from medseg.geometry import Grid
from medseg.labels import is_foreground

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""First voxel per axis, and the one behind the last."""


def filled_box(filled: np.ndarray) -> Box | None:
    """Find the smallest box that holds every true voxel of ``(*S)``; ``None`` without any."""
    start, stop = [], []
    for axis in range(filled.ndim):
        others = tuple(other for other in range(filled.ndim) if other != axis)
        hits = np.flatnonzero(filled.any(axis=others))
        if not len(hits):
            return None
        start.append(int(hits[0]))
        stop.append(int(hits[-1]) + 1)
    return tuple(start), tuple(stop)


def guided_box(guide: np.ndarray, grid: Grid, margin: float) -> Box | None:
    """Find the box of a guide's foreground and at least ``margin`` mm around it, within the grid.

    Args:
        guide: label indices ``(*S)``.
        grid: on which it lies.
        margin: mm on each side, rounded up to whole voxels.

    Returns:
        ``None`` where the guide has no foreground.
    """
    found = filled_box(is_foreground(guide))
    if found is None:
        return None
    # Spacings carry float32 noise; without the tolerance 20 mm could be 21 voxels of 1 mm.
    wide = [math.ceil(margin / spacing - 1e-3) for spacing in grid.spacing]
    start = tuple(max(0, a - more) for a, more in zip(found[0], wide, strict=True))
    stop = tuple(min(n, b + m) for b, m, n in zip(found[1], wide, grid.shape, strict=True))
    return start, stop
