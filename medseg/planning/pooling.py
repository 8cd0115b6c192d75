"""Which axes a U-Net halves at which stage, and its kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

# An axis is not halved below this many voxels.
MIN_EDGE = 4

PerAxis = tuple[int, ...]


def pooling_strides(
    spacing: Sequence[float], size: Sequence[float], *, max_pools: int | None = None
) -> tuple[PerAxis, ...]:
    """Return the strides per stage of an encoder, the first all ones.

    An axis is halved while it has at least 2×4 voxels and its spacing is below 2× the finest of the
    axes that can still be halved, so that coarse axes wait for the fine ones; a lone axis needs
    3×4 voxels (nnU-Net v2). Images too small for that are halved once.

    Args:
        spacing: mm per axis.
        size: voxels per axis of the patch, not yet padded.
        max_pools: the most stages after the first.
    """
    return _strides(tuple(spacing), tuple(size), max_pools)


@lru_cache(maxsize=4096)  # shrinking a patch asks for the same sizes again and again
def _strides(
    spacings: tuple[float, ...], sizes: tuple[float, ...], max_pools: int | None
) -> tuple[PerAxis, ...]:
    spacing, size = list(spacings), list(sizes)
    strides: list[PerAxis] = [(1,) * len(size)]
    while max_pools is None or len(strides) <= max_pools:
        axes = [axis for axis, n in enumerate(size) if n >= 2 * MIN_EDGE]
        finest = min((spacing[axis] for axis in axes), default=0.0)
        axes = [axis for axis in axes if spacing[axis] < 2 * finest]
        if not axes or (len(axes) == 1 and size[axes[0]] < 3 * MIN_EDGE):
            break
        for axis in axes:
            spacing[axis] *= 2
            size[axis] = math.ceil(size[axis] / 2)
        strides.append(tuple(2 if axis in axes else 1 for axis in range(len(size))))
    if len(strides) == 1:
        strides.append(tuple(2 if n > 1 else 1 for n in size))
    return tuple(strides)


def kernels(spacing: Sequence[float], strides: Sequence[Sequence[int]]) -> tuple[PerAxis, ...]:
    """Return the kernels per stage.

    1 on an axis until its spacing is below 2× the finest of all axes, from then on 3; the
    bottleneck is all 3 (nnU-Net v2).

    Args:
        spacing: mm per axis at full resolution.
        strides: per stage, per axis.
    """
    current, kernel = list(spacing), [1] * len(spacing)
    result: list[PerAxis] = []
    for stride in strides[:-1]:
        current = [s * n for s, n in zip(current, stride, strict=True)]
        kernel = [
            3 if k == 3 or s < 2 * min(current) else 1 for k, s in zip(kernel, current, strict=True)
        ]
        result.append(tuple(kernel))
    return (*result, (3,) * len(spacing))


def divisor(strides: Sequence[Sequence[int]]) -> PerAxis:
    """Return by what each axis of the patch must be divisible: the product of its strides."""
    return tuple(math.prod(axis) for axis in zip(*strides, strict=True))


def pad_to_multiple(size: Sequence[float], multiple: Sequence[int]) -> PerAxis:
    """Round each axis up to a multiple."""
    return tuple(math.ceil(n / m) * m for n, m in zip(size, multiple, strict=True))
