"""Which voxels of the image the voxels of a layer see along one axis; no torch.

A chain of convolutions sees the same everywhere, and one number says it (see `closed_forms`).
Behind a step up this is no longer so: two neighbours that were enlarged from one coarse voxel see
the same, and the next two see something else. Hence a field per place in a period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd, lcm

Sources = Callable[[int], tuple[int, int]]


@dataclass(frozen=True)
class Field:
    """What the voxels of a layer see along one axis of an endless image.

    Attributes:
        first: the first voxel of the image that the ``r``-th voxel of a period sees.
        last: the last one.
        advance: voxels of the image from one period to the next.
    """

    first: tuple[int, ...] = (0,)
    last: tuple[int, ...] = (0,)
    advance: int = 1

    @property
    def size(self) -> int:
        """The receptive field: voxels from the first seen to the last, where most are seen."""
        return max(last - first for first, last in zip(self.first, self.last, strict=True)) + 1

    @property
    def period(self) -> int:
        """After how many voxels of the layer the pattern comes again."""
        return len(self.first)

    @property
    def step(self) -> Fraction:
        """Voxels of the image from one voxel of the layer to the next."""
        return Fraction(self.advance, self.period)

    def seen(self, index: int) -> tuple[int, int]:
        """Return the first and the last voxel of the image that voxel ``index`` sees."""
        periods, place = divmod(index, self.period)
        onward = periods * self.advance
        return self.first[place] + onward, self.last[place] + onward


def convolved(
    field: Field, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Field:
    """Give the field behind a convolution or a pooling.

    A kernel of 1 is a choice of voxels: ``stride`` is the step of a slice, ``-padding`` its start.
    """

    def sources(index: int) -> tuple[int, int]:
        low = index * stride - padding
        return low, low + (kernel - 1) * dilation

    return _behind(field, sources, every=1, steps=stride)


def transposed(
    field: Field, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Field:
    """Give the field behind a transposed convolution."""

    def sources(index: int) -> tuple[int, int]:
        reached = [index + padding - dilation * place for place in range(kernel)]
        found = [at // stride for at in reached if at % stride == 0]
        # A kernel smaller than the stride leaves voxels that only the bias reaches.
        return (min(found), max(found)) if found else ((index + padding) // stride,) * 2

    return _behind(field, sources, every=stride, steps=1)


def resampled(
    field: Field, size: int, new_size: int, *, mode: str = "nearest", align_corners: bool = False
) -> Field:
    """Give the field behind an interpolation from ``size`` to ``new_size`` voxels.

    Args:
        field: before it.
        size: voxels along the axis.
        new_size: voxels after it.
        mode: ``nearest``, ``nearest-exact``, ``linear`` or ``cubic``.
        align_corners: whether the first and the last voxel keep their places (else the borders).
    """
    corners = align_corners and min(size, new_size) > 1
    steps, every = (size - 1, new_size - 1) if corners else (size, new_size)
    shared = gcd(steps, every)
    scale = Fraction(steps, every)
    half = Fraction(0 if corners else 1, 2)

    def sources(index: int) -> tuple[int, int]:
        if mode.startswith("nearest"):
            at = floor(scale * (index + (half if mode == "nearest-exact" else 0)))
            return at, at
        place = scale * (index + half) - half
        around = 0 if mode == "linear" or place.denominator == 1 else 1
        return floor(place) - around, ceil(place) + around

    return _behind(field, sources, every=every // shared, steps=steps // shared)


def united(a: Field, b: Field) -> Field:
    """Give the field where two paths meet: all that either sees."""
    if a.step != b.step:
        b = _in_steps_of(a, b)
    period = lcm(a.period, b.period)
    seen = [(a.seen(place), b.seen(place)) for place in range(period)]
    return Field(
        tuple(min(one[0], other[0]) for one, other in seen),
        tuple(max(one[1], other[1]) for one, other in seen),
        a.advance * (period // a.period),
    )


def _behind(field: Field, sources: Sources, *, every: int, steps: int) -> Field:
    """Give the field of a layer whose voxel ``i`` reads the voxels ``sources(i)`` before it.

    ``every`` voxels on, it reads what lies ``steps`` voxels on.
    """
    repeats = field.period // gcd(field.period, steps)
    seen = []
    for index in range(every * repeats):
        low, high = sources(index)
        seen.append((field.seen(low)[0], field.seen(high)[1]))
    first, last = zip(*seen, strict=True)
    return Field(first, last, field.advance * steps * repeats // field.period)


def _in_steps_of(a: Field, b: Field) -> Field:
    """Give ``b`` the steps of ``a``: a patch that a stride does not divide shifts them a little."""
    before = max(place * b.step - first for place, first in enumerate(b.first))
    after = max(last - place * b.step for place, last in enumerate(b.last))
    return Field(
        tuple(floor(place * a.step - before) for place in range(a.period)),
        tuple(ceil(place * a.step + after) for place in range(a.period)),
        a.advance,
    )
