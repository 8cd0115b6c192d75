"""The patch that a network trains on: as large as memory allows, shaped like the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medseg.networks.needs import NetworkNeeds
from medseg.planning.pooling import PerAxis, divisor, pad_to_multiple, pooling_strides

# Voxels that the first patch has; it is far above what memory allows, so that shrinking decides.
FIRST_PATCH = {2: 2048**2, 3: 256**3}


class Patch(NamedTuple):
    """Voxels per axis, and the strides per stage that go with them."""

    size: PerAxis
    strides: tuple[PerAxis, ...]


@dataclass(frozen=True)
class Poolable:
    """The sizes that strides and network can take.

    Attributes:
        spacing: mm per axis.
        strides: per stage, if they are given; else `pooling_strides` finds them for each size.
        max_pools: see `pooling_strides`.
        needs: what the network wants beyond the strides; ``None``: nothing.
    """

    spacing: tuple[float, ...]
    strides: tuple[PerAxis, ...] | None = None
    max_pools: int | None = None
    needs: NetworkNeeds | None = None

    def holding(self, size: Sequence[float]) -> Patch:
        """Return the smallest patch that holds ``size`` and can be pooled as often as it."""
        strides = self.strides or pooling_strides(self.spacing, size, max_pools=self.max_pools)
        step = self.step(strides)
        padded = pad_to_multiple(size, step)
        if self.needs is not None:
            padded = pad_to_multiple(self.needs.enlarged(padded), step)
        return Patch(padded, tuple(strides))

    def read(self, patch: Patch) -> Patch:
        """Return what the network reads to segment a patch: its surroundings belong to it."""
        if self.needs is None:
            return patch
        return Patch(self.needs.input_size(patch.size), patch.strides)

    def step(self, strides: Sequence[PerAxis]) -> PerAxis:
        """Return by what each axis must be divisible for the strides and the network."""
        own = divisor(strides)
        if self.needs is None:
            return own
        return tuple(math.lcm(a, b) for a, b in zip(own, self.needs.divisor, strict=True))


def first_patch(spacing: Sequence[float], median_shape: Sequence[float]) -> tuple[float, ...]:
    """Return a patch that is a cube in mm, clipped to the median image.

    Args:
        spacing: mm per axis.
        median_shape: voxels per axis of the median image at that spacing.
    """
    n = len(spacing)
    scale = (FIRST_PATCH[n] * math.prod(spacing)) ** (1 / n)
    return tuple(min(round(scale / s), m) for s, m in zip(spacing, median_shape, strict=True))


def shrink(
    patch: Patch,
    poolable: Poolable,
    median_shape: Sequence[float],
    fits: Callable[[Patch], bool],
    *,
    order: Sequence[int] | None = None,
) -> Patch:
    """Take voxels from the axis largest relative to the median image until the patch fits.

    Args:
        patch: where to begin.
        poolable: which sizes there are.
        median_shape: voxels per axis of the median image.
        fits: tells whether a patch is small enough.
        order: all axes; of equally large ones the last in it gives way. ``None``: as they are.

    Returns:
        The first patch that fits, or the smallest possible one.
    """
    axes = tuple(order or range(len(median_shape)))
    while not fits(patch):
        ratios = [n / m for n, m in zip(patch.size, median_shape, strict=True)]
        largest = sorted(axes, key=lambda axis: (ratios[axis], axes.index(axis)), reverse=True)
        smaller = (_cut(patch, axis, poolable) for axis in largest)
        found = next((p for p in smaller if p is not None), None)
        if found is None:
            break
        patch = found
    return patch


def _cut(patch: Patch, axis: int, poolable: Poolable) -> Patch | None:
    """Return the next smaller patch along an axis; ``None`` where there is none."""
    step = poolable.step(patch.strides)[axis]
    for _ in range(2):
        # The step is that of the smaller patch: one pooling less may allow a finer step.
        size = _less(patch.size, axis, step)
        if size is None:
            return None
        step = poolable.step(poolable.holding(size).strides)[axis]
    size = _less(patch.size, axis, step)
    smaller = poolable.holding(size) if size is not None else None
    return smaller if smaller and math.prod(smaller.size) < math.prod(patch.size) else None


def _less(size: PerAxis, axis: int, step: int) -> PerAxis | None:
    smaller = tuple(n - step if i == axis else n for i, n in enumerate(size))
    return smaller if smaller[axis] >= 1 else None
