"""Where the voxels of each class are, so that a patch can be put onto foreground."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medseg.labels import is_foreground

# nnU-Net keeps 10,000 voxels of each class, or 1 % of a class that has more than a million.
LOCATIONS = 10_000
LOCATIONS_FRACTION = 0.01
_SLAB = 1 << 20


def sample_locations(index: np.ndarray, *, most: int = LOCATIONS) -> dict[int, np.ndarray]:
    """Pick voxels of each foreground class of ``(*S)``, evenly and the same ones every time.

    Returns:
        Class index -> int32 coordinates ``(N, ndim)`` in scan order, N at most 10,000 or 1 % of
        the class, whichever is more.
    """
    flat = index.reshape(-1)
    inside = np.flatnonzero(is_foreground(flat))
    labels = flat[inside]
    out = {}
    for label in np.flatnonzero(np.bincount(labels, minlength=1)):
        voxels = inside[labels == label]
        keep = max(most, int(np.ceil(len(voxels) * LOCATIONS_FRACTION)))
        if len(voxels) > keep:
            picked = np.random.default_rng(0).choice(len(voxels), keep, replace=False)
            voxels = voxels[np.sort(picked)]
        out[int(label)] = np.stack(np.unravel_index(voxels, index.shape), axis=1).astype(np.int32)
    return out


def pack(locations: Mapping[int, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Join the classes' coordinates in ascending order of class to one ``(N, ndim)`` array.

    It is uint16 where the ``shape`` allows: half the bytes.
    """
    kind = np.uint16 if max(shape) <= 65535 else np.int32
    parts = [locations[label].astype(kind) for label in sorted(locations)]
    return np.concatenate(parts) if parts else np.zeros((0, len(shape)), kind)


def unpack(packed: np.ndarray, counts: Mapping[int, int]) -> dict[int, np.ndarray]:
    """Give each class its part of what `pack` joined; views, nothing is copied or read."""
    out, start = {}, 0
    for label in sorted(counts):
        out[label] = packed[start : start + counts[label]]
        start += counts[label]
    return out


def count_voxels(index: np.ndarray, classes: int) -> tuple[int, ...]:
    """Count the voxels of every class of ``(*S)``, background first; ignored ones not at all."""
    counts = np.zeros(classes, dtype=np.int64)
    flat = index.reshape(-1)
    # A slab at a time: bincount widens its input to 8 bytes a voxel.
    for start in range(0, flat.size, _SLAB):
        counts += np.bincount(flat[start : start + _SLAB], minlength=classes)[:classes]
    return tuple(int(n) for n in counts)
