"""Where patches are cut: pure functions of numbers and a random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def forced_foreground(index: int, batch_size: int, fraction: float) -> bool:
    """Say whether item ``index`` of a batch must hold foreground.

    The last ``fraction`` of a batch is: index ≥ round(batch_size · (1 − fraction)), nnU-Net's rule
    (one of two at batch 2). A batch of one would never be, so there every item counted by
    ``index`` takes its turn: one in ``1 / fraction``.
    """
    if batch_size == 1:
        return int((index + 1) * fraction) > int(index * fraction)
    return index % batch_size >= round(batch_size * (1 - fraction))


def foreground_voxel(
    locations: Mapping[int, np.ndarray], rng: np.random.Generator
) -> np.ndarray | None:
    """Pick a class uniformly among those present, then one of its voxels ``(ndim,)``.

    Returns ``None`` for a case without foreground.
    """
    present = sorted(c for c in locations if c != 0 and len(locations[c]))
    if not present:
        return None
    voxels = locations[present[int(rng.integers(len(present)))]]
    return np.asarray(voxels[int(rng.integers(len(voxels)))], dtype=np.int64)


def patch_start(
    shape: Sequence[int],
    patch_size: Sequence[int],
    rng: np.random.Generator,
    *,
    centre: np.ndarray | None = None,
) -> tuple[int, ...]:
    """Choose the first voxel of a patch ``(ndim,)``, around ``centre`` or anywhere.

    The patch stays inside the image; along an axis where the image is smaller, the image is
    centred in the patch and the start is negative.
    """
    start = []
    for axis, (n, p) in enumerate(zip(shape, patch_size, strict=True)):
        if n <= p:
            start.append(-((p - n) // 2))
        elif centre is None:
            start.append(int(rng.integers(n - p + 1)))
        else:
            start.append(int(np.clip(centre[axis] - p // 2, 0, n - p)))
    return tuple(start)


def read_patch(array: np.ndarray, start: Sequence[int], patch_size: Sequence[int]) -> np.ndarray:
    """Copy a patch out of ``(…, *S)``; only its voxels are read from a memory-map.

    What lies outside the image is zero: background in a label, and in an image the value that the
    sliding window pads with too.
    """
    lead = array.shape[: array.ndim - len(patch_size)]
    shape = array.shape[len(lead) :]
    inside = tuple(
        slice(max(a, 0), min(a + p, n)) for a, p, n in zip(start, patch_size, shape, strict=True)
    )
    target = tuple(slice(s.start - a, s.stop - a) for s, a in zip(inside, start, strict=True))
    patch = np.zeros((*lead, *patch_size), dtype=array.dtype)
    every = (slice(None),) * len(lead)
    patch[every + target] = array[every + inside]
    return patch
