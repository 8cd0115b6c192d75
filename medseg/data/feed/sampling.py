"""Where patches are cut: pure functions of numbers and a random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


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


def copy_patch(array: np.ndarray | Tensor, start: Sequence[int], out: Tensor) -> None:
    """Copy the patch that begins at ``start`` of ``(…, *S)`` into ``out`` ``(…, *patch)``.

    Only its voxels are read from a memory-map, and each is copied once. What lies outside the image
    is zero: background in a label, and in an image the value that the sliding window pads with too.

    Args:
        array: an array, or a tensor on the device of ``out``.
        start: first voxel per axis; may be negative.
        out: where to; float32 or uint8.
    """
    size = tuple(out.shape[-len(start) :])
    shape = tuple(array.shape[-len(start) :])
    inside = tuple(
        slice(max(a, 0), max(0, a, min(a + p, n)))
        for a, p, n in zip(start, size, shape, strict=True)
    )
    target = tuple(slice(s.start - a, s.stop - a) for s, a in zip(inside, start, strict=True))
    if any(t.stop - t.start < p for t, p in zip(target, size, strict=True)):
        out.zero_()
    read: Any = (..., *inside)
    written: Any = (..., *target)
    if isinstance(array, Tensor):
        out[written].copy_(array[read])
    else:
        out.numpy()[written] = array[read]


def view_patch(
    array: np.ndarray | Tensor, start: Sequence[int], size: Sequence[int]
) -> Tensor | None:
    """Give a patch that lies inside ``(…, *S)`` without copying, or ``None`` where that cannot be.

    It cannot of a file's map (whoever uses the patch would wait for the disk), of another type than
    a patch has, or beyond the border.
    """
    shape = tuple(array.shape[-len(start) :])
    if any(a < 0 or a + p > n for a, p, n in zip(start, size, shape, strict=True)):
        return None
    if not isinstance(array, Tensor):
        if isinstance(array, np.memmap) or not array.flags.writeable:
            return None
        if array.dtype not in (np.float32, np.uint8):
            return None
        array = torch.from_numpy(array)
    return array[box(start, size)]


def box(start: Sequence[int], size: Sequence[int]) -> Any:
    """Give the index of the last axes of an array that picks out a patch inside it."""
    return (..., *(slice(a, a + p) for a, p in zip(start, size, strict=True)))
