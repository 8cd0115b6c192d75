"""The patch that a network trains on: as large as memory allows, shaped like the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from medseg.planning.pooling import PerAxis, divisor, pad_to_multiple, pooling_strides

# Voxels that the first patch has; it is far above what memory allows, so that shrinking decides.
FIRST_PATCH = {2: 2048**2, 3: 256**3}


class Needs(Protocol):
    """What a network wants of its input; `medseg.networks.needs.NetworkNeeds`."""

    @property
    def divisor(self) -> PerAxis:
        """Every axis must be a multiple of this."""
        ...

    def problem(self, size: Sequence[int]) -> str | None:
        """Say why a size does not fit."""
        ...

    def enlarged(self, size: Sequence[int]) -> PerAxis:
        """Return the smallest size that fits and holds this one."""
        ...


class Patch(NamedTuple):
    """Voxels per axis, and the strides per stage that go with them."""

    size: PerAxis
    strides: tuple[PerAxis, ...]


def first_patch(spacing: Sequence[float], median_shape: Sequence[int]) -> PerAxis:
    """Return a patch that is a cube in mm, clipped to the median image.

    Args:
        spacing: mm per axis.
        median_shape: voxels per axis of the median image at that spacing.
    """
    n = len(spacing)
    scale = (FIRST_PATCH[n] * math.prod(spacing)) ** (1 / n)
    return tuple(min(round(scale / s), m) for s, m in zip(spacing, median_shape, strict=True))


def pooled(
    size: Sequence[int],
    spacing: Sequence[float],
    *,
    strides: Sequence[PerAxis] | None = None,
    max_pools: int | None = None,
    needs: Needs | None = None,
) -> Patch:
    """Find the strides for a size, and round it up to what they and the network can take.

    Args:
        size: voxels per axis wanted.
        spacing: mm per axis.
        strides: per stage, if they are given; else `pooling_strides` finds them.
        max_pools: see `pooling_strides`.
        needs: what the network wants beyond the strides.
    """
    found = tuple(strides or pooling_strides(spacing, size, max_pools=max_pools))
    multiple = step(found, needs)
    padded = pad_to_multiple(size, multiple)
    if needs is not None:
        padded = pad_to_multiple(needs.enlarged(padded), multiple)
    return Patch(padded, found)


def shrink(
    patch: Patch,
    spacing: Sequence[float],
    median_shape: Sequence[int],
    fits: Callable[[Patch], bool],
    *,
    strides: Sequence[PerAxis] | None = None,
    max_pools: int | None = None,
    needs: Needs | None = None,
) -> Patch:
    """Take voxels from the axis largest relative to the median image until the patch fits.

    Args:
        patch: where to begin.
        spacing: mm per axis.
        median_shape: voxels per axis of the median image at that spacing.
        fits: tells whether a patch is small enough.
        strides: as in `pooled`.
        max_pools: as in `pooled`.
        needs: as in `pooled`.

    Returns:
        The first patch that fits, or the smallest possible one.
    """
    options = {"strides": strides, "max_pools": max_pools, "needs": needs}
    while not fits(patch):
        ratios = [n / m for n, m in zip(patch.size, median_shape, strict=True)]
        # On ties the last axis, as nnU-Net has it.
        order = sorted(range(len(ratios)), key=lambda axis: (ratios[axis], axis), reverse=True)
        smaller = (_cut(patch, axis, spacing, options) for axis in order)
        found = next((p for p in smaller if p is not None), None)
        if found is None:
            break
        patch = found
    return patch


def step(strides: Sequence[PerAxis], needs: Needs | None) -> PerAxis:
    """Return by what each axis must be divisible for the strides and the network."""
    own = divisor(strides)
    if needs is None:
        return own
    return tuple(math.lcm(a, b) for a, b in zip(own, needs.divisor, strict=True))


def _cut(patch: Patch, axis: int, spacing: Sequence[float], options: dict) -> Patch | None:
    # The step is that of the smaller patch: one pooling less may allow a finer step.
    multiple = step(patch.strides, options["needs"])
    for _ in range(2):
        size = list(patch.size)
        size[axis] -= multiple[axis]
        if size[axis] < 1:
            return None
        multiple = step(pooled(size, spacing, **options).strides, options["needs"])
    size = list(patch.size)
    size[axis] -= multiple[axis]
    smaller = pooled(size, spacing, **options) if size[axis] >= 1 else None
    return smaller if smaller and math.prod(smaller.size) < math.prod(patch.size) else None
