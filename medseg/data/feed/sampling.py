"""Where patches are cut: pure functions of numbers and a random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medseg.geometry.boxes import Boxes


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


def sampled_object(boxes: Boxes, rng: np.random.Generator) -> np.ndarray | None:
    """Pick a class uniformly among those present, then one of its objects: its corners ``(2n,)``.

    By voxels a large object would be seen as often as hundreds of small ones. Returns ``None``
    where there is none but ignored ones.
    """
    present = np.unique(boxes.classes[boxes.classes >= 0])
    if not len(present):
        return None
    own = boxes.corners[boxes.classes == present[int(rng.integers(len(present)))]]
    return np.asarray(own[int(rng.integers(len(own)))], dtype=np.float64)


def start_around(
    shape: Sequence[int], patch_size: Sequence[int], corners: np.ndarray, rng: np.random.Generator
) -> tuple[int, ...]:
    """Choose the first voxel of a patch ``(ndim,)`` that holds a box, anywhere within.

    Along an axis where the box is longer than the patch, it is cut around the box's middle. As for
    `patch_start` the patch stays inside the image.
    """
    n = len(shape)
    start = []
    for axis, (size, p) in enumerate(zip(shape, patch_size, strict=True)):
        low, high = float(corners[axis]), float(corners[n + axis])
        if size <= p:
            start.append(-((p - size) // 2))
            continue
        first, last = int(np.ceil(high)) - p, int(np.floor(low))
        if first > last:
            first = last = round((low + high) / 2) - p // 2
        first, last = (int(np.clip(at, 0, size - p)) for at in (first, last))
        start.append(int(rng.integers(first, last + 1)))
    return tuple(start)


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
