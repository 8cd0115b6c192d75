"""Which stages of an encoder a detector looks at, and how far apart its places are; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import mul

from medseg.errors import InputError

# The two finest stages have no level unless one is asked for: they cost most of all.
_FIRST_LEVEL = 2


def level_strides(
    strides: Sequence[Sequence[int]], levels: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """Return the voxels from place to place, per level and axis.

    Args:
        strides: per stage and axis, what each does to the one before.
        levels: numbers of stages.
    """
    axes = [list(accumulate(axis, mul)) for axis in zip(*strides, strict=True)]
    return tuple(tuple(axis[level] for axis in axes) for level in levels)


def read_levels(levels: Sequence[int] | None, stages: int) -> tuple[int, ...]:
    """Check the numbers of the stages that are levels, or choose them: all from the third on.

    Raises:
        InputError: there is no such stage, or they are not in order.
    """
    if levels is None:
        return tuple(range(min(_FIRST_LEVEL, stages - 1), stages))
    chosen = tuple(int(level) for level in levels)
    ascending = all(a < b for a, b in pairwise(chosen))
    if not chosen or not ascending or chosen[0] < 0 or chosen[-1] >= stages:
        raise InputError(
            "levels must number stages of the encoder, finest first",
            expected=f"ascending numbers from 0 to {stages - 1}",
            found=str(list(levels)),
        )
    return chosen
