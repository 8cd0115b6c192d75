"""A patch that the user fixed: taken as it is, or refused with the nearest sizes that fit."""

from __future__ import annotations

from collections.abc import Callable

from medseg.errors import InputError
from medseg.planning.patch import Patch, Poolable
from medseg.planning.pooling import PerAxis


def given_patch(
    size: PerAxis, poolable: Poolable, *, show: Callable[[PerAxis], list] = list
) -> Patch:
    """Return the patch of this size.

    Args:
        size: voxels per axis.
        poolable: which sizes there are.
        show: writes a size as the user would.

    Raises:
        InputError: strides or network cannot take it; the message names the nearest that they can.
    """
    wanted = poolable.holding(size)
    if wanted.size == size:
        return wanted
    step = poolable.step(wanted.strides)
    problem = poolable.needs.problem(size) if poolable.needs else None
    near = [show(n) for n in (_smaller(size, step, poolable), _larger(size, poolable)) if n]
    raise InputError(
        f"plan.patch_size: {problem or f'the network cannot halve {show(size)} that often'}",
        expected=f"multiples of {show(step)}; nearest: {' or '.join(map(str, near))}",
        found=str(show(size)),
        remedy="take one of these, or fewer stages (plan.features or plan.strides)",
    )


def _smaller(size: PerAxis, step: PerAxis, poolable: Poolable) -> PerAxis | None:
    """Round down; ``None`` where nothing is left, or what is left would have to grow again."""
    down = tuple(n // s * s for n, s in zip(size, step, strict=True))
    return down if all(down) and poolable.holding(down).size == down else None


def _larger(size: PerAxis, poolable: Poolable) -> PerAxis | None:
    """Round up until nothing more is wanted: a larger size may be pooled once more."""
    for _ in range(8):
        up = poolable.holding(size).size
        if up == size:
            return size
        size = up
    return None
